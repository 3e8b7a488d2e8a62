"""Does my training work? Answered from measured distances and their intervals, or not at all."""

from __future__ import annotations

import itertools
import math
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from tightrope.drawing.numbers import count, number, plural, ratio
from tightrope.metrics import Measurement
from tightrope.monitor import Diagnosis
from tightrope.report.quantities import metric_label
from tightrope.report.verdict import newest, over_floor, primary
from tightrope.runs.record import RunRecord
from tightrope.runs.rows import EVALUATIONS

Trend = Literal["improving", "flat", "worse", "unknown"]

LEAST = 3
"""Measurements of one distance under one protocol, below which nothing is said of its course."""
DONE = 1.5
"""A distance below this multiple of its floor leaves little to gain."""
KEPT = 0.75
"""Share of its highest value below which diversity is said to have been lost."""


@dataclass(frozen=True)
class Course:
    """How the distance to the data has gone.

    Attributes:
        trend: ``"improving"``, ``"flat"``, ``"worse"``, or ``"unknown"``.
        sentence: It with its numbers.
        since: Step from which it is flat or worse.
        best: Step of the smallest distance; None without one.
    """

    trend: Trend
    sentence: str
    since: int | None = None
    best: int | None = None


@dataclass(frozen=True)
class _Point:
    step: int
    value: float
    low: float
    high: float


def course(record: RunRecord) -> Course:
    """Whether the run still improves, is flat, or is worse since a step: by the intervals of its measurements.

    Worse: the newest interval lies above that of the best measurement. Improving: it lies below that of every
    measurement of the first two thirds. Flat: neither; since the first measurement from which on all intervals meet the
    newest one. Without intervals the scatter of successive values stands for them.
    """
    measured = primary(newest(record))
    if measured is None and (unread := next((p for p in record.problems if p.startswith(EVALUATIONS)), "")):
        return Course("unknown", f"No distance to the data can be read, so nothing tells whether it works. {unread}")
    if measured is None:
        return Course("unknown", "No distance to the data was measured, so nothing tells whether it works.")
    points = _with_scatter(_points(record, measured))
    name, times = metric_label(measured.name), plural(len(points), "measurement")
    if len(points) < LEAST or any(math.isnan(p.low) for p in points):
        best = min(points, key=lambda p: p.value).step
        return Course("unknown", f"Too few measurements ({times} of the {name}) to say.", None, best)
    last, best_one = points[-1], min(points, key=lambda p: p.value)
    now = f"{number(last.value)} [{number(last.low)}, {number(last.high)}] at step {count(last.step)}"
    then = f"{number(best_one.value)} [{number(best_one.low)}, {number(best_one.high)}] at step {count(best_one.step)}"
    if last.low > best_one.high:
        text = f"Worse since step {count(best_one.step)}: the {name} is {now}, after {then}."
        return Course("worse", text, best_one.step, best_one.step)
    early = points[: max(1, len(points) * 2 // 3)]
    nearest = min(early, key=lambda p: p.low)
    if last.high < nearest.low:
        text = f"Still improving: the {name} is {now}, below every value up to step {count(early[-1].step)}."
        return Course("improving", text, None, best_one.step)
    meeting = list(itertools.takewhile(lambda p: p.low <= last.high and last.low <= p.high, reversed(points)))
    since = meeting[-1].step
    text = f"Flat since step {count(since)}: the {name} is {now}; the intervals of {len(meeting)} measurements meet."
    return Course("flat", text, since, best_one.step)


def _points(record: RunRecord, measured: Measurement) -> list[_Point]:
    """One point a step: an evaluation at the end may repeat the one before it."""
    found: dict[int, _Point] = {}
    for one in record.evaluations:
        for m in one.measurements:
            if m.name == measured.name and m.protocol == measured.protocol:
                low, high = m.interval or (math.nan, math.nan)
                found[one.step] = _Point(one.step, m.value, low, high)
    return list(found.values())


def _with_scatter(points: Sequence[_Point]) -> list[_Point]:
    """Points without an interval get twice the scatter of successive values, from five points on."""
    if len(points) < 5 or not any(math.isnan(p.low) for p in points):
        return list(points)
    half = points[len(points) // 2 - 1 :]
    jumps = [b.value - a.value for a, b in itertools.pairwise(half)]
    mean = sum(jumps) / len(jumps)
    scatter = math.sqrt(sum((j - mean) ** 2 for j in jumps) / max(1, len(jumps) - 1) / 2)
    return [replace(p, low=p.value - 2 * scatter, high=p.value + 2 * scatter) if math.isnan(p.low) else p
            for p in points]  # fmt: skip


def diversity(record: RunRecord) -> str:
    """How diverse the samples are beside real ones, from what was measured; says so where nothing was."""
    last = newest(record)
    said = []
    for m in last.measurements if last is not None else ():
        if any(word in m.name for word in ("recall", "coverage", "classes", "modes", "diversity")):
            beside = "" if m.floor is None else f" (real samples: {number(m.floor)})"
            said.append(f"{metric_label(m.name)} {number(m.value)}{beside}{_lost(record, m)}")
    return "Diversity: " + "; ".join(said) + "." if said else "Diversity was not measured."


def _lost(record: RunRecord, measured: Measurement) -> str:
    """Where it was much higher before, under the same protocol."""
    best = max(_points(record, measured), key=lambda p: p.value)
    return f", down from {number(best.value)} at step {count(best.step)}" if measured.value < KEPT * best.value else ""


def best_checkpoint(record: RunRecord, found: Course) -> str:
    """Which weights were the nearest to the data, and where they are kept."""
    if found.best is None:
        return ""
    kept = (record.path / "best.safetensors").is_file()
    where = "kept in best.safetensors" if kept else "not kept apart"
    return f"Nearest to the data at step {count(found.best)} of {count(record.step)}; these weights are {where}."


def next_step(record: RunRecord, found: Course, diagnosis: Diagnosis) -> str:
    """What to do now: the remedy of a finding, more steps, other weights, or nothing."""
    strong = [f for f in diagnosis if f.cause != "healthy" and f.confidence != "low"]
    if strong:
        return f"For the first finding: {strong[0].remedy} Then confirm it: {diagnosis.next_step or strong[0].confirm}"
    if diagnosis.next_step:
        return diagnosis.next_step
    run = shlex.quote(str(record.path))
    if found.trend == "unknown":
        return "Measure more often: tightrope train --evaluate-every, or tightrope evaluate now."
    if found.trend == "improving":
        watch = " and watch the diversity, which has fallen" if "down from" in diversity(record) else ""
        return f"Go on{watch}: tightrope resume {run} --more-steps {max(record.step, 1)}."
    measured = primary(newest(record))
    share = None if measured is None else over_floor(measured)
    if found.trend == "worse":
        return f"Use the weights of step {count(found.best or 0)}, and ask why: tightrope diagnose {run} --what-if."
    if share is not None and share < DONE:
        return f"Nothing: the distance is {ratio(share)} its floor, and little is left to gain."
    return f"Ask what would help: tightrope diagnose {run} --what-if."
