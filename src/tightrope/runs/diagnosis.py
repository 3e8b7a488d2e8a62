"""The diagnosis that a run folder holds: what its monitor wrote down, and what its logged rows tell."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import msgspec

from tightrope.monitor import Diagnosis, Finding
from tightrope.monitor.causes import CAUSES
from tightrope.monitor.finding import ranked
from tightrope.monitor.rules.logged import from_rows
from tightrope.runs.record import RunRecord


def of_record(record: RunRecord) -> Diagnosis:
    """The diagnosis of a run that was read: what its monitor wrote down, and what its rows tell."""
    logged = from_rows(record.rows, claims=_claims(record), reason=record.reason)
    return _together(logged, record.diagnosis)


def _claims(record: RunRecord) -> tuple[str, ...]:
    """What the run's method claims, as far as rows can be held against it."""
    method = record.part("method")
    return ("gp",) if str(method.get("name", "")).startswith("wgan_gp") else ()


def _together(logged: Diagnosis, kept: dict[str, Any] | None) -> Diagnosis:
    """What the monitor of a run wrote down, before what the rows tell."""
    if kept is None:
        return logged
    try:
        whole = msgspec.convert(kept, _Kept)
        found = [msgspec.convert(_known(entry), Finding) for entry in whole.findings]
        if not CAUSES.keys() >= {finding.cause for finding in found}:
            raise msgspec.ValidationError("a cause that nobody knows")
    except msgspec.ValidationError:
        unread = "what the run's own monitor found, since its diagnosis.json cannot be read"
        return dataclasses.replace(logged, not_checked=(*logged.not_checked, unread))
    own = [f for f in found if f.cause != "healthy"]
    others = [f for f in logged.findings if f.cause != "healthy" and f.cause not in {g.cause for g in own}]
    order: Sequence[Finding] = ranked([*own, *others])
    if all(f.confidence == "low" for f in order):
        order = [*(f for f in found if f.cause == "healthy"), *order]
    return Diagnosis(tuple(order) or logged.findings, logged.step, whole.checked + logged.checked, whole.not_checked)


class _Kept(msgspec.Struct, frozen=True):
    findings: tuple[dict[str, Any], ...] = ()
    checked: tuple[str, ...] = ()
    not_checked: tuple[str, ...] = ()


def _known(entry: dict[str, Any]) -> dict[str, Any]:
    fields = ("cause", "sentence", "evidence", "since", "confidence", "damage", "candidates")
    return {key: value for key, value in entry.items() if key in fields}
