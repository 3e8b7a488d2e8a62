"""Spectral normalization (1802.05957) against every other arm of its figures 1 and 2, over all settings of Adam.

Fashion-MNIST at 16 pixels, the paper's standard CNN with an eighth of its channels, as in ``spectral``, and so few
steps (fewer where the rate is larger) that all arms are on their way; the paper makes 100,000. What counts is the mean
log FD of the later half of the checkpoints: samples come and go from step to step.

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
from tightrope.studies.design import Cell, Claim, Contrast, Part, Picture, Row, Scale, cells, pick
from tightrope.studies.findings import Finding, paired_difference
from tightrope.studies.images import checkpoints, drawn, kernel_values, summary
from tightrope.studies.spectral import CIFAR10, COSTS, PAPER, SETTINGS
from tightrope.studies.spectral import INITS as CHOSEN_BEFORE

WHEN = "2026-11-27"
STEPS = {"A": 50, "B": 100, "C": 70, "D": 25, "E": 25, "F": 25}
STL10 = os.environ.get("TIGHTROPE_STL10", "../shared/data/stl10")
IMAGE: dict[str, Any] = {"data": "fashion_mnist", "pixels": 16, "width": 8, "latent": 64,
                         "batch": 32, "checkpoints": 3}  # fmt: skip


def _cells(part: str, setting: str, inits: Mapping[str, str], steps: int, **other: Any) -> tuple[Cell, ...]:
    """Cells of one setting; ``inits`` maps each arm to its initialisation."""
    shared = {"part": part, "setting": setting, **SETTINGS[setting], "steps": steps, **IMAGE, **other}
    return tuple(
        cell
        for arm, init in inits.items()
        for cell in cells(**{**shared, "arm": arm, "init": init, "cost": COSTS[arm]})
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
INITS = {**CHOSEN_BEFORE, "bn": "n002", "ln": "n002", "gan_gp": "he"}
"""Initialisation of each arm at width 8."""
ON_STL10 = [arm for arm in ARMS if arm not in ("none", "bn", "gan_gp")]
UNTRAINED = math.log(40)
"""Log FD of samples before training, which a run counts with that diverged."""


def _all(part: str, inits: Mapping[str, str], steps: Mapping[str, int], **other: Any) -> tuple[Cell, ...]:
    return tuple(cell for setting in steps for cell in _cells(part, setting, inits, steps[setting], **other))


def _parts(seeds: Sequence[int]) -> tuple[Part, ...]:
    """A part for every arm, so that what is done is whole arms."""
    arms = ({arm: INITS[arm]} for arm in ARMS)
    return tuple(Part(_all("main", one, STEPS), tuple(seeds), seconds=5) for one in arms)


def _choose(seeds: Sequence[int]) -> Part:
    arms = ("bn", "ln", "gan_gp")
    both = [_cells("choose", "D", dict.fromkeys(arms, init), 60, n_critic=1) for init in ("n002", "he")]
    return Part((*both[0], *both[1]), tuple(seeds), fixed=True, seconds=5)


def _published(part: str, arms: Sequence[str], seeds: Sequence[int], **other: Any) -> Part:
    whole = {"width": 64, "latent": 128, "batch": 64, "checkpoints": 10, **other}
    inits, steps = dict.fromkeys(arms, "n002"), dict.fromkeys(SETTINGS, 100_000)
    return Part(_all(part, inits, steps, **whole), tuple(seeds), seconds=5000)


GRID = {
    "smoke": (
        Part(_all("main", INITS, {"B": 4, "D": 2}, data="digits", pixels=8, batch=8, checkpoints=2), (9600,)),
    ),
    "cpu": (_choose((9693, 9694, 9695)), *_parts(range(9600, 9605))),
    "paper": (
        _published("cifar10", ARMS, range(9600, 9610), data=CIFAR10, pixels=32),
        _published("stl10", ON_STL10, range(9600, 9610), data=STL10, pixels=48),
    ),
}  # fmt: skip

NEEDS = "an hour of a processor: tightrope study run settings"
ALONE = "the paper compares at equal generator steps; what a step costs is sn-time"
MAIN, AGGRESSIVE = {"part": "main"}, ("D", "E", "F")


def _by_seed(
    rows: Sequence[Row], where: Mapping[str, Any], over: Callable[[list[float]], float], settings: Sequence[str]
) -> dict[int, float]:
    """What ``over`` makes of an arm's late log FD in the settings, by seed; seeds that lack a setting are left out."""
    found: dict[int, list[float]] = {}
    for row in pick(rows, **where):
        if row.cell["setting"] in settings:
            found.setdefault(row.seed, []).append(row.values["late"] if row.status == "ok" else UNTRAINED)
    return {seed: over(numbers) for seed, numbers in found.items() if len(numbers) == len(settings)}


def _less(
    contrast: Contrast,
    over: Callable[[list[float]], float],
    said: str,
    below: float = 0.0,
    settings: Sequence[str] = tuple(SETTINGS),
) -> Callable[[Sequence[Row]], Finding]:
    """Judge SN less another arm, one number of each a seed."""

    def judge(rows: Sequence[Row]) -> Finding:
        a, b = (_by_seed(rows, arm, over, settings) for arm in (contrast.treated, contrast.control))
        both = sorted(a.keys() & b.keys())
        quantity = f"log FD, {said}, SN less {contrast.control['arm']}"
        return paired_difference([a[k] for k in both], [b[k] for k in both], quantity, below=below)

    return judge


def _acts(rows: Sequence[Row]) -> str:
    """SN must hold the kernels' largest singular values near 1."""
    mine = [row for row in pick(rows, arm="sn") if row.status == "ok"]
    low = min((row.values["sigma_low"] for row in mine), default=1.0)
    high = max((row.values["sigma_high"] for row in mine), default=1.0)
    return "" if low > 0.9 and high < 1.5 else f"kernels' largest singular values under SN are {low:.2f} to {high:.2f}"


def _over(control: str, part: str = "main") -> Contrast:
    return Contrast({"part": part, "arm": "sn"}, {"part": part, "arm": control}, differs=("arm", "init"), alone=ALONE)


def _claim(name: str, sentence: str, judge: Any, contrast: Contrast, **more: Any) -> Claim:
    given = {"needs": NEEDS, "published": "bars only", "certainty": "paper", **more}
    return Claim(f"sn-{name}", PAPER, "figures 1 and 2", sentence, WHEN, judge, (contrast.treated, contrast.control),
                 (contrast,), check=_acts, **given)  # fmt: skip


NAMES = {"bn": "batch norm", "ln": "layer norm", "gan_gp": "GAN-GP", "none": "no normalisation", "wgan_gp": "WGAN-GP",
         "wn": "weight norm", "clip": "clipping", "orthonormal": "orthonormal regularisation"}  # fmt: skip


def _both(arm: str, part: str, where: str, scale: Scale, needs: str) -> tuple[Claim, Claim]:
    """Worst and median of the six settings; where the paper has orthonormal ahead the median may be 0.1 behind."""
    one, name, margin = _over(arm, part), arm.replace("_", "-"), 0.1 if arm == "orthonormal" else 0.0
    more: dict[str, Any] = {"scale": scale, "needs": needs}
    ahead = "is at most 0.1 of log FD behind" if margin else "is ahead of"
    end = "" if part == "main" else f"-{part}"
    return (
        _claim(f"worst-{name}{end}", f"{where} SN's worst of settings A to F is ahead of that of {NAMES[arm]}.",
               _less(one, max, "worst setting"), one, **more),
        _claim(f"median-{name}{end}", f"{where} SN's median over settings A to F {ahead} that of {NAMES[arm]}.",
               _less(one, statistics.median, "median setting", margin), one, **more),
    )  # fmt: skip


GP = _over("wgan_gp")
EARLY = "Early in training on Fashion-MNIST"
CLAIMS = (
    *(claim for arm in ARMS[1:] for claim in _both(arm, "main", EARLY, "cpu", NEEDS)),
    _claim("aggressive-wgan-gp", f"{EARLY}, at the large rates D, E and F, SN is ahead of WGAN-GP.",
           _less(GP, statistics.fmean, "mean of D, E and F", settings=AGGRESSIVE), GP,
           published="it fails there, as remembered", certainty="memory"),
    *(_both(arm, "cifar10", "On CIFAR-10", "paper", "GPU days on CIFAR-10")[1] for arm in ARMS[1:]),
    *(claim for arm in ON_STL10[1:] for claim in _both(arm, "stl10", "On STL-10", "paper", "STL-10 and a GPU")),
)  # fmt: skip


def figures(rows: Sequence[Row]) -> Mapping[str, Picture]:
    """Figure 2: the Frechet distance of each arm at each setting, mean over seeds in its logarithm."""
    shown = {}
    for part in ("main", "cifar10", "stl10"):
        lines = []
        for arm in ARMS:
            met = {name: pick(rows, part=part, arm=arm, setting=name) for name in SETTINGS}
            late = {name: [row.values["late"] for row in some if row.status == "ok"] for name, some in met.items()}
            points = [(place, math.exp(statistics.fmean(late[name]))) for place, name in enumerate(SETTINGS, 1)
                      if late[name]]  # fmt: skip
            if points:
                x, y = np.asarray(points).T
                lines.append(Line(arm, x, y))
        if lines:
            shown[f"Frechet distance by setting, {part}"] = Chart(
                lines, title="FD", x_label="setting, A to F", log=True)  # fmt: skip
    return shown
