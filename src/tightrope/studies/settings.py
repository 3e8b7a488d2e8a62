"""Spectral normalization (1802.05957) against every other arm of its figures 1 and 2, over all settings of Adam.

Fashion-MNIST at 16 pixels, the paper's standard CNN with an eighth of its channels, as in ``spectral``, and so few steps
(fewer where the rate is larger) that all arms are on their way: nothing has converged, where the paper makes 100,000.
What counts is the mean log FD of the later half of the checkpoints: samples come and go from step to step.

Initialisations are those that ``spectral`` chose; the three arms that it has not run have N(0, 0.02) or He's weights,
whichever had the smaller mean of that on three seeds of its own (part ``choose``, one critic step as there).
"""

from __future__ import annotations

import math
import os
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from tightrope import constraints, losses, penalties
from tightrope.drawing.charts import Chart, Line
from tightrope.methods import Alternating, Constraint, Method, Projection
from tightrope.networks import NETWORKS
from tightrope.optimizers.settings import Adam
from tightrope.penalties import Penalty
from tightrope.studies.design import Cell, Claim, Contrast, Part, Picture, Row, Scale, cells, matches, pick
from tightrope.studies.findings import Finding, paired_difference
from tightrope.studies.images import checkpoints, drawn, kernel_values, summary
from tightrope.studies.spectral import CIFAR10, COSTS, PAPER, SETTINGS

STEPS = {"A": 50, "B": 100, "C": 70, "D": 25, "E": 25, "F": 25}
STL10 = os.environ.get("TIGHTROPE_STL10", "../shared/data/stl10")
IMAGE: dict[str, Any] = {"data": "fashion_mnist", "pixels": 16, "width": 8, "latent": 64,
                         "batch": 32, "checkpoints": 3}  # fmt: skip


def _cells(part: str, setting: str, inits: Mapping[str, str], steps: int, **other: Any) -> tuple[Cell, ...]:
    """Cells of one setting; ``inits`` maps each arm to its initialisation."""
    shared = {"part": part, "setting": setting, **SETTINGS[setting], "steps": steps, **IMAGE, **other}
    return tuple(
        cell for arm, init in inits.items() for cell in cells(**{**shared, "arm": arm, "init": init, "cost": COSTS[arm]})
    )


def run_one(cell: Cell, seed: int, scale: Scale) -> Mapping[str, Any]:
    """One image GAN.

    Returns:
        Beside :func:`summary`: ``late``, the mean log FD of the later half of the checkpoints, and the largest and the
        smallest ``sigma`` that any kernel's largest singular value has after the first checkpoint.
    """
    seen, tops = [], list[float]()
    for one in checkpoints(method(cell), cell, seed, networks):
        seen.append(one)
        if len(seen) > 1:
            tops += [float(layer[0]) for layer in kernel_values(one.run.critic)]
    later = seen[len(seen) // 2 :]
    late = sum(math.log(one.fd) for one in later) / len(later)
    return {**summary(seen), "late": late, "sigma_low": min(tops), "sigma_high": max(tops)}


def method(cell: Cell) -> Method:
    """An arm as the paper runs it: all but WGAN-GP with the standard loss, one Adam for both players."""
    arm, adam = str(cell["arm"]), Adam(float(cell["rate"]), (float(cell["beta1"]), float(cell["beta2"])))
    slope = Penalty(penalties.gradient_penalty, {"weight": 10.0})
    soft = Penalty(penalties.soft_orthogonality, {"weight": 1.0}, per_sample=False)
    flat = Constraint(partial(constraints.bound_singular_values_, epsilon=0.0))
    ways: dict[str, dict[str, Any]] = {
        "none": {},
        "clip": {"projection": Projection(partial(constraints.clip_weights_, bound=0.05))},
        "wgan_gp": {"penalties": (slope,)},
        "gan_gp": {"penalties": (slope,)},
        "bn": {},
        "ln": {},
        "wn": {"constraint": Constraint(constraints.weight_norm)},
        "orthonormal": {"constraint": flat, "penalties": (soft,)},
        "sn": {"constraint": Constraint(constraints.spectral_norm)},
    }
    loss = losses.wasserstein if arm == "wgan_gp" else losses.non_saturating
    return Method(arm, loss, adam, adam, Alternating(int(cell["n_critic"])), **ways[arm])


def networks(cell: Cell, shape: tuple[int, ...], rng: torch.Generator) -> tuple[nn.Module, nn.Module]:
    """The paper's standard CNN; batch or layer norm stands after each of the critic's convolutions."""
    network, width, unused = NETWORKS["sn_cnn"], int(cell["width"]), torch.Generator().manual_seed(0)
    G = network.generator(shape, latent=int(cell["latent"]), width=width, rng=rng)
    D: Any = network.critic(shape, width=width, rng=unused)
    if cell["arm"] in ("bn", "ln"):
        D.body = nn.Sequential(*_normalised(D.body, str(cell["arm"])))
    return G, drawn(D, str(cell["init"]), rng)


def _normalised(body: nn.Sequential, arm: str) -> Iterator[nn.Module]:
    """Without gain and shift, as in the paper: a gain would undo what is compared."""
    for layer in body:
        yield layer
        if isinstance(layer, nn.Conv2d):
            channels = layer.out_channels
            yield nn.BatchNorm2d(channels, affine=False) if arm == "bn" else nn.GroupNorm(1, channels, affine=False)


ARMS = ("sn", "bn", "ln", "gan_gp", "none", "wgan_gp", "wn", "clip", "orthonormal")
"""In the order in which they are run: first those that no other study has on images."""
GRID: dict[str, Any] = {
    "smoke": (),
    "cpu": (
        Part(
            tuple(
                cell
                for init in ("n002", "he")
                for cell in _cells("choose", "D", dict.fromkeys(("bn", "ln", "gan_gp"), init), 60, n_critic=1)
            ),
            (9693, 9694, 9695), fixed=True, seconds=5,
        ),
    ),
    "paper": (),
}  # fmt: skip
CLAIMS: tuple[Claim, ...] = ()


def figures(rows: Sequence[Row]) -> Mapping[str, Picture]:
    return {}
