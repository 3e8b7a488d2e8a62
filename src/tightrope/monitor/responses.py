"""When copies are asked, and how what they answered joins the other findings."""

from __future__ import annotations

from dataclasses import replace

from tightrope.monitor.finding import Diagnosis, ranked
from tightrope.monitor.history import History

RANK, SLOW = 25, 30
FAR, GAIN = 0.1, 0.9
"""A distance from the data below which nothing has to be explained, and the ratio of thirds that is progress."""


def with_responses(found: Diagnosis, history: History) -> Diagnosis:
    """A diagnosis with the findings of the response tests made last, unless something stronger stands."""
    responses, said = history.responses
    checked = (*found.checked, said) if said else found.checked
    if not responses or explained(found):
        return replace(found, checked=checked)
    order = ranked([*(replace(f, rank=RANK) for f in responses), *(f for f in found if f.cause != "healthy")])
    healthy = tuple(f for f in found if f.cause == "healthy")
    order = order if any(f.confidence != "low" for f in order) else (*healthy, *order)
    return replace(found, findings=order, checked=checked)


def explained(found: Diagnosis) -> bool:
    """Whether exact evidence or bookkeeping already says why."""
    return any(f.cause != "healthy" and f.confidence != "low" and f.rank < RANK for f in found)


def worth_asking(history: History, found: Diagnosis) -> bool:
    """Whether the samples of the last windows are far from the data and have not come closer steadily, unexplained.

    Compared are the medians of three thirds of the windows: a training that swings is asked about, one that gains in
    the last third as in the one before is not.
    """
    series = [value for step, value in history.series("distance") if step > 3]
    if explained(found) or len(series) < 6:
        return False
    third = len(series) // 3
    first, middle, last = (
        sorted(part)[len(part) // 2] for part in (series[:third], series[third:-third], series[-third:])
    )
    return last > FAR and not (last < GAIN * middle and middle < GAIN * first)
