"""Orthogonal WGAN (1911.13060) on images: every way of the library, and what the activation does to it and to WGAN-GP.

Fashion-MNIST at 16 pixels, DCGAN of width 8, 60 generator steps with five critic steps each (WGAN-TTUR: 60 with one):
early in training. Beside ``orthogonal_images``, which has the hard way, the soft one with Gram matrices, and WGAN-GP,
all with GroupSort, stand here the iterated SVD, the other three measures of the soft way, and ReLU. Formulas and
coefficients are our reading, as there; what counts is log FD in the later half of the checkpoints.

Arms that do not start orthogonal have N(0, 0.02) or He's weights, whichever had the smaller mean of that on three seeds
of its own (part ``choose``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from tightrope import methods
from tightrope.methods import Method
from tightrope.networks import NETWORKS
from tightrope.spectra import stable_rank_fraction
from tightrope.studies.design import Cell, Claim, Part, Picture, Row, Scale, cells
from tightrope.studies.images import checkpoints, drawn, kernel_values, summary

PAPER, WHEN = "1911.13060", "2026-11-27"
SOFT = ("gram", "off_diagonal", "srip", "mutual_coherence")
COSTS = {"hard": 3.3, "svd": 3.3, **dict.fromkeys(SOFT, 3.2), "gp": 4.4, "ttur": 1.0}
"""Of a generator step, over that of WGAN-TTUR."""


def _cells(part: str, arm: str, activation: str, init: str, steps: int, **other: Any) -> tuple[Cell, ...]:
    shared = {"part": part, "rate": 5e-4, "steps": steps, "data": "fashion_mnist", "pixels": 16, "width": 8,
              "latent": 64, "batch": 32, "checkpoints": 4}  # fmt: skip
    return cells(**{**shared, "arm": arm, "activation": activation, "init": init, "cost": COSTS[arm], **other})


def run_one(cell: Cell, seed: int, scale: Scale) -> Mapping[str, Any]:
    """One image WGAN.

    Returns:
        Beside :func:`summary`: ``late``, the mean log FD of the later half of the checkpoints; ``error``, the largest
        distance of a kernel's singular value from 1 at any checkpoint after the first; ``rank``, the mean stable-rank
        fraction of the critic's convolutions at the end.
    """
    seen, errors = [], list[float]()
    for one in checkpoints(method(cell), cell, seed, networks):
        seen.append(one)
        values = kernel_values(one.run.critic)
        errors.append(max(float((layer - 1).abs().max()) for layer in values))
    ranks = [float(stable_rank_fraction(layer)) for layer in values[:-1]]
    later = seen[len(seen) // 2 :]
    late = sum(math.log(one.fd) for one in later) / len(later)
    return {**summary(seen), "late": late, "error": max(errors[1:]), "rank": sum(ranks) / len(ranks)}


def method(cell: Cell) -> Method:
    """An arm's method; those of the soft way are named by what the penalty measures."""
    arm, rate = str(cell["arm"]), float(cell["rate"])
    if arm == "gp":
        return methods.build("wgan_gp", learning_rate=rate)
    if arm == "ttur":
        return methods.build("wgan_ttur", critic_learning_rate=2 * rate, generator_learning_rate=rate)
    if arm in SOFT:
        return methods.build("orthogonal_wgan", way="soft", form=arm, learning_rate=rate)
    return methods.build("orthogonal_wgan", way=arm, learning_rate=rate)


def networks(cell: Cell, shape: tuple[int, ...], rng: torch.Generator) -> tuple[nn.Module, nn.Module]:
    """DCGAN with the cell's activation in the critic."""
    width, unused = int(cell["width"]), torch.Generator().manual_seed(0)
    G = NETWORKS["dcgan"].generator(shape, latent=int(cell["latent"]), width=width, rng=rng)
    D = NETWORKS["dcgan"].critic(shape, width=width, activation=str(cell["activation"]), rng=unused)
    return G, drawn(D, str(cell["init"]), rng)


FREE = (("gp", "groupsort"), ("gp", "relu"), ("ttur", "groupsort"))
"""Arms that do not start orthogonal, with their activations."""

GRID: dict[str, Any] = {
    "smoke": (),
    "cpu": (
        Part(
            tuple(cell for init in ("n002", "he") for arm in FREE for cell in _cells("choose", *arm, init, 60)),
            (9790, 9791, 9792), fixed=True, seconds=6,
        ),
    ),
    "paper": (),
}  # fmt: skip
CLAIMS: tuple[Claim, ...] = ()


def figures(rows: Sequence[Row]) -> Mapping[str, Picture]:
    return {}
