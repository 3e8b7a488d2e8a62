"""Run the set: ``python -m benchmarks.diagnosis.third.run {none|watched} ROWS.jsonl [--seconds N]``.

One row per run, never repeated, in the frozen order; ``none`` is the check of twins and harm without a Monitor.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path

import torch
from benchmarks.diagnosis.third import rows
from benchmarks.diagnosis.third.desk import play
from benchmarks.diagnosis.third.plan import STEPS, unwatched, watched


def main() -> None:
    """Play what has no row yet until the time is over."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("which", choices=("none", "watched"))
    parser.add_argument("rows", type=Path)
    parser.add_argument("--seconds", type=float, default=math.inf, help="wall clock after which no run is begun")
    parser.add_argument("--most", type=int, default=None, help="at most so many runs of the order")
    args = parser.parse_args()
    torch.set_num_threads(1)
    begun = time.monotonic()
    jobs = [(c, s, "none") for c, s in unwatched()] if args.which == "none" else watched()
    done = {(row["key"], row["seed"], row["access"]) for row in rows.load(args.rows)}
    for case, seed, access in jobs[: args.most]:
        if (case.key, seed, access) in done:
            continue
        if time.monotonic() - begun > args.seconds:
            break
        result = play(case.style, case.changes, seed, access, STEPS[case.style])
        row = {
            "key": case.key,
            "cause": case.cause,
            "kind": case.kind,
            "seed": seed,
            "access": access,
            "start": result.start,
            "distance": result.distance,
            "updates": result.updates,
            "error": result.error,
            "seconds": round(result.seconds, 2),
        }
        row |= {"curve": result.curve} if access == "none" else {"cost": result.cost, "readings": result.readings}
        rows.append(args.rows, row)


if __name__ == "__main__":
    main()
