"""A right call of every public function and class, and the wrong values that one argument of it is replaced by."""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
import inspect
import math
import pathlib
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from tightrope import (
    View,
    constraints,
    data,
    dynamics,
    evaluation,
    losses,
    methods,
    metrics,
    penalties,
    runs,
    toys,
    training,
)
from tightrope.evaluation import features
from tightrope.monitor import Signal
from tightrope.networks import NETWORKS

Given = dict[str, Any]

HUGE = 10**30


def _seeded(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def critic() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 1))


def generator() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))


def pair() -> list[nn.Parameter]:
    return [nn.Parameter(torch.ones(1, dtype=torch.float64)) for _ in range(2)]


def game() -> Given:
    x, y = pair()
    return {"losses": (lambda: (x * y).sum() + x.square().sum(), lambda: -(x * y).sum()), "players": ([x], [y])}


def stepping(**more: Any) -> Given:
    x, y = pair()

    def step() -> None:
        with torch.no_grad():
            x.copy_(0.9 * x - 0.1 * y)
            y.copy_(0.9 * y + 0.1 * x)

    return {"step": step, "players": ([x], [y])} | more


def optimised() -> Given:
    players = game()
    return players | {"optimizers": tuple(torch.optim.SGD(player, lr=0.1) for player in players["players"])}


def run(name: str = "r1") -> training.Run:
    return training.start(methods.build(name), generator(), critic(), seed=0, latent=3, batch_size=8)


def configured(steps: int) -> runs.Config:
    return runs.resolve(
        "toy:ring", steps=steps, batch_size=8, width=8, depth=2, latent=3, threads=1, evaluate_n=60, limit=64
    )


def hinge() -> Given:
    rule = methods.build("r1").critic_optimizer
    return {"name": "own", "loss": losses.hinge, "critic_optimizer": rule, "generator_optimizer": rule}


def ring() -> data.Dataset:
    return data.open_data("toy:ring", progress=False, limit=64)


def prediction(weight: float) -> dynamics.Prediction:
    return dynamics.predict(**stepping())


WORDS: dict[str, Callable[[], Any]] = {
    "critic": critic,
    "generator": generator,
    "network": critic,
    "module": critic,
    "layer": lambda: nn.Linear(2, 3),
    "real": lambda: _seeded(16, 2),
    "fake": lambda: _seeded(16, 2, seed=1),
    "x": lambda: _seeded(16, 2),
    "y": lambda: _seeded(16, 2, seed=1),
    "z": lambda: _seeded(8, 3),
    "path": lambda: _seeded(5, 3),
    "train": lambda: _seeded(20, 2, seed=2),
    "test": lambda: _seeded(20, 2, seed=3),
    "W": lambda: _seeded(3, 4),
    "M": lambda: _seeded(3, 4),
    "Q": lambda: torch.linalg.qr(_seeded(3, 3))[0],
    "u": lambda: _seeded(3),
    "v": lambda: _seeded(4),
    "low": lambda: 0.5,
    "high": lambda: 2.0,
    "values": lambda: torch.tensor([3.0, 2.0, 1.0]),
    "logits": lambda: _seeded(32, 4),
    "counts": lambda: torch.tensor([3, 4]),
    "method": lambda: methods.build("r1"),
    "seed": lambda: 0,
    "latent": lambda: 3,
    "shape": lambda: (3, 16, 16),
    "input_shape": lambda: (2,),
    "steps": lambda: 2,
    "batch_size": lambda: 8,
    "lr": lambda: 0.1,
    "params": pair,
    "rows": lambda: 1,
    "fakes": lambda: lambda n, rng: torch.randn(n, 2, generator=rng),
    "weight": lambda: 1.0,
    "x_weights": lambda: torch.ones(16) / 16,
    "y_weights": lambda: torch.ones(16) / 16,
    "sigma": lambda: 0.1,
    "start": lambda: 0.1,
    "end": lambda: 1.0,
    "images": lambda: 10,
    "reg_param": lambda: 1.0,
    "penalty": lambda: penalties.r1,
    "loss": lambda: losses.hinge,
    "run": run,
    "theta": lambda: 1.0,
    "psi": lambda: 1.0,
    "treated": lambda: [1.0, 2.0, 3.0, 2.5],
    "control": lambda: [1.5, 2.5, 3.5, 2.0],
    "cells": lambda: [0, 0, 1, 1],
    "output": lambda: _seeded(8, 1),
    "scores": lambda: _seeded(8, 1),
    "parameters": pair,
    "direction": lambda: _seeded(8, 3),
    "sample": lambda: _seeded(8, 2),
    "reference": lambda: torch.tensor([3, 4]),
    "dataset": ring,
}
"""What a required argument of this name is in a right call."""


def _numbers() -> Given:
    return {"x": [1.0, 2.0, 3.0, 4.0], "y": [2.0, 1.0, 4.0, 3.0], "values": [1.0, 2.0, 3.0, 2.5]}


RIGHT: dict[str, Callable[[Path], Given]] = {
    "View": lambda _: {"module": critic(), "call": None, "scores": None, "rows": 1, "labels": None},
    "load": lambda at: {"run": at / "run"},
    "start": lambda _: {
        "method": methods.build("r1"),
        "generator": generator(),
        "critic": critic(),
        "seed": 0,
        "latent": 3,
    },
    "train": lambda _: {"run": run(), "data": [_seeded(8, 2)] * 3, "steps": 2},
    "losses.Loss": lambda _: {"name": "own", "critic": losses.hinge.critic, "generator": losses.hinge.generator},
    "losses.OverCritics": lambda _: {"function": lambda scores: scores.mean()},
    "losses.balance": lambda _: _balanced(),
    "losses.lecam": lambda _: {
        "d_real": _seeded(8, 1),
        "d_fake": _seeded(8, 1, seed=1),
        "averages": _averages(),
    },
    "losses.top_k": lambda _: {"d_fake": _seeded(8, 1), "share": 0.5},
    "losses.LeastSquares": lambda _: {
        "name": "own",
        "critic": losses.hinge.critic,
        "generator": losses.hinge.generator,
    },
    "penalties.consistency": lambda _: {
        "critic": critic(),
        "real": _seeded(8, 2),
        "fake": _seeded(8, 2, seed=1),
        "augment": lambda x, rng=None: 1.01 * x,
    },
    "perturbations.InOrder": lambda _: {"parts": (_noise(),)},
    "perturbations.ada_augment": lambda _: {"x": _seeded(4, 3, 8, 8), "p": 0.5},
    "perturbations.diff_augment": lambda _: {"x": _seeded(4, 3, 8, 8)},
    "perturbations.adaptive_of": lambda _: {"perturbation": None},
    "penalties.Penalty": lambda _: {"function": penalties.r1, "hyperparameters": {"gamma": 1.0}},
    "penalties.lazy": lambda _: {"penalty": penalties.r1, "every": 2},
    "penalties.refuse_coupled": lambda _: {"critic": critic(), "penalty": "r1"},
    "penalties.soft_orthogonality": lambda _: {"critic": critic()},
    "schedules.check_value": lambda _: {"name": "gamma", "value": 1.0},
    "schedules.value_at": lambda _: {"value": 1.0, "images_seen": 3},
    "perturbations.normal_like": lambda _: {"x": _seeded(8, 2), "rng": torch.Generator().manual_seed(0)},
    "autodiff.Remembered": lambda _: {"network": critic()},
    "autodiff.labelled": lambda _: {"network": critic(), "labels": None},
    "autodiff.twice_differentiable": lambda _: {},
    "linalg.cayley": lambda _: {"W": _seeded(3, 3)},
    "spectra.kernel_spectra": lambda _: {"network": critic()},
    "spectra.layer_spectra": lambda _: {"network": critic(), "complete": True, "memory_limit_bytes": 1 << 27},
    "spectra.table": lambda _: {"spectra": _spectra()},
    "critics.generalisation_scores": lambda _: {
        "methods": {"r1": (methods.build("r1"), lambda seed: critic())},
        "train": _seeded(20, 2),
        "test": _seeded(20, 2, seed=1),
        "fakes": WORDS["fakes"](),
        "steps": 1,
        "seeds": (0, 1),
    },
    "critics.lipschitz_interval": lambda _: {
        "critic": critic(),
        "real": _seeded(8, 2),
        "fake": _seeded(8, 2, seed=1),
        "steps": 2,
    },
    "critics.train_critic": lambda _: {
        "method": methods.build("r1"),
        "critic": critic(),
        "real": _seeded(16, 2),
        "fakes": WORDS["fakes"](),
        "steps": 2,
    },
    "conditioning.extremes": lambda _: {"generator": generator(), "z": _seeded(3)},
    "conditioning.latent_directions": lambda _: {"generator": generator(), "z": _seeded(3)},
    "linalg.block_add_outer": lambda _: {"M": _seeded(2, 3, 4), "u": _seeded(2, 3), "v": _seeded(2, 4)},
    "linalg.block_matvec": lambda _: {"M": _seeded(2, 3, 4), "v": _seeded(2, 4)},
    "linalg.block_rmatvec": lambda _: {"M": _seeded(2, 3, 4), "u": _seeded(2, 3)},
    "linalg.top_singular_pair": lambda _: {"M": _seeded(2, 3, 4)},
    "conditioning.log_condition_number": lambda _: {"values": torch.tensor([[3.0, 2.0, 1.0]])},
    "conditioning.log_determinant": lambda _: {"values": torch.tensor([[3.0, 2.0, 1.0]])},
    "runs.checkpoint_paths": lambda at: {"run": at / "run"},
    "runs.load_newest": lambda at: {"run": at / "run"},
    "runs.read_config": lambda at: {"run": at / "run"},
    "report.read_run": lambda at: {"path": at / "run"},
    "report.summary": lambda at: {"run": at / "run"},
    "methods.Method": lambda _: hinge(),
    "studies.statistics.correlation_between": lambda _: {
        "x": [1.0, 2.0, 3.0, 4.0, 5.0, 7.0],
        "y": [2.0, 1.0, 4.0, 3.0, 3.0, 1.0],
        "cells": [0, 1, 2, 3, 4, 5],
    },
    "studies.statistics.correlation_within": lambda _: {
        "x": [1.0, 2.0, 3.0, 4.0, 5.0, 7.0],
        "y": [2.0, 1.0, 4.0, 3.0, 3.0, 1.0],
        "cells": [0, 0, 0, 1, 1, 1],
    },
    "dynamics.FieldProducts": lambda _: game() | {"rewind": lambda: None},
    "dynamics.contracting_weights": lambda _: {"predict_at": prediction, "weights": [0.1, 1.0]},
    "dynamics.predict": lambda _: stepping(),
    "dynamics.largest_safe_step": lambda _: stepping() | {"optimizers": ()},
    "dynamics.update_jacobian": lambda _: stepping(),
    "dynamics.path_angle": lambda _: (
        game() | {"start": torch.zeros(2, dtype=torch.float64), "end": torch.ones(2, dtype=torch.float64)}
    ),
    "dynamics.euler_limit": lambda _: {"values": torch.tensor([-1.0 + 1j, -0.5 + 0j])},
    "dynamics.state_tensors": lambda _: {"players": ([pair()[0]],), "optimizers": ()},
    "metrics.FeatureStatistics": lambda _: {"count": 3, "mean": torch.zeros(2), "scatter": torch.eye(2)},
    "metrics.frechet_from_statistics": lambda _: {"real": _moments(0), "fake": _moments(1)},
    "metrics.memorisation": lambda _: {
        "train": _seeded(20, 2),
        "fake": _seeded(16, 2, seed=1),
        "test": _seeded(20, 2, seed=2),
    },
    "metrics.mode_coverage": lambda _: {"samples": _seeded(32, 2), "mixture_means": _seeded(3, 2, seed=4), "std": 0.5},
    "metrics.nearest": lambda _: {"queries": _seeded(5, 2), "references": _seeded(9, 2, seed=1)},
    "metrics.block_kernel_distance": lambda _: {
        "real": _seeded(16, 2),
        "fake": _seeded(16, 2, seed=1),
        "blocks": 2,
        "size": 8,
    },
    "metrics.split_classifier_score": lambda _: {"logits": _seeded(40, 3)},
    "evaluation.evaluate": lambda _: _evaluated() | {"metrics": ["wasserstein1"]},
    "evaluation.expected_seconds": lambda _: _evaluated(),
    "evaluation.compare": lambda _: {"real": _samples(), "fake": _samples(), "metrics": ["wasserstein1"]},
    "evaluation.expected_seconds_of_comparison": lambda _: {"real": _samples(), "fake": _samples()},
    "evaluation.open_features": lambda _: {"name": "random", "shape": (3, 16, 16)},
    "evaluation.open_pair": lambda at: {"real": at / "points.npy", "fake": at / "points.npy"},
    "evaluation.open_samples": lambda at: {"source": at / "points.npy"},
    "evaluation.Samples": lambda _: {"parts": (ring(),), "split": "train"},
    "evaluation.features.classifier": lambda at: {"train": ring(), "test": ring(), "cache": at / "cache"},
    "evaluation.features.from_module": lambda _: {"module": nn.Flatten(), "name": "own", "dimension": 768},
    "evaluation.features.named_features": lambda _: {"name": "random", "shape": (3, 16, 16)},
    "evaluation.features.cifar_resnet": lambda at: {"path": at / "points.npy"},
    "evaluation.features.inception": lambda at: {"path": at / "points.npy"},
    "evaluation.features.mobilenet_v2": lambda at: {"path": at / "points.npy"},
    "evaluation.features.dinov2": lambda _: {"size": "no"},
    "methods.build": lambda _: {"name": "r1", "gamma": 1.0},
    "methods.with_setting": lambda _: {"method": methods.build("wgan_gp"), "setting": "A"},
    "methods.Constraint": lambda _: {"function": constraints.spectral_norm},
    "methods.Projection": lambda _: {"function": constraints.clip_weights_},
    "methods.dcgan_clamped": lambda _: {"low": 1.0, "high": 20.0},
    "methods.wgan_gp_clamped": lambda _: {"low": 1.0, "high": 20.0},
    "optimizers.consensus": lambda _: game(),
    "optimizers.symplectic": lambda _: game(),
    "optimizers.lead": lambda _: optimised() | {"alpha": 0.1},
    "optimizers.extragradient_step": lambda _: _extragradient(),
    "optimizers.outer_step": lambda _: optimised(),
    "optimizers.in_sequence": lambda _: {},
    "optimizers.Lookahead": lambda _: {"params": pair()},
    "data.Mixture": lambda _: {"means": _seeded(3, 2), "std": 0.1},
    "data.Batch": lambda _: {"x": _seeded(4, 2), "labels": None},
    "data.Sampler": lambda _: {"dataset": ring(), "batch_size": 4, "seed": 0},
    "data.class_index": lambda _: {"classes": ("a", "b"), "wanted": "a"},
    "data.open_data": lambda at: {"source": at / "points.npy", "progress": False},
    "training.critic_step": lambda _: {"run": run(), "real": _seeded(8, 2)},
    "training.generator_step": lambda _: {"run": run(), "real": _seeded(8, 2)},
    "training.joint_step": lambda _: {"run": run("consensus"), "real": _seeded(8, 2)},
    "training.scalars": lambda _: {"half": training.critic_step(run(), _seeded(8, 2))},
    "monitor.signals": lambda _: _signals(),
    "toys.Affine": lambda _: {"mean": 0.0, "scale": 1.0},
    "toys.Linear": lambda _: {"psi": torch.ones(2)},
    "toys.Point": lambda _: {"theta": torch.ones(2)},
    "toys.Quadratic": lambda _: {"psi": torch.ones(2)},
    "toys.dirac_variant": lambda _: {"name": "r1"},
    "toys.variant": lambda _: {"name": "r1"},
    "runs.assemble": lambda _: {"config": configured(2), "progress": False},
    "runs.begin": lambda at: {"folder": at / "new", "config": configured(1), "quiet": True},
    "runs.fit": lambda at: {"folder": at / "run", "assembled": runs.assemble(configured(1), progress=False)},
    "runs.resolve": lambda _: {"data": "toy:ring", "steps": 2},
    "runs.resume": lambda at: {"folder": at / "run", "steps": 2, "quiet": True},
    "runs.restore": lambda at: {
        "assembled": runs.assemble(configured(1), progress=False),
        "state": runs.load_newest(at / "run")[0],
    },
    "runs.save_checkpoint": lambda at: {"run": at / "copy", "seconds": 0.0, "keep": 2, "assembled": _assembled()},
    "runs.write_config": lambda at: {"run": at / "copy", "config": configured(2)},
    "runs.locked": lambda at: {"run": at / "copy"},
    "runs.Wishes": lambda _: {"data": "toy:ring"},
    "doctor.tune_gamma": lambda _: {
        "method_at": lambda gamma: methods.build("r1", gamma=gamma),
        "networks": lambda seed: (generator(), critic()),
        "data": _seeded(32, 2),
        "latent": 3,
        "gammas": (1.0,),
        "steps": 1,
        "seeds": (0,),
        "batch_size": 8,
    },
    "report.write_comparison": lambda at: {"runs": [at / "run", at / "run"], "out": at / "c.html"},
    "report.write_report": lambda at: {"run": at / "run"},
    "report.write_spectra": lambda at: {"spectra": _spectra(), "out": at / "s.html"},
    "studies.statistics.bootstrap": lambda _: {"statistic": np.mean, "rows": [1.0, 2.0, 3.0, 2.5], "resamples": 99},
    "studies.statistics.permutation_test": lambda _: {"treated": [1.0, 2.0], "control": [1.5, 2.0], "resamples": 99},
    "studies.statistics.detectable": lambda _: {"sd": 1.0, "n": 5},
    "studies.statistics.seeds_needed": lambda _: {"effect": 1.0, "sd": 1.0},
    "studies.statistics.equivalent": lambda _: {"gap": _interval(), "margin": 1.0},
    "studies.statistics.holm": lambda _: {"p_values": [0.1, 0.2]},
}
"""The right calls that the names alone do not give; relative paths are below a folder made by ``folder``."""


def _averages() -> Any:
    found = losses.ScoreAverages()
    found.update(_seeded(8, 1), _seeded(8, 1, seed=1))
    return found


def _balanced() -> Given:
    layer = nn.Linear(2, 2)
    out = layer(_seeded(4, 2))
    return {"reconstruction": out.square().mean(), "adversarial": out.mean(), "last_layer": layer.weight}


def _spectra() -> Any:
    from tightrope import spectra

    return list(spectra.layer_spectra(critic(), _seeded(4, 2)))


def _moments(seed: int) -> metrics.FeatureStatistics:
    return (
        metrics.FeatureStatistics.of(_seeded(16, 2, seed=seed))
        if hasattr(metrics.FeatureStatistics, "of")
        else (metrics.FeatureStatistics(16, torch.zeros(2).double(), torch.eye(2).double()))
    )


def _evaluated() -> Given:
    return {"sample": lambda n, seed: _seeded(n, 2, seed=seed), "train": ring(), "test": ring()}


def _samples() -> evaluation.Samples:
    return evaluation.Samples((ring(),), "train")


def _extragradient() -> Given:
    from tightrope.optimizers import ExtraSGD

    players = game()
    return players | {"optimizers": tuple(ExtraSGD(player, lr=0.1) for player in players["players"])}


def _signals() -> Given:
    state = run()
    step = next(training.train(state, [_seeded(8, 2)], steps=1))
    return {"run": state, "step": step, "real": _seeded(8, 2)}


def _assembled() -> runs.Assembled:
    return runs.assemble(configured(1), progress=False)


def _interval() -> Any:
    from tightrope.studies import statistics

    return statistics.mean([1.0, 2.0, 3.0])


OBJECTS: dict[str, Callable[[Path], Any]] = {
    "Run": lambda _: run(),
    "Method": lambda _: methods.build("r1"),
    "Sampler": lambda _: data.Sampler(ring(), 4, seed=0),
    "Dataset": lambda _: ring(),
    "TrainedGenerator": lambda at: runs.load(at / "run"),
    "View": lambda _: View(critic()),
    "Toy": lambda _: toys.dirac_variant("r1"),
    "Loss": lambda _: losses.hinge,
    "Mixture": lambda _: data.Mixture(_seeded(3, 2), 0.1),
    "FeatureStatistics": lambda _: _moments(0),
    "InstanceNoise": lambda _: _noise(),
    "Linear": lambda _: _schedule(),
    "FeatureNetwork": lambda _: features.random_convolutions((3, 16, 16)),
    "Penalty": lambda _: penalties.Penalty(penalties.r1, {"gamma": 1.0}),
    "Network": lambda _: NETWORKS["dcgan"],
    "Signal": lambda _: Signal("a", "b", "c", "d"),
    "Config": lambda _: configured(2),
}
"""Objects whose public functions are called as well."""


def _noise() -> Any:
    from tightrope.perturbations import InstanceNoise

    return InstanceNoise(0.1)


def _schedule() -> Any:
    from tightrope.schedules import Linear

    return Linear(0.0, 1.0, images=10)


RECORDS = {
    "losses.Balance",
    "monitor.Cause",
    "monitor.Diagnosis",
    "monitor.Finding",
    "training.seeds.Run",
    "training.seeds.Seed",
    "training.seeds.Stack",
    "spectra.KernelSpectra",
    "spectra.LayerSpectra",
    "spectra.LayerSpectrum",
    "spectra.OperatorNorm",
    "spectra.Spectrum",
    "critics.CriticScore",
    "critics.Interval",
    "critics.Judged",
    "critics.LayerShare",
    "critics.LipschitzInterval",
    "critics.WassersteinEstimate",
    "conditioning.Conditioning",
    "conditioning.Extremes",
    "dynamics.PathAngle",
    "dynamics.Prediction",
    "dynamics.Spectrum",
    "dynamics.WeightRange",
    "layers.KernelShape",
    "metrics.Coverage",
    "metrics.Estimate",
    "metrics.Frechet",
    "metrics.Measurement",
    "metrics.Memorisation",
    "metrics.NeighbourScores",
    "metrics.Protocol",
    "evaluation.Measure",
    "penalties.GradientNoise",
    "training.Half",
    "training.NonFiniteError",
    "training.Run",
    "training.Step",
    "training.Batches",
    "monitor.Signal",
    "doctor.GammaAdvice",
    "doctor.GammaTrial",
    "report.RunRecord",
    "studies.statistics.Interval",
    "runs.Assembled",
    "runs.Outcome",
    "runs.TrainedGenerator",
    "runs.Config",
    "runs.DataSettings",
    "runs.MethodSettings",
    "runs.NetworkSettings",
    "runs.TrainingSettings",
    "UserError",
    "autodiff.NoGradientError",
    "methods.Setting",
    "data.Dataset",
    "networks.Network",
    "toys.Toy",
    "Method",
    "evaluation.features.FeatureNetwork",
}
"""Results and records: whoever builds one by hand may write into it what they like."""


def _sparse() -> torch.Tensor:
    return torch.eye(3, 4).to_sparse()


def wrong() -> dict[str, Any]:
    """Values that hardly any argument takes, by a name for each."""
    return {
        "None": None,
        "'a'": "a",
        "''": "",
        "nan": math.nan,
        "inf": math.inf,
        "-inf": -math.inf,
        "-1": -1,
        "0": 0,
        "1.5": 1.5,
        "True": True,
        "huge": HUGE,
        "-huge": -HUGE,
        "1e300": 1e300,
        "1j": 1j,
        "[]": [],
        "()": (),
        "{}": {},
        "object": object(),
        "class": nn.Linear,
        "lambda": lambda *_, **__: None,
        "bytes": b"a",
        "(nan,)": (math.nan,),
        "[None]": [None],
        "('a','b')": ("a", "b"),
        "{'a':1}": {"a": 1},
        "path": pathlib.Path("/nowhere/at all"),
        "ndarray": np.ones((3, 3), dtype=object),
        "module": nn.Identity(),
        "set": {1, 2},
        "(1,2,3,4,5,6)": (1, 2, 3, 4, 5, 6),
        "(0,0,0)": (0, 0, 0),
        "(3,huge,huge)": (3, HUGE, HUGE),
        "(-3,16,16)": (-3, 16, 16),
        "('3','16','16')": ("3", "16", "16"),
        "(3.0,16.0,16.0)": (3.0, 16.0, 16.0),
        "t:scalar": torch.tensor(1.0),
        "t:empty": torch.empty(0, 2),
        "t:empty1": torch.empty(0),
        "t:int": torch.ones(8, 2, dtype=torch.int64),
        "t:bool": torch.ones(8, 2, dtype=torch.bool),
        "t:complex": torch.ones(8, 2, dtype=torch.cfloat),
        "t:half": torch.ones(8, 2).half(),
        "t:nan": torch.full((8, 2), math.nan),
        "t:inf": torch.full((8, 3), math.inf),
        "t:meta": torch.empty(8, 2, device="meta"),
        "t:sparse": _sparse(),
        "t:5d": torch.ones(2, 1, 1, 1, 2),
        "t:1d": torch.ones(7),
        "t:wide": torch.ones(16, 7),
        "t:1e150": torch.full((16, 2), 1e150, dtype=torch.float64),
        "t:3d": torch.ones(2, 3, 4),
    }


def public() -> list[str]:
    """Dotted names below tightrope of all public modules."""
    at = Path(__file__).parents[1] / "docs" / "public.py"
    spec = importlib.util.spec_from_file_location("public", at)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return list(module.modules())


def functions() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Every public function and class that takes something and is no record, each under its first name."""
    seen: set[int] = set()
    for dotted in public():
        module = importlib.import_module(dotted)
        for name in getattr(module, "__all__", ()):
            thing = getattr(module, name)
            key = f"{dotted}.{name}".removeprefix("tightrope.")
            if id(thing) in seen or not callable(thing) or key in RECORDS:
                continue
            seen.add(id(thing))
            if inspect.isclass(thing) or inspect.isroutine(thing):
                yield key, thing
    for name, network in NETWORKS.items():
        yield f"networks.{name}.generator", network.generator
        yield f"networks.{name}.critic", network.critic
        yield f"networks.{name}.check", network.check


def known(key: str, function: Callable[..., Any]) -> bool:
    """Whether a right call of the function is known."""
    parameters = inspect.signature(function).parameters.values()
    words = {p.name for p in parameters if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}
    return key in RIGHT or words <= {*WORDS, *game(), *_numbers()}


def arguments(key: str, function: Callable[..., Any], at: Path) -> Given:
    """The right arguments of one function."""
    if key in RIGHT:
        return RIGHT[key](at)
    given: Given = _numbers() if key.startswith("studies.statistics") else {}
    words = {**WORDS, **{name: (lambda value=value: value) for name, value in given.items()}}
    if key.startswith("networks.") and key.split(".")[1] in NETWORKS:
        words["shape"] = lambda: (2,) if ".mlp." in key else (3, 32, 32)
    needed = [
        parameter.name
        for parameter in inspect.signature(function).parameters.values()
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]
    if {"losses", "players"} <= set(needed):
        return game() | {name: words[name]() for name in needed if name not in ("losses", "players")}
    return {name: words[name]() for name in needed}


def folder(at: Path) -> Path:
    """A run, a copy to write into, and a file of points."""
    np.save(at / "points.npy", np.random.default_rng(0).normal(size=(40, 2)))
    (at / "copy").mkdir()
    runs.begin(at / "run", configured(1), quiet=True)
    return at


def consumed(result: Any) -> Any:
    """What a call gives, generators and contexts entered."""
    if inspect.isgenerator(result):
        return next(result, None)
    if isinstance(result, contextlib.AbstractContextManager) and not hasattr(result, "read"):
        with result as inside:
            return inside
    return result


def called(function: Callable[..., Any], given: Given) -> Any:
    """One call, its warnings aside; what comes before ``*rest`` goes by position."""
    parameters = list(inspect.signature(function).parameters.values())
    rest = next((p for p in parameters if p.kind is p.VAR_POSITIONAL), None)
    by_name, positional = dict(given), []
    if rest is not None:
        before = parameters[: parameters.index(rest)]
        positional = [by_name.pop(p.name) for p in before if p.name in by_name]
        extra = by_name.pop(rest.name, [_seeded(4, 2)] if rest.name == "sample" else [])
        positional += extra if isinstance(extra, list) else [extra]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return consumed(function(*positional, **by_name))


def mutable(function: Callable[..., Any]) -> list[str]:
    """The arguments that can be replaced."""
    return [
        p.name
        for p in inspect.signature(function).parameters.values()
        if p.kind is not p.VAR_KEYWORD and p.name != "args"
    ]


FITTING: dict[str, Callable[[], Any]] = {
    "step": lambda: 1,
    "k": lambda: 2,
    "n": lambda: 2,
    "indices": lambda: torch.tensor([0]),
    "wanted": lambda: 0,
    "x": lambda: _seeded(2, 2),
    "z": lambda: _seeded(2, 3),
    "name": lambda: "ring",
    "dimension": lambda: 2,
    "other": lambda: _moments(1),
    "features": lambda: _seeded(8, 2),
    "critic_step": lambda: 1,
    "images_seen": lambda: 1,
    "change": lambda: lambda labels: labels,
    "state": lambda: run().state_dict(),
    "optimizers": lambda: toys.dirac_variant("r1").optimizers(),
}
"""What an argument of this name is in a right call of an object's function."""


def methods_of(at: Path) -> Iterator[tuple[str, Callable[[], tuple[Callable[..., Any], Given]]]]:
    """Every public function of the objects that takes something, made anew at each call, with right arguments."""
    for name, make in OBJECTS.items():
        kind = type(make(at))
        for word in vars(kind):
            if word.startswith("_") or word == "forward" or not inspect.isroutine(getattr(kind, word)):
                continue
            if mutable(getattr(make(at), word)):
                yield f"{name}().{word}", functools.partial(_bound, make, word, at)


def _bound(make: Callable[[Path], Any], word: str, at: Path) -> tuple[Callable[..., Any], Given]:
    method = getattr(make(at), word)
    return method, {name: FITTING[name]() for name in mutable(method) if name in FITTING}
