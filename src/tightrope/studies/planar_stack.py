"""The GANs of :mod:`tightrope.studies.planar` with all seeds of a cell stacked into one computation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from tightrope.data.toy import TOYS
from tightrope.methods import Method
from tightrope.metrics.transport import wasserstein1
from tightrope.networks.mlp import critic as mlp_critic
from tightrope.networks.mlp import generator as mlp_generator
from tightrope.studies.design import Cell, DivergedError
from tightrope.studies.planar import POINTS
from tightrope.training import Run, seeds

Ending = Callable[[list[tuple[int, float]], Run, int], Mapping[str, Any]]


def planar_stack(method: Method, cell: Cell, numbers: Sequence[int], ending: Ending) -> list[Any]:
    """For each seed what ``ending(steps and exact W1 at the checkpoints, run, seed)`` gives, or how it diverged.

    Draws are those of :func:`~tightrope.studies.planar.planar`, so that a seed has here what it has alone, but for the
    rounding of products in another order.
    """
    steps, batch, latent = int(cell["steps"]), int(cell["batch"]), int(cell["latent"])
    width, depth, data = int(cell["width"]), int(cell["depth"]), TOYS[str(cell["data"])]
    judges = {seed: torch.Generator().manual_seed(1000 * seed + 2) for seed in numbers}

    def networks(seed: int) -> tuple[nn.Module, nn.Module]:
        weights = torch.Generator().manual_seed(1000 * seed)
        G = mlp_generator((2,), latent=latent, width=width, depth=depth, rng=weights)
        return G, mlp_critic((2,), width=width, depth=depth, rng=weights)

    def drawn(seed: int) -> Iterator[Tensor]:
        stream = torch.Generator().manual_seed(1000 * seed + 1)
        while True:
            yield data(batch, stream)

    def distance(run: Run, seed: int) -> float:
        with torch.no_grad():
            fake = run.generator(torch.randn(POINTS, latent, generator=judges[seed]))
        return wasserstein1(data(POINTS, judges[seed]), fake)

    every = max(steps // int(cell["checkpoints"]), 1)
    found = seeds.train(
        method, networks, drawn, numbers, steps=steps, batch_size=batch, measure=distance,
        at=range(every, steps + 1, every), how="stack", latent=latent, shape=(2,), ema_half_life_images=0.0,
    )  # fmt: skip
    return [
        ending(sorted(one.measured.items()), one.run, one.seed) if one.error is None else DivergedError(str(one.error))
        for one in found
    ]
