"""Distances over windows: they say that something is wrong, and abstain from naming a cause."""

from __future__ import annotations

from collections.abc import Iterator

from tightrope.monitor.finding import Finding
from tightrope.monitor.history import History

WARM = 100


def distances(history: History) -> Iterator[Finding]:
    """Samples that do not vary, run away from the data, or come no closer."""
    flat = history.where(lambda w: w.step >= 34 and w.numbers.get("spread", 1.0) < 0.005)
    if len(flat) >= 2 and flat.now:
        yield Finding(
            "mode_collapse_total",
            f"Samples differ {flat.last.numbers['spread']:.2g} times as much from each other as real ones.",
            {"spread": flat.last.numbers["spread"], "expected": "about 1"}, flat.since, "medium", "why it fails",
            candidates=("critic_too_weak", "generator_step_too_large", "rotation_undamped"),
        )  # fmt: skip
    series = history.series("distance")
    if len(series) < 6 or history.step < WARM:
        return
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
