"""What a run folder holds, read once and tolerantly: a report of a broken run is needed most."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from tightrope._plumbing.errors import UserError

Row = dict[str, Any]


@dataclass(frozen=True)
class Series:
    """One logged quantity over training.

    Attributes:
        steps: float64 ``[n]``, generator updates.
        images: float64 ``[n]``, real samples the critic has seen.
        values: float64 ``[n]``, finite.
    """

    steps: NDArray[np.float64]
    images: NDArray[np.float64]
    values: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True)
class Reading:
    """One measurement as stored in ``evaluations.jsonl``, with the protocol under which it holds."""

    name: str
    value: float
    interval: tuple[float, float] | None
    floor: float | None
    protocol: dict[str, Any]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Evaluation:
    """All measurements made at one step."""

    step: int
    images_seen: float
    readings: tuple[Reading, ...]


@dataclass(frozen=True)
class RunRecord:
    """One run, loaded. Every part may be missing; ``problems`` says what could not be read.

    Attributes:
        path: the run folder.
        config: what ``config.json`` holds.
        rows: the rows of ``metrics.jsonl`` in order of step; rows that a resumed run wrote anew replace the old ones.
        evaluations: the evaluations in order of step.
        conditioning: the rows of ``conditioning.jsonl`` in order of step.
        state: ``"running"``, ``"finished"``, ``"stopped"`` or ``"unknown"``.
        reason: why the run ended, in the words of ``status.json``.
        step: the last step known.
        images_seen: real samples seen by then.
        seconds: training time by then.
        samples: pairs of step and picture, oldest first.
        real: the picture of real samples.
        problems: one sentence for each thing that could not be read.
    """

    path: Path
    config: Row
    rows: tuple[Row, ...]
    evaluations: tuple[Evaluation, ...]
    conditioning: tuple[Row, ...]
    state: str
    reason: str
    step: int
    images_seen: float
    seconds: float
    samples: tuple[tuple[int, Path], ...]
    real: Path | None
    problems: tuple[str, ...]

    @property
    def name(self) -> str:
        """The name of the run folder."""
        return self.path.name

    def part(self, key: str) -> Row:
        """One part of the configuration, e.g. ``"method"``; empty if it is missing."""
        value = self.config.get(key)
        return value if isinstance(value, dict) else {}

    def series(self, key: str) -> Series:
        """One quantity over training, from the rows that hold a finite number for it."""
        found = [
            (row["step"], _number(row.get("images_seen"), row["step"]), row[key])
            for row in self.rows
            if is_number(row.get(key))
        ]
        table = np.asarray(found, np.float64).reshape(-1, 3)
        return Series(table[:, 0], table[:, 1], table[:, 2])

    def spectra(self) -> tuple[tuple[Row, dict[str, Row]], ...]:
        """The rows that hold critic spectra, each with its layers: name to sigma, stable rank and singular values."""
        found = []
        for row in self.rows:
            layers = row.get("spectra")
            if isinstance(layers, dict):
                good = {name: layer for name, layer in layers.items() if isinstance(layer, dict)}
                if good:
                    found.append((row, good))
        return tuple(found)


def read_run(path: Path) -> RunRecord:
    """Load a run folder.

    Args:
        path: the folder that ``tightrope train`` wrote.

    Returns:
        What it holds. A file that is missing, or a line that breaks off, leaves a sentence in ``problems``.

    Raises:
        UserError: if there is no such folder, or it holds neither ``config.json`` nor ``metrics.jsonl``.
    """
    path = Path(path)
    if not path.is_dir():
        raise UserError(
            f"Expected the folder of a run, but {path} {'is a file' if path.exists() else 'does not exist'}; "
            "give the folder that `tightrope train` wrote."
        )
    if not any((path / name).is_file() for name in ("config.json", "metrics.jsonl")):
        raise UserError(
            f"Expected the folder of a run, but {path} holds neither config.json nor metrics.jsonl; "
            "give the folder that `tightrope train` wrote."
        )
    problems: list[str] = []
    config = _read_object(path / "config.json", problems)
    rows = _in_order(path / "metrics.jsonl", problems)
    evaluations = tuple(_evaluation(row) for row in _in_order(path / "evaluations.jsonl", problems, needed=False))
    status = _read_object(path / "status.json", problems)
    last: Row = rows[-1] if rows else {}
    samples, real = _pictures(path / "samples")
    return RunRecord(
        path=path.resolve(),
        config=config,
        rows=rows,
        evaluations=evaluations,
        conditioning=_in_order(path / "conditioning.jsonl", problems, needed=False),
        state=str(status.get("state", "unknown")),
        reason=str(status.get("reason") or ""),
        step=_step(status, last),
        images_seen=_number(status.get("images_seen"), _number(last.get("images_seen"), 0.0)),
        seconds=_number(status.get("seconds"), _number(last.get("seconds"), 0.0)),
        samples=samples,
        real=real,
        problems=tuple(problems),
    )


def _step(status: Row, last: Row) -> int:
    """The step in ``status.json``, which a run that is still going writes less often than its rows."""
    logged = _number(last.get("step"), 0)
    known = _number(status.get("step"), logged)
    return int(max(known, logged) if status.get("state") == "running" else known)


def _read_object(path: Path, problems: list[str]) -> Row:
    if not path.is_file():
        problems.append(f"{path.name} is missing.")
        return {}
    try:
        value = json.loads(path.read_text(encoding="utf-8", errors="replace"))
    except json.JSONDecodeError as error:
        problems.append(f"{path.name} could not be read: {error}.")
        return {}
    if isinstance(value, dict):
        return value
    problems.append(f"{path.name} holds no JSON object.")
    return {}


def _in_order(path: Path, problems: list[str], *, needed: bool = True) -> tuple[Row, ...]:
    """The rows of a file by step: a resumed run replaces what it overlaps, two rows of one step are merged."""
    if not path.is_file():
        if needed:
            problems.append(f"{path.name} is missing.")
        return ()
    rows: list[Row] = []
    replaced = 0
    for row in _lines(path, problems):
        while rows and rows[-1]["step"] > row["step"]:
            rows.pop()
            replaced += 1
        if rows and rows[-1]["step"] == row["step"]:
            rows[-1] = {**rows[-1], **row}
        else:
            rows.append(row)
    if replaced:
        problems.append(f"{path.name}: {replaced} rows are left out because a resumed run went through them again.")
    return tuple(rows)


def _lines(path: Path, problems: list[str]) -> Iterator[Row]:
    broken = 0
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            row = None
        if isinstance(row, dict) and is_number(row.get("step")):
            yield {**row, "step": int(row["step"])}
        else:
            broken += 1
    if broken:
        lines = "1 line is" if broken == 1 else f"{broken} lines are"
        problems.append(f"{path.name}: {lines} left out because no row with a step could be read there.")


def _evaluation(row: Row) -> Evaluation:
    stored = row.get("measurements")
    readings = [_reading(item) for item in stored] if isinstance(stored, list) else []
    return Evaluation(
        step=row["step"],
        images_seen=_number(row.get("images_seen"), row["step"]),
        readings=tuple(reading for reading in readings if reading is not None),
    )


def _reading(item: Any) -> Reading | None:
    if not isinstance(item, dict) or not is_number(item.get("value")):
        return None
    interval, protocol, notes = item.get("interval"), item.get("protocol"), item.get("notes")
    whole = isinstance(interval, list) and len(interval) == 2 and all(is_number(end) for end in interval)
    return Reading(
        name=str(item.get("name", "unnamed")),
        value=float(item["value"]),
        interval=(float(interval[0]), float(interval[1])) if whole and isinstance(interval, list) else None,
        floor=float(item["floor"]) if is_number(item.get("floor")) else None,
        protocol=protocol if isinstance(protocol, dict) else {},
        notes=tuple(str(note) for note in notes) if isinstance(notes, list) else (),
    )


def _pictures(folder: Path) -> tuple[tuple[tuple[int, Path], ...], Path | None]:
    found = []
    for picture in folder.glob("step_*.png") if folder.is_dir() else ():
        match = re.fullmatch(r"step_(\d+)\.png", picture.name)
        if match:
            found.append((int(match.group(1)), picture))
    real = folder / "real.png"
    return tuple(sorted(found)), real if real.is_file() else None


def is_number(value: Any) -> TypeGuard[int | float]:
    """Whether a value read from JSON is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _number(value: Any, otherwise: float) -> float:
    return float(value) if is_number(value) else float(otherwise)
