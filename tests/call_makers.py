"""What right calls are made of: small networks, games, runs and data, new at each call."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tightrope import (
    data,
    dynamics,
    evaluation,
    losses,
    methods,
    metrics,
    monitor,
    optimizers,
    perturbations,
    runs,
    schedules,
    spectra,
    training,
)
from tightrope.studies import statistics

Given = dict[str, Any]
"""Arguments by name."""


def seeded(*shape: int, seed: int = 0) -> torch.Tensor:
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


def fresh(at: Path) -> Path:
    return Path(tempfile.mkdtemp(dir=at)) / "new"


def begun(at: Path) -> Path:
    """A run of one step that nothing else writes into."""
    return Path(shutil.copytree(at / "run", fresh(at)))


def averages() -> Any:
    found = losses.ScoreAverages()
    found.update(seeded(8, 1), seeded(8, 1, seed=1))
    return found


def balanced() -> Given:
    layer = nn.Linear(2, 2)
    out = layer(seeded(4, 2))
    return {"reconstruction": out.square().mean(), "adversarial": out.mean(), "last_layer": layer.weight}


def some_spectra() -> Any:
    return list(spectra.layer_spectra(critic(), seeded(4, 2)))


def moments(seed: int) -> metrics.FeatureStatistics:
    return metrics.FeatureStatistics.of(seeded(16, 2, seed=seed))


def evaluated() -> Given:
    return {"sample": lambda n, seed: seeded(n, 2, seed=seed), "train": ring(), "test": ring()}


def samples() -> evaluation.Samples:
    return evaluation.Samples((ring(),), "train")


def extragradient() -> Given:
    players = game()
    return players | {"optimizers": tuple(optimizers.ExtraSGD(player, lr=0.1) for player in players["players"])}


def signals_seen() -> Given:
    state = run()
    step = next(training.train(state, [seeded(8, 2)], steps=1))
    return {"run": state, "step": step, "real": seeded(8, 2)}


def assembled() -> runs.Assembled:
    return runs.assemble(configured(1), progress=False)


def interval() -> Any:
    return statistics.mean([1.0, 2.0, 3.0])


def noise() -> Any:
    return perturbations.InstanceNoise(0.1)


def schedule() -> Any:
    return schedules.Linear(0.0, 1.0, images=10)


def numbers() -> Given:
    return {"x": [1.0, 2.0, 3.0, 4.0], "y": [2.0, 1.0, 4.0, 3.0], "values": [1.0, 2.0, 3.0, 2.5]}


def watching() -> monitor.Monitor:
    return monitor.Monitor(generator(), critic(), loss="hinge", penalty="r1")


def stack() -> training.seeds.Stack:
    return training.seeds.Stack([run(), run()])
