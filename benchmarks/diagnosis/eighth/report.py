"""Counts of the set: ``python -m benchmarks.diagnosis.eighth.report FOLDER PAGE.md``, as for the sixth set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.diagnosis.eighth import plan
from benchmarks.diagnosis.fourth import report
from benchmarks.diagnosis.third.rows import load


def both(path: Path) -> list[dict[str, Any]]:
    """The rows of both halves of a file."""
    return [row for half in "01" for row in load(path.with_name(path.name.replace("eighth_", f"eighth{half}_")))]


if __name__ == "__main__":
    report.CASES.update(plan.CASES)
    report.load = both
    report.main("eighth")
