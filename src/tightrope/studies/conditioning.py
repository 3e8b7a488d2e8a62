"""Generator conditioning (1802.08768): ill-conditioning early in training, and what Jacobian clamping does to it.

Blobs are images of one Gaussian bump, whose four factors give a distance that means something; digits are those that
come with the package. Networks are fully connected. The published bounds 1 and 20 do not bind at this size, so the
bounds here are the pilot's; the check is that the gain of the samples does move.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tightrope import conditioning, methods
from tightrope.data import open_data
from tightrope.drawing.charts import Chart, Line
from tightrope.metrics.transport import wasserstein1
from tightrope.penalties import Penalty, jacobian_clamping
from tightrope.studies.design import (
    Cell,
    Certainty,
    Claim,
    Contrast,
    Part,
    Picture,
    Row,
    Scale,
    cells,
    pairs,
    pick,
    values,
)
from tightrope.studies.findings import average, paired_difference, paired_ratio
from tightrope.training import start, train

PAPER, WHEN = "1802.08768", "2026-11-26"
POINTS, LATENTS = 400, 128
PLAIN, CLAMPED = {"part": "clamping", "arm": "plain"}, {"part": "clamping", "arm": "clamped"}


def _parts(steps: int, early: int, seeds: Sequence[int], width: int) -> tuple[Part, ...]:
    shared: dict[str, Any] = {"batch": 64, "width": width}
    first = cells(part="early", data="digits", arm="plain", latent=16, rate=1e-3, steps=early, **shared)
    both = tuple(
        cell
        for arm, cost in (("plain", 1.0), ("clamped", 1.25))
        for cell in cells(part="clamping", data="blobs", arm=arm, cost=cost, latent=4, rate=2e-3, steps=steps, **shared)
    )
    return Part(first, tuple(seeds), seconds=early * 0.005), Part(both, tuple(seeds), seconds=steps * 0.005)


GRID = {
    "smoke": _parts(6, 6, (7300,), 48),
    "cpu": _parts(800, 200, range(7300, 7306), 128),
    "paper": _parts(20_000, 5_000, range(7300, 7332), 512),
}


def blobs(n: int, rng: torch.Generator) -> Tensor:
    """Images ``[n, 1, 10, 10]`` of one bump: centre U[2, 7]^2, width U[0.8, 1.6], height U[0.4, 1]."""
    u = torch.rand(n, 4, generator=rng)
    x, y, w, a = 2 + 5 * u[:, 0], 2 + 5 * u[:, 1], 0.8 + 0.8 * u[:, 2], 0.4 + 0.6 * u[:, 3]
    at = torch.arange(10.0)
    squares = (at[None, None, :] - x[:, None, None]) ** 2 + (at[None, :, None] - y[:, None, None]) ** 2
    return (2 * a[:, None, None] * (-squares / (2 * w[:, None, None] ** 2)).exp() - 1)[:, None]


def factors(images: Tensor) -> Tensor:
    """Centroid x and y, mass and spread ``[n, 4]``."""
    light = ((images[:, 0].double() + 1) / 2).clamp(min=0)
    mass = light.sum((1, 2)).clamp(min=1e-9)
    at = torch.arange(10.0, dtype=torch.float64)
    x, y = (light.sum(1) * at).sum(1) / mass, (light.sum(2) * at).sum(1) / mass
    squares = (at[None, None, :] - x[:, None, None]) ** 2 + (at[None, :, None] - y[:, None, None]) ** 2
    return torch.stack([x, y, mass, ((light * squares).sum((1, 2)) / mass).sqrt()], 1)


def networks(cell: Cell, shape: tuple[int, ...], seed: int) -> tuple[nn.Module, nn.Module]:
    """Two hidden layers, ReLU, torch's default initialisation; images end in tanh."""
    d, w, latent = torch.Size(shape).numel(), int(cell["width"]), int(cell["latent"])
    with torch.random.fork_rng(devices=[]):
        torch.random.manual_seed(seed)
        hidden = [nn.Linear(latent, w), nn.ReLU(), nn.Linear(w, w), nn.ReLU()]
        G = nn.Sequential(*hidden, nn.Linear(w, d), nn.Tanh(), nn.Unflatten(1, shape))
        scores = [nn.Linear(d, w), nn.ReLU(), nn.Linear(w, w), nn.ReLU(), nn.Linear(w, 1)]
        return G, nn.Sequential(nn.Flatten(), *scores)


def run_one(cell: Cell, seed: int, scale: Scale) -> Mapping[str, Any]:
    """The score before and after training, the distance in factors, and the gain of the samples."""
    rng, latent = torch.Generator().manual_seed(1000 * seed), int(cell["latent"])
    digits = open_data("digits", progress=False) if cell["data"] == "digits" else None
    pool = blobs(10_000, rng) if digits is None else digits.batch(torch.arange(len(digits))).x
    G, D = networks(cell, tuple(pool.shape[1:]), seed)
    method = methods.build("dcgan", learning_rate=float(cell["rate"]))
    if cell["arm"] == "clamped":
        bounds = {"low": 0.5, "high": 5.0, "epsilon": 0.5}
        method = replace(method, generator_penalties=(Penalty(jacobian_clamping, bounds, player="generator"),))
    before, steps, batch = _score(G, latent), int(cell["steps"]), int(cell["batch"])
    run = start(method, G, D, seed=seed, latent=latent, batch_size=batch, ema_half_life_images=0.0)
    for _ in train(run, (pool[torch.randint(len(pool), (batch,), generator=rng)] for _ in range(steps)), steps=steps):
        pass
    z = torch.randn(POINTS, latent, generator=rng)
    with torch.no_grad():
        fake = G(z)
        gain = conditioning.finite_gain(G, z, epsilon=0.5, rng=rng)
    outside = float(((gain < 0.5) | (gain > 5.0)).float().mean())
    found = {"before": before, "score": _score(G, latent), "gain": float(gain.mean()), "outside": outside}
    if cell["data"] == "blobs":
        real = factors(pool)
        found["w1"] = wasserstein1(real[:POINTS] / real.std(0), factors(fake) / real.std(0))
    return found


def _score(generator: nn.Module, latent: int) -> float:
    z = torch.randn(LATENTS, latent, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    return float(conditioning.measure(generator, z, dtype=torch.float64).mean)


TREATED = Contrast(CLAMPED, PLAIN, differs=("arm",), alone="at equal time it is a claim of its own, which is not run")


def _bound(rows: Sequence[Row]) -> str:
    """Clamping must lower the share of samples whose gain lies outside of the bounds."""
    clamped, plain = pairs(rows, "outside", TREATED)
    if np.mean(clamped) < np.mean(plain):
        return ""
    return f"{np.mean(clamped):.3f} of the gains lie outside the bounds with clamping, {np.mean(plain):.3f} without"


def _rise(rows: Sequence[Row]) -> Any:
    rises = [row.values["score"] - row.values["before"] for row in rows if row.status == "ok"]
    return average(rises, "rise of the score by step 200", above=2.0)


def _lower_score(rows: Sequence[Row]) -> Any:
    return paired_difference(*pairs(rows, "score", TREATED), "score, clamped less plain", below=-0.5)


def _smaller_distance(rows: Sequence[Row]) -> Any:
    return paired_ratio(*pairs(rows, "w1", TREATED), "W1, clamped over plain", below=1.0)


def _inside(rows: Sequence[Row]) -> Any:
    return average(values(rows, "outside", arm="clamped"), "share of gains outside the bounds", below=0.1)


def _compared(name: str, sentence: str, judge: Any, place: str = "section 4") -> Claim:
    where = (PLAIN, CLAMPED)
    return Claim(f"conditioning-{name}", PAPER, place, sentence, WHEN, judge, where, (TREATED,), check=_bound,
                 published="no table is confirmed", certainty="memory")  # fmt: skip


def _elsewhere(name: str, place: str, sentence: str, needs: str) -> Claim:
    sure: Certainty = "quoted"
    return Claim(f"conditioning-{name}", PAPER, place, sentence, WHEN, needs=needs, scale="paper", certainty=sure)


CLAIMS = (
    Claim("conditioning-early", PAPER, "section 3", "Early in training the mean log condition number rises by 2.",
          WHEN, _rise, ({"part": "early"},), published="quickly ill-conditioned", certainty="quoted"),
    Claim("conditioning-gain", PAPER, "algorithm 1", "Clamping leaves less than 0.1 of the gains out of bounds.",
          WHEN, _inside, (CLAMPED,), certainty="none"),
    _compared("score", "Clamping lowers the score by 0.5 at least.", _lower_score),
    _compared("quality", "Clamping lowers the distance to the data, at equal steps.", _smaller_distance),
    *(_elsewhere(name, place, sentence, needs) for name, place, sentence, needs in (
        ("clusters", "section 3", "Runs fall into a good and a bad cluster.", "image runs that fall apart"),
        ("keeps-out", "section 4", "Clamping keeps runs out of the bad cluster.", "image runs that fall apart"),
        ("spectra", "figure 4", "Generators of the bad cluster have the wider spectra.", "image runs that fall apart"),
        ("missing-modes", "figure 6", "Runs of the bad cluster miss classes.", "image runs that fall apart"),
    )),
)  # fmt: skip


def figures(rows: Sequence[Row]) -> Mapping[str, Picture]:
    """Score and distance by seed, with and without clamping."""
    drawn = {}
    for measure in ("score", "w1"):
        found = {arm: pick(rows, part="clamping", arm=arm) for arm in ("plain", "clamped")}
        lines = [Line(arm, np.asarray([float(r.seed) for r in met]), np.asarray([r.values[measure] for r in met]))
                 for arm, met in found.items() if met]  # fmt: skip
        if lines:
            drawn[measure] = Chart(lines, title=measure, x_label="seed")
    return drawn
