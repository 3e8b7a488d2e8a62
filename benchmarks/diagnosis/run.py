"""Trains the runs of a set and writes one JSON row per run; run again, it goes on where it stopped.

    python -m benchmarks.diagnosis.run --set dev --access full --seeds 1 --out rows.jsonl
    python -m benchmarks.diagnosis.run --set dev --access none --seeds 1 --out damage.jsonl   # without any Monitor

Each run is trained without the Monitor first (its distance from the data, its time) and its healthy twin too; both are
kept beside the rows in ``OUT.bare.jsonl``. Run with ``OMP_NUM_THREADS=1``.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections import Counter
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch

from .faults import FAULTS
from .job import Job
from .loops import loop_of
from .plan import Plan
from .sets import plans
from .watch import Monitored, Watch

ACCESS = ("none", "full", "optimizers", "real_z")


def trained(plan: Plan, access: str = "none", measured: bool = False, **options: Any) -> dict[str, Any]:
    """Trains one run and returns what was seen; a monitored run is measured at its end, or `measured` all along."""
    job = Job(plan)
    watch = Watch(job) if access == "none" else Monitored(job, access, **options)
    if measured:
        watch.draws_only = False
    began, crash = time.process_time(), ""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            loop_of(plan.style)(job, watch)
        except Exception as problem:  # a faulty script may end in an error of its own
            crash = f"{type(problem).__name__}: {problem}"[:300]
        watch.finish()
    watch.trace = watch.trace or [(0, 10.0)]  # it never began
    seen: dict[str, Any] = {"trace": watch.trace, "seconds": round(time.process_time() - began - watch.aside, 4)}
    seen["crash"] = crash
    if isinstance(watch, Monitored):
        seen |= {"verdicts": watch.verdicts, "problem": watch.problem, "told": sorted(watch.told)}
    return seen


def visible_damage(trace: list, twin: list) -> int | None:
    """First step from which the distance stays above twice the twin's + .05; None if the end is not so."""
    first = None
    for (step, value), (_, sound) in zip(trace, twin, strict=False):
        if value <= 2 * sound + 0.05:
            first = None
        elif first is None:
            first = step
    if len(trace) < len(twin) and first is None:
        return trace[-1][0] if trace else 0
    return first


def half_lost(trace: list, twin: list) -> int | None:
    """First step from which more than half of what the twin gains until its end is missing."""
    gain = twin[0][1] - twin[-1][1]
    first = None
    for (step, value), (_, sound) in zip(trace, twin, strict=False):
        if value - sound <= 0.5 * gain:
            first = None
        elif first is None:
            first = step
    return first


class Store:
    """Rows in a file, by key."""

    def __init__(self, path: Path) -> None:
        self.path = path
        lines = path.read_text().splitlines() if path.exists() else []
        self.rows = {row["key"]: row for row in map(json.loads, lines)}

    def add(self, row: dict[str, Any]) -> dict[str, Any]:
        """Appends a row at once: an interrupted set goes on after it."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a") as file:
            file.write(json.dumps(row) + "\n")
        self.rows[row["key"]] = row
        return row


def bare(plan: Plan, store: Store) -> dict[str, Any]:
    """The run without Monitor, from the store if it is there."""
    return store.rows.get(plan.key) or store.add({"key": plan.key, **trained(plan)})


def row_of(plan: Plan, access: str, store: Store, options: dict[str, Any], lean: bool = False) -> dict[str, Any]:
    """Everything about one run.

    Args:
        plan: the run.
        access: what the Monitor is told; ``none``: no Monitor.
        store: of runs without Monitor.
        options: the Monitor's.
        lean: where the store lacks the run without Monitor, take the damage from the monitored run, which is the same
            run; its time and whether it was disturbed are then unknown.
    """
    lean = lean and plan.key not in store.rows
    seen = trained(plan, access, measured=lean, **options) if access != "none" else None
    alone = seen if lean and seen else bare(plan, store)
    sound = bare(plan.twin(), store) if plan.fault else alone
    row: dict[str, Any] = {
        "key": plan.key,
        "style": plan.style,
        "data": plan.data,
        "recipe": plan.recipe.loss + ("+" + plan.recipe.penalty if plan.recipe.penalty else ""),
        "fault": plan.fault,
        "strength": plan.strength,
        "odd": plan.odd,
        "seed": plan.seed,
        "access": access,
        "steps": plan.steps,
        "expected": list(FAULTS[plan.fault].causes) if plan.fault else [],
        "evidence": FAULTS[plan.fault].evidence if plan.fault else "",
        "distance": alone["trace"][-1][1],
        "distance_start": alone["trace"][0][1],
        "distance_twin": sound["trace"][-1][1],
        "crash": alone["crash"],
        "seconds": None if lean else alone["seconds"],
    }
    row["damage_step"] = visible_damage(alone["trace"], sound["trace"]) if plan.fault else None
    row["damaged"] = row["damage_step"] is not None
    row["half_lost_step"] = half_lost(alone["trace"], sound["trace"]) if plan.fault else None
    if seen:
        row |= {"seconds_monitored": seen["seconds"], "verdicts": seen["verdicts"], "problem": seen["problem"]}
        row |= {
            "undisturbed": None if lean or alone["crash"] else tuple(seen["trace"][-1]) == tuple(alone["trace"][-1]),
            "told": seen["told"],
            "options": options,
        }
    return row


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", choices=("dev", "test"), required=True)
    parser.add_argument("--access", choices=ACCESS, default="full")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", default="", help="faults or oddities, with commas; 'healthy' for healthy runs")
    parser.add_argument("--places", type=int, default=0, help="only so many of a fault's places; 0: all")
    parser.add_argument("--every", type=int, default=10, help="the Monitor's windows")
    parser.add_argument("--budget", type=float, default=0.0, help="its share of time; 0: its default")
    parser.add_argument("--lean", action="store_true", help="train each run once, with the Monitor")
    parser.add_argument("--mixed", action="store_true", help="in an order that makes every beginning a fair sample")
    parser.add_argument("--shard", default="0/1", help="I/N: every N-th run from the I-th on")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    store, bare_store = Store(options.out), Store(options.out.with_suffix(".bare.jsonl"))
    settings = {"every": options.every} | ({"budget": options.budget} if options.budget else {})
    wanted = set(options.only.split(",")) if options.only else None
    mine, of = (int(part) for part in options.shard.split("/"))
    places: Counter[tuple[str, int]] = Counter()
    todo = plans(options.set, options.seeds)
    if options.mixed:
        todo.sort(key=lambda plan: sha256(plan.key.encode()).hexdigest())
    for i, plan in enumerate(todo):
        name = plan.fault or "healthy"
        places[name, plan.seed] += 1
        if plan.fault and options.places and places[name, plan.seed] > options.places:
            continue
        if i % of != mine or plan.key in store.rows or (wanted and not wanted & {name, plan.odd}):
            continue
        row = store.add(row_of(plan, options.access, bare_store, settings, options.lean))
        last = row.get("verdicts") or []
        print(f"{plan.key:<70} {row['distance']:7.3f} {row['distance_twin']:7.3f} {row['damage_step']!s:>5}", end=" ")
        print(
            f"{row['seconds'] or 0:5.2f}s",
            [f[0] for f in last[-1][1][:3]] if last else "",
            row["crash"][:60],
            flush=True,
        )


if __name__ == "__main__":
    main()
