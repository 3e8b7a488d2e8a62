"""Wasserstein GAN (1701.07875) in the plane: critics between Gaussians, losses that tell quality, unstable critics.

Both players have RMSProp at one rate, so that arms differ in loss, penalty or critic steps alone; the claims on
momentum and rates change the critic's optimiser and nothing else. A generator starts beside the circle, three radii
along the first axis. Sizes are those of a pilot on seeds 9400 and 9401 (GAN and clipped weights alone); the penalty
weight of 0.1 is that of the toy code of 1704.00028, 10 that of its text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from scipy import stats
from torch import Tensor, nn

from tightrope import constraints, losses, penalties
from tightrope.drawing.charts import Chart, Line
from tightrope.methods import Alternating, Method, Projection
from tightrope.methods.game import critic_objective
from tightrope.networks.mlp import critic as mlp_critic
from tightrope.optimizers.settings import Adam, RMSprop
from tightrope.penalties import Penalty
from tightrope.studies.design import (
    Cell,
    Claim,
    Contrast,
    DivergedError,
    Part,
    Picture,
    Row,
    Scale,
    cells,
    pairs,
    pick,
    values,
)
from tightrope.studies.findings import Finding, average, paired_difference, paired_ratio, within
from tightrope.studies.planar import late
from tightrope.studies.planar_trails import trails

PAPER, IMPROVED, WHEN = "1701.07875", "1704.00028", "2026-11-27"
COSTS = {"gan": 1.0, "gan5": 3.5, "clip": 3.5, "gp": 6.0, "gp10": 6.0}
"""Of a generator step, from the pilot; arms of unlike cost are compared at equal critic steps alone."""
WEIGHTS = {"gp": 0.1, "gp10": 10.0}
PLAIN: dict[str, Any] = {"critic": "rmsprop", "beta": 0.0}


def _cells(arms: Sequence[str], steps: int, width: int, **other: Any) -> tuple[Cell, ...]:
    shared = {"part": "circle", "data": "circle", "offset": 3.0, "steps": steps, "width": width, "depth": 3,
              "latent": 8, "batch": 64, "rate": 5e-4, "critic_rate": 5e-4, **PLAIN}  # fmt: skip
    return tuple(
        cell
        for arm in arms
        for cell in cells(**{**shared, "arm": arm, "weight": WEIGHTS.get(arm, 0.0), "cost": COSTS[arm], **other})
    )


def _gaussians(steps: int, width: int) -> tuple[Cell, ...]:
    return cells(part="slope", arm=["gan", "clip", "gp"], weight=0.1, steps=steps, width=width, depth=2, batch=64,
                 rate=1e-3, critic_rate=1e-3, apart=6.0, **PLAIN)  # fmt: skip


def _parts(steps: int, seeds: Sequence[int], width: int = 64, checkpoints: int = 30) -> tuple[Part, ...]:
    """In the order in which they are run, what most claims need first; on the ring a third of the steps."""
    fresh, second, brief = tuple(seeds), steps * 0.0035, steps // 3
    ring = {"part": "ring", "data": "ring", "offset": 0.0}

    def made(*arms: str, steps: int = steps, **other: Any) -> tuple[Cell, ...]:
        return _cells(arms, steps, width, checkpoints=checkpoints, **other)

    rates = made("clip", part="rates") + made("clip", part="rates", critic_rate=5e-3)
    rates += made("clip", part="high", rate=1e-2, critic_rate=1e-2)
    return (
        Part(_gaussians(brief, width), fresh, seconds=brief * 0.002),
        Part(made("clip", "gan5"), fresh, seconds=second),
        Part(made("gan"), fresh, seconds=0.3 * second),
        Part(made("gp"), fresh, seconds=1.6 * second),
        Part(made("clip", critic="adam") + made("clip", critic="adam", beta=0.9), fresh, seconds=second),
        Part(rates, fresh, seconds=second),
        Part(made("gp", "gp10", part="weights"), fresh, seconds=1.6 * second),
        Part(made("gan5", "clip", steps=brief, **ring), fresh, seconds=0.3 * second),
        Part(made("gp", steps=brief, **ring), fresh, seconds=0.5 * second),
    )


GRID = {
    "smoke": _parts(12, (9500,), 16, 6),
    "cpu": _parts(3000, range(9500, 9510)),
    "paper": _parts(20_000, range(9500, 9515), 512),
}


def method(cell: Cell) -> Method:
    """The arm's method: both players by RMSProp, but where the cell gives the critic Adam."""
    arm, rate = str(cell["arm"]), float(cell["critic_rate"])
    critic = RMSprop(rate) if cell["critic"] == "rmsprop" else Adam(rate, (float(cell["beta"]), 0.999))
    generator, play = RMSprop(float(cell["rate"])), Alternating(1 if arm == "gan" else 5)
    if arm in ("gan", "gan5"):
        return Method(arm, losses.non_saturating, critic, generator, play)
    if arm == "clip":
        clip = Projection(partial(constraints.clip_weights_, bound=0.1))
        return Method(arm, losses.wasserstein, critic, generator, play, projection=clip)
    penalty = Penalty(penalties.gradient_penalty, {"weight": float(cell["weight"])})
    return Method(arm, losses.wasserstein, critic, generator, play, penalties=(penalty,))


def run_one(cell: Cell, seed: int, scale: Scale) -> Mapping[str, Any]:
    """One critic between two Gaussians, or the trails of one GAN."""
    (found,) = run_stack(cell, (seed,), scale)
    if isinstance(found, DivergedError):
        raise found
    return dict(found)


def run_stack(cell: Cell, seeds: Sequence[int], scale: Scale) -> Sequence[Any]:
    """The same for all seeds of a cell at once; critics between Gaussians one after another."""
    if cell["part"] == "slope":
        return [_between(cell, seed) for seed in seeds]
    return [one if isinstance(one, DivergedError) else _summary(one) for one in trails(method(cell), cell, seeds)]


def _summary(found: dict[str, list[float]]) -> Mapping[str, Any]:
    """Trails, how far each follows the distance in levels and in changes, late and early ends."""
    w1 = found["w1"]
    ends: dict[str, Any] = {"late": late(w1), "swing": max(w1[len(w1) // 2 :]) / float(np.median(w1[len(w1) // 2 :]))}
    for key in ("gap", "js", "cost"):
        trail = found[key]
        ends[f"{key}_follows"] = _rank(trail, w1)
        ends[f"{key}_moves"] = _rank(np.diff(trail), np.diff(w1))
    for key in ("w1", "gap", "js"):
        tenth = max(len(w1) // 10, 1)
        ends[f"{key}_first"] = float(np.mean(found[key][:tenth]))
        ends[f"{key}_last"] = float(np.mean(found[key][-tenth:]))
    if "shares" in found:
        ends |= {"modes": late(found["modes"]), "shares": late(found["shares"])}
    return {**ends, "trail": w1, "gaps": found["gap"], "estimates": found["js"], "costs": found["cost"]}


def _rank(x: Any, y: Any) -> float:
    """Rank correlation; 0 where one does not vary, or there are too few checkpoints to tell."""
    return float(stats.spearmanr(x, y).statistic) if len(x) > 3 and np.ptp(x) > 0 and np.ptp(y) > 0 else 0.0


def _between(cell: Cell, seed: int) -> Mapping[str, Any]:
    """Slope of what the critic puts out at fakes over the steepest between the means: of a GAN its probability."""
    rng, batch, half = torch.Generator().manual_seed(1000 * seed), int(cell["batch"]), float(cell["apart"]) / 2
    critic = mlp_critic((2,), width=int(cell["width"]), depth=int(cell["depth"]), rng=rng)
    game, centre = method(cell), torch.tensor([half, 0.0])
    optimizer = game.critic_optimizer.build(critic.parameters())
    if game.projection is not None:
        game.projection(critic)
    for _ in range(int(cell["steps"])):
        optimizer.zero_grad()
        real, fake = torch.randn(2, batch, 2, generator=rng)
        critic_objective(game, critic, real - centre, fake + centre, rng=rng).total.backward()
        optimizer.step()
        if game.projection is not None:
            game.projection(critic)
    path = torch.linspace(-half, half, 201)[:, None] * torch.tensor([1.0, 0.0])
    fakes = torch.randn(1000, 2, generator=rng) + centre
    squash = torch.sigmoid if cell["arm"] == "gan" else (lambda scores: scores)
    steepest, slopes = _slopes(critic, squash, path).max(), _slopes(critic, squash, fakes)
    return {"relative": float(slopes.mean() / steepest), "steepest": float(steepest), "slope": float(slopes.mean())}


def _slopes(critic: nn.Module, squash: Any, x: Tensor) -> Tensor:
    x = x.clone().requires_grad_()
    (found,) = torch.autograd.grad(squash(critic(x)).sum(), x)
    return found.norm(dim=1)


NEEDS = "20 processor minutes: tightrope study run wgan_plane"
CIRCLE: dict[str, Any] = {"part": "circle"}
CLIP = {**CIRCLE, "arm": "clip", "critic": "rmsprop"}
STILL, MOVING = ({**CIRCLE, "arm": "clip", "critic": "adam", "beta": beta} for beta in (0.0, 0.9))
RATES: dict[str, Any] = {"part": "rates"}
USUAL, FAST = ({**RATES, "critic_rate": rate} for rate in (5e-4, 5e-3))
HIGH = {"part": "high"}
MOMENTUM = Contrast(MOVING, STILL, ("beta",))
HASTE = Contrast(FAST, USUAL, ("critic_rate",))
WEIGHTY: dict[str, Any] = {"part": "weights"}
STRONG = Contrast({**WEIGHTY, "arm": "gp10"}, {**WEIGHTY, "arm": "gp"}, ("arm", "weight"))
FIVE = "five critic steps in both arms; the penalty is part of the method"
MODES = {arm: Contrast({"part": "ring", "arm": arm}, {"part": "ring", "arm": "gan5"}, ("arm", "weight"), alone=FIVE)
         for arm in ("clip", "gp")}  # fmt: skip
FALLS = 0.6
"""A loss that ends at less of its first checkpoints' mean has fallen; a pilot of others had 0.48 and 0.3."""


def _one(name: str, place: str, sentence: str, measure: str, quantity: str, where: Mapping[str, Any], *,
         above: float | None = None, below: float | None = None, paper: str = PAPER) -> Claim:  # fmt: skip
    return Claim(
        f"wgan-{name}", paper, place, sentence, WHEN,
        lambda rows: average(values(rows, measure), quantity, above=above, below=below), (where,),
        published="curves only", certainty="memory" if place == "figure 2" else "quoted", seeds=10, needs=NEEDS,
    )  # fmt: skip


def _two(name: str, place: str, sentence: str, contrast: Contrast, judge: Any, *, paper: str = PAPER,
         published: str = "no number") -> Claim:  # fmt: skip
    return Claim(f"wgan-{name}", paper, place, sentence, WHEN, judge, (contrast.treated, contrast.control),
                 (contrast,), published=published, certainty="quoted", seeds=10, needs=NEEDS)  # fmt: skip


def _ratio(measure: str, quantity: str, contrast: Contrast, **threshold: Any) -> Any:
    return lambda rows: paired_ratio(*pairs(rows, measure, contrast), quantity, **threshold)


def _more_modes(contrast: Contrast) -> Any:
    quantity = f"modes of {contrast.treated['arm']} less those of the GAN"
    return lambda rows: paired_difference(*pairs(rows, "shares", contrast), quantity, above=0.0)


def _doubles(rows: Sequence[Row]) -> Finding:
    """Last over first checkpoints; an estimate below a hundredth counts as one."""
    ends = zip(values(rows, "js_last"), values(rows, "js_first"), strict=True)
    found = [max(last, 0.01) / max(first, 0.01) for last, first in ends]
    return average(found, "Jensen-Shannon estimate, last over first", above=2.0, log=True)


def _flat(rows: Sequence[Row]) -> Finding:
    ends = zip(values(rows, "gap_last", **HIGH), values(rows, "gap_first", **HIGH), strict=True)
    return within([last / first for last, first in ends], "loss, last over first", FALLS, 1 / FALLS)


def _failed(rows: Sequence[Row]) -> str:
    """The claim is about runs that fail: at the high rate they must end farther away than at the usual one."""
    high, usual = (float(np.mean(values(rows, "w1_last", **arm))) for arm in (HIGH, USUAL))
    return "" if high > 2 * usual else f"runs at the high rate end at {high:.2f}, those at the usual one at {usual:.2f}"


RANK, CHANGES = "rank correlation along training", "rank correlation of changes"
LOSSES, COST = "figures 3 and 4", "figure 8"
CLAIMS = (
    _one("slope", "figure 2", "Between two Gaussians six deviations apart the GAN's critic is flat at the fakes: its "
         "probability slopes there at less than 0.05 of its steepest.", "relative", "slope at fakes over the steepest",
         {"part": "slope", "arm": "gan"}, below=0.05),
    _one("slope-clip", "figure 2", "The clipped critic keeps its slope there: more than half of its steepest.",
         "relative", "slope at fakes over the steepest", {"part": "slope", "arm": "clip"}, above=0.5),
    _one("slope-gp", "figure 2", "So does the critic with a gradient penalty: more than half of its steepest.",
         "relative", "slope at fakes over the steepest", {"part": "slope", "arm": "gp"}, above=0.5, paper=IMPROVED),
    _one("plane-follows", LOSSES, "On a circle a clipped WGAN's loss follows W1: rank correlation above 0.7.",
         "gap_follows", RANK, CLIP, above=0.7),
    _one("plane-moves", LOSSES, "There it follows W1 from checkpoint to checkpoint as well: changes correlate.",
         "gap_moves", CHANGES, CLIP, above=0.0),
    _one("plane-follows-gp", LOSSES, "On a circle WGAN-GP's loss (penalty weight 0.1) follows W1: above 0.7.",
         "gap_follows", RANK, {**CIRCLE, "arm": "gp"}, above=0.7),
    _one("plane-moves-gp", LOSSES, "With weight 0.1 it follows W1 from checkpoint to checkpoint as well.",
         "gap_moves", CHANGES, {**CIRCLE, "arm": "gp"}, above=0.0),
    _one("plane-follows-gp-10", LOSSES, "On a circle WGAN-GP's loss (penalty weight 10) follows W1: above 0.7.",
         "gap_follows", RANK, {**WEIGHTY, "arm": "gp10"}, above=0.7),
    _two("gp-weight-plane", "section 4", "On a circle a penalty weight of 10 ends at most at 1.25 of the W1 of 0.1.",
         STRONG, _ratio("late", "W1 of weight 10 over 0.1", STRONG, below=1.25), paper=IMPROVED,
         published="10 works on toys as on ImageNet"),
    Claim("wgan-plane-js", PAPER, "figure 4", "On a circle the GAN's Jensen-Shannon estimate (five critic steps) at "
          "least doubles in training.", WHEN, _doubles, ({**CIRCLE, "arm": "gan5"},), seeds=10,
          published="curves that rise", certainty="quoted", needs=NEEDS),
    _one("plane-js-follows", "figure 4", "That estimate does not follow W1: rank correlation below 0.7.", "js_follows",
         RANK, {**CIRCLE, "arm": "gan5"}, below=0.7),
    _one("generator-cost", COST, "On a circle a GAN's -log D cost does not follow W1: rank correlation below 0.7.",
         "cost_follows", RANK, {**CIRCLE, "arm": "gan"}, below=0.7),
    _one("generator-cost-five", COST, "Nor does it with five critic steps: below 0.7.", "cost_follows", RANK,
         {**CIRCLE, "arm": "gan5"}, below=0.7),
    _two("momentum", "section 4.3", "On a circle beta1 0.9 on a clipped critic ends at a larger W1 than beta1 0.",
         MOMENTUM, _ratio("late", "W1 of beta1 0.9 over 0", MOMENTUM, above=1.0)),
    _two("momentum-swings", "section 4.3", "With beta1 0.9 W1 swings more late in training than with 0: its largest "
         "over its median.", MOMENTUM, _ratio("swing", "swing of beta1 0.9 over 0", MOMENTUM, above=1.0)),
    _two("high-rate", "section 4.3", "On a circle ten times the rate on a clipped critic ends at a larger W1.", HASTE,
         _ratio("late", "W1 of the high rate over the usual", HASTE, above=1.0)),
    Claim("wgan-flat-loss", PAPER, "figure 3", "Where a clipped WGAN fails at twenty times the rate of both players "
          "its loss stays flat: last over first within 0.6 and 1.67.", WHEN, _flat, (HIGH, USUAL), check=_failed,
          seeds=10, published="a curve that does not fall", certainty="quoted", needs=NEEDS),
    _one("modes-ring", "section 4.3", "On eight Gaussians a clipped WGAN reaches more than 7 modes on average.",
         "shares", "modes", {"part": "ring", "arm": "clip"}, above=7.0),
    _one("modes-ring-gp", "section 4.3", "On eight Gaussians WGAN-GP (0.1) reaches more than 7 modes on average.",
         "shares", "modes", {"part": "ring", "arm": "gp"}, above=7.0, paper=IMPROVED),
    _two("modes-ring-gan", "section 4.3", "On eight Gaussians a clipped WGAN reaches more modes than a GAN with five "
         "critic steps.", MODES["clip"], _more_modes(MODES["clip"])),
    _two("modes-ring-gan-gp", "section 4.3", "On eight Gaussians WGAN-GP reaches more modes than that GAN.",
         MODES["gp"], _more_modes(MODES["gp"]), paper=IMPROVED),
)  # fmt: skip


def figures(rows: Sequence[Row]) -> Mapping[str, Picture]:
    """Distance, losses and the GAN's cost along training on the circle, means over seeds."""
    drawn: dict[str, Picture] = {}
    places = {"gp10": "weights"}
    for key, title in (("trail", "W1"), ("gaps", "Critic's gap"), ("estimates", "JS estimate"), ("costs", "-log D")):
        arms = ("gan", "gan5") if key in ("estimates", "costs") else tuple(COSTS)
        lines = [_mean(arm, met, key) for arm in arms
                 if (met := pick(rows, part=places.get(arm, "circle"), arm=arm, critic="rmsprop"))]  # fmt: skip
        if lines:
            drawn[title] = Chart(lines, title=f"{title}, circle", x_label="checkpoint", log=key == "trail")
    return drawn


def _mean(name: str, rows: Sequence[Row], key: str) -> Line:
    found = np.asarray([row.values[key] for row in rows if row.status == "ok"], dtype=float)
    return Line(name, np.arange(1.0, found.shape[1] + 1), found.mean(0))
