"""Spectra of WGAN-TTUR's critic (told of in 1911.13060): are they uneven, and most of all in convolutions?

Fashion-MNIST at 16 pixels, DCGAN generator of width 8; the critic has three convolutions and a hidden square dense
layer, so that both kinds are seen in the same run. A random matrix of any shape has an uneven spectrum of its own:
what counts is the stable rank (squared Frobenius over squared spectral norm) at the end over that before training, by
kind of layer, and for the first claim its share of the largest possible.

There was no pilot: sizes are those of ``orthogonal_ways``, the bound of half is that of ``orth-ttur-spectrum-images``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from tightrope.drawing.charts import Chart, Line
from tightrope.networks import NETWORKS
from tightrope.spectra import stable_rank_fraction
from tightrope.studies.design import Cell, Claim, Part, Picture, Row, Scale, cells, pick, values
from tightrope.studies.findings import Finding, average, paired_ratio
from tightrope.studies.images import checkpoints, drawn, kernel_values, summary
from tightrope.studies.orthogonal_ways import method

PAPER, WHEN = "1911.13060", "2026-11-28"
CONVOLUTIONS = 3


def _parts(steps: int, seeds: Sequence[int], **other: Any) -> tuple[Part, ...]:
    made = cells(**{"part": "spectra", "arm": "ttur", "data": "fashion_mnist", "pixels": 16, "width": 8, "latent": 64,
                    "batch": 32, "rate": 5e-4, "steps": steps, "checkpoints": 2, **other})  # fmt: skip
    return (Part(made, tuple(seeds), seconds=steps * 0.04),)


GRID = {
    "smoke": _parts(4, (11200,), data="digits", pixels=8),
    "cpu": _parts(100, range(11200, 11206)),
    "paper": _parts(100_000, range(11200, 11210), width=64, batch=64),
}


def run_one(cell: Cell, seed: int, scale: Scale) -> Mapping[str, Any]:
    """One WGAN-TTUR.

    Returns:
        Beside the distance: mean stable-rank fraction of the convolutions and of the hidden dense layer at the end
        (``convolutions``, ``dense``) and before training (``..._before``), and ``ranks``, layer by layer.
    """
    before: list[float] = []

    def networks(cell: Cell, shape: tuple[int, ...], rng: torch.Generator) -> tuple[nn.Module, nn.Module]:
        width = int(cell["width"])
        G = NETWORKS["dcgan"].generator(shape, latent=int(cell["latent"]), width=width, rng=rng)
        D = drawn(_critic(shape, width), "he", rng)
        before.extend(_ranks(D))
        return G, D

    seen = list(checkpoints(method(cell), cell, seed, networks))
    after = _ranks(seen[-1].run.critic)
    return {
        "log_fd": summary(seen)["log_fd"],
        "convolutions": float(np.mean(after[:CONVOLUTIONS])),
        "convolutions_before": float(np.mean(before[:CONVOLUTIONS])),
        "dense": after[CONVOLUTIONS],
        "dense_before": before[CONVOLUTIONS],
        "ranks": after,
    }


def _critic(shape: tuple[int, ...], width: int) -> nn.Sequential:
    layers, before = list[nn.Module](), shape[0]
    for after in (width, 2 * width, 4 * width):
        layers += [nn.Conv2d(before, after, 4, 2, 1), nn.LeakyReLU(0.2)]
        before = after
    size = before * (shape[1] // 8) ** 2
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(size, size), nn.LeakyReLU(0.2), nn.Linear(size, 1))


def _ranks(critic: nn.Module) -> list[float]:
    return [float(stable_rank_fraction(layer)) for layer in kernel_values(critic)[:-1]]


def _left(rows: Sequence[Row], kind: str) -> list[float]:
    ends, starts = values(rows, kind), values(rows, f"{kind}_before")
    return [end / start for end, start in zip(ends, starts, strict=True)]


def _uneven(rows: Sequence[Row]) -> Finding:
    return average(values(rows, "convolutions"), "stable rank of the convolutions over the full one", below=0.5)


def _falls(kind: str, below: float) -> Any:
    return lambda rows: average(_left(rows, kind), "stable rank at the end over that before", below=below, log=True)


def _most(rows: Sequence[Row]) -> Finding:
    quantity = "what is left of the stable rank, convolutions over dense layer"
    return paired_ratio(_left(rows, "convolutions"), _left(rows, "dense"), quantity, below=1.0)


def _claim(name: str, sentence: str, judge: Any) -> Claim:
    return Claim(f"orth-ttur-{name}", PAPER, "at second hand", sentence, WHEN, judge, ({"part": "spectra"},),
                 needs="a processor minute: tightrope study run ttur", certainty="none")  # fmt: skip


CLAIMS = (
    _claim("spectrum", "WGAN-TTUR's critics have uneven spectra, most of all in convolutions: of the stable rank there "
           "was before training convolutions keep less than the hidden dense layer.", _most),
    _claim("uneven", "Training leaves the convolutions less than half of the stable rank there could be.", _uneven),
    _claim("falls-convolutions", "Training takes a fifth or more of the convolutions' stable rank.",
           _falls("convolutions", 0.8)),
    _claim("falls-dense", "Training takes a fifth or more of the hidden dense layer's stable rank.",
           _falls("dense", 0.8)),
)  # fmt: skip


def figures(rows: Sequence[Row]) -> Mapping[str, Picture]:
    """Stable rank at the end by layer, every seed a line."""
    met = [row for row in pick(rows, part="spectra") if row.status == "ok"]
    lines = [Line(str(r.seed), np.arange(1.0, len(r.values["ranks"]) + 1), np.asarray(r.values["ranks"])) for r in met]
    title = "Stable rank over the full one, by layer (the last is dense)"
    return {title: Chart(lines, title="stable rank", x_label="layer")} if lines else {}
