"""Wasserstein GAN (1701.07875): parallel lines, gradients through clipped layers, generators that break a GAN.

Images are Fashion-MNIST at 16 pixels (in the folder ``../shared/data`` beside the checkout, or ``TIGHTROPE_FASHION``);
the smoke scale takes the embedded digits. Distances are Frechet's between features of random convolutions.

Of a first registration with five seeds (7100 to 7104) four claims were undecided; their rows were seen before this one,
which judges the same claims by the same criteria on fifteen seeds that were not (7110 to 7124).
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from tightrope import constraints, losses, methods, penalties
from tightrope.data.toy import TOYS
from tightrope.drawing.charts import Chart, Line, Reference
from tightrope.methods import Alternating, Method, Projection
from tightrope.methods.game import critic_objective
from tightrope.networks.mlp import critic as mlp_critic
from tightrope.optimizers.settings import Adam, RMSprop
from tightrope.penalties import Penalty
from tightrope.studies.design import Cell, Claim, Contrast, Part, Picture, Row, Scale, cells, pairs, pick, values
from tightrope.studies.findings import Finding, average, paired_difference, shares, within
from tightrope.studies.pictures import train_images

PAPER, WHEN = "1701.07875", "2026-11-26"
FASHION = os.environ.get("TIGHTROPE_FASHION", "../shared/data/fashion_mnist")
LINES = (0.0, 0.1, 0.3, 1.0)
STEP_COST = {"gan": 1.0, "gan5": 3.0, "clip": 3.0, "gp": 5.0}
RATES = {"gan": 2e-4, "gan5": 2e-4, "clip": 5e-4, "gp": 5e-4}


def _lines(steps: int, seeds: Sequence[int]) -> Part:
    made = cells(part="lines", critic=["gp", "clip", "logistic"], theta=list(LINES), steps=steps, width=64, batch=64)
    return Part(made, tuple(seeds), seconds=steps * 0.002)


def _depth(steps: int, seeds: Sequence[int], width: int = 128) -> Part:
    made = cells(part="depth", critic=["clip 0.001", "clip 0.01", "clip 0.1", "gp"], steps=steps, width=width, batch=64)
    return Part(made, tuple(seeds), seconds=steps * 0.01)


def _images(steps: int, arms: Sequence[str], budget: str, data: str, width: int, generator: str) -> tuple[Cell, ...]:
    return tuple(
        cell
        for arm in arms
        for cell in cells(
            part="images", arm=arm, rate=RATES[arm], cost=STEP_COST[arm], budget=budget, steps=steps, data=data,
            pixels=16, generator=generator, width=width, latent=32, batch=64, checkpoints=6,
        )
    )  # fmt: skip


def _pictures(steps: int, seeds: Sequence[int], data: str = FASHION, width: int = 16) -> tuple[Part, ...]:
    fresh, name = tuple(seeds), "fashion_mnist" if data == FASHION else data
    return (
        Part(_images(steps, ("gan", "clip"), "steps", name, width, "mlp"), fresh, seconds=steps * 0.04),
        Part(_images(3 * steps, ("gan",), "time", name, width, "mlp"), fresh, seconds=steps * 0.05),
        Part(_images(steps, ("gan5", "gp"), "steps", name, width, "mlp"), fresh, seconds=steps * 0.07),
    )


GRID = {
    "smoke": (_lines(5, (7100,)), _depth(3, (7100,), 16), *_pictures(8, (7100,), "digits", 8)),
    "cpu": (_lines(800, range(7110, 7125)), _depth(200, range(7110, 7125)), *_pictures(300, range(7110, 7125))),
    "paper": (_lines(5000, range(7100, 7110)), _depth(2000, range(7100, 7110)),
              *_pictures(100_000, range(7100, 7110), width=64)),
}  # fmt: skip


def run_one(cell: Cell, seed: int, scale: Scale) -> Mapping[str, Any]:
    """One critic between two lines, one deep critic, or one image GAN."""
    return {"lines": _between_lines, "depth": _through_layers, "images": _on_images}[str(cell["part"])](cell, seed)


def _critic_method(name: str) -> Method:
    if name.startswith("clip"):
        bound, rate = float(name.removeprefix("clip") or 0.1), RMSprop(1e-3 if name == "clip" else 5e-5)
        return _clipped(bound, rate)
    adam = Adam(1e-3 if name == "logistic" else 5e-4, (0.5, 0.9))
    if name == "logistic":
        return Method(name, losses.non_saturating, adam, adam)
    return Method(
        name, losses.wasserstein, adam, adam, penalties=(Penalty(penalties.gradient_penalty, {"weight": 10.0}),)
    )


def _clipped(bound: float, optimizer: Any) -> Method:
    project = Projection(partial(constraints.clip_weights_, bound=bound))
    return Method("clip", losses.wasserstein, optimizer, optimizer, projection=project)


def _fit(method: Method, critic: nn.Module, draw: Any, steps: int, seed: int) -> None:
    optimizer, rng = method.critic_optimizer.build(critic.parameters()), torch.Generator().manual_seed(seed)
    if method.projection is not None:
        method.projection(critic)
    for _ in range(steps):
        optimizer.zero_grad()
        critic_objective(method, critic, *draw(), rng=rng).total.backward()
        optimizer.step()
        if method.projection is not None:
            method.projection(critic)


def _between_lines(cell: Cell, seed: int) -> Mapping[str, Any]:
    """The critic's estimate of the distance between ``(0, u)`` and ``(theta, u)``."""
    rng, theta = torch.Generator().manual_seed(seed), float(cell["theta"])
    critic = mlp_critic((2,), width=int(cell["width"]), depth=2, rng=rng)

    def draw(n: int = int(cell["batch"])) -> tuple[Tensor, Tensor]:
        u, w = torch.rand(2, n, generator=rng)
        return torch.stack([torch.zeros_like(u), u], 1), torch.stack([torch.full_like(w, theta), w], 1)

    _fit(_critic_method(str(cell["critic"])), critic, draw, int(cell["steps"]), seed)
    with torch.no_grad():
        real, fake = (critic(x) for x in draw(2000))
    if cell["critic"] == "logistic":
        return {"estimate": math.log(2) - 0.5 * float(softplus(-real).mean() + softplus(fake).mean())}
    return {"estimate": float(real.mean() - fake.mean())}


def _through_layers(cell: Cell, seed: int) -> Mapping[str, Any]:
    """Slope per layer of log10 of the gradient's norm at the activations of a critic of twelve layers."""
    rng, n = torch.Generator().manual_seed(seed), int(cell["batch"])
    critic = mlp_critic((2,), width=int(cell["width"]), depth=12, activation="relu", rng=rng)

    def draw() -> tuple[Tensor, Tensor]:
        return TOYS["swissroll"](n, rng), TOYS["swissroll"](n, rng) + torch.randn(n, 2, generator=rng)

    _fit(_critic_method(str(cell["critic"])), critic, draw, int(cell["steps"]), seed)
    met: list[Tensor] = []
    handles = [layer.register_forward_hook(lambda _, __, y: met.append(y))
               for layer in critic.hidden if isinstance(layer, nn.Linear)]  # fmt: skip
    real, fake = draw()
    total = critic(torch.cat([fake, real])) @ torch.cat([torch.ones(n), -torch.ones(n)]) / n
    for handle in handles:
        handle.remove()
    norms = [float(g.double().norm()) for g in torch.autograd.grad(total, met)]
    at = [k for k, norm in enumerate(norms) if norm > 0]
    slope = float(np.polyfit(at, [math.log10(norms[k]) for k in at], 1)[0]) if len(at) > 1 else math.nan
    return {"slope": slope, "zeros": len(norms) - len(at), "norms": norms}


def _arm(cell: Cell) -> Method:
    rate = float(cell["rate"])
    if cell["arm"] in ("gan", "gan5"):
        adam = Adam(rate, (0.5, 0.999))
        return Method("gan", losses.non_saturating, adam, adam, Alternating(5 if cell["arm"] == "gan5" else 1))
    if cell["arm"] == "clip":
        return replace(_clipped(0.05, RMSprop(rate)), play=Alternating(5))
    return methods.build("wgan_gp", learning_rate=rate)


def _on_images(cell: Cell, seed: int) -> Mapping[str, Any]:
    source = FASHION if cell["data"] == "fashion_mnist" else str(cell["data"])
    return train_images(_arm(cell), {**cell, "data": source}, seed)


def _linear(rows: Sequence[Row]) -> Finding:
    """Estimate over distance at 0.1, 0.3 and 1, worst of the three per seed."""
    by_seed: dict[int, list[float]] = {}
    for row in rows:
        theta = float(row.cell["theta"])
        if theta > 0:
            by_seed.setdefault(row.seed, []).append(abs(row.values["estimate"] / theta - 1))
    return average([max(each) for each in by_seed.values()], "largest relative error of the estimate", below=0.15)


def _proportional(rows: Sequence[Row]) -> Finding:
    """Correlation of a clipped critic's estimate with the distance, for every seed."""
    by_seed: dict[int, list[tuple[float, float]]] = {}
    for row in rows:
        by_seed.setdefault(row.seed, []).append((float(row.cell["theta"]), float(row.values["estimate"])))
    found = [float(np.corrcoef(np.asarray(each).T)[0, 1]) for each in by_seed.values()]
    return average(found, "correlation with the distance", above=0.97)


def _stuck(rows: Sequence[Row]) -> Finding:
    by_seed: dict[int, list[float]] = {}
    for row in rows:
        if float(row.cell["theta"]) >= 0.3:
            by_seed.setdefault(row.seed, []).append(float(row.values["estimate"]))
    away = [sum(each) / len(each) for each in by_seed.values()]
    return within(away, "Jensen-Shannon estimate at distances from 0.3 on", 0.65, math.log(2) + 0.01)


def _same(rows: Sequence[Row]) -> Finding:
    return within(values(rows, "estimate", theta=0.0), "Jensen-Shannon estimate at distance 0", -0.03, 0.03)


def _slope(critic: str, *, above: float | None = None, below: float | None = None) -> Any:
    return lambda rows: average(values(rows, "slope", critic=critic), "log10 per layer", above=above, below=below)


def _level(rows: Sequence[Row]) -> Finding:
    return within(values(rows, "slope", critic="gp"), "log10 per layer", -0.15, 0.15)


BUDGETS: tuple[tuple[str, str, str, Literal["steps", "time"]], ...] = (
    ("clip", "clip", "gan", "steps"), ("clip-time", "clip", "gan", "time"), ("clip-five", "clip", "gan5", "steps"),
    ("gp-five", "gp", "gan5", "steps"),
)  # fmt: skip
ALONE = "five critic steps are part of the method; the arm with five for the GAN is the control at equal cost"
VERSUS = {
    name: Contrast({"part": "images", "arm": treated, "budget": "steps"},
                   {"part": "images", "arm": control, "budget": budget},
                   differs=("arm", "rate", *(("budget",) if budget == "time" else ())), budget=budget,
                   alone="" if budget == "time" else ALONE)
    for name, treated, control, budget in BUDGETS
}  # fmt: skip


def _better(contrast: Contrast) -> Any:
    quantity = f"log FD of {contrast.treated['arm']} less {contrast.control['arm']}"
    return lambda rows: paired_difference(*pairs(rows, "log_fd", contrast), quantity, below=0.0)


def _steadier(contrast: Contrast) -> Any:
    def judge(rows: Sequence[Row]) -> Finding:
        (a, n), (b, m) = (_collapsed(rows, arm) for arm in (contrast.treated, contrast.control))
        return shares((a, n), (b, m), "difference of the shares of collapsed runs", more=False)

    return judge


def _collapsed(rows: Sequence[Row], arm: Mapping[str, Any]) -> tuple[int, int]:
    met = pick(rows, **arm)
    return sum(row.status == "diverged" or row.values["collapsed"] > 0 for row in met), len(met)


def _unclamped(rows: Sequence[Row]) -> str:
    """The Wasserstein arms must have learnt to tell real from fake at all."""
    weak = [row.seed for row in pick(rows, arm="clip") if row.values.get("estimate", [0.0])[-1] <= 0]
    return f"the clipped critic's estimate is not positive in seeds {weak}" if weak else ""


def _plain(name: str, place: str, sentence: str, judge: Any, published: str = "", sure: Any = "paper",
           paper: str = PAPER, **where: Any) -> Claim:  # fmt: skip
    return Claim(f"wgan-{name}", paper, place, sentence, WHEN, judge, (where,), published=published, certainty=sure)


def _versus(name: str, sentence: str, key: str, judge: Any, place: str = "figure 7") -> Claim:
    contrast = VERSUS[key]
    return Claim(f"wgan-{name}", PAPER, place, sentence, WHEN, judge(contrast), (contrast.treated, contrast.control),
                 (contrast,), check=_unclamped if "clip" in key else None, published="GAN with an MLP collapses",
                 certainty="quoted")  # fmt: skip


def _follows(name: str, sentence: str, arm: str, threshold: float) -> Claim:
    return Claim(
        f"wgan-{name}", PAPER, "figures 3 and 4", sentence, WHEN,
        lambda rows: average(values(rows, "follows", arm=arm), "rank correlation along training", above=threshold),
        ({"part": "images", "arm": arm, "budget": "steps"},), published="no number in the paper", certainty="paper",
    )  # fmt: skip


CLAIMS = (
    _plain("lines-gp", "example 1, figure 1", "Between parallel lines a WGAN-GP critic's estimate is within 15 % of W.",
           _linear, "W = |theta|", part="lines", critic="gp"),
    _plain("lines-clip", "example 1, figure 1", "A clipped critic's estimate is linear in W: correlation above .97.",
           _proportional, "W = |theta|", part="lines", critic="clip"),
    _plain("lines-js", "example 1, figure 1", "The Jensen-Shannon estimate is stuck at log 2 away from 0.", _stuck,
           "log 2 = 0.6931", part="lines", critic="logistic"),
    _plain("lines-js-zero", "example 1, figure 1", "The Jensen-Shannon estimate is 0 for equal lines.", _same, "0",
           part="lines", critic="logistic"),
    _plain("depth-clip-0.001", "figure 1b", "Clipped at 0.001 gradients vanish on their way back: 0.5 a layer or more.",
           _slope("clip 0.001", above=0.5), "vanish", "quoted", "1704.00028", part="depth", critic="clip 0.001"),
    _plain("depth-clip-0.01", "figure 1b", "Clipped at 0.01, gradients vanish on their way back: 0.5 a layer or more.",
           _slope("clip 0.01", above=0.5), "vanish", "quoted", "1704.00028", part="depth", critic="clip 0.01"),
    _plain("depth-clip-0.1", "figure 1b", "Clipped at 0.1, gradients explode on their way back: -0.3 a layer or less.",
           _slope("clip 0.1", below=-0.3), "explode", "quoted", "1704.00028", part="depth", critic="clip 0.1"),
    _plain("depth-gp", "figure 1b", "With a gradient penalty they stay level: within 0.15 a layer.", _level, "level",
           "quoted", "1704.00028", part="depth", critic="gp"),
    _versus("mlp-clip", "With an MLP generator WGAN has the smaller FD than the GAN, at equal steps.", "clip", _better),
    _versus("mlp-clip-time", "With an MLP generator WGAN has the smaller FD at equal time.", "clip-time", _better),
    _versus("mlp-clip-five", "With an MLP generator WGAN has the smaller FD than a GAN with five critic steps.",
            "clip-five", _better),
    _versus("mlp-collapse", "With an MLP generator fewer WGAN runs collapse (spread below half) than GAN runs.",
            "clip-time", _steadier),
    _versus("mlp-gp-five", "With an MLP generator WGAN-GP has the smaller FD than a GAN with five critic steps.",
            "gp-five", _better),
    _follows("follows-gp", "WGAN-GP's estimate follows FD along training: rank correlation above 0.7.", "gp", 0.7),
    _follows("follows-clip", "The clipped WGAN's estimate follows FD along training: above 0.7.", "clip", 0.7),
    _plain("js-does-not", "figure 4", "The GAN's Jensen-Shannon estimate does not follow FD: below 0.7.",
           lambda rows: average(values(rows, "follows", arm="gan"), "rank correlation along training", below=0.7),
           "rises while samples get better", part="images", arm="gan", budget="steps"),
    *(Claim(f"wgan-gp-{name}", "1704.00028", place, sentence, WHEN, needs=needs, scale="paper")
      for name, place, sentence, needs in (
          ("architectures", "table 1", "WGAN-GP trains architectures that GANs cannot.", "200 architectures on a GPU"),
          ("inception-score", "section 5.3", "CIFAR-10 ResNet reaches IS 7.86.", "Inception weights and a GPU"),
      )),
)  # fmt: skip


def figures(rows: Sequence[Row]) -> Mapping[str, Picture]:
    """Estimates between lines, gradients through layers, distance and estimate along training."""
    drawn = {}
    made = [_series(name, pick(rows, part="lines", critic=name)) for name in ("gp", "clip", "logistic")]
    if lines := [line for line in made if line is not None]:
        drawn["Parallel lines"] = Chart(lines, title="Estimate", x_label="distance",
                                             references=[Reference("log 2", math.log(2))])  # fmt: skip
    for key, title in (("fd", "Frechet distance"), ("estimate", "The critic's estimate")):
        found = {arm: pick(rows, part="images", arm=arm, budget="steps") for arm in STEP_COST}
        lines = [Line(arm, np.arange(1.0, 1 + len(met[0].values[key])), np.mean([r.values[key] for r in met], 0))
                 for arm, met in found.items() if met]  # fmt: skip
        if lines:
            drawn[title] = Chart(lines, title=f"{title}, MLP generator", x_label="checkpoint", log=key == "fd")
    return drawn


def _series(name: str, rows: Sequence[Row]) -> Line | None:
    at = sorted({float(row.cell["theta"]) for row in rows})
    means = [float(np.mean([r.values["estimate"] for r in rows if r.cell["theta"] == theta])) for theta in at]
    return Line(name, np.asarray(at), np.asarray(means)) if at else None
