"""Rows of the set in files that are not too large to be committed: ``third.jsonl``, ``third.2.jsonl`` and so on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

MOST_BYTES = 190 << 10


def part(path: Path, number: int) -> Path:
    """The file of a number; the first has the plain name."""
    return path if number == 1 else path.with_name(f"{path.stem}.{number}{path.suffix}")


def parts(path: Path) -> list[Path]:
    """The files that there are, in their order."""
    found: list[Path] = []
    while (file := part(path, len(found) + 1)).exists():
        found.append(file)
    return found


def load(path: Path) -> list[dict[str, Any]]:
    """The rows of all parts; of a file that is not there, none."""
    return [json.loads(line) for file in parts(path) for line in file.read_text(encoding="utf-8").split("\n") if line]


def append(path: Path, row: dict[str, Any]) -> None:
    """Add a row to the last part, or begin another where that would grow too large."""
    line, found = f"{json.dumps(row)}\n", parts(path) or [path]
    full = found[-1].exists() and found[-1].stat().st_size + len(line.encode()) > MOST_BYTES
    with (part(path, len(found) + 1) if full else found[-1]).open("a", encoding="utf-8") as file:
        file.write(line)
