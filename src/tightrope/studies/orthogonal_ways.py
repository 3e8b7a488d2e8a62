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

import numpy as np
import torch
from torch import nn

from tightrope import methods
from tightrope.drawing.charts import Chart, Line
from tightrope.methods import Method
from tightrope.networks import NETWORKS
from tightrope.spectra import stable_rank_fraction
from tightrope.studies.design import Cell, Claim, Contrast, Part, Picture, Row, Scale, cells, pairs, pick, values
from tightrope.studies.findings import Finding, average, paired_difference, paired_ratio
from tightrope.studies.images import checkpoints, drawn, kernel_values, summary
from tightrope.studies.spectral import CIFAR10

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


INITS = dict.fromkeys((("gp", "groupsort"), ("gp", "relu"), ("ttur", "groupsort")), "n002")
"""Of the arms that do not start orthogonal, with their activations, as the runs of part ``choose`` say."""
ARMS = (
    ("hard", "groupsort"),
    ("hard", "relu"),
    ("gp", "groupsort"),
    ("gp", "relu"),
    ("svd", "groupsort"),
    *((form, "groupsort") for form in SOFT),
    ("ttur", "groupsort"),
)
"""In the order in which they are run."""


def _main(steps: int, seeds: Sequence[int], **other: Any) -> tuple[Part, ...]:
    """A part for every arm, so that what is done is whole arms."""
    return tuple(
        Part(_cells("main", arm, kind, INITS.get((arm, kind), "he"), steps, **other), tuple(seeds), seconds=steps * 0.1)
        for arm, kind in ARMS
    )


def _choose(steps: int, seeds: Sequence[int]) -> Part:
    both = [cell for init in ("n002", "he") for arm in INITS for cell in _cells("choose", *arm, init, steps)]
    return Part(tuple(both), tuple(seeds), fixed=True, seconds=steps * 0.1)


GRID = {
    "smoke": _main(4, (9700,), data="digits", pixels=8, checkpoints=2, batch=8),
    "cpu": (_choose(60, (9790, 9791, 9792)), *_main(60, range(9700, 9708))),
    "paper": _main(100_000, range(9700, 9710), data=CIFAR10, pixels=32, width=64, latent=128, batch=64, checkpoints=10),
}

NEEDS = "15 processor minutes: tightrope study run orthogonal_ways"
ALONE = "ways are compared as they go; time to quality is a claim of orthogonal_images"


def _arm(arm: str, activation: str = "groupsort") -> dict[str, Any]:
    return {"part": "main", "arm": arm, "activation": activation}


def _over(treated: Mapping[str, Any], control: Mapping[str, Any]) -> Contrast:
    kinds = ("arm",) if treated["arm"] != control["arm"] else ("activation",)
    return Contrast(treated, control, differs=(*kinds, "init"), alone=ALONE)


HARD, HARD_RELU, GP, GP_RELU = _arm("hard"), _arm("hard", "relu"), _arm("gp"), _arm("gp", "relu")
RELU, SORTED = _over(HARD_RELU, GP_RELU), _over(HARD, GP)
GAIN, GAIN_GP = _over(HARD, HARD_RELU), _over(GP, GP_RELU)


def _lower(contrast: Contrast, quantity: str) -> Any:
    return lambda rows: paired_difference(*pairs(rows, "late", contrast), quantity, below=0.0)


def _interaction(rows: Sequence[Row]) -> Finding:
    """What GroupSort changes under the hard way, less what it changes under GP, by seed."""
    (a, b), (c, d) = (pairs(rows, "late", one) for one in (GAIN, GAIN_GP))
    hard, gp = ([x - y for x, y in zip(*two, strict=True)] for two in ((a, b), (c, d)))
    return paired_difference(hard, gp, "log FD that GroupSort adds, hard way less GP", below=0.0)


def _near(where: Mapping[str, Any]) -> Any:
    return lambda rows: average(
        values(rows, "error", **where), "largest distance of a singular value from 1", below=0.1
    )


def _spectrum(rows: Sequence[Row]) -> Finding:
    return paired_ratio(*pairs(rows, "rank", SORTED), "stable rank of the convolutions, hard over GP", above=1.5)


def _uneven(rows: Sequence[Row]) -> Finding:
    return average(values(rows, "rank", **_arm("ttur")), "stable rank of the convolutions over the full one", below=0.5)


def _held(rows: Sequence[Row]) -> str:
    """The hard way must hold its constraint."""
    worst = max((row.values["error"] for row in pick(rows, arm="hard") if row.status == "ok"), default=0.0)
    return "" if worst < 1e-3 else f"a singular value of the hard way is {worst:.2g} away from 1"


def _claim(
    name: str, place: str, sentence: str, judge: Any, *contrasts: Contrast, where: Sequence[Mapping[str, Any]] = ()
) -> Claim:
    arms = [*where, *(arm for one in contrasts for arm in (one.treated, one.control))]
    return Claim(f"orth-{name}", PAPER, place, sentence, WHEN, judge, arms, contrasts, check=_held, needs=NEEDS,
                 published="no number is confirmed", certainty="memory")  # fmt: skip


SAID = {"svd": "the iterated SVD", "off_diagonal": "the soft way without norms", "srip": "the soft way by SRIP",
        "mutual_coherence": "the soft way by mutual coherence", "gram": "the soft way by Gram matrices"}  # fmt: skip

CLAIMS = (
    _claim("relu", "abstract", "With ReLU in both, the hard way ends at a smaller FD than GP, at equal steps.",
           _lower(RELU, "log FD with ReLU, hard less GP"), RELU),
    _claim("sort", "our reading", "Under the hard way GroupSort ends at a smaller FD than ReLU.",
           _lower(GAIN, "log FD of the hard way, GroupSort less ReLU"), GAIN),
    _claim("sort-gp", "our reading", "Under a gradient penalty GroupSort ends at a smaller FD than ReLU.",
           _lower(GAIN_GP, "log FD of GP, GroupSort less ReLU"), GAIN_GP),
    _claim("sort-more", "our reading", "The hard way gains more from GroupSort than GP does.", _interaction, GAIN,
           GAIN_GP),
    _claim("images-spectrum", "abstract", "With GroupSort in both, the hard way's convolutions keep 1.5 times GP's "
           "stable rank.", _spectrum, SORTED),
    *(_claim(f"ways-{arm.replace('_', '-')}", "abstract",
             f"The hard way ends at a smaller FD than {said}, at equal steps.",
             _lower(one, f"log FD, hard less {arm}"), one)
      for arm, said in SAID.items() if arm != "gram" for one in (_over(HARD, _arm(arm)),)),
    *(_claim(f"held-{arm.replace('_', '-')}", "abstract",
             f"All through training {said} holds every singular value within 0.1 of 1.", _near(_arm(arm)),
             where=(_arm(arm),))
      for arm, said in SAID.items()),
    _claim("ttur-spectrum-images", "at second hand", "On images WGAN-TTUR's convolutions have less than half of the "
           "stable rank there could be.", _uneven, where=(_arm("ttur"),)),
)  # fmt: skip


def figures(rows: Sequence[Row]) -> Mapping[str, Picture]:
    """Frechet distance of each arm along training, mean over seeds."""
    lines = []
    for arm, activation in ARMS:
        met = [row.values["fd"] for row in pick(rows, **_arm(arm, activation)) if row.status == "ok"]
        if met:
            trail = np.exp(np.log(np.asarray(met, dtype=float)).mean(0))
            lines.append(Line(f"{arm}, {activation}", np.arange(1.0, len(trail) + 1), trail))
    chart = Chart(lines, title="FD", x_label="checkpoint", log=True)
    return {"Frechet distance": chart} if lines else {}
