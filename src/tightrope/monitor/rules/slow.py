"""Distances over windows: they say that something is wrong, and abstain from naming a cause."""

from __future__ import annotations

from collections.abc import Iterator

from tightrope.monitor.claims import PLAYERS
from tightrope.monitor.finding import Finding
from tightrope.monitor.history import History

WARM = 100


def distances(history: History) -> Iterator[Finding]:
    """Samples that do not vary, run away from the data, or come no closer."""
    flat = history.where(lambda w: w.numbers.get("spread", 1.0) < 0.005, 34)
    spreads = [value for _, value in history.series("spread")]
    growing = len(spreads) > 3 and spreads[-1] > 1.5 * spreads[-4]  # small from the start, as initialised
    if len(flat) >= 2 and flat.now and not growing:
        yield Finding(
            "mode_collapse_total",
            f"Samples differ {flat.last.numbers['spread']:.2g} times as much from each other as real ones.",
            {"spread": flat.last.numbers["spread"], "expected": "about 1"}, flat.since, "medium", "why it fails",
            candidates=("critic_too_weak", "generator_step_too_large", "rotation_undamped"),
        )  # fmt: skip
    series = history.series("distance")
    if len(series) < 6 or history.step < WARM:
        return
    narrow = spreads[-6:]
    if not flat.now and max(narrow) < 0.05 and max(narrow) < 1.2 * min(narrow) and series[-1][1] > 0.3:
        yield Finding(
            "mode_collapse_total",
            f"Samples differ {narrow[-1]:.2g} times as much from each other as real ones, and no more than before.",
            {"spread": narrow[-1], "expected": "about 1"}, series[-6][0], "medium", "why it fails",
            candidates=("critic_too_weak", "generator_step_too_large", "rotation_undamped"),
        )  # fmt: skip
    if (
        min(narrow) >= 0.05
        and max(narrow) < min(0.5, 1.2 * min(narrow))
        and series[-1][1] > max(0.1, 0.9 * series[-6][1])
    ):
        yield Finding(
            "mode_collapse_partial",
            f"Samples differ {narrow[-1]:.2g} times as much from each other as real ones, and no more than before.",
            {"spread": narrow[-1], "expected": "about 1"}, series[-6][0], "medium" if max(narrow) < 0.3 else "low",
            "why it fails", candidates=("mode_collapse_partial", "generator_ill_conditioned", "critic_too_weak"),
        )  # fmt: skip
    start = series[0][1]
    last = [value for _, value in series[-6:]]
    if start > 0 and sum(value > 4 * start for value in last) >= 4 and last[-1] > 1:
        yield Finding(
            "unknown_trouble",
            f"Samples have run away: their distance to the data is {last[-1]:.3g}, {last[-1] / start:.3g} times that "
            "at the start.", {"distance": last[-1], "start": start}, _since(series, 4 * start),
            "medium" if history.step >= 2 * WARM else "low", "why it fails", candidates=_candidates(history),
        )  # fmt: skip
    elif last[-1] > 0.3 and sum(value > 0.85 * start for value in last) >= 5:
        yield Finding(
            "no_progress", f"The distance of samples to the data is {last[-1]:.3g}, after {start:.3g} at the start.",
            {"distance": last[-1], "start": start}, series[-6][0], "low", "why it fails",
            candidates=_candidates(history),
        )  # fmt: skip


def overfitting(history: History) -> Iterator[Finding]:
    """Rows that were never shown score lower than shown ones, beyond chance, in most of the last windows.

    Source: 2006.06676, section 3.1, whose ``r_v`` compares training and validation scores against those of fakes.
    """
    last = [w for w in history.windows if "held_out_drop" in w.numbers][-6:]
    beyond = [w for w in last if w.numbers["held_out_drop"] > 0.3 and w.numbers["held_out_z"] > 4]
    if len(last) >= 5 and len(beyond) >= 4:
        drops = sorted(w.numbers["held_out_drop"] for w in beyond)
        yield Finding(
            "critic_overfitting",
            f"Unseen rows score lower than training rows by {drops[len(drops) // 2]:.0%} of the gap from real to fake.",
            {"drop": drops[len(drops) // 2], "expected": "about 0"}, beyond[0].step, "medium", "why it fails",
        )  # fmt: skip


def memorising(history: History) -> Iterator[Finding]:
    """Samples lie far nearer to rows that were shown than to as many unseen ones: about equally near in sound runs."""
    others = sorted(value for _, value in history.series("other_share"))
    if others and others[len(others) // 2] > 0.3:  # a generator that is given rows and told to keep to them
        return
    last = [w for w in history.windows if "nearer" in w.numbers][-6:]
    near = [w for w in last if w.numbers["nearer"] < 0.5 and w.numbers["nearer_than_rows"] < 0.5]
    if len(last) >= 4 and len(near) >= 4:
        share = near[-1].numbers["nearer"]
        yield Finding(
            "generator_memorising", f"Samples lie {share:.2g} times as far from rows that were shown as from as many "
            "unseen ones.", {"ratio": share, "expected": "about 1"}, near[0].step, "medium", "why it fails",
        )  # fmt: skip


def stuck(history: History) -> bool:
    """Samples are far from the data and have not come closer, or have run away."""
    series = history.series("distance")
    if len(series) < 5 or history.step < 50:
        return False
    start = sum(value for _, value in series[:3]) / 3
    last = sorted(value for _, value in series[-5:])[2]
    return last > 0.15 and last > 0.8 * start


def halfway(history: History) -> bool:
    """After a hundred updates samples have gone less than half of the way."""
    series = [value for _, value in history.series("distance")]
    return history.step >= WARM and len(series) >= 8 and min(series[-3:]) > max(0.15, 0.5 * series[0])


def settings(history: History) -> Iterator[Finding]:
    """Settings far outside of what works, beside samples that do not come closer: named by what is set.

    Healthy: momentum up to 0.9, movement per update up to 0.02 of the parameters, rates within a factor of 20.
    """
    if not history.windows or history.step < 34:
        return
    far = stuck(history)
    last, first = history.windows[-8:], history.windows[1:8] if history.step >= 2 * WARM else []
    moved = {name: sorted(w.player(name).moved for w in last)[len(last) // 2] for name in PLAYERS}
    early = {name: sorted(w.player(name).moved for w in first)[len(first) // 2] if first else 0.0 for name in PLAYERS}
    most = {
        name: max(moved[name], early[name]) for name in PLAYERS
    }  # weights that have grown move by less of their own
    rates = {name: history.counters[name].top_rate for name in PLAYERS}
    momentum = max(w.player(name).momentum for w in last for name in PLAYERS)
    distance = (history.series("distance") or [(0, 0.0)])[-1][1]
    words = f"while samples do not come closer to the data (distance {distance:.3g})." if far else "which may be meant."
    yield from _thrown(history)
    burst = [name for name in PLAYERS if sum(w.player(name).moved > 0.5 for w in history.windows[:5]) >= 2]
    for name in burst if far else ():  # weights that have grown a hundredfold hardly move afterwards
        size = max(w.player(name).moved for w in history.windows[:5])
        yield Finding(
            f"{name}_step_too_large", f"In its first updates the {name} moved by up to {size:.2g} of its size at once, "
            f"at rate {rates[name]:.2g}, {words}", {"moved": size, "rate": rates[name], "expected": "below 0.02"}, 1,
            "medium", "why it fails",
        )  # fmt: skip
    for name, other in (PLAYERS, PLAYERS[::-1]):
        at_clip = history.claims.clip is not None or any(w.numbers.get("at_clip", 0.0) > 0 for w in last)
        clipped = name == "critic" and at_clip  # small weights, a large part of which moves
        if most[name] > 0.04 and far and not clipped:
            yield Finding(
                f"{name}_step_too_large", f"The {name} moves by {most[name]:.2g} of its size per update, {words}",
                {"moved": most[name], "expected": "below 0.02"}, last[0].step,
                "medium" if history.step >= WARM else "low", "why it fails",
            )  # fmt: skip
        elif rates[name] >= 0.02 and history.counters[name].adaptive:  # Adam and its kind move by the rate itself
            sure = history.step >= WARM and (far or halfway(history))
            yield Finding(
                f"{name}_step_too_large", f"The {name}'s rate is {rates[name]:.2g}, by which each parameter can move "
                f"per step, {words}", {"rate": rates[name], "expected": "about 0.001"}, 1,
                "medium" if sure else "low", "why it fails" if sure else "unknown",
            )  # fmt: skip
        if 0 < rates[name] <= rates[other] / (20 if far else 50) and moved[name] < moved[other] / 10:
            if far and (other in burst or (most[other] > 0.04 and not (other == "critic" and at_clip))):
                continue  # the other one's step is named as too large
            nothing = rates[name] <= rates[other] / 1000 and moved[name] < moved[other] / 100  # nobody means that
            yield Finding(
                f"{name}_step_too_small",
                f"The {name}'s rate is {rates[name]:.2g}, the {other}'s {rates[other]:.2g}, {words}",
                {"rate": rates[name], "other": rates[other]}, last[0].step, "medium" if far or nothing else "low",
                "why it fails" if far else "unknown",
            )  # fmt: skip
    if momentum > 0.92 and (far or halfway(history)):
        yield Finding(
            "momentum_too_high", f"Momentum is {momentum:.3g}, {words}", {"momentum": momentum, "expected": "0 to 0.9"},
            last[0].step, "medium", "why it fails",
        )  # fmt: skip


def _thrown(history: History) -> Iterator[Finding]:
    """Samples that the very first updates threw many spreads of the data away: no sound step moves them so far."""
    series = history.series("distance")
    first = [(step, value) for step, value in series if step <= 3]
    if len(first) < 2 or first[0][0] != 1:
        return
    step, most = max(first[1:], key=lambda one: one[1])
    if most > 10 + 20 * first[0][1]:
        rate = history.counters["generator"].top_rate
        yield Finding(
            "generator_step_too_large", f"After {step} updates at rate {rate:.2g} the distance of samples to the data "
            f"was {most:.3g}, from {first[0][1]:.3g}.", {"rate": rate, "distance": most, "expected": first[0][1]},
            step, "medium", "why it fails",
        )  # fmt: skip


def _since(series: list[tuple[int, float]], limit: float) -> int:
    return next(step for step, value in series if value > limit)


def _candidates(history: History) -> tuple[str, ...]:
    """What the critic's verdict leaves as candidates: which of them it is, a short trial tells."""
    auc = [value for _, value in history.series("auc")[-6:]]
    if auc and sum(auc) / len(auc) > 0.95:
        return ("critic_too_strong", "generator_gradient_vanishes", "generator_step_too_large")
    if auc and sum(auc) / len(auc) < 0.55:
        return ("critic_too_weak", "momentum_too_high", "generator_step_too_large", "penalty_too_strong")
    return ("momentum_too_high", "rotation_undamped", "generator_step_too_large", "critic_too_weak")
