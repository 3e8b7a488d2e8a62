"""GANs in the plane with all seeds of a cell stacked, and what their losses say beside the exact distance."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from tightrope.data.toy import MIXTURES, TOYS
from tightrope.methods import Method
from tightrope.metrics.modes import mode_coverage
from tightrope.metrics.transport import wasserstein1
from tightrope.networks.mlp import critic as mlp_critic
from tightrope.networks.mlp import generator as mlp_generator
from tightrope.studies.design import Cell, DivergedError
from tightrope.studies.planar import POINTS
from tightrope.training import Run, seeds

SAMPLES = 2000
"""Of each side, for estimates and modes; the exact distance takes the first :data:`POINTS` of them."""


def trails(method: Method, cell: Cell, numbers: Sequence[int]) -> list[Any]:
    """For each seed what its checkpoints gave, each a list along training, or how it diverged.

    The cell names ``data``, ``width``, ``depth``, ``latent``, ``batch``, ``steps``, ``checkpoints``, and ``offset``, by
    which the generator starts beside the data along the first axis. Weights, data, latents and evaluation follow from
    the seed alone, so that arms with one seed share them.

    Returns:
        Mappings with ``w1``, ``gap`` (the critic's mean score of real less fake samples), ``js`` (the Jensen-Shannon
        estimate were the scores logits), ``cost`` (minus log D at fakes, likewise); of mixtures also ``modes`` (reached
        within three standard deviations) and ``shares`` (nearest to at least a quarter of a mode's share of samples).
    """
    steps, batch, latent = int(cell["steps"]), int(cell["batch"]), int(cell["latent"])
    width, depth, name = int(cell["width"]), int(cell["depth"]), str(cell["data"])
    judges = {seed: torch.Generator().manual_seed(1000 * seed + 2) for seed in numbers}

    def networks(seed: int) -> tuple[nn.Module, nn.Module]:
        weights = torch.Generator().manual_seed(1000 * seed)
        G = mlp_generator((2,), latent=latent, width=width, depth=depth, rng=weights)
        with torch.no_grad():
            G.last.bias[0] += float(cell["offset"])
        return G, mlp_critic((2,), width=width, depth=depth, rng=weights)

    def drawn(seed: int) -> Iterator[Tensor]:
        stream = torch.Generator().manual_seed(1000 * seed + 1)
        while True:
            yield TOYS[name](batch, stream)

    def measure(run: Run, seed: int) -> Mapping[str, float]:
        return _measured(run, name, latent, judges[seed])

    every = max(steps // int(cell["checkpoints"]), 1)
    found = seeds.train(
        method, networks, drawn, numbers, steps=steps, batch_size=batch, measure=measure,
        at=range(every, steps + 1, every), how="stack", latent=latent, shape=(2,), ema_half_life_images=0.0,
    )  # fmt: skip
    return [_joined(one.measured) if one.error is None else DivergedError(str(one.error)) for one in found]


@torch.no_grad()
def _measured(run: Run, data: str, latent: int, judge: torch.Generator) -> Mapping[str, float]:
    real = TOYS[data](SAMPLES, judge)
    fake = run.generator(torch.randn(SAMPLES, latent, generator=judge))
    scores, fooled = run.critic(real), run.critic(fake)
    found = {
        "w1": wasserstein1(real[:POINTS], fake[:POINTS]),
        "gap": float(scores.mean() - fooled.mean()),
        "js": math.log(2) - 0.5 * float(softplus(-scores).mean() + softplus(fooled).mean()),
        "cost": float(softplus(-fooled).mean()),
    }
    if mixture := MIXTURES.get(data):
        met = mode_coverage(fake, mixture.means, mixture.std)
        fair = SAMPLES / len(mixture.means)
        found |= {"modes": met.covered, "shares": sum(count >= fair / 4 for count in met.counts)}
    return found


def _joined(measured: Mapping[int, Mapping[str, float]]) -> dict[str, list[float]]:
    each = [measured[step] for step in sorted(measured)]
    return {key: [round(one[key], 6) for one in each] for key in each[0]}
