"""Run the set: ``python -m benchmarks.diagnosis.fourth.run {none|watched} FOLDER [--seconds N]``.

One row per run in ``FOLDER/fourth_{none|full|real_z}.jsonl``, never repeated, in the frozen order; ``none`` is the
check of twins and harm without a Monitor. A reading is kept where its findings differ from those before, and the
last one; a sentence is kept of the first finding of the last reading.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from benchmarks.diagnosis.fourth.desk import play
from benchmarks.diagnosis.fourth.plan import unwatched, watched
from benchmarks.diagnosis.fourth.steps import STEPS
from benchmarks.diagnosis.third.rows import append, load


def short(readings: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Readings without repetitions and without most sentences."""
    kept, before = [], None
    for k, reading in enumerate(readings):
        said = [{**f, "sentence": ""} for f in reading["findings"]]
        final = k == len(readings) - 1
        if final or [(f["cause"], f["confidence"], f["candidates"]) for f in said] != before:
            findings = [{k: v for k, v in f.items() if k != "sentence"} for f in said]
            if final and findings:
                findings[0]["sentence"] = reading["findings"][0]["sentence"][:140]
            kept.append({"at": reading["at"], "findings": findings})
        before = [(f["cause"], f["confidence"], f["candidates"]) for f in said]
    return kept


def main(
    name: str = "fourth",
    player: Callable[..., Any] = play,
    steps: dict[str, int] = STEPS,
    orders: tuple[Callable[[], list[Any]], Callable[[], list[Any]]] = (unwatched, watched),
) -> None:
    """Play what has no row yet until the time is over; a later set hands in its own name, scripts and orders."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("which", choices=("none", "watched"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seconds", type=float, default=math.inf, help="wall clock after which no run is begun")
    args = parser.parse_args()
    torch.set_num_threads(1)
    begun = time.monotonic()
    jobs = [(c, s, "none") for c, s in orders[0]()] if args.which == "none" else orders[1]()
    files = {access: args.folder / f"{name}_{access}.jsonl" for access in ("none", "full", "real_z")}
    done = {(r["key"], r["seed"], r["access"]) for file in files.values() for r in load(file)}
    for case, seed, access in jobs:
        if (case.key, seed, access) in done:
            continue
        if time.monotonic() - begun > args.seconds:
            break
        result = player(case.style, case.changes, seed, access, steps[case.style])
        row: dict[str, Any] = {
            "key": case.key,
            "cause": case.cause,
            "kind": case.kind,
            "seed": seed,
            "access": access,
            "start": round(result.start, 4),
            "distance": result.distance,
            "updates": result.updates,
            "error": result.error,
            "seconds": round(result.seconds, 2),
        }
        if access != "none":
            row |= {"cost": round(result.cost, 3), "readings": short(result.readings)}
        append(files[access], row)


if __name__ == "__main__":
    main()
