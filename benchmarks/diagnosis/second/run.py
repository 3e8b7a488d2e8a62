"""Runs the set, one row of a JSONL file per run; rows that are there already are not run again.

python -m benchmarks.diagnosis.second.run FILE.jsonl --access none|full|real_z [--role ...] [--minutes 25]
"""

from __future__ import annotations

import argparse
import json
import random
import time
from pathlib import Path

from . import plan
from .case import Case
from .watch import run

ORDER_SEED = 20261127


def ordered(cases: list[Case]) -> list[Case]:
    """Shuffled by a fixed seed; one case of each planted cause comes before the second of any."""
    cases = list(cases)
    random.Random(ORDER_SEED).shuffle(cases)
    met: set[str] = set()
    leading = [c for c in cases if not (c.causes[0] in met or met.add(c.causes[0]))]  # type: ignore[func-returns-value]
    return leading + [c for c in cases if c not in leading]


def planned(access: str) -> list[tuple[Case, int]]:
    """The runs of one access, in the frozen order: where time does not suffice, its head is the subset."""
    faults, twins = ordered(plan.faults()), plan.twins()
    if access == "none":
        return [(case, plan.PLAIN) for case in twins + faults]
    healthy = [(case, plan.WATCHED) for case in plan.oddities()]
    healthy += [(case, seed) for case in twins for seed in plan.TWIN_SEEDS]
    random.Random(ORDER_SEED + 1).shuffle(healthy)
    watched = [(case, plan.WATCHED) for case in faults]
    places = [(i / len(watched), job) for i, job in enumerate(watched)]
    places += [(i / len(healthy), job) for i, job in enumerate(healthy)]
    return [job for _, job in sorted(places, key=lambda pair: pair[0])]


def done(path: Path) -> set[tuple[str, int, str]]:
    if not path.exists():
        return set()
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return {(row["case"], row["seed"], row["access"]) for row in rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--access", choices=("none", "full", "real_z"), required=True)
    parser.add_argument("--role", choices=("fault", "oddity", "twin"))
    parser.add_argument("--only", default="")
    parser.add_argument("--minutes", type=float, default=1e9)
    options = parser.parse_args()
    there, began = done(options.file), time.process_time()
    for case, seed in planned(options.access):
        if (case.name, seed, options.access) in there or options.only not in case.name:
            continue
        if options.role and case.role != options.role:
            continue
        if time.process_time() - began > 60 * options.minutes:
            break
        row = run(case, seed, options.access)
        with options.file.open("a") as out:
            out.write(json.dumps(row, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
