"""Small GANs in the plane, as several studies train them: exact distances, the critic's slope at the data."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from tightrope.data.toy import TOYS
from tightrope.methods import Method
from tightrope.metrics.transport import wasserstein1
from tightrope.networks.mlp import critic as mlp_critic
from tightrope.networks.mlp import generator as mlp_generator
from tightrope.optimizers.settings import Optimizer, UpdateRule
from tightrope.studies.design import Cell
from tightrope.training import start, train

POINTS = 256


def both(method: Method, optimizer: UpdateRule) -> Method:
    """The method with one update rule for both players."""
    return replace(method, critic_optimizer=optimizer, generator_optimizer=optimizer)


def rule(cell: Cell) -> UpdateRule:
    """The cell's optimiser: ``optimizer`` and ``rate``."""
    return Optimizer(str(cell["optimizer"]), float(cell["rate"]))  # type: ignore[arg-type]


def planar(method: Method, cell: Cell, seed: int) -> Iterator[tuple[int, float, Any]]:
    """Train as a cell says and yield step, exact W1 and the run at evenly spaced checkpoints.

    The cell names ``data``, ``width``, ``depth``, ``latent``, ``batch``, ``steps`` and ``checkpoints``. Weights, data,
    latents and evaluation follow from the seed alone, so that arms with one seed share them.
    """
    weights, stream, judge = (torch.Generator().manual_seed(1000 * seed + k) for k in range(3))
    width, depth, latent = int(cell["width"]), int(cell["depth"]), int(cell["latent"])
    G = mlp_generator((2,), latent=latent, width=width, depth=depth, rng=weights)
    D = mlp_critic((2,), width=width, depth=depth, rng=weights)
    steps, batch, data = int(cell["steps"]), int(cell["batch"]), TOYS[str(cell["data"])]
    run = start(method, G, D, seed=seed, latent=latent, shape=(2,), batch_size=batch, ema_half_life_images=0.0)
    every = max(steps // int(cell["checkpoints"]), 1)
    for step in train(run, _draws(data, batch, stream), steps=steps):
        if step.step % every == 0:
            with torch.no_grad():
                fake = G(torch.randn(POINTS, latent, generator=judge))
            yield step.step, wasserstein1(data(POINTS, judge), fake), run


def _draws(data: Any, batch: int, stream: torch.Generator) -> Iterator[Tensor]:
    while True:
        yield data(batch, stream)


def slope_at_data(critic: torch.nn.Module, data: str, seed: int) -> float:
    """Mean norm of the critic's gradient at real points."""
    x = TOYS[data](POINTS, torch.Generator().manual_seed(seed)).requires_grad_()
    (slopes,) = torch.autograd.grad(critic(x).sum(), x)
    return float(slopes.norm(dim=1).mean())


def late(values: list[float]) -> float:
    """Mean over the second half of the checkpoints."""
    return statistics.fmean(values[len(values) // 2 :])
