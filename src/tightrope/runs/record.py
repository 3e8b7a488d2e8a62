"""What a run folder holds, read once: the one reader of report, comparison and commands.

Every line is decoded strictly, and one that is wrong is left out and said; the folder as a whole is read tolerantly,
for a report of a broken run is needed most.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from tightrope._plumbing.errors import UserError, printable
from tightrope._plumbing.files import as_path
from tightrope.runs.rows import (
    CONDITIONING,
    DIAGNOSIS,
    EVALUATIONS,
    METRICS,
    Evaluation,
    Followed,
    Layer,
    Logged,
    Status,
    decode,
    pictures,
)

Kind = TypeVar("Kind", Logged, Evaluation, Followed)


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
        seconds: time spent by then.
        samples: pairs of step and picture, oldest first; of a run that has ended, none from beyond its end.
        real: the picture of real samples.
        problems: one sentence for each thing that could not be read.
        diagnosis: what ``diagnosis.json`` holds, written by the run's own monitor; None without one.
        nearest: the picture of generated images beside the nearest training images.
    """

    path: Path
    config: dict[str, Any]
    rows: tuple[Logged, ...]
    evaluations: tuple[Evaluation, ...]
    conditioning: tuple[Followed, ...]
    state: str
    reason: str
    step: int
    images_seen: float
    seconds: float
    samples: tuple[tuple[int, Path], ...]
    real: Path | None
    problems: tuple[str, ...]
    diagnosis: dict[str, Any] | None = None
    nearest: Path | None = None

    @property
    def name(self) -> str:
        """The name of the run folder, fit to be shown."""
        return printable(self.path.name)

    def part(self, key: str) -> dict[str, Any]:
        """One part of the configuration, e.g. ``"method"``; empty if it is missing."""
        value = self.config.get(key)
        return value if isinstance(value, dict) else {}

    def series(self, key: str) -> Series:
        """One quantity over training, from the rows that hold a number for it."""
        found = [
            (row["step"], row.get("images_seen", row["step"]), row[key])
            for row in self.rows
            if isinstance(row.get(key), int | float)
        ]
        table = np.asarray(found, np.float64).reshape(-1, 3)
        return Series(table[:, 0], table[:, 1], table[:, 2])

    def spectra(self) -> tuple[tuple[Logged, dict[str, Layer]], ...]:
        """The rows that hold critic spectra, each with its layers by name."""
        found = ((row, row.get("spectra")) for row in self.rows)
        return tuple((row, layers) for row, layers in found if isinstance(layers, dict) and layers)


def read_run(path: Path) -> RunRecord:
    """Load a run folder.

    Args:
        path: the folder that ``tightrope train`` wrote.

    Returns:
        What it holds. A file that is missing, a line that is no row, and a link that leaves the folder each leave a
        sentence in ``problems``.

    Raises:
        UserError: if there is no such folder, or it holds neither ``config.json`` nor ``metrics.jsonl``.
    """
    path = as_path(path)
    if not path.is_dir():
        raise UserError(
            f"Expected the folder of a run, but {path} {'is a file' if path.exists() else 'does not exist'}; "
            "give the folder that `tightrope train` wrote."
        )
    if not any((path / name).is_file() for name in ("config.json", METRICS)):
        raise UserError(
            f"Expected the folder of a run, but {path} holds neither config.json nor metrics.jsonl; "
            "give the folder that `tightrope train` wrote."
        )
    folder = _Folder(path)
    config = folder.whole("config.json", dict[str, Any]) or {}
    rows = folder.in_order(METRICS, Logged)
    evaluations = folder.in_order(EVALUATIONS, Evaluation, needed=False)
    conditioning = folder.in_order(CONDITIONING, Followed, needed=False)
    status = folder.whole("status.json", Status) or Status()
    diagnosis = folder.whole(DIAGNOSIS, dict[str, Any], needed=False)
    step, images_seen, seconds = _stand(status, rows)
    real, nearest = (path / "samples" / name for name in ("real.png", "nearest.png"))
    return RunRecord(
        path=path.resolve(),
        config=config,
        rows=rows,
        evaluations=evaluations,
        conditioning=conditioning,
        state=status.state,
        reason=status.reason,
        step=step,
        images_seen=images_seen,
        seconds=seconds,
        samples=folder.samples(step if status.state in ("finished", "stopped") else math.inf),
        real=real if folder.holds(real) else None,
        diagnosis=diagnosis,
        nearest=nearest if folder.holds(nearest) else None,
        problems=tuple(folder.problems),  # last: the others are read before
    )


def _stand(status: Status, rows: tuple[Logged, ...]) -> tuple[int, float, float]:
    """Step, samples seen and seconds: of ``status.json``, or of the last row where a run that goes on has come farther.

    A run writes its status when it starts and when it ends; one that was killed left that of its start.
    """
    last: dict[str, Any] = dict(rows[-1]) if rows else {}
    logged = int(last.get("step", 0))
    if status.step is not None and (status.state != "running" or status.step >= logged):
        last = {"step": status.step, "images_seen": status.images_seen, "seconds": status.seconds}
    return int(last.get("step") or 0), float(last.get("images_seen") or 0.0), float(last.get("seconds") or 0.0)


class _Folder:
    """A run folder being read, with a sentence for each thing in it that could not be."""

    def __init__(self, path: Path) -> None:
        self.path, self.root = path, path.resolve()
        self.problems: list[str] = []

    def holds(self, path: Path) -> bool:
        """Whether a file is there, and inside the folder: what a link elsewhere shows is nobody's to publish."""
        if not path.is_file():
            return False
        if path.resolve().is_relative_to(self.root):
            return True
        self.problems.append(f"{path.relative_to(self.path)} is left out: it is a link that leaves the run folder.")
        return False

    def samples(self, last: float) -> tuple[tuple[int, Path], ...]:
        """Steps and sample pictures up to a step."""
        return tuple(pair for pair in pictures(self.path) if pair[0] <= last and self.holds(pair[1]))

    def has(self, name: str, *, needed: bool = True) -> bool:
        """Whether a record may be read; one that is missing is said if it is needed."""
        if needed and not (self.path / name).is_file():
            self.problems.append(f"{name} is missing.")
        return self.holds(self.path / name)

    def whole(self, name: str, kind: type[Any], *, needed: bool = True) -> Any:
        """What a file of one JSON object holds; None where it cannot be read."""
        if not self.has(name, needed=needed):
            return None
        try:
            return msgspec.json.decode((self.path / name).read_bytes(), type=kind)
        except OSError as error:
            self.problems.append(f"{name} could not be read: {error.strerror}.")
            return None
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            self.problems.append(f"{name} could not be read: {error}.")
            return None

    def in_order(self, name: str, kind: type[Kind], *, needed: bool = True) -> tuple[Kind, ...]:
        """The rows of a record by step: a resumed run replaces what it overlaps, two rows of one step are one."""
        if not self.has(name, needed=needed):
            return ()
        try:
            found, wrong = decode(self.path / name, kind)
        except OSError as error:
            self.problems.append(f"{name} could not be read: {error.strerror}.")
            return ()
        rows: list[tuple[int, Kind]] = []
        replaced = 0
        for row in found:
            if fault := _fault(row):
                wrong.append(fault)
                continue
            step: Any = row["step"] if isinstance(row, dict) else row.step
            while rows and rows[-1][0] > step:
                rows.pop()
                replaced += 1
            if rows and rows[-1][0] == step:
                _, last = rows.pop()
                if isinstance(last, dict) and isinstance(row, dict):
                    row.update({**last, **row})
                elif isinstance(last, Evaluation) and isinstance(row, Evaluation) and not row.measurements:
                    row = msgspec.structs.replace(last, error=row.error)
            rows.append((step, row))
        if wrong:
            lines = "1 line is left out" if len(wrong) == 1 else f"{len(wrong)} lines are left out, the first"
            self.problems.append(f"{name}: {lines}: {wrong[0]}.")
        if replaced:
            self.problems.append(f"{name}: {replaced} rows are left out because a resumed run went through them again.")
        return tuple(row for _, row in rows)


def _fault(row: Logged | Evaluation | Followed) -> str:
    """What a type cannot say of a row of metrics: it has a step, and nothing but spectra has parts."""
    if not isinstance(row, dict):
        return ""
    if not isinstance(row.get("step"), int):
        return "a row without a step"
    parts = [key for key, value in row.items() if isinstance(value, dict) and key != "spectra"]
    return f"expected a number at `$.{parts[0]}`, got an object" if parts else ""
