"""One door to every diagnosis: of a monitor, a run folder, or the rows of a log."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from tightrope._plumbing.checks import check_number
from tightrope._plumbing.errors import UserError, UserTypeError
from tightrope._plumbing.files import as_path
from tightrope.doctor.what_if import ask_run
from tightrope.monitor import Diagnosis, Finding, Monitor
from tightrope.monitor.finding import ranked
from tightrope.monitor.rules.logged import from_rows
from tightrope.runs.record import RunRecord, read_run
from tightrope.runs.rows import decode


def diagnose(thing: Monitor | Path | str, *, what_if: bool = False, seconds: float = 60.0) -> Diagnosis:
    """What is wrong with a training, ranked, each finding with its evidence, remedy and confirming experiment.

    Args:
        thing: A :class:`~tightrope.monitor.Monitor`, the folder of a run, or a ``metrics.jsonl`` with a row per line.
        what_if: Where samples do not come closer to the data and nothing else explains it, play copies of the training
            on, as it is and with one change each, to find out what would help. Of a folder its newest checkpoint is
            taken; nothing in it changes.
        seconds: About how long the copies may take.

    Returns:
        The diagnosis. Of a folder or a file it rests on logged rows, and says what they cannot tell; what the run's own
        monitor found stands first.

    Raises:
        UserError: No such folder or file, or none with rows.

    Example:
        >>> from tightrope import doctor
        >>> from tightrope.monitor import Monitor
        >>> monitor = Monitor(nn.Linear(4, 2), nn.Linear(2, 1), loss="hinge", penalty="spectral_norm")
        >>> doctor.diagnose(monitor)[0].cause
        'constraint_missing'
    """
    check_number("seconds", seconds, 60.0)
    if isinstance(thing, Monitor):
        return thing.respond(seconds) if what_if else thing.diagnose()
    if not isinstance(thing, (str, Path)):
        raise UserTypeError(
            f"Expected a Monitor, a run folder or a metrics.jsonl, got a {type(thing).__name__}; pass one of these."
        )
    path = as_path(thing)
    if path.is_file():
        if what_if:
            raise UserError("Expected a Monitor or a run folder for what-ifs, got a file; copies need networks.")
        rows, wrong = decode(path, dict[str, Any])
        if not rows:
            why = f" ({wrong[0]})" if wrong else ""
            raise UserError(f"Expected a log with a JSON object per line, got none in {path}{why}; give metrics.jsonl.")
        return from_rows(rows)
    found = of_record(read_run(path))
    return ask_run(path, found, seconds) if what_if else found


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
