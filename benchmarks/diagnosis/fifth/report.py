"""Counts of the set: ``python -m benchmarks.diagnosis.fifth.report FOLDER PAGE.md``, as in the fourth set's report."""

from __future__ import annotations

from benchmarks.diagnosis.fifth import plan
from benchmarks.diagnosis.fourth import report

if __name__ == "__main__":
    report.CASES.update(plan.CASES)
    report.main("fifth")
