"""What the benchmarks share: turns in process CPU time, ratios with their spread, a record as JSON; none itself.

A record has a claim, rows with a ratio to a baseline of the same run, and where it was measured.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

RESULTS = Path(__file__).parents[1] / "docs" / "results" / "bench"


@dataclass(frozen=True)
class Row:
    """One measured ratio: how many times as fast as the baseline, or how many times as expensive.

    Attributes:
        case: What was measured.
        median: Of the rounds' ratios.
        low: Smallest.
        high: Largest.
        bound: ``"at least"``, ``"at most"``, or ``"off one by at most"``.
        target: What the ratio should reach; None if there is no target.
        baseline_ms: Median CPU milliseconds of the baseline.
        ours_ms: Median CPU milliseconds of what is compared.
    """

    case: str
    median: float
    low: float
    high: float
    bound: str
    target: float | None
    baseline_ms: float
    ours_ms: float

    @property
    def reached(self) -> bool | None:
        """Whether the median keeps the target."""
        if self.target is None:
            return None
        if self.bound == "off one by at most":
            return abs(self.median - 1) <= self.target
        return self.median >= self.target if self.bound == "at least" else self.median <= self.target

    def __str__(self) -> str:
        target = "" if self.target is None else f"   {self.bound} {self.target:g}: {'yes' if self.reached else 'NO'}"
        return f"{self.case:<44} {figure(self.median)} ({figure(self.low)} to {figure(self.high)}){target}"


def figure(value: float) -> str:
    """A ratio in print: two decimals, or two digits where there are more zeros than that."""
    return f"{value:.2f}" if abs(value) >= 0.1 or value == 0 else f"{value:.2g}"


def interleaved(
    variants: dict[str, Callable[[], object]], *, rounds: int, steps: int = 1, warm_up: int = 1
) -> dict[str, list[float]]:
    """CPU seconds per step of each variant in every round; each goes first in turn."""
    spent: dict[str, list[float]] = {name: [] for name in variants}
    names = list(variants)
    for turn in range(-warm_up, rounds):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            began = time.process_time()
            for _ in range(steps):
                variants[name]()
            if turn >= 0:
                spent[name].append((time.process_time() - began) / steps)
    return spent


def faster(case: str, spent: dict[str, list[float]], ours: str, baseline: str, target: float | None = None) -> Row:
    """How many times as fast as the baseline."""
    times = spent[baseline], spent[ours]
    return row(case, [b / a for b, a in zip(*times, strict=True)], *times, target=target, bound="at least")


def dearer(case: str, spent: dict[str, list[float]], ours: str, baseline: str, target: float | None = None) -> Row:
    """How many times the baseline's cost."""
    times = spent[baseline], spent[ours]
    return row(case, [a / b for b, a in zip(*times, strict=True)], *times, target=target)


def row(
    case: str,
    ratios: Sequence[float],
    baseline: Sequence[float],
    ours: Sequence[float],
    *,
    target: float | None = None,
    bound: str = "at most",
) -> Row:
    """Of the rounds' ratios, and both sides' seconds."""
    ms = [1e3 * statistics.median(seconds) for seconds in (baseline, ours)]
    found = Row(case, statistics.median(ratios), min(ratios), max(ratios), bound, target, *ms)
    print(found, flush=True)
    return found


def options(document: str | None, rounds: int) -> argparse.ArgumentParser:
    """The options every script has."""
    parser = argparse.ArgumentParser(description=(document or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the JSON records")
    return parser


def record(
    folder: Path,
    claim: str,
    baseline: str,
    rows: Sequence[Row],
    absent: Sequence[str] = (),
    *,
    said: str = "",
    table: Sequence[Sequence[object]] = (),
    picture: str = "",
    details: object = None,
) -> None:
    """Write the record of the script that runs, under its name.

    Args:
        folder: Of the records.
        claim: Heading on the page.
        baseline: What is compared with.
        rows: Ratios.
        absent: What is not there to compare with.
        said: A paragraph below the ratios.
        table: Below that, its first row the heading.
        picture: File in ``folder``, shown on the page.
        details: What else was found, for the file alone.
    """
    folder.mkdir(parents=True, exist_ok=True)
    name = Path(sys.argv[0]).stem
    content = {
        "claim": claim,
        "baseline": baseline,
        "rows": [asdict(row) | {"reached": row.reached} for row in rows],
        "absent": list(absent),
        "machine": machine(),
    }
    more = {"said": said, "table": table, "picture": picture, "details": details}
    content |= {key: value for key, value in more.items() if value}
    (folder / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def machine() -> dict[str, object]:
    """Processor, versions, commit and load."""
    folder = Path(__file__).parent
    found = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=folder, capture_output=True, text=True, check=False
    )
    return {
        "processor": _processor(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "commit": found.stdout.strip() or "unknown",
        "load": round(os.getloadavg()[0], 1),
    }


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    named = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{named[0]}, {len(named)} cores" if named else platform.processor()
