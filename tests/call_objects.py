"""Objects whose public functions and calls are called as well, and what these take; and those that are records."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import call_makers as new
from tightrope import (
    View,
    conditioning,
    data,
    dynamics,
    losses,
    methods,
    penalties,
    perturbations,
    runs,
    schedules,
    toys,
)
from tightrope.evaluation import features
from tightrope.monitor import Signal
from tightrope.networks import NETWORKS

OBJECTS: dict[str, Callable[[Path], Any]] = {
    "Run": lambda _: new.run(),
    "Method": lambda _: methods.build("r1"),
    "Constraint": lambda _: methods.build("sn_gan").constraint,
    "Projection": lambda _: methods.build("wgan").projection,
    "Sampler": lambda _: data.Sampler(new.ring(), 4, seed=0),
    "Dataset": lambda _: data.open_data("digits", progress=False, limit=64),
    "TrainedGenerator": lambda at: runs.load(at / "run"),
    "View": lambda _: View(new.critic()),
    "Toy": lambda _: toys.dirac_variant("r1"),
    "Loss": lambda _: losses.hinge,
    **{f"{loss}.critic": lambda _, loss=loss: losses.LOSSES[loss].critic for loss in losses.LOSSES},
    **{f"{loss}.generator": lambda _, loss=loss: losses.LOSSES[loss].generator for loss in losses.LOSSES},
    "least_squares": lambda _: losses.least_squares,
    "ScoreAverages": lambda _: new.averages(),
    "Mixture": lambda _: data.Mixture(new.seeded(3, 2), 0.1),
    "FeatureStatistics": lambda _: new.moments(0),
    "InstanceNoise": lambda _: new.noise(),
    "InOrder": lambda _: perturbations.InOrder((new.noise(),)),
    "Augmentation": lambda _: perturbations.Augmentation("diff"),
    "AdaptiveStrength": lambda _: perturbations.AdaptiveStrength(every=1),
    "Linear": lambda _: new.schedule(),
    "Cosine": lambda _: schedules.Cosine(0.0, 1.0, images=10),
    "Delayed": lambda _: schedules.Delayed(1.0, images=10),
    "FeatureNetwork": lambda _: features.random_convolutions((3, 16, 16)),
    "Penalty": lambda _: penalties.Penalty(penalties.r1, {"gamma": 1.0}),
    "Network": lambda _: NETWORKS["dcgan"],
    "Signal": lambda _: Signal("a", "b", "c", "d"),
    "Config": lambda _: new.configured(2),
    "Monitor": lambda _: new.watching(),
    "Stack": lambda _: new.stack(),
    "Conditioning": lambda _: conditioning.measure(new.generator(), new.seeded(4, 3)),
    "FieldProducts": lambda _: dynamics.FieldProducts(**new.game(), rewind=lambda: None),
}
"""Objects, made anew at each call."""

SCORES: dict[str, Callable[[], Any]] = {
    "first": lambda: new.seeded(8, 1),
    "second": lambda: new.seeded(8, 1, seed=1),
    "d_real": lambda: new.seeded(8, 1),
    "d_fake": lambda: new.seeded(8, 1, seed=1),
}
FITTING: dict[str, Callable[[], Any]] = SCORES | {
    "step": lambda: 1,
    "k": lambda: 0,
    "n": lambda: 2,
    "w": lambda: torch.ones(2, dtype=torch.float64),
    "u": lambda: torch.ones(2, dtype=torch.float64),
    "indices": lambda: torch.tensor([0]),
    "wanted": lambda: 0,
    "x": lambda: new.seeded(2, 2),
    "z": lambda: new.seeded(2, 3),
    "real": lambda: new.seeded(8, 2),
    "critic": new.critic,
    "name": lambda: "ring",
    "player": lambda: "critic",
    "dimension": lambda: 2,
    "other": lambda: new.moments(1),
    "features": lambda: new.seeded(8, 2),
    "critic_step": lambda: 1,
    "images_seen": lambda: 1,
    "targets": lambda: (1.0, 0.0, 1.0),
    "change": lambda: lambda labels: labels,
    "state": lambda: new.run().state_dict(),
    "optimizers": lambda: toys.dirac_variant("r1").optimizers(),
    "size": lambda: torch.ones(2),
    "error": lambda: lambda k: ValueError(k),
}
"""What an argument of this name is in a right call of an object's function."""

OWN: dict[str, Callable[[], new.Given]] = {
    "Projection().due": lambda: {"critic_steps": 1},
    "Sampler().load_state_dict": lambda: {"state": data.Sampler(new.ring(), 4, seed=0).state_dict()},
    "ScoreAverages().load_state_dict": lambda: {"state": new.averages().state_dict()},
    "Augmentation().__call__": lambda: {"x": new.seeded(4, 3, 8, 8), "images_seen": 1},
    "FeatureNetwork().__call__": lambda: {"x": new.seeded(4, 3, 16, 16)},
    "AdaptiveStrength().load_state_dict": lambda: {"state": perturbations.AdaptiveStrength().state_dict()},
    "Constraint().__call__": lambda: {"critic": new.critic(), "shape": (2,)},
    "Penalty().__call__": lambda: {"given": [new.critic(), new.seeded(8, 2), new.seeded(8, 2, seed=1)]},
    "Stack().error": lambda: {"k": 0, "player": "critic", "again": None, "samples": None},
}
"""Right calls of objects' functions that the names alone do not give."""


RECORDS = {
    "losses.Balance",
    "monitor.Cause",
    "monitor.Diagnosis",
    "monitor.Finding",
    "training.seeds.Run",
    "training.seeds.Seed",
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
