"""Weights of a gradient penalty on images: which ends nearer, and at which the critic's loss follows quality.

In the plane WGAN-GP's usual weight of 10 fails; here are 0.1, 1 and 10, and R1's gamma at the same three, on
Fashion-MNIST at 16 pixels: DCGAN of width 8, He's weights, no batch norm in the critic, WGAN-GP with its five critic
steps for 70 generator steps, R1 with one for 250. Early in training; nothing but the weight differs within a method,
and the two are not compared. Distances are the mean log FD of the later half of the checkpoints.

There was no pilot: sizes are near those of ``orthogonal_ways``, the bound of 0.7 is that of ``wgan-follows-gp``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tightrope import methods
from tightrope.drawing.charts import Chart, Line
from tightrope.methods import Method
from tightrope.studies.design import Cell, Claim, Contrast, Part, Picture, Row, Scale, cells, pairs, pick, values
from tightrope.studies.findings import average, paired_difference
from tightrope.studies.images import checkpoints, summary
from tightrope.studies.orthogonal_ways import networks

IMPROVED, CONVERGENCE, WHEN = "1704.00028", "1801.04406", "2026-11-28"
WEIGHTS = (0.1, 1.0, 10.0)
NAMES = {"wgan_gp": ("WGAN-GP", IMPROVED), "r1": ("R1", CONVERGENCE)}


def _parts(steps: Mapping[str, int], seeds: Sequence[int], **other: Any) -> tuple[Part, ...]:
    """A part for each method."""
    shared = {"part": "weights", "data": "fashion_mnist", "pixels": 16, "width": 8, "latent": 64, "batch": 32,
              "rate": 5e-4, "activation": "leaky_relu", "init": "he", "checkpoints": 8}  # fmt: skip
    made = (cells(**{**shared, "method": name, "steps": n, "weight": WEIGHTS, **other}) for name, n in steps.items())
    return tuple(Part(some, tuple(seeds), seconds=8) for some in made)


GRID = {
    "smoke": _parts({"wgan_gp": 4, "r1": 4}, (11300,), data="digits", pixels=8, checkpoints=3, batch=8),
    "cpu": _parts({"wgan_gp": 70, "r1": 250}, range(11300, 11306)),
    "paper": _parts(dict.fromkeys(NAMES, 100_000), range(11300, 11310), width=64, batch=64),
}


def run_one(cell: Cell, seed: int, scale: Scale) -> Mapping[str, Any]:
    """One image GAN: its summary and ``late``, the mean log FD of the later half of the checkpoints."""
    found = summary(list(checkpoints(method(cell), cell, seed, networks)))
    later = found["fd"][len(found["fd"]) // 2 :]
    return {**found, "late": math.fsum(map(math.log, later)) / len(later)}


def method(cell: Cell) -> Method:
    """The method at the cell's weight."""
    name, weight = str(cell["method"]), float(cell["weight"])
    given: dict[str, Any] = {"weight": weight} if name == "wgan_gp" else {"gamma": weight}
    return methods.build(name, learning_rate=float(cell["rate"]), **given)


NEEDS = "4 processor minutes: tightrope study run weights"


def _arm(name: str, weight: float) -> dict[str, Any]:
    return {"part": "weights", "method": name, "weight": weight}


def _nearer(name: str, weight: float) -> Claim:
    said, paper = NAMES[name]
    contrast = Contrast(_arm(name, 10.0), _arm(name, weight), differs=("weight",))
    quantity = f"log FD of {said}, weight 10 less {weight:g}"

    def judge(rows: Sequence[Row]) -> Any:
        return paired_difference(*pairs(rows, "late", contrast), quantity, below=0.0)

    return Claim(f"weights-{name.replace('_', '-')}-{weight:g}", paper, "the weight of 10",
                 f"On Fashion-MNIST {said} is nearer to the data at weight 10 than at {weight:g}, at equal steps.",
                 WHEN, judge, (contrast.treated, contrast.control), (contrast,), needs=NEEDS,
                 certainty="none")  # fmt: skip


def _follows(name: str, weight: float) -> Claim:
    said, paper = NAMES[name]
    close = name == "wgan_gp"
    given: dict[str, Any] = {"above": 0.7} if close else {"below": 0.7}
    word = "follows FD along training: rank correlation above" if close else "does not follow FD along training: below"
    what = "estimate" if close else "Jensen-Shannon estimate"
    return Claim(f"weights-{name.replace('_', '-')}-follows-{weight:g}", paper if close else "1701.07875",
                 "figures 3 and 4 of 1701.07875", f"At weight {weight:g} {said}'s {what} {word} 0.7.", WHEN,
                 lambda rows: average(values(rows, "follows"), "rank correlation along training", **given),
                 (_arm(name, weight),), needs=NEEDS, certainty="none")  # fmt: skip


CLAIMS = (
    *(_nearer(name, weight) for name in NAMES for weight in WEIGHTS[:2]),
    *(_follows(name, weight) for name in NAMES for weight in WEIGHTS),
)


def figures(rows: Sequence[Row]) -> Mapping[str, Picture]:
    """FD along training by weight, mean over seeds in its logarithm."""
    shown = {}
    for name, (said, _) in NAMES.items():
        met = {w: [r.values["fd"] for r in pick(rows, method=name, weight=w) if r.status == "ok"] for w in WEIGHTS}
        lines = [
            Line(f"{w:g}", np.arange(1.0, len(fd[0]) + 1), np.exp(np.log(fd).mean(0))) for w, fd in met.items() if fd
        ]
        if lines:
            shown[f"Frechet distance, {said}"] = Chart(lines, title="FD", x_label="checkpoint", log=True)
    return shown
