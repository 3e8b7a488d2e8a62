"""Which training methods converge (1801.04406) on images: R1 and its rivals beside no regularisation, 16 and 32 pixels.

Fashion-MNIST (28 pixels, resized), DCGAN of width 8 without batch norm in the critic, Adam 1e-3 (at 2e-4 nothing has
been learnt by then), one critic step, 250 generator steps: training under way, not settled. Resizing adds pixels, not
content. Consensus optimisation, whose steps cost three, on digits of 8 pixels.

Of a first registration with five seeds (7710 to 7714) nine claims were undecided; their rows were seen before this one,
which judges the same claims by the same criteria on twelve seeds that were not (7720 to 7731).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from tightrope import losses, methods
from tightrope.autodiff import input_gradients
from tightrope.drawing.charts import Chart, Line
from tightrope.methods import Method
from tightrope.networks import NETWORKS
from tightrope.optimizers.settings import Adam
from tightrope.perturbations import InstanceNoise
from tightrope.studies.design import Cell, Claim, Contrast, Part, Picture, Row, Scale, cells, pairs, pick, values
from tightrope.studies.findings import Finding, paired_difference, paired_ratio, shares
from tightrope.studies.images import checkpoints, drawn, located, summary
from tightrope.studies.pictures import judged, real_images

PAPER, WHEN = "1801.04406", "2026-11-27"
COSTS = {"none": 1.0, "r1": 1.3, "r2": 1.3, "noise": 1.05, "consensus": 3.0}
WEIGHTS = {"none": 0.0, "r1": 0.3, "r2": 0.3, "noise": 0.2, "consensus": 10.0}


def _arms(names: Sequence[str], pixels: int, steps: int, budget: str = "steps", **other: Any) -> tuple[Cell, ...]:
    """R1's weight grows with the number of pixels, as the squared gradient does."""
    shared = {"pixels": pixels, "budget": budget, "steps": steps, "data": "fashion_mnist", "rate": 1e-3, "init": "he",
              "width": 8, "latent": 64, "batch": 64, "checkpoints": 6}  # fmt: skip
    shared |= {"half_life": round(0.05 * steps * 64)}
    scale = {"r1": (pixels / 16) ** 2, "r2": (pixels / 16) ** 2}
    return tuple(
        cell
        for name in names
        for cell in cells(**{**shared, "method": name, "weight": WEIGHTS[name] * scale.get(name, 1.0),
                             "cost": COSTS[name], **other})
    )  # fmt: skip


def _parts(steps: int, seeds: Sequence[int], sizes: Sequence[int], **other: Any) -> tuple[Part, ...]:
    fresh, first, long = tuple(seeds), sizes[0], round(COSTS["r1"] * steps)
    return (
        Part(_arms(("none", "r1"), first, steps, **other), fresh, seconds=steps * 0.025),
        Part(_arms(("none",), first, long, "time", **other), fresh, seconds=long * 0.025),
        Part(_arms(("r2", "noise"), first, steps, **other), fresh, seconds=steps * 0.025),
        Part(_arms(("none", "consensus"), 8, steps, **{**other, "data": "digits"}), fresh, seconds=steps * 0.02),
        *(Part(_arms(("none", "r1"), size, steps, **other), fresh, seconds=steps * 0.06) for size in sizes[1:]),
    )


GRID = {
    "smoke": _parts(4, (7700,), (16, 32), data="digits", checkpoints=2),
    "cpu": _parts(250, range(7720, 7732), (16, 32)),
    "paper": _parts(100_000, range(7700, 7710), (16, 32, 64), width=64),
}


def run_one(cell: Cell, seed: int, scale: Scale) -> Mapping[str, Any]:
    """One image GAN: also the distance of its averaged generator, and the critic's mean slope at held-out images."""
    seen = list(checkpoints(_method(cell), cell, seed, _networks, half_life_images=float(cell["half_life"])))
    run, rng = seen[-1].run, torch.Generator().manual_seed(1000 * seed + 2)
    found = {**cell, "data": located(cell)}
    assert run.average is not None
    distance, _ = judged(run.average, int(cell["latent"]), found, rng)
    same, _ = judged(run.generator, int(cell["latent"]), found, torch.Generator().manual_seed(1000 * seed + 2))
    x = real_images(str(found["data"]), int(cell["pixels"]))[:256].clone().requires_grad_()
    slope = float(input_gradients(run.critic, x, create_graph=False)[0].flatten(1).norm(dim=1).mean())
    return {**summary(seen), "averaged": math.log(distance), "raw": math.log(same), "slope": slope}


def _method(cell: Cell) -> Method:
    name, weight, adam = str(cell["method"]), float(cell["weight"]), Adam(float(cell["rate"]), (0.5, 0.999))
    plain = Method(name, losses.non_saturating, adam, adam)
    if name == "none":
        return plain
    if name == "noise":
        return replace(plain, perturbation=InstanceNoise(weight))
    built = (methods.build("consensus", gamma=weight) if name == "consensus" else
             methods.build("r1", gamma=weight, at="fake" if name == "r2" else "real"))  # fmt: skip
    return replace(built, critic_optimizer=adam, generator_optimizer=adam)


def _networks(cell: Cell, shape: tuple[int, ...], rng: torch.Generator) -> tuple[nn.Module, nn.Module]:
    width, unused = int(cell["width"]), torch.Generator().manual_seed(0)
    G = NETWORKS["dcgan"].generator(shape, latent=int(cell["latent"]), width=width, rng=rng)
    return G, drawn(NETWORKS["dcgan"].critic(shape, width=width, rng=unused), str(cell["init"]), rng)


SETTLED = "the paper is about what training does, at equal steps; R1 at 16 pixels stands at equal time as well"


def _against(treated: str, pixels: int = 16, alone: str = SETTLED) -> Contrast:
    where: dict[str, Any] = {"pixels": pixels, "budget": "steps"}
    return Contrast(
        {**where, "method": treated}, {**where, "method": "none"}, differs=("method", "weight"), alone=alone
    )


R1 = {pixels: _against("r1", pixels) for pixels in (16, 32)}
R2, NOISE, CONSENSUS = _against("r2"), _against("noise"), _against("consensus", 8)
TIME = Contrast({"method": "r1", "pixels": 16, "budget": "steps"}, {"method": "none", "pixels": 16, "budget": "time"},
                differs=("method", "weight", "budget", "half_life"), budget="time")  # fmt: skip


def _lower(contrast: Contrast) -> Any:
    return lambda rows: paired_difference(
        *pairs(rows, "log_fd", contrast), f"log FD of {contrast.treated['method']} less none", below=0.0
    )


def _grows(rows: Sequence[Row]) -> Finding:
    """Log ratio of R1 to none at 32 pixels less that at 16, by seed."""
    (a, b), (c, d) = (pairs(rows, "log_fd", R1[pixels]) for pixels in (32, 16))
    large, small = ([x - y for x, y in zip(*both, strict=True)] for both in ((a, b), (c, d)))
    return paired_difference(large, small, "log FD of R1 less none, at 32 less at 16 pixels", below=0.0)


def _flatter(rows: Sequence[Row]) -> Finding:
    return paired_ratio(*pairs(rows, "slope", R1[32]), "critic's slope at the data, R1 over none", below=0.5)


def _collapses(rows: Sequence[Row]) -> Finding:
    def counted(name: str) -> tuple[int, int]:
        met = pick(rows, method=name)
        return sum(row.status == "diverged" or row.values["collapsed"] > 0 for row in met), len(met)

    return shares(counted("r1"), counted("none"), "difference of the shares of collapsed runs", more=False)


def _averaged(rows: Sequence[Row]) -> Finding:
    return paired_difference(values(rows, "averaged"), values(rows, "raw"), "log FD, averaged less last weights",
                             below=0.0)  # fmt: skip


def _compared(name: str, sentence: str, contrast: Contrast, judge: Any, place: str = "section 6") -> Claim:
    return Claim(f"converge-{name}", PAPER, place, sentence, WHEN, judge, (contrast.treated, contrast.control),
                 (contrast,), published="pictures, no numbers at this size", certainty="memory")  # fmt: skip


ON_16: dict[str, Any] = {"pixels": 16, "budget": "steps"}
CLAIMS = (
    _compared("images-r1-16", "At 16 pixels R1 ends at a smaller FD than none, at equal steps.", R1[16],
              _lower(R1[16])),
    _compared("images-r1-16-time", "At 16 pixels R1 ends at a smaller FD than none, at equal time.", TIME,
              _lower(TIME)),
    _compared("images-r1-32", "At 32 pixels R1 ends at a smaller FD than none, at equal steps.", R1[32],
              _lower(R1[32])),
    Claim("converge-resolution", PAPER, "sections 1 and 6", "R1's advantage over none is larger at 32 than 16 pixels.",
          WHEN, _grows, [arm for one in R1.values() for arm in (one.treated, one.control)], tuple(R1.values()),
          published="no number", certainty="memory"),
    _compared("images-collapse", "At 32 pixels fewer runs collapse (spread below half) with R1 than without.", R1[32],
              _collapses),
    _compared("images-slope", "At 32 pixels R1 at least halves the critic's slope at the data.", R1[32], _flatter),
    _compared("images-r2", "At 16 pixels R2 ends at a smaller FD than none, at equal steps.", R2, _lower(R2)),
    _compared("images-noise", "At 16 pixels instance noise (0.2) ends at a smaller FD than none.", NOISE,
              _lower(NOISE)),
    _compared("images-consensus", "On digits of 8 pixels consensus ends at a smaller FD than none.", CONSENSUS,
              _lower(CONSENSUS), "section 3.3"),
    Claim("converge-average", PAPER, "section 6", "An average of the generator's weights has the smaller FD.", WHEN,
          _averaged, tuple({**ON_16, "method": name} for name in ("none", "r1")),
          published="0.999 a step, over 300,000 steps; here a half-life of 5 % of training", certainty="memory"),
)  # fmt: skip


def figures(rows: Sequence[Row]) -> Mapping[str, Picture]:
    """FD along training, mean over seeds, by size."""
    drawn_ = {}
    for pixels in sorted({int(row.cell["pixels"]) for row in rows}):
        found = {name: pick(rows, method=name, pixels=pixels, budget="steps") for name in COSTS}
        lines = [_mean(name, met) for name, met in found.items() if any(row.status == "ok" for row in met)]
        if lines:
            drawn_[f"Frechet distance, {pixels} pixels"] = Chart(lines, title="FD", x_label="checkpoint", log=True)
    return drawn_


def _mean(name: str, rows: Sequence[Row]) -> Line:
    trails = np.asarray([row.values["fd"] for row in rows if row.status == "ok"], dtype=float)
    return Line(name, np.arange(1.0, trails.shape[1] + 1), np.exp(np.log(trails).mean(0)))
