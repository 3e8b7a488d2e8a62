"""Counts of the set: ``python -m benchmarks.diagnosis.ninth.report FOLDER PAGE.md``, as for the sixth set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.diagnosis.fourth import report
from benchmarks.diagnosis.ninth import plan
from benchmarks.diagnosis.third.rows import load


def both(path: Path) -> list[dict[str, Any]]:
    """The rows of both halves of a file."""
    return [row for half in "01" for row in load(path.with_name(path.name.replace("ninth_", f"ninth{half}_")))]


if __name__ == "__main__":
    report.CASES.update(plan.CASES)
    report.load = both
    report.main("ninth")
