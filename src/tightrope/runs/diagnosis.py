"""The diagnosis that a run folder holds: what its monitor wrote down, and what its logged rows tell."""

from __future__ import annotations

import dataclasses
import math
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from tightrope._plumbing.errors import UserError, printable
from tightrope.drawing.numbers import duration
from tightrope.monitor import SIGNALS, Diagnosis
from tightrope.monitor.responses import ANEW, open_question
from tightrope.monitor.rules.logged import from_rows
from tightrope.runs.earlier import from_json, in_order
from tightrope.runs.record import RunRecord
from tightrope.runs.rows import METRICS, decode

PROBE_STEPS, PROBE_SEEDS = 100, 4
WHAT_IF_SECONDS = 60
WATCHED = 34
"""Steps that a copy of a checkpoint is trained on before what-ifs, so that its monitor sees rows and gradients."""
_SIGNALS = SIGNALS.keys() - {"step", "images_seen", "seconds", "steps_per_second"}
_READ = (METRICS, "config.json", "status.json")


def of_record(record: RunRecord) -> Diagnosis:
    """The diagnosis of a run that was read: what its monitor wrote down, and what its rows tell."""
    logged = from_rows(record.rows, claims=_claims(record), reason=record.reason)
    found = _together(logged, record.diagnosis)
    unread = [p.rstrip(".") for p in record.problems if p.startswith(_READ) and "resumed run" not in p]
    return with_next_step(record, dataclasses.replace(found, not_checked=(*unread, *found.not_checked)))


def of_log(path: Path) -> Diagnosis:
    """The diagnosis of a log that another program wrote, a row per line, and what of it could not be read.

    Raises:
        UserError: It holds no row with a step and a number by one of our keys.
    """
    found, wrong = decode(path, dict[str, Any], foreign=True)
    rows = [{**row, "step": step} for row in found if (step := _whole(row.get("step"))) is not None]
    unread = [f"{len(wrong)} lines of {path.name} that hold no JSON object ({wrong[0]})"] if wrong else []
    if found and not rows:
        raise UserError(f"Expected rows with a whole number step in {path}, got {_listed(found)}; rename the counter.")
    if not found:
        why = f" ({wrong[0]})" if wrong else ""
        raise UserError(f"Expected a log with a JSON object per line, got none in {path}{why}; give metrics.jsonl.")
    if len(rows) < len(found):
        unread.append(f"{len(found) - len(rows)} rows without a whole number step")
    numbers = {key for row in rows for key, value in row.items() if isinstance(value, (int, float))}
    if not numbers & _SIGNALS:
        raise UserError(
            f"Expected numbers by the keys of signals, such as critic_loss and generator_loss, in {path}, got "
            f"{_listed(rows)}; rename yours."
        )
    if others := sorted({key for row in rows for key in row} - SIGNALS.keys()):
        unread.append(f"keys that are none of our signals: {printable(', '.join(others[:8])[:300])}")
    diagnosis = from_rows(rows)
    return dataclasses.replace(diagnosis, not_checked=(*diagnosis.not_checked, *unread))


def _whole(step: object) -> int | None:
    if isinstance(step, bool) or not isinstance(step, (int, float)) or not math.isfinite(step) or step % 1:
        return None
    return int(step)


def _listed(rows: Sequence[dict[str, Any]]) -> str:
    keys = list(dict.fromkeys(key for row in rows for key in row))
    return printable(", ".join(keys[:8])[:300]) or "empty objects"


def with_next_step(record: RunRecord, found: Diagnosis) -> Diagnosis:
    """A run's diagnosis with the command that finds out more, and its cost."""
    speeds = sorted(record.series("steps_per_second").values.tolist())
    return dataclasses.replace(
        found,
        next_step=command(
            record.path, found, speeds[len(speeds) // 2] if speeds else 0.0,
            record.part("method").get("hyperparameters") or {},
        ),
    )  # fmt: skip


def options_of(fix: str, hyperparameters: Mapping[str, Any]) -> str:
    """A fix as options of ``tightrope train`` for a method; empty where it has none for it.

    Args:
        fix: As ``tightrope probe --try`` takes it.
        hyperparameters: Of the method.
    """
    said: dict[str, str] = {}
    parts = dict(part.split("=", 1) for part in re.split(r"\+(?=[a-z])", fix) if "=" in part)
    rates = [float(parts[name]) for name in ("lr_generator", "lr_critic") if name in parts]
    if len(rates) == 2 and "learning_rate" in hyperparameters:  # one option for both players: the smaller one
        parts = {"learning_rate": f"{min(rates):g}", **{k: v for k, v in parts.items() if not k.startswith("lr_")}}
    for name, value in parts.items():
        kind, _, player = name.partition("_")
        if name == "penalty":
            of, _, value = value.partition(":")
            name = {"r1": "gamma", "r2": "gamma", "gp": "weight"}.get(of, "")
        elif kind == "lr":
            name = f"{player}_learning_rate" if player else "learning_rate"
        elif name == "beta1" and "betas" in hyperparameters:
            name, value = "betas", f"{value} {hyperparameters['betas'][1]:g}"
        if name not in hyperparameters or not value:
            return ""
        said[name] = value
    return " ".join(f"--{name.replace('_', '-')} {value}" for name, value in said.items())


def command(path: Path, found: Diagnosis, speed: float, hyperparameters: Mapping[str, Any] | None = None) -> str:
    """The command that finds out more: a fix measured over seeds where one is named, else copies.

    A fix of a run whose weights are past saving is measured from the first ones.

    Args:
        path: Run folder.
        found: What is known.
        speed: Steps per second, to say what it costs; 0 if unknown.
        hyperparameters: Of the run's method.
    """
    folder = shlex.quote(str(path))
    first = next((f for f in found if f.evidence.get("fix")), None)
    if first is not None:
        fix = str(first.evidence["fix"])
        options = options_of(fix, hyperparameters or {})
        anew = ANEW in first.remedy
        steps = 2 * PROBE_STEPS * PROBE_SEEDS
        cost = f"{steps} training steps" + (f", about {duration(steps / speed)}" if speed else "")
        then = f"tightrope train with {options} and all else as in this run begins anew with it"
        if not anew:
            then = f"tightrope train with --from {folder} {options} goes on with it"
        size = f"--steps {PROBE_STEPS} --seeds {PROBE_SEEDS}{' --anew' * anew}"
        return (
            f"tightrope probe {folder} --try {fix} {size} measures over "
            f"seeds whether it helps from {'the first weights' if anew else 'here'} on ({cost}; the run is not "
            "changed)." + (f" If it does, {then}." if options else "")
        )
    if not open_question(found) or any("on copies" in said for said in found.checked):
        return ""
    more = f" and {WATCHED} training steps" + (f", about {duration(WATCHED / speed)}" if speed else "")
    return (
        f"tightrope diagnose {folder} --what-if --seconds {WHAT_IF_SECONDS} plays copies of the newest checkpoint with "
        f"one change each and says what would help (at most {WHAT_IF_SECONDS * 3 // 2} s{more}; the run stays as it "
        "is)."
    )


def _claims(record: RunRecord) -> tuple[str, ...]:
    """What the run's method claims, as far as rows can be held against it."""
    method = record.part("method")
    return ("gp",) if str(method.get("name", "")).startswith("wgan_gp") else ()


def _together(logged: Diagnosis, kept: dict[str, Any] | None) -> Diagnosis:
    """What the monitor of a run wrote down, before what the rows tell."""
    if kept is None:
        return logged
    try:
        whole = from_json(kept)
    except msgspec.ValidationError:
        unread = "what the run's own monitor found, since its diagnosis.json cannot be read"
        return dataclasses.replace(logged, not_checked=(*logged.not_checked, unread))
    own = [f for f in whole.findings if f.cause != "healthy"]
    others = [f for f in logged.findings if f.cause != "healthy" and f.cause not in {g.cause for g in own}]
    return Diagnosis(
        in_order([*own, *others], whole) or logged.findings,
        logged.step,
        whole.checked + logged.checked,
        whole.not_checked,
    )
