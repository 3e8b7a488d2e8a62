"""Wasserstein GAN (1701.07875) on images: DCGAN generators with and without batch norm, and a loss that tells quality.

Fashion-MNIST at 16 pixels, a DCGAN critic of width 16 without batch norm, 250 generator steps. The GAN's rate is the
better of two on a seed of its own (part ``choose``); beside it stands a GAN with the five critic steps of a WGAN.

Of a first registration with five seeds (7900 to 7904) five claims were undecided; their rows were seen before this one,
which judges the same claims by the same criteria on twelve seeds that were not (7910 to 7921).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from tightrope import constraints, losses, methods
from tightrope.drawing.charts import Chart, Line
from tightrope.methods import Alternating, Method, Projection
from tightrope.networks import NETWORKS
from tightrope.optimizers.settings import Adam, RMSprop
from tightrope.studies.design import Cell, Claim, Contrast, Part, Picture, Row, Scale, cells, pairs, pick, values
from tightrope.studies.findings import Finding, average, paired_difference, share
from tightrope.studies.images import checkpoints, drawn, summary

PAPER, WHEN = "1701.07875", "2026-11-27"
NEEDS = "15 processor minutes: tightrope study run wgan_images"
COSTS = {"gan": 1.0, "gan5": 3.0, "clip": 3.0, "gp": 4.4}
RATES = {"gan": 2e-4, "gan5": 2e-4, "clip": 5e-4, "gp": 5e-4}
"""The GAN's as part ``choose`` says, the others' those of the pilot."""


def _arms(part: str, names: Sequence[str], norm: bool, steps: int, **other: Any) -> tuple[Cell, ...]:
    shared = {"part": part, "norm": norm, "init": "he", "budget": "steps", "steps": steps, "data": "fashion_mnist",
              "pixels": 16, "width": 16, "latent": 64, "batch": 64, "checkpoints": 16}  # fmt: skip
    return tuple(
        cell
        for arm in names
        for cell in cells(**{**shared, "arm": arm, "rate": RATES[arm], "cost": COSTS[arm], **other})
    )


def _parts(steps: int, seeds: Sequence[int], **other: Any) -> tuple[Part, ...]:
    fresh, long = tuple(seeds), round(COSTS["clip"] * steps)
    return (
        Part(_arms("main", tuple(COSTS), False, steps, **other), fresh, seconds=steps * 0.06),
        Part(_arms("main", ("gan",), False, long, **{**other, "budget": "time"}), fresh, seconds=long * 0.02),
        Part(_arms("main", ("gan", "clip"), True, steps, **other), fresh, seconds=steps * 0.04),
    )


def _choose(steps: int, seed: int) -> Part:
    made = tuple(cell for rate in (2e-4, 1e-3) for cell in _arms("choose", ("gan",), False, steps, rate=rate))
    return Part(made, (seed,), fixed=True, seconds=steps * 0.02)


GRID = {
    "smoke": _parts(8, (7900,), data="digits", checkpoints=4, width=8, batch=8),
    "cpu": (_choose(250, 7990), *_parts(250, range(7910, 7922))),
    "paper": _parts(100_000, range(7900, 7910), width=64, init="n002", latent=100),
}


def run_one(cell: Cell, seed: int, scale: Scale) -> Mapping[str, Any]:
    """One image GAN."""
    return summary(list(checkpoints(_method(cell), cell, seed, _networks)))


def _method(cell: Cell) -> Method:
    arm, rate = str(cell["arm"]), float(cell["rate"])
    if arm in ("gan", "gan5"):
        adam = Adam(rate, (0.5, 0.999))
        return Method("gan", losses.non_saturating, adam, adam, Alternating(5 if arm == "gan5" else 1))
    if arm == "clip":
        project = Projection(partial(constraints.clip_weights_, bound=0.05))
        return Method("clip", losses.wasserstein, RMSprop(rate), RMSprop(rate), Alternating(5), projection=project)
    return methods.build("wgan_gp", learning_rate=rate)


def _networks(cell: Cell, shape: tuple[int, ...], rng: torch.Generator) -> tuple[nn.Module, nn.Module]:
    width, latent, unused = int(cell["width"]), int(cell["latent"]), torch.Generator().manual_seed(0)
    norm = bool(cell["norm"])
    G = NETWORKS["dcgan"].generator(shape, latent=latent, width=width, batch_norm=norm, rng=rng)
    G = G if norm else drawn(G, str(cell["init"]), rng)
    return G, drawn(NETWORKS["dcgan"].critic(shape, width=width, rng=unused), str(cell["init"]), rng)


def _against(treated: str, control: str, budget: Any = "steps") -> Contrast:
    where: dict[str, Any] = {"part": "main", "norm": False}
    return Contrast(
        {**where, "arm": treated, "budget": "steps"}, {**where, "arm": control, "budget": budget},
        differs=("arm", "rate", *(("budget",) if budget == "time" else ())), budget=budget,
        alone="" if budget == "time" else "five critic steps are part of the method; the GAN stands at equal time too",
    )  # fmt: skip


STEPS, TIME, FIVE = _against("clip", "gan"), _against("clip", "gan", "time"), _against("clip", "gan5")
LOSSES = _against("gp", "gan")
WITH_NORM: dict[str, Any] = {"part": "main", "norm": True, "budget": "steps"}


def _lower(contrast: Contrast) -> Any:
    quantity = f"log FD of {contrast.treated['arm']} less {contrast.control['arm']}"
    return lambda rows: paired_difference(*pairs(rows, "log_fd", contrast), quantity, below=0.0)


def _works(rows: Sequence[Row]) -> Finding:
    """Runs whose samples spread at least half as widely as the data."""
    return share(sum(row.status == "ok" and row.values["collapsed"] == 0 for row in rows), len(rows),
                 "share of runs that work, both methods", above=0.5)  # fmt: skip


def _follows(rows: Sequence[Row]) -> Finding:
    return average(values(rows, "follows_change"), "rank correlation of changes along training", above=0.0)


def _follows_more(rows: Sequence[Row]) -> Finding:
    return paired_difference(*pairs(rows, "follows_change", LOSSES), "rank correlation of changes, WGAN-GP less GAN",
                             above=0.0)  # fmt: skip


def _claim(name: str, place: str, sentence: str, contrast: Contrast, judge: Any) -> Claim:
    return Claim(f"wgan-{name}", PAPER, place, sentence, WHEN, judge, (contrast.treated, contrast.control), (contrast,),
                 needs=NEEDS, published="pictures alone", certainty="quoted")  # fmt: skip


CLAIMS = (
    _claim("no-batch-norm", "figure 6", "Without batch norm in the generator WGAN has the smaller FD, equal steps.",
           STEPS, _lower(STEPS)),
    _claim("no-batch-norm-time", "figure 6", "Without batch norm WGAN has the smaller FD at equal time.", TIME,
           _lower(TIME)),
    _claim("no-batch-norm-five", "figure 6", "Without batch norm WGAN beats a GAN with five critic steps.", FIVE,
           _lower(FIVE)),
    Claim("wgan-batch-norm", PAPER, "figure 5", "With a DCGAN generator and batch norm both work: spread above half.",
          WHEN, _works, (WITH_NORM,), needs=NEEDS, published="pictures alone", certainty="quoted"),
    Claim("wgan-follows-change", PAPER, "figures 3 and 4", "Changes of WGAN-GP's estimate follow those of FD.", WHEN,
          _follows, (LOSSES.treated,), needs=NEEDS, published="no number", certainty="paper"),
    _claim("follows-change-more", "figures 3 and 4", "They follow FD more closely than the GAN's estimate does.",
           LOSSES, _follows_more),
)  # fmt: skip


def figures(rows: Sequence[Row]) -> Mapping[str, Picture]:
    """FD and the critic's estimate along training, mean over seeds, without batch norm."""
    shown = {}
    for measure, title in (("fd", "Frechet distance"), ("estimate", "The critic's estimate")):
        found = {arm: pick(rows, part="main", arm=arm, norm=False, budget="steps") for arm in COSTS}
        trails = {arm: np.asarray([r.values[measure] for r in met if r.status == "ok"]) for arm, met in found.items()}
        lines = [Line(arm, np.arange(1.0, t.shape[1] + 1), t.mean(0)) for arm, t in trails.items() if len(t)]
        if lines:
            shown[title] = Chart(lines, title=title, x_label="checkpoint", log=measure == "fd")
    return shown
