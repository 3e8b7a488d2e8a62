"""Spectral normalization (1802.05957) on images: ways to hold a critic, at two optimiser settings of the paper.

Fashion-MNIST at 16 pixels, the paper's standard CNN with an eighth of its channels, 250 generator steps at setting D,
there with one critic step as in figure 11, and 600 at C, where the paper makes 100,000. N(0, 0.02) weights suit width
64; every arm has those or He's, whichever had the smaller mean log FD on three seeds of its own (part ``choose``).

A first registration chose by one seed. The runs of that seed and of seeds 7400 and 7401 at D were seen before it was
changed, so every comparison is made on seeds 7410 to 7414, which were not.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from tightrope import constraints, losses, penalties
from tightrope.data import Sampler
from tightrope.drawing.charts import Chart, Line
from tightrope.methods import Alternating, Constraint, Method, Projection
from tightrope.networks import NETWORKS
from tightrope.networks.layers import Head
from tightrope.optimizers.settings import Adam
from tightrope.penalties import Penalty
from tightrope.spectra import evenly_picked, stable_rank_fraction
from tightrope.studies.design import Cell, Claim, Contrast, Part, Picture, Row, Scale, cells, pairs, pick, values
from tightrope.studies.findings import Finding, average, paired_difference, paired_ratio
from tightrope.studies.images import checkpoints, drawn, kernel_values, located, summary
from tightrope.studies.pictures import opened
from tightrope.training import start, train

PAPER, WHEN = "1802.05957", "2026-11-27"
SETTINGS: dict[str, dict[str, Any]] = {
    "A": {"rate": 1e-4, "beta1": 0.5, "beta2": 0.9, "n_critic": 5},
    "B": {"rate": 1e-4, "beta1": 0.5, "beta2": 0.999, "n_critic": 1},
    "C": {"rate": 2e-4, "beta1": 0.5, "beta2": 0.999, "n_critic": 1},
    "D": {"rate": 1e-3, "beta1": 0.5, "beta2": 0.9, "n_critic": 5},
    "E": {"rate": 1e-3, "beta1": 0.5, "beta2": 0.999, "n_critic": 5},
    "F": {"rate": 1e-3, "beta1": 0.9, "beta2": 0.999, "n_critic": 5},
}
CIFAR10 = os.environ.get("TIGHTROPE_CIFAR10", "../shared/data/cifar10")
PUBLISHED: dict[str, Any] = {"data": CIFAR10, "pixels": 32, "width": 64, "latent": 128}
COSTS = {"none": 1.0, "sn": 1.1, "clip": 1.1, "wn": 1.2, "orthonormal": 1.3, "wgan_gp": 1.85, "ln": 1.2, "bn": 1.2,
         "gan_gp": 1.85}  # fmt: skip
INITS = {"none": "he", "sn": "n002", "clip": "he", "wn": "n002", "orthonormal": "he", "wgan_gp": "he"}
"""Initialisation of each arm at width 8, from part ``choose``."""
AS_PUBLISHED = dict.fromkeys(COSTS, "n002")


def _arms(part: str, setting: str, arms: Mapping[str, str], steps: int, **other: Any) -> tuple[Cell, ...]:
    """Cells of one setting; ``arms`` maps each arm to its initialisation."""
    image: dict[str, Any] = {"data": "fashion_mnist", "pixels": 16, "width": 8, "latent": 64, "batch": 64}
    shared = {"part": part, "setting": setting, **SETTINGS[setting], "loss": "standard", "wide": 1, "steps": steps}
    shared |= {**image, "checkpoints": 10}
    return tuple(
        cell
        for arm, init in arms.items()
        for cell in cells(**{**shared, "arm": arm, "init": init, "cost": COSTS[arm], **other})
    )


def _choose(seeds: Sequence[int]) -> Part:
    """Which weights each arm does better with: where they are divided by their size, their rate still is not."""
    arms = [arm for arm in INITS if arm != "orthonormal"]  # which starts orthonormal
    both = [_arms("choose", "D", dict.fromkeys(arms, init), 200, n_critic=1) for init in ("n002", "he")]
    return Part((*both[0], *both[1]), tuple(seeds), fixed=True, seconds=10)


def _main(setting: str, steps: int, seeds: Sequence[int], inits: Mapping[str, str], **other: Any) -> Part:
    return Part(_arms("main", setting, inits, steps, **other), tuple(seeds), seconds=steps * 0.05)


def _beside(steps: int, seeds: Sequence[int], inits: Mapping[str, str], n: tuple[int, ...], **other: Any) -> Part:
    """At setting D: the hinge loss, a last map four times as wide, and other numbers of critic steps."""
    one = {key: inits[key] for key in ("sn",)}
    wide = _arms("main", "D", {**one, "orthonormal": inits["orthonormal"]}, steps, **{**other, "wide": 4})
    hinge = _arms("main", "D", one, steps, **{**other, "loss": "hinge"})
    more = [
        cell for k in n for cell in _arms("more", "D", {**one, "wn": inits["wn"]}, steps, **{**other, "n_critic": k})
    ]
    return Part((*hinge, *wide, *more), tuple(seeds), seconds=steps * 0.1)


def _time(rounds: int, seeds: Sequence[int], **other: Any) -> Part:
    return Part(_arms("time", "D", {"none": "he"}, rounds, **other), tuple(seeds), seconds=rounds)


ONE, TINY = {"n_critic": 1}, {"data": "digits", "checkpoints": 2, "batch": 8}
GRID = {
    "smoke": (
        _time(2, (7400,), **TINY, **ONE),
        _beside(4, (7400,), INITS, (2,), **TINY, **ONE),
        _main("D", 4, (7400,), INITS, **TINY, **ONE),
        _main("C", 4, (7400,), {**INITS, "ln": "he", "bn": "he", "gan_gp": "he"}, **TINY),
    ),
    "cpu": (
        _time(12, range(7400, 7405)),
        _choose(range(7490, 7493)),
        _main("D", 250, range(7410, 7415), INITS, **ONE),
        _beside(250, range(7410, 7415), INITS, (5,), **ONE),
        _main("C", 600, range(7410, 7415), INITS),
    ),
    "paper": (
        *(_main(name, 100_000, range(7400, 7410), AS_PUBLISHED, **PUBLISHED) for name in SETTINGS),
        _beside(100_000, range(7400, 7410), AS_PUBLISHED, (1, 2, 10, 20), **PUBLISHED),
        _time(100, range(7400, 7405), **PUBLISHED),
    ),
}


def run_one(cell: Cell, seed: int, scale: Scale) -> Mapping[str, Any]:
    """One image GAN, or the time of a step of several arms in turn."""
    return _turns(cell, seed) if cell["part"] == "time" else _trained(cell, seed)


def _method(cell: Cell) -> Method:
    """An arm as the paper runs it: all but WGAN-GP with the standard loss, one Adam for both players."""
    arm, adam = str(cell["arm"]), Adam(float(cell["rate"]), (float(cell["beta1"]), float(cell["beta2"])))
    loss = losses.hinge if cell["loss"] == "hinge" else losses.non_saturating
    if arm == "wgan_gp":
        loss = losses.wasserstein
    soft = Penalty(penalties.soft_orthogonality, {"weight": 1.0}, per_sample=False)
    ways: dict[str, dict[str, Any]] = {
        "none": {},
        "sn": {"constraint": Constraint(constraints.spectral_norm)},
        "wn": {"constraint": Constraint(constraints.weight_norm)},
        "clip": {"projection": Projection(partial(constraints.clip_weights_, bound=0.05))},
        "orthonormal": {"constraint": Constraint(partial(constraints.bound_singular_values_, epsilon=0.0)),
                        "penalties": (soft,)},
        "wgan_gp": {"penalties": (Penalty(penalties.gradient_penalty, {"weight": 10.0}),)},
        "gan_gp": {"penalties": (Penalty(penalties.gradient_penalty, {"weight": 10.0}),)},
        "ln": {},
        "bn": {},
    }  # fmt: skip
    return Method(arm, loss, adam, adam, Alternating(int(cell["n_critic"])), **ways[arm])


def _networks(cell: Cell, shape: tuple[int, ...], rng: torch.Generator) -> tuple[nn.Module, nn.Module]:
    """The paper's standard CNN; ``wide`` times as many channels in the critic's last map."""
    width, unused = int(cell["width"]), torch.Generator().manual_seed(0)
    G = NETWORKS["sn_cnn"].generator(shape, latent=int(cell["latent"]), width=width, rng=rng)
    D: Any = NETWORKS["sn_cnn"].critic(shape, width=width, rng=unused)
    if (wide := int(cell["wide"])) > 1:
        channels = 8 * width * wide
        D.body[-2] = nn.Conv2d(4 * width, channels, 3, 1, 1)
        D.head = Head(channels * (shape[1] // 8) ** 2)
    if cell["arm"] in ("ln", "bn"):
        D.body = nn.Sequential(*_normalised(D.body, str(cell["arm"])))
    return G, drawn(D, str(cell["init"]), rng)


def _normalised(body: nn.Sequential, arm: str) -> Iterator[nn.Module]:
    """The layers with layer or batch norm after each convolution, without gain, which would break the bound."""
    for layer in body:
        yield layer
        if isinstance(layer, nn.Conv2d):
            channels = layer.out_channels
            yield nn.GroupNorm(1, channels, affine=False) if arm == "ln" else nn.BatchNorm2d(channels, affine=False)


def _trained(cell: Cell, seed: int) -> Mapping[str, Any]:
    """Distances, and of the critic's kernels: the largest values of all checkpoints, the spectra and ranks at the end.

    Returns:
        Beside :func:`summary`: ``sigma`` (layers by checkpoints), its ends after the first checkpoint, the stable-rank
        fraction of the six hidden convolutions and of the last two, and ``squares``, squared values over the largest.
    """
    seen, sigma = [], []
    for one in checkpoints(_method(cell), cell, seed, _networks):
        seen.append(one)
        values = kernel_values(one.run.critic)[:-1]
        sigma.append([float(layer[0]) for layer in values])
    ranks = [float(stable_rank_fraction(layer)) for layer in values[1:]]
    tops = [top for row in sigma[1:] for top in row]
    return {**summary(seen), "sigma": sigma, "sigma_low": min(tops), "sigma_high": max(tops),
            "rank": sum(ranks) / len(ranks), "rank_last": sum(ranks[-2:]) / 2,
            "squares": [((evenly_picked(v, 16) / v[0]) ** 2).tolist() for v in values]}  # fmt: skip


def _turns(cell: Cell, seed: int) -> Mapping[str, Any]:
    """Processor time of a generator step of each arm over that of none, all in turn in one process."""
    data, batch, latent = opened(located(cell), int(cell["pixels"]), "train"), int(cell["batch"]), int(cell["latent"])
    names, spent = ("none", "sn", "wn", "clip", "orthonormal", "wgan_gp"), dict[str, list[float]]()
    loops = {}
    for name in names:
        one = {**cell, "arm": name}
        G, D = _networks(one, data.shape, torch.Generator().manual_seed(seed))
        run = start(_method(one), G, D, seed=seed, latent=latent, batch_size=batch, ema_half_life_images=0.0)
        loops[name] = train(run, Sampler(data, batch, seed=seed), steps=2 + int(cell["steps"]))
    for turn in range(2 + int(cell["steps"])):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            began = time.process_time()
            next(loops[name])
            if turn > 1:
                spent.setdefault(name, []).append(time.process_time() - began)
    medians = {name: sorted(times)[len(times) // 2] for name, times in spent.items()}
    return {"time_" + name: median / medians["none"] for name, median in medians.items()}


NEEDS = "40 processor minutes: tightrope study run spectral"
PLAIN: dict[str, Any] = {"part": "main", "loss": "standard", "wide": 1}
ON_CIFAR10 = {**PLAIN, "pixels": 32}
AT_D = {**PLAIN, "setting": "D"}
ALONE = "the paper compares at equal generator steps; what a step costs is sn-time"


def _over(control: str, where: Mapping[str, Any] = PLAIN) -> Contrast:
    return Contrast({**where, "arm": "sn"}, {**where, "arm": control}, differs=("arm", "init"), alone=ALONE)


HINGE = Contrast({**AT_D, "arm": "sn", "loss": "hinge"}, {**AT_D, "arm": "sn"}, differs=("loss",))
WIDE = _over("orthonormal", {**AT_D, "wide": 4})
NARROW, WEIGHT_NORM = _over("orthonormal", AT_D), _over("wn", AT_D)
FIVE = _over("wn", {**AT_D, "part": "more"})


def _worst(control: str) -> Any:
    """Log FD in each arm's worst setting, SN less the other, by seed."""

    def worst(rows: Sequence[Row], arm: str) -> dict[int, float]:
        found: dict[int, float] = {}
        for row in pick(rows, **PLAIN, arm=arm):
            found[row.seed] = max(found.get(row.seed, -math.inf), float(row.values["log_fd"]))
        return found

    def judge(rows: Sequence[Row]) -> Finding:
        a, b = worst(rows, "sn"), worst(rows, control)
        both = sorted(a.keys() & b.keys())
        return paired_difference([a[k] for k in both], [b[k] for k in both],
                                 f"log FD in the worst setting, SN less {control}", below=0.0)  # fmt: skip

    return judge


def _lower(contrast: Contrast, quantity: str, below: float = 0.0) -> Any:
    return lambda rows: paired_difference(*pairs(rows, "log_fd", contrast), quantity, below=below)


def _gap(rows: Sequence[Row], contrast: Contrast) -> list[float]:
    a, b = pairs(rows, "log_fd", contrast)
    return [x - y for x, y in zip(a, b, strict=True)]


def _between(first: Contrast, second: Contrast, quantity: str) -> Any:
    return lambda rows: paired_difference(_gap(rows, first), _gap(rows, second), quantity, below=0.0)


def _falls(rows: Sequence[Row]) -> Finding:
    a, b = (values(rows, "log_fd", **{**AT_D, "part": part, "arm": "wn"}) for part in ("more", "main"))
    return paired_difference(a, b, "log FD of weight norm, five critic steps less one", above=0.0)


def _of(measure: str, quantity: str, *, above: float | None = None, below: float | None = None) -> Any:
    return lambda rows: average(values(rows, measure), quantity, above=above, below=below)


def _rank(rows: Sequence[Row]) -> Finding:
    return paired_ratio(*pairs(rows, "rank_last", WEIGHT_NORM), "stable rank of the last two maps, SN over WN",
                        above=1.5)  # fmt: skip


def _acts(rows: Sequence[Row]) -> str:
    """SN must hold the kernels' largest singular values near 1."""
    worst = max((row.values["sigma_high"] for row in pick(rows, arm="sn")), default=1.0)
    return "" if worst < 1.5 else f"a kernel's largest singular value under SN reaches {worst:.2f}"


def _claim(name: str, place: str, sentence: str, judge: Any, *contrasts: Contrast, published: str) -> Claim:
    where = [arm for one in contrasts for arm in (one.treated, one.control)]
    return Claim(f"sn-{name}", PAPER, place, sentence, WHEN, judge, where, contrasts, check=_acts, needs=NEEDS,
                 published=published, certainty="paper")  # fmt: skip


def _alone(name: str, place: str, sentence: str, judge: Any, published: str, **where: Any) -> Claim:
    return Claim(f"sn-{name}", PAPER, place, sentence, WHEN, judge, (where,), needs=NEEDS, published=published,
                 certainty="paper")  # fmt: skip


CLAIMS = (
    *(_claim(f"settings-{name}", "figures 1 and 2", f"SN's worse setting of C and D beats that of {said}.",
             _worst(arm), _over(arm), published=number)
      for name, arm, said, number in (
          ("none", "none", "no normalisation", "curves only"), ("clip", "clip", "clipping", "FID 29.3 against 42.6"),
          ("wgan-gp", "wgan_gp", "WGAN-GP", "FID 29.3 against 40.2"))),
    *(replace(_claim(f"published-{arm.replace('_', '-')}", "figures 1 and 2, table 2",
                     f"On CIFAR-10 SN's worst of settings A to F beats that of {said}.", _worst(arm),
                     _over(arm, ON_CIFAR10), published=number), scale="paper", needs="GPU days on CIFAR-10")
      for arm, said, number in (
          ("none", "no normalisation", "curves only"), ("clip", "clipping", "FID 29.3 against 42.6"),
          ("gan_gp", "GAN-GP", "FID 29.3 against 37.7"), ("wgan_gp", "WGAN-GP", "FID 29.3 against 40.2"),
          ("bn", "batch norm", "FID 29.3 against 56.3"), ("ln", "layer norm", "FID 29.3 against 33.9"),
          ("wn", "weight norm", "FID 29.3 against 34.7"))),
    _claim("orthonormal", "table 2", "At D SN loses at most 0.1 of log FD to orthonormal regularisation.",
           _lower(NARROW, "log FD, SN less orthonormal", 0.1), NARROW, published="FID 29.3 against 29.0"),
    _claim("wn", "table 2", "At D SN has the smaller FD than weight norm.",
           _lower(WEIGHT_NORM, "log FD, SN less weight norm"), WEIGHT_NORM, published="FID 29.3 against 34.7"),
    _claim("hinge", "table 2", "At D the hinge loss has the smaller FD under SN than the standard loss.",
           _lower(HINGE, "log FD, hinge less standard"), HINGE, published="FID 25.5 against 29.3"),
    _claim("width", "figure 4", "SN loses less than orthonormal when the last map is four times as wide.",
           _between(WIDE, NARROW, "log FD of SN less orthonormal, wide less narrow"), WIDE, NARROW,
           published="curves only"),
    Claim("sn-n-critic-wn", PAPER, "figure 11", "Weight norm has the larger FD with five critic steps than with one.",
          WHEN, _falls, ({**AT_D, "arm": "wn"}, {**AT_D, "arm": "wn", "part": "more"}), needs=NEEDS,
          published="curves only", certainty="paper"),
    _claim("n-critic", "figure 11", "From one critic step to five SN gains on weight norm.",
           _between(FIVE, WEIGHT_NORM, "log FD of SN less WN, five critic steps less one"), FIVE, WEIGHT_NORM,
           published="curves only"),
    _claim("rank-last", "figure 3", "SN keeps 1.5 times weight norm's stable rank in the last two maps.", _rank,
           WEIGHT_NORM, published="curves only"),
    _alone("images-sigma", "figure 9", "At C kernels' largest singular values stay below 1.1 after a tenth.",
           _of("sigma_high", "largest singular value of all checkpoints", below=1.1), "mostly 1 to 1.05",
           **PLAIN, setting="C", arm="sn"),
    _alone("time", "figure 10", "A generator step under SN costs at most 1.3 of a plain one.",
           _of("time_sn", "time of a step over none", below=1.3), "1.1 to 1.2 of weight norm", part="time"),
    _alone("time-gp", "figure 10", "A generator step of WGAN-GP costs at least 1.5 of a plain one.",
           _of("time_wgan_gp", "time of a step over none", above=1.5), "curves only", part="time"),
)  # fmt: skip


def figures(rows: Sequence[Row]) -> Mapping[str, Picture]:
    """FD by arm at each setting, the largest singular values under SN, and squared spectra of the last map."""
    shown = {}
    for setting in SETTINGS:
        found = {arm: pick(rows, **PLAIN, setting=setting, arm=arm) for arm in COSTS}
        lines = [Line(arm, np.arange(1.0, 1 + len(met[0].values["fd"])), np.mean([r.values["fd"] for r in met], 0))
                 for arm, met in found.items() if met]  # fmt: skip
        if lines:
            shown[f"Frechet distance, setting {setting}"] = Chart(lines, title="FD", x_label="checkpoint", log=True)
        last = [Line(arm, np.arange(1.0, 1 + len(met[0].values["squares"][-1])),
                     np.mean([r.values["squares"][-1] for r in met], 0))
                for arm, met in found.items() if met]  # fmt: skip
        if last:
            shown[f"Squared singular values of the last map, setting {setting}"] = Chart(
                last, title="over the largest", x_label="singular value, every so many")  # fmt: skip
        if met := found["sn"]:
            tops = np.mean([row.values["sigma"] for row in met], 0).T
            layers = [Line(f"layer {k}", np.arange(1.0, 1 + len(top)), top) for k, top in enumerate(tops, 1)]
            shown[f"Largest singular values under SN, setting {setting}"] = Chart(
                layers, title="sigma", x_label="checkpoint")  # fmt: skip
    return shown
