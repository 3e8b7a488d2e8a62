"""Orthogonal WGAN (1911.13060) on images, every way of holding the critic beside WGAN-GP with the same activation.

Fashion-MNIST at 16 pixels, DCGAN of width 16, 100 generator steps with five critic steps each (WGAN-TTUR: 330 with
one): early in training. What the paper measures could be read in part only; formulas and settings are our reading.
Gradients are compared where the samples are equally far from the data, since they get noisier as samples get better.

Of a first registration with five seeds (7500 to 7504) four claims were undecided; their rows were seen before this one,
which judges the same claims by the same criteria on sixteen seeds that were not (7510 to 7525).
"""

from __future__ import annotations

import copy
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
from tightrope.studies.design import Cell, Claim, Contrast, Part, Picture, Row, Scale, cells, pairs, pick
from tightrope.studies.findings import Finding, paired_difference, paired_ratio
from tightrope.studies.images import checkpoints, drawn, kernel_values, summary
from tightrope.training import Run

PAPER, WHEN = "1911.13060", "2026-11-27"
COSTS = {"hard": 3.3, "soft": 3.2, "gp": 4.4, "ttur": 1.0}
BATCHES = 8


def _arms(part: str, arms: Sequence[tuple[str, str, str]], steps: int, **other: Any) -> tuple[Cell, ...]:
    """Cells of arm, activation and initialisation."""
    shared = {"part": part, "rate": 5e-4, "budget": "steps", "steps": steps, "data": "fashion_mnist", "pixels": 16,
              "width": 16, "latent": 64, "batch": 64, "checkpoints": 10}  # fmt: skip
    return tuple(
        cell
        for arm, activation, init in arms
        for cell in cells(**{**shared, "arm": arm, "activation": activation, "init": init, "cost": COSTS[arm], **other})
    )


def _choose(seeds: Sequence[int]) -> tuple[Part, ...]:
    """Which weights an arm that does not start orthogonal begins with, on a seed of its own."""
    gp = _arms("choose", [("gp", "groupsort", init) for init in ("n002", "he")], 100)
    ttur = _arms("choose", [("ttur", "leaky_relu", init) for init in ("n002", "he")], 300)
    return (Part((*gp, *ttur), tuple(seeds), fixed=True, seconds=12),)


def _parts(steps: int, seeds: Sequence[int], **other: Any) -> tuple[Part, ...]:
    """All arms at equal steps, and WGAN-TTUR at the processor time of the hard way."""
    sorted_ = [(arm, "groupsort", INITS.get(arm, "he")) for arm in ("hard", "gp", "soft")]
    shared = {"part": "main", **other}
    long = round(COSTS["hard"] / COSTS["ttur"] * steps)
    fast = _arms(arms=sorted_, steps=steps, **shared)
    slow = _arms(arms=[("ttur", "leaky_relu", INITS["ttur"])], steps=long, **{**shared, "budget": "time"})
    return (Part((*fast, *slow), tuple(seeds), seconds=steps * 0.11),)


INITS = {"gp": "n002", "ttur": "he"}
"""Of the critic, as the runs of part ``choose`` say; the other arms start orthogonal."""

GRID = {
    "smoke": _parts(4, (7500,), data="digits", checkpoints=2, width=8),
    "cpu": (*_choose((7590,)), *_parts(100, range(7510, 7526))),
    "paper": _parts(100_000, range(7500, 7510), width=64),
}


def run_one(cell: Cell, seed: int, scale: Scale) -> Mapping[str, Any]:
    """One image WGAN, with its critic's kernels and the generator's gradient at every checkpoint.

    Returns:
        Beside the summary: by checkpoint ``error`` (largest distance of a kernel's singular value from 1), ``noise``
        (log of the gradient's signal to noise), ``strength`` and ``variation`` (of the gradient at the samples).
    """
    seen, error, gradients = [], [], []
    rng = torch.Generator().manual_seed(1000 * seed + 2)
    for one in checkpoints(_method(cell), cell, seed, _networks):
        seen.append(one)
        error.append(max(float((values - 1).abs().max()) for values in kernel_values(one.run.critic)))
        gradients.append(_gradient(one.run, int(cell["batch"]), int(cell["latent"]), rng))
    noise, strength, variation = map(list, zip(*gradients, strict=True))
    return {**summary(seen), "error": error, "noise": noise, "strength": strength, "variation": variation}


def _method(cell: Cell) -> Method:
    arm, rate = str(cell["arm"]), float(cell["rate"])
    if arm == "gp":
        return methods.build("wgan_gp", learning_rate=rate)
    if arm == "ttur":
        return methods.build("wgan_ttur", critic_learning_rate=2 * rate, generator_learning_rate=rate)
    return methods.build("orthogonal_wgan", way=arm, learning_rate=rate)


def _networks(cell: Cell, shape: tuple[int, ...], rng: torch.Generator) -> tuple[nn.Module, nn.Module]:
    width, unused = int(cell["width"]), torch.Generator().manual_seed(0)
    G = NETWORKS["dcgan"].generator(shape, latent=int(cell["latent"]), width=width, rng=rng)
    D = NETWORKS["dcgan"].critic(shape, width=width, activation=str(cell["activation"]), rng=unused)
    return G, drawn(D, str(cell["init"]), rng)


def _gradient(run: Run, batch: int, latent: int, rng: torch.Generator) -> tuple[float, float, float]:
    """Log of squared mean over trace of covariance of the generator's gradient; mean norm at samples; its variation."""
    generator = copy.deepcopy(run.generator)
    parameters, rows, norms = list(generator.parameters()), [], []
    for _ in range(BATCHES):
        fake = generator(torch.randn(batch, latent, generator=rng))
        (slopes,) = torch.autograd.grad(-run.critic(fake).sum(), fake, retain_graph=True)
        norms.append(slopes.flatten(1).norm(dim=1))
        found = torch.autograd.grad(fake, parameters, slopes / batch)
        rows.append(torch.cat([g.flatten() for g in found]).double())
    every, lengths = torch.stack(rows), torch.cat(norms)
    scatter = every.var(0).sum()
    signal = (every.mean(0).square().sum() - scatter / BATCHES).clamp(min=1e-3 * float(scatter))
    return float((signal / scatter).log()), float(lengths.mean()), float(lengths.std() / lengths.mean())


ALONE = "a step of the orthogonal critic costs three quarters of the other's; time to quality is a claim of its own"


def _arm(arm: str, activation: str = "groupsort", budget: str = "steps") -> dict[str, Any]:
    return {"part": "main", "arm": arm, "activation": activation, "budget": budget}


HARD, GP, SOFT = (_arm(arm) for arm in ("hard", "gp", "soft"))
TTUR = _arm("ttur", "leaky_relu", "time")
OVER_GP = Contrast(HARD, GP, differs=("arm", "init"), alone=ALONE)
OVER_SOFT = Contrast(HARD, SOFT, differs=("arm",), alone=ALONE)
OVER_TTUR = Contrast(HARD, TTUR, differs=("arm", "activation", "budget"), budget="time")
EARLY, LATE = 12.0, 6.0
"""Frechet distances at which arms are compared; an untrained generator has 40, ten classes with their spread 1."""


def _lower(contrast: Contrast) -> Any:
    quantity = f"log FD of {contrast.treated['arm']} less {contrast.control['arm']}"
    return lambda rows: paired_difference(*pairs(rows, "log_fd", contrast), quantity, below=0.0)


def _crossing(fd: Sequence[float], level: float) -> float | None:
    """Where FD first falls to a level, in checkpoints from the first, interpolated in its logarithm."""
    logs = [math.log(one) for one in fd]
    for k, now in enumerate(logs):
        if now <= math.log(level):
            return 0.0 if k == 0 else k - 1 + (logs[k - 1] - math.log(level)) / (logs[k - 1] - now)
    return None


def _at(row: Row, measure: str, level: float) -> float | None:
    """A trail's value where FD first falls to a level."""
    where = _crossing(row.values["fd"], level)
    return None if where is None else float(np.interp(where, range(len(row.values["fd"])), row.values[measure]))


def _gradient_claim(measure: str, level: float, quantity: str, *, log: bool) -> Any:
    """Hard less GP at equal FD, by seed; pairs of which one never gets there are left out and counted."""

    def judge(rows: Sequence[Row]) -> Finding:
        both = zip(pick(rows, **HARD), pick(rows, **GP), strict=True)
        met = [(_at(a, measure, level), _at(b, measure, level)) for a, b in both]
        whole = [(a, b) for a, b in met if a is not None and b is not None]
        hard, gp = [a for a, _ in whole], [b for _, b in whole]
        found = (paired_ratio(hard, gp, quantity, above=1.0) if log else
                 paired_difference(hard, gp, quantity, above=0.0))  # fmt: skip
        return found.noted(f"{len(met) - len(whole)} pairs never reach FD {level:g}" if len(whole) < len(met) else "")

    return judge


def _sooner(control: Mapping[str, Any]) -> Any:
    """Processor time (steps times cost) to FD :data:`LATE`; a run that never gets there counts with all its time."""

    def spent(row: Row) -> float:
        where, last = _crossing(row.values["fd"], LATE), len(row.values["fd"])
        share = 1.0 if where is None else (where + 1) / last
        return share * float(row.cell["steps"]) * float(row.cell["cost"])

    def judge(rows: Sequence[Row]) -> Finding:
        hard, other = ([spent(row) for row in pick(rows, **where)] for where in (HARD, control))
        late = sum(
            _crossing(row.values["fd"], LATE) is None for where in (HARD, control) for row in pick(rows, **where)
        )
        found = paired_ratio(hard, other, f"time to FD {LATE:g}, hard over {control['arm']}", below=1.0)
        return found.noted(f"{late} runs never get there" if late else "")

    return judge


def _error(arm: Mapping[str, Any], rows: Sequence[Row]) -> list[float]:
    return [max(row.values["error"][1:], default=0.0) for row in pick(rows, **arm)]


def _held(rows: Sequence[Row]) -> str:
    """The hard way must hold its constraint."""
    worst = max(_error(HARD, rows), default=0.0)
    return "" if worst < 1e-3 else f"a singular value of the hard way is {worst:.2g} away from 1"


def _closer(rows: Sequence[Row]) -> Finding:
    a, b = ([max(one, 1e-9) for one in _error(arm, rows)] for arm in (HARD, SOFT))
    return paired_ratio(a, b, "distance of singular values from 1, hard over soft", below=0.1)


def _claim(name: str, place: str, sentence: str, judge: Any, *contrasts: Contrast, **more: Any) -> Claim:
    where = tuple(arm for one in contrasts for arm in (one.treated, one.control))
    return Claim(f"orth-{name}", PAPER, place, sentence, WHEN, judge, where, contrasts, check=_held,
                 published="no number is confirmed", certainty="memory", **more)  # fmt: skip


CLAIMS = (
    _claim("quality", "abstract", "With GroupSort in both, the hard way ends at a smaller FD than GP, at equal steps.",
           _lower(OVER_GP), OVER_GP),
    _claim("ttur", "abstract", "The hard way ends at a smaller FD than WGAN-TTUR, at equal time.", _lower(OVER_TTUR),
           OVER_TTUR),
    _claim("three-ways", "abstract", "The hard way holds the constraint ten times closer than the soft one.", _closer,
           OVER_SOFT),
    _claim("ways-quality", "abstract", "The hard way ends at a smaller FD than the soft one, at equal steps.",
           _lower(OVER_SOFT), OVER_SOFT),
    _claim("gradient", "at second hand", "At FD 12 the gradient at the samples is larger than with GP.",
           _gradient_claim("strength", EARLY, "gradient at samples, hard over GP", log=True), OVER_GP),
    _claim("gradient-noise", "at second hand", "At FD 12 the gradient has more signal to noise than with GP.",
           _gradient_claim("noise", EARLY, "log signal to noise, hard less GP", log=False), OVER_GP),
    _claim("gradient-late", "at second hand", "At FD 6 the gradient has more signal to noise than with GP.",
           _gradient_claim("noise", LATE, "log signal to noise, hard less GP", log=False), OVER_GP),
    _claim("speed", "at second hand", "The hard way reaches FD 6 in less time than GP.", _sooner(GP), OVER_GP),
    _claim("speed-ttur", "at second hand", "The hard way reaches FD 6 in less processor time than WGAN-TTUR.",
           _sooner(TTUR), OVER_TTUR),
)  # fmt: skip


def figures(rows: Sequence[Row]) -> Mapping[str, Picture]:
    """FD, distance of singular values from 1, and signal to noise along training, mean over seeds."""
    shown = {}
    for measure, title in (("fd", "Frechet distance"), ("error", "Distance of singular values from 1"),
                           ("noise", "Log signal to noise of the generator's gradient")):  # fmt: skip
        lines = [_mean(f"{arm['arm']}, {arm['activation']}", measure, met)
                 for arm in (HARD, GP, SOFT) if (met := pick(rows, **arm))]  # fmt: skip
        if lines:
            shown[title] = Chart(lines, title=title, x_label="checkpoint", log=measure == "fd")
    return shown


def _mean(name: str, measure: str, rows: Sequence[Row]) -> Line:
    trails = np.asarray([row.values[measure] for row in rows if row.status == "ok"], dtype=float)
    return Line(name, np.arange(1.0, trails.shape[1] + 1), trails.mean(0))
