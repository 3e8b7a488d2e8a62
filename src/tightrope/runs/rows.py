"""Append-only records of a run, one JSON object per line, and the run's status."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from tightrope._plumbing.errors import UserError
from tightrope._plumbing.files import write_atomically


def append(path: Path, row: dict[str, Any]) -> None:
    """Append one row; numbers that are not finite are left out, since JSON has none.

    Raises:
        UserError: The file could not be written.
    """
    line = json.dumps(_finite(row), separators=(",", ":"))
    try:
        with path.open("a") as file:
            file.write(line + "\n")
            file.flush()
    except OSError as error:
        raise UserError(
            f"Could not write to {path} ({error.strerror or error}); free some space or check the folder, then resume."
        ) from error


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items() if not (isinstance(v, float) and not math.isfinite(v))}
    if isinstance(value, list):
        return [_finite(v) for v in value if not (isinstance(v, float) and not math.isfinite(v))]
    return value


def read(path: Path) -> list[dict[str, Any]]:
    """Rows of a record; a last line cut short by a kill is left out."""
    rows: list[dict[str, Any]] = []
    if not path.is_file():
        return rows
    for line in path.read_text(errors="replace").splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict):
            rows.append(row)
    return rows


def forget_after(path: Path, step: int) -> None:
    """Drop the rows of steps after ``step``, atomically: they will be run again from the checkpoint."""
    if path.is_file():
        kept = [row for row in read(path) if row.get("step", 0) <= step]
        write_atomically(path, "".join(json.dumps(row, separators=(",", ":")) + "\n" for row in kept).encode())


def write_status(run: Path, state: str, *, step: int, images_seen: int, seconds: float, reason: str = "") -> None:
    """Write ``RUN/status.json``: ``running``, ``finished`` or ``stopped``, and why."""
    status = {"state": state, "step": step, "images_seen": images_seen, "seconds": round(seconds, 3), "reason": reason}
    write_atomically(run / "status.json", (json.dumps(status) + "\n").encode())
