"""Distances over windows: they say that something is wrong, and abstain from naming a cause."""

from __future__ import annotations

import math
from collections.abc import Iterator

from tightrope.monitor.finding import Finding
from tightrope.monitor.history import History, Seen
from tightrope.monitor.rules.shown import other_rows

WARM = 100
FEW, FEATURES, LEVELS = 256, 16, 8
"""Different rows below which critics of rows with so many numbers, of so many values, learn them by heart.

2006.06676 (figure 1): FID turns for the worse the sooner the fewer images there are, within the first of 25 million
already with 1000."""


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
    yield from _copied(history)
    series = history.series("distance")
    if len(series) < 6 or history.step < WARM:
        return
    narrow = spreads[-6:]
    still = max(narrow) < 1.2 * min(narrow) or (stuck(history) and narrow[-1] < 1.5 * sorted(spreads[:3])[1])
    if not flat.now and max(narrow) < 0.05 and still and series[-1][1] > 0.3:
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


def _copied(history: History) -> Iterator[Finding]:
    """Samples of different latents that are the same ones over and over, beside rows that all differ."""
    known = [w for w in history.windows if "distinct_fakes" in w.numbers and w.step >= 3]
    hits = [
        w for w in known
        if w.numbers["distinct_fakes"] < 0.25 and w.numbers.get("distinct_given", 0.0) > 0.9
        and w.numbers.get("distinct_in_batch", 0.0) > 0.9 and w.numbers.get("spread", 0.0) >= 0.05
    ]  # fmt: skip
    seen = Seen(hits, known)
    if len(seen) >= 4 and seen.now:
        share = seen.last.numbers["distinct_fakes"]
        yield Finding(
            "mode_collapse_partial", f"Of the samples of latents that all differ only {100 * share:.3g} % are "
            "different, to rounding; all rows of the data are.", {"distinct": share, "expected": 1.0}, seen.since,
            "medium", "why it fails", candidates=("mode_collapse_partial", "generator_ill_conditioned"),
        )  # fmt: skip


def overfitting(history: History) -> Iterator[Finding]:
    """Rows that were never shown score lower than shown ones, beyond chance, in most of the last windows.

    Source: 2006.06676, section 3.1, whose ``r_v`` compares training and validation scores against those of fakes.
    """
    last = [w for w in history.windows if "held_out_drop" in w.numbers][-6:]
    beyond = [w for w in last if w.numbers["held_out_drop"] > 0.3 and w.numbers["held_out_z"] > 4]
    if len(last) >= 5 and len(beyond) >= 4:
        drops = sorted(w.numbers["held_out_drop"] for w in beyond)
        others = sum(map(other_rows, last)) >= 4  # whose scores tell nothing of memory
        yield Finding(
            "critic_overfitting",
            f"Unseen rows score lower than training rows by {drops[len(drops) // 2]:.0%} of the gap from real to fake.",
            {"drop": drops[len(drops) // 2], "expected": "about 0"}, beyond[0].step, "low" if others else "medium",
            "unknown" if others else "why it fails",
        )  # fmt: skip


def few(history: History) -> Iterator[Finding]:
    """So few different rows of many numbers that most were shown again and again.

    Of ``n`` rows drawn evenly ``n (1 - exp(-s / n))`` are different once ``s`` were seen, give or take ``sqrt(n x (1 -
    (1 + s / n) x))`` with ``x = exp(-s / n)``; rows dealt out by epochs repeat later, so that ``n`` is found too large.
    """
    seen = [w.numbers for w in history.windows if "distinct_rows" in w.numbers]
    if len(seen) < 8 or history.step < 34 or seen[-1].get("features", 0.0) < FEATURES:
        return
    if seen[-1].get("levels", LEVELS) < LEVELS:  # words and other codes come again as they are, however many there are
        return
    shown, distinct = sum(n.get("batch", 0.0) for n in seen), seen[-1]["distinct_rows"]
    batch, most = seen[-1].get("batch", 0.0), _pool_at_most(shown, distinct)
    again = shown - distinct
    if batch and most < FEW and again > 3 * batch:
        yield Finding(
            "few_rows", f"Of {shown:.0f} rows of {seen[-1]['features']:.0f} numbers that the critic was shown in "
            f"windows {distinct:.0f} were different: there are {most:.0f} at most.",
            {"shown": shown, "distinct": distinct, "at_most": round(most), "expected": "thousands"}, history.step,
            "medium", "unknown",
        )  # fmt: skip


def _pool_at_most(shown: float, distinct: float) -> float:
    """The largest pool of which no more different rows would have come up, by three standard deviations."""
    n = max(distinct, 1.0)
    while n < 4 * FEW:
        x = math.exp(-shown / n)
        if n * (1 - x) - 3 * math.sqrt(max(0.0, n * x * (1 - (1 + shown / n) * x))) > distinct:
            return n
        n *= 1.02
    return math.inf


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


def encodings(history: History) -> bool:
    """Whether real rows are made by a network that learns from what the critic says of them."""
    return any(w.numbers.get("real_made", 0.0) for w in history.windows)


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
