"""When copies are asked, and how what they answered joins the other findings."""

from __future__ import annotations

from dataclasses import replace

from tightrope.monitor.finding import Diagnosis, Finding, ranked
from tightrope.monitor.history import History, Place
from tightrope.monitor.remedies import exact_change

RANK, SLOW = 25, 30
FAR, GAIN = 0.1, 0.9
"""A distance from the data below which nothing has to be explained, and the ratio of thirds that is progress."""
WORDS: dict[Place, str] = {
    "here": "Go on from where the training stands.",
    "fresh": "Go on from the present weights with new optimisers: their moments come from the fault.",
    "start": "Start again from the first weights: the networks as they are now are past saving.",
}


def with_responses(found: Diagnosis, history: History) -> Diagnosis:
    """A diagnosis with the findings of the response tests made last, unless something stronger stands."""
    found = replace(found, findings=tuple(_with_place(f, history) for f in found))
    responses, said = history.responses
    checked = (*found.checked, said) if said else found.checked
    if not responses or explained(found):
        return replace(found, checked=checked)
    order = ranked([*(replace(f, rank=RANK) for f in responses), *(f for f in found if f.cause != "healthy")])
    healthy = tuple(f for f in found if f.cause == "healthy")
    order = order if any(f.confidence != "low" for f in order) else (*healthy, *order)
    return replace(found, findings=order, checked=checked)


ANEW = "Start again from the first weights"
"""How the place is worded that leaves everything behind."""
NAMELESS = ("healthy", "unknown_trouble", "no_progress")
"""Findings that name no cause."""


def explained(found: Diagnosis) -> bool:
    """Whether exact evidence or bookkeeping already says why."""
    return any(f.cause not in NAMELESS and f.confidence != "low" and f.rank < RANK for f in found)


def open_question(found: Diagnosis) -> bool:
    """Whether something is wrong of which the cause is not named: where copies can find out more."""
    return not explained(found) and any(f.cause in NAMELESS[1:] or f.candidates for f in found)


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


def _with_place(finding: Finding, history: History) -> Finding:
    """A finding with its change in this training's numbers, and from where to go on with it.

    The place is what copies said, or what the distances of the windows say.
    """
    if finding.cause == "healthy" or finding.confidence == "low" or finding.damage == "harmless" or finding.exact:
        return finding
    change = exact_change(finding, history)
    words = WORDS[history.places[finding.cause]] if finding.cause in history.places else _lost(finding, history)
    if change is None and not words:
        return finding
    here = "" if change is None else f" Here: {change.said}"
    evidence = finding.evidence
    if change is not None and change.numbers:
        evidence = {**evidence, "numbers": dict(change.numbers), "fix": change.fix}
    return replace(finding, exact=f"{finding.remedy}{here}{words and ' ' + words}", evidence=evidence)


def _lost(finding: Finding, history: History) -> str:
    """Whether samples were nearer to the data before a finding began, or at the first window, than they are now."""
    if finding.cause == "non_finite":
        back = f"Go back to a checkpoint from before step {finding.since}" if finding.since > 1 else ANEW
        return f"{back}: parameters that are not finite do not heal."
    series = history.series("distance")
    if len(series) < 3:
        return ""
    now = sorted(value for _, value in series[-3:])[1]
    before = [value for step, value in series if step < finding.since]
    if len(before) >= 3 and finding.rank < RANK and now >= (near := sorted(before[-3:])[1]):
        gone = f"samples have come no nearer to the data since ({near:.2g}, now {now:.2g})"
        return f"Go back to a checkpoint from before step {finding.since}: {gone}."
    if now > series[0][1]:
        far = f"samples are farther from the data than at first ({series[0][1]:.2g}, now {now:.2g})"
        return f"{ANEW}: {far}."
    return ""
