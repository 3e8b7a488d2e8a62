"""What a run's monitor found before the run was resumed: kept until the new one has watched for as long."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from tightrope.monitor import Diagnosis, Finding
from tightrope.monitor.causes import CAUSES
from tightrope.monitor.finding import ranked

BEFORE = "before step"
"""How entries of ``Diagnosis.checked`` begin that tell of the training before it was resumed."""


class _Kept(msgspec.Struct, frozen=True):
    step: int = 0
    findings: tuple[dict[str, Any], ...] = ()
    checked: tuple[str, ...] = ()
    not_checked: tuple[str, ...] = ()


def from_json(kept: object) -> Diagnosis:
    """A diagnosis from what ``Diagnosis.to_json`` made of it.

    Raises:
        ValueError: It is something else.
    """
    whole = msgspec.convert(kept, _Kept)
    found = tuple(msgspec.convert(_known(entry), Finding) for entry in whole.findings)
    if not CAUSES.keys() >= {finding.cause for finding in found}:
        raise msgspec.ValidationError("a cause that nobody knows")
    return Diagnosis(found, whole.step, whole.checked, whole.not_checked)


def _known(entry: dict[str, Any]) -> dict[str, Any]:
    fields = ("cause", "sentence", "evidence", "since", "confidence", "damage", "candidates", "exact")
    return {key: value for key, value in entry.items() if key in fields}


def read_earlier(path: Path) -> Diagnosis | None:
    """The diagnosis that a file holds; None if there is none that can be read."""
    try:
        return from_json(msgspec.json.decode(path.read_bytes()))
    except (OSError, ValueError, RecursionError):  # a damaged one is written anew
        return None


def counted_from(found: Diagnosis, start: int) -> Diagnosis:
    """A diagnosis of a monitor that began to watch at a later step than the first, its steps counted from there.

    Args:
        found: What it found; its steps are its own.
        start: Generator updates before it began.
    """
    if not start:
        return found
    findings = tuple(replace(finding, since=finding.since + start) for finding in found.findings)
    resumed = f"steps from {start} on, where the run was resumed; sentences count from there"
    return replace(found, findings=findings, step=found.step + start, checked=(*found.checked, resumed))


def in_order(findings: Iterable[Finding], *told: Diagnosis) -> tuple[Finding, ...]:
    """Findings ranked, behind "healthy" where a diagnosis said so and there are remarks at most."""
    order = ranked(list(findings))
    if any(finding.confidence != "low" for finding in order):
        return tuple(order)
    return (*[f for part in told for f in part.findings if f.cause == "healthy"][:1], *order)


def together(found: Diagnosis, earlier: Diagnosis | None, start: int) -> Diagnosis:
    """What was found since a run was resumed, and before, as long as it was watched for longer before.

    Args:
        found: By the monitor of this process, its steps counted from the run's first.
        earlier: What was kept; None for nothing.
        start: Where the run was resumed.
    """
    watched = found.step - start
    if earlier is None or watched >= earlier.step:
        return found
    if not watched:
        return earlier
    own = [finding for finding in found.findings if finding.cause != "healthy"]
    causes = {finding.cause for finding in own}
    before = [f for f in earlier.findings if f.cause not in causes | {"healthy"} and f.confidence != "low"]
    every = in_order([*own, *before], found, earlier)
    told = [said if said.startswith(BEFORE) else f"{BEFORE} {start}: {said}" for said in earlier.checked]
    return replace(found, findings=every, checked=(*found.checked, *told))
