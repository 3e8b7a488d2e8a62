"""How the players move: rates, movement per update, momentum, and which of them is ahead."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tightrope.monitor.claims import PLAYERS
from tightrope.monitor.finding import Finding
from tightrope.monitor.history import History
from tightrope.monitor.rules.slow import WARM, halfway, stuck

LARGE, BURST = 0.04, 0.3
"""Movement per update relative to the parameters that is unheard of in sound runs, and that of players thrown about."""
HIGH_RATE, EXTREME_RATE = 0.02, 0.05
"""Rates of optimisers that divide by the gradient's size: parameters of sound networks are about as large."""
HIGH_MOMENTUM, DOWNHILL = 0.92, 0.22
"""First momentum above all that is used, and the cosine of a step and the way down that sound players stay above."""


@dataclass(frozen=True)
class Moves:
    """What both players did.

    Attributes:
        far: Samples have not come closer to the data.
        moved: Median movement per update over the last windows, by player.
        most: The larger of it and the median of the first ones.
        rates: Largest rates.
        thrown: Players that went by a large part of their size at once in several of the first windows.
        clipped: Players of which a small weight is the constraint, so that much of it moves.
        words: What became of the samples.
    """

    far: bool
    moved: dict[str, float]
    most: dict[str, float]
    rates: dict[str, float]
    thrown: dict[str, float]
    clipped: tuple[str, ...]
    words: str


def steps(history: History) -> Iterator[Finding]:
    """Steps far too large or too small, by what is set and by what moves.

    Healthy: movement per update up to 0.02 of the parameters, rates within a factor of 20.
    """
    if not history.windows or history.step < 34:
        return
    moves = movements(history)
    yield from _away(history)
    large = list(_large(history, moves))
    yield from large
    named = {
        f.cause.partition("_")[0]
        for f in large
        if f.confidence != "low" or moves.rates[f.cause[: f.cause.index("_")]] >= EXTREME_RATE
    }
    for name, other in (PLAYERS, PLAYERS[::-1]):
        if other not in named:  # beside a step that is far too large any other one is small
            yield from _small(history, moves, name, other)


def movements(history: History) -> Moves:
    """What both players did."""
    last, first = history.windows[-8:], history.windows[1:8] if history.step >= 2 * WARM else []
    moved = {name: middle([w.player(name).moved for w in last]) for name in PLAYERS}
    early = {name: middle([w.player(name).moved for w in first]) for name in PLAYERS}
    begun = {name: [w.player(name).moved for w in history.windows[:5]] for name in PLAYERS}
    at_clip = history.claims.clip is not None or any(w.numbers.get("at_clip", 0.0) > 0 for w in last)
    clipped = ("critic",) if at_clip else ()
    thrown = {
        name: max(values) for name, values in begun.items()
        if name not in clipped and sum(value > BURST for value in values) >= 2
    }  # fmt: skip
    far, series = stuck(history), history.series("distance")
    distance = series[-1][1] if series else 0.0
    return Moves(
        far, moved, {name: max(moved[name], early[name]) for name in PLAYERS},
        {name: history.counters[name].top_rate for name in PLAYERS}, thrown, clipped,
        f"while samples do not come closer to the data (distance {distance:.3g})." if far else "which may be meant.",
    )  # fmt: skip


def hurled(history: History) -> bool:
    """Whether a player was thrown about at first, or has a rate at which it is: what came then may follow from it."""
    moves = movements(history)
    return bool(moves.thrown) or any(
        moves.rates[name] >= EXTREME_RATE and history.counters[name].adaptive for name in PLAYERS
    )


def middle(values: list[float]) -> float:
    """The median, 0 of none."""
    return sorted(values)[len(values) // 2] if values else 0.0


def _large(history: History, moves: Moves) -> Iterator[Finding]:
    for name in PLAYERS:
        rate, cause = moves.rates[name], f"{name}_step_too_large"
        adaptive = history.counters[name].adaptive
        if name in moves.thrown and (moves.far or (adaptive and rate >= EXTREME_RATE)):
            size = moves.thrown[name]  # weights that have grown a hundredfold hardly move afterwards
            yield Finding(
                cause, f"In its first updates the {name} moved by up to {size:.2g} of its size at once, at rate "
                f"{rate:.2g}, {moves.words}", {"moved": size, "rate": rate, "expected": "below 0.02"}, 1, "medium",
                "why it fails" if moves.far else "unknown",
            )  # fmt: skip
        elif moves.most[name] > LARGE and moves.far and name not in moves.clipped:
            yield Finding(
                cause, f"The {name} moves by {moves.most[name]:.2g} of its size per update, {moves.words}",
                {"moved": moves.most[name], "expected": "below 0.02"}, history.windows[-8:][0].step,
                "medium" if history.step >= WARM or (adaptive and rate >= EXTREME_RATE) else "low", "why it fails",
            )  # fmt: skip
        elif rate >= HIGH_RATE and adaptive:  # Adam and its kind move by the rate itself
            sure = history.step >= WARM and (moves.far or halfway(history))
            sure = sure or (moves.far and rate >= EXTREME_RATE)
            yield Finding(
                cause, f"The {name}'s rate is {rate:.2g}, by which each parameter can move per step, {moves.words}",
                {"rate": rate, "expected": "about 0.001"}, 1, "medium" if sure else "low",
                "why it fails" if sure else "unknown",
            )  # fmt: skip


def _small(history: History, moves: Moves, name: str, other: str) -> Iterator[Finding]:
    rate, beside, far = moves.rates[name], moves.rates[other], moves.far
    if not 0 < rate <= beside / (20 if far else 50) or moves.moved[name] >= moves.moved[other] / 10:
        return
    if far and moves.most[other] > LARGE and other not in moves.clipped:
        return
    idle = name == "critic" and rate <= beside / 50 and moves.moved[name] < moves.moved[other] / 20
    past = idle and _past(history)  # nothing holds the samples where the data are
    nothing = past or (rate <= beside / 1000 and moves.moved[name] < moves.moved[other] / 100)  # nobody means that
    yield Finding(
        f"{name}_step_too_small", f"The {name}'s rate is {rate:.2g}, the {other}'s {beside:.2g}, {moves.words}",
        {"rate": rate, "other": beside}, history.windows[-8:][0].step, "medium" if far or nothing else "low",
        "why it fails" if far else "unknown",
    )  # fmt: skip


def _past(history: History) -> bool:
    """Samples that spread beyond the data for good and come no closer, as nothing holds them back."""
    spreads, distances = ([value for _, value in history.series(name)] for name in ("spread", "distance"))
    if history.step < WARM or len(spreads) < 9:
        return False
    third = len(distances) // 3
    still = middle(distances[-third:]) > 0.9 * middle(distances[-2 * third : -third])
    return still and min(spreads[-6:]) > 1.2 and min(distances[-4:]) > 0.03


def _away(history: History) -> Iterator[Finding]:
    """Samples that the very first updates threw many spreads of the data away: no sound step moves them so far."""
    series = history.series("distance")
    first = [(step, value) for step, value in series if step <= 3]
    if len(first) < 2 or first[0][0] != 1:
        return
    step, most = max(first[1:], key=lambda one: one[1])
    if most > 10 + 20 * first[0][1]:
        counted = history.counters["generator"]
        rate, moved = counted.top_rate, max(w.generator.moved for w in history.windows if w.step <= 3)
        large = moved > LARGE or (counted.adaptive and rate >= HIGH_RATE)
        yield Finding(
            "generator_step_too_large", f"After {step} updates at rate {rate:.2g} the distance of samples to the data "
            f"was {most:.3g}, from {first[0][1]:.3g}.", {"rate": rate, "distance": most, "expected": first[0][1]},
            step, "medium" if large else "low", "why it fails",
        )  # fmt: skip


def momentum(history: History) -> Iterator[Finding]:
    """Momentum above all that is used, and steps that no longer follow the gradient, or samples that stay away.

    Source: Gidel et al. 2019 (1807.04740), section 5: in games momentum turns updates away from the equilibrium. Of
    sound runs the cosine of step and downhill gradient is 0.25 to 0.75 (median of the last six windows; RMSprop at its
    first steps 1).
    """
    if not history.windows or history.step < 34:
        return
    last = history.windows[-8:]
    value = max(w.player(name).momentum for w in last for name in PLAYERS)
    follows = {name: [d for w in last[-6:] if (d := w.player(name).downhill) is not None] for name in PLAYERS}
    middles = {name: middle(values) for name, values in follows.items() if len(values) >= 4}
    astray = min(middles.values(), default=1.0)
    away = stuck(history) or halfway(history)
    if value > HIGH_MOMENTUM and (away or astray < DOWNHILL):
        yield Finding(
            "momentum_too_high", f"Momentum is {value:.3g}"
            + (f", the cosine of a step and of the way down its gradient {astray:.2g}" if middles else "")
            + (", and samples do not come closer to the data." if away else "."),
            {"momentum": value, "cosine": round(astray, 3), "expected": "0 to 0.9, and 0.25 to 0.75"}, last[0].step,
            "medium", "why it fails" if away else "unknown",
        )  # fmt: skip


def vanishing(history: History) -> Iterator[Finding]:
    """The minimax generator's gradient is scaled by the probability that its samples are real: nothing of it is left.

    Source: 1406.2661, section 3: early in learning ``log(1 - D(G(z)))`` saturates.
    """
    claim, ends = history.claim, history.ends.get("critic")
    if claim is None or claim.name != "minimax" or history.step < 34:
        return
    limit = 0.01 if ends is not None and ends.kind == "probability" else -4.6
    seen = history.where(lambda w: w.numbers.get("d_fake", 1.0) < limit and w.numbers.get("auc", 0.0) > 0.95, 3)
    if len(seen) >= 4 and seen.now and (stuck(history) or halfway(history)):
        yield Finding(
            "generator_gradient_vanishes", "The critic gives generated rows a probability of less than 1 %, by which "
            f"the minimax loss scales the generator's gradient, in {len(seen)} windows; samples do not come closer.",
            {"score": seen.last.numbers["d_fake"], "expected": "about 0"}, seen.since, "medium", "why it fails",
        )  # fmt: skip
