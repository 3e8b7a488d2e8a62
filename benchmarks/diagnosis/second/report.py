"""Tables from the rows: who was right, who was wrong, and how sure one can be of it.

python -m benchmarks.diagnosis.second.report docs/results/diagnosis/second.jsonl
"""

from __future__ import annotations

import json
import math
import statistics
import sys
import textwrap
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from . import plan
from .case import Case
from .watch import READINGS, WORST

VAGUE = ("unknown_trouble", "no_progress", "refuted_unexplained")  # they name no cause
FACTOR = 1.5
ZERO_TERM = ("generator_loss_without_critic",)
RELABELLED = {  # after the run, counted apart; the set and the labels above them stay
    # the loops add 0 * fake.sum() so that backward runs: that is a term which does not pass through the critic
    "projection-ring/detach_g": ZERO_TERM,
    "toggled-ring/detach_g": ZERO_TERM,
    "prepared-moons/detach_g": ZERO_TERM,
    "autocast-ring/detach_g": ZERO_TERM,
    "reversal-table/detach_g": ZERO_TERM,
    "toggled-digits/through_numpy": ZERO_TERM,
    # the penalty goes and plain gradient descent at 0.3 comes with it, which is itself a large step
    "by_hand-ring/set:r1=None,optimizer=sgd,lr=0.3,lr_critic=0.3,momentum=0.0": (
        "generator_step_too_large",
        "critic_step_too_large",
    ),
}


def wilson(k: int, n: int) -> str:
    """Share of n with the 95 % interval of Wilson."""
    if not n:
        return "0 of 0"
    z = 1.96
    centre, half = (k / n + z * z / (2 * n)), z * math.sqrt(k / n * (1 - k / n) / n + z * z / (4 * n * n))
    low, high = ((centre + sign * half) / (1 + z * z / n) for sign in (-1, 1))
    return f"{k} of {n} ({100 * k / n:.0f} %, {100 * max(low, 0):.0f} to {100 * high:.0f})"


def load(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def damage(rows: Iterable[dict[str, Any]], cases: dict[str, Case]) -> dict[str, float]:
    """Distance of each fault over that of its twin, means over the seeds that both have."""
    distances: dict[str, dict[int, float]] = defaultdict(dict)
    for row in rows:
        distances[row["case"]][row["seed"]] = row["distance"]
    ratio = {}
    for name, own in distances.items():
        case = cases[name]
        twin = distances.get(Case(case.base).name, {})
        seeds = sorted(set(own) & set(twin))
        if case.causes and seeds:
            ratio[name] = statistics.mean(own[s] for s in seeds) / statistics.mean(twin[s] for s in seeds)
    return ratio


def standing(row: dict[str, Any]) -> list[list[Any]]:
    """Findings of medium and high confidence at the end."""
    return [f for f in row["end"] if f[1] != "l"]


def verdict(row: dict[str, Any], causes: tuple[str, ...]) -> str:
    """Right, wrong or abstained, from the first finding at the end."""
    if not row["end"] or row["end"][0][1] == "l" or row["end"][0][0] in VAGUE:
        first = row["end"][0][0] if row["end"] and row["end"][0][1] != "l" else ""
        return "right" if first in causes else "abstained"
    return "right" if row["end"][0][0] in causes else "wrong"


def among(row: dict[str, Any], causes: tuple[str, ...], k: int = 3) -> bool:
    """Whether a right name is among the first k findings of any confidence, or the candidates of one of them."""
    named = [name for f in row["end"][:k] for name in (f[0], *(f[2] if len(f) > 2 else ()))]
    return any(name in causes for name in named)


def found_at(row: dict[str, Any], causes: tuple[str, ...]) -> int | None:
    """First reading at which a right cause stood first, with medium or high confidence."""
    return next((step for step, first in row["first"] if first in causes), None)


def windows(step: int) -> int:
    """How many readings there were up to a step."""
    return sum(1 for at in READINGS if at <= step) + (step // 20 - 34 // 20 if step > 34 else 0)


def table(rows: list[dict[str, Any]], cases: dict[str, Case], key: Callable[[Case], str], title: str) -> list[str]:
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        groups[key(cases[row["case"]])].append(row)
    lines = [f"| {title} | runs | first | among three | wrong first | abstained |", "|---|---|---|---|---|---|"]
    for name in sorted(groups):
        said = [(verdict(r, cases[r["case"]].causes), among(r, cases[r["case"]].causes)) for r in groups[name]]
        n, count = len(said), Counter(v for v, _ in said)
        third = sum(1 for v, a in said if v == "right" or a)
        lines.append(f"| {name} | {n} | {count['right']} | {third} | {count['wrong']} | {count['abstained']} |")
    return [*lines, ""]


def summary(rows: list[dict[str, Any]], cases: dict[str, Case]) -> list[str]:
    said = [(verdict(r, cases[r["case"]].causes), among(r, cases[r["case"]].causes)) for r in rows]
    n, count = len(said), Counter(v for v, _ in said)
    third = sum(1 for v, a in said if v == "right" or a)
    return [
        f"* right first: {wilson(count['right'], n)}",
        f"* among the first three: {wilson(third, n)}",
        f"* wrong first: {wilson(count['wrong'], n)}",
        f"* abstained: {wilson(count['abstained'], n)}",
        "",
    ]


def healthy(rows: list[dict[str, Any]]) -> list[str]:
    lines = []
    for role in ("twin", "oddity", ""):
        part = [r for r in rows if r["role"] == role or not role]
        end, ever = sum(1 for r in part if standing(r)), sum(1 for r in part if r["named"])
        lines.append(f"* {role or 'both'}: at the end {wilson(end, len(part))}; ever {wilson(ever, len(part))}")
    lines += ["", "| run | seed | at the end | ever (first step) |", "|---|---|---|---|"]
    for r in sorted(rows, key=lambda r: (r["case"], r["seed"])):
        if r["named"]:
            end = ", ".join(f"{f[0]} ({f[1]})" for f in standing(r)) or "-"
            ever = ", ".join(f"{name} ({step})" for name, step in r["named"].items())
            lines.append(f"| {r['case']} | {r['seed']} | {end} | {ever} |")
    return [*lines, ""]


def section(
    access: str,
    rows: list[dict[str, Any]],
    cases: dict[str, Case],
    ratio: dict[str, float],
) -> list[str]:
    faults = [r for r in rows if r["role"] == "fault"]
    harmful = [r for r in faults if ratio.get(r["case"], 0) > FACTOR or r["distance"] >= WORST]
    exact = [r for r in harmful if cases[r["case"]].evidence == "exact"]
    all_exact = [r for r in faults if cases[r["case"]].evidence == "exact"]
    lines = [
        f"## Access: {access}",
        "",
        f"{len(faults)} faults, {len(harmful)} of them harmful.",
        "",
        "In harmful runs:",
        "",
    ]
    lines += summary(harmful, cases)
    lines += ["In harmful runs that bookkeeping or ledger can know:", "", *summary(exact, cases)]
    lines += ["In all faults:", "", *summary(faults, cases)]
    if any(r["case"] in RELABELLED for r in harmful):
        wider = {n: replace(c, causes=c.causes + RELABELLED.get(n, ())) for n, c in cases.items()}
        lines += ["In harmful runs, the labels in doubt widened (see `RELABELLED` in `report.py`):", ""]
        lines += summary(harmful, wider)
    steps = [found_at(r, cases[r["case"]].causes) for r in all_exact]
    found = [s for s in steps if s is not None]
    quick = sum(1 for s in found if windows(s) <= 3)
    lines += [
        f"Exact causes, harmful or not: stood first at some reading in {wilson(len(found), len(steps))}; within three"
    ]
    lines += [f"windows in {wilson(quick, len(steps))}; median step {statistics.median(found) if found else '-'}.", ""]
    lines += ["### Harmful, by kind of evidence", "", *table(harmful, cases, lambda c: c.evidence, "evidence")]
    lines += ["### Harmful, by style", "", *table(harmful, cases, lambda c: c.base.style, "style")]
    lines += ["### All faults, by planted cause", "", *table(faults, cases, lambda c: c.causes[0], "cause")]
    lines += [
        "### Confusion: what stood first instead (all faults)",
        "",
        "| run | harmful | planted | stood first | then |",
    ]
    lines += ["|---|---|---|---|---|"]
    for r in sorted(faults, key=lambda r: r["case"]):
        case = cases[r["case"]]
        if verdict(r, case.causes) != "right":
            names = [f"{f[0]} ({f[1]})" for f in r["end"][:3]] or ["nothing"]
            harm = f"{ratio.get(r['case'], float('nan')):.2g}"
            lines.append(f"| {r['case']} | {harm} | {case.causes[0]} | {names[0]} | {', '.join(names[1:])} |")
    lines += ["", "### Healthy runs", "", *healthy([r for r in rows if r["role"] != "fault"])]
    if broken := [r for r in rows if "error" in r]:
        lines += ["Loops that broke: " + "; ".join(f"{r['case']}: {r['error']}" for r in broken), ""]
    return lines


def main() -> None:
    rows = load(Path(sys.argv[1]))
    cases = {case.name: case for case in plan.faults() + plan.oddities() + plan.twins()}
    ratio = damage([r for r in rows if r["access"] in ("none", "full")], cases)
    lines: list[str] = []
    for access in ("full", "real_z"):
        if part := [r for r in rows if r["access"] == access]:
            lines += section(access, part, cases, ratio)
    for line in lines:
        table = line.startswith("|")
        print(line if table else textwrap.fill(line, 118, break_long_words=False, break_on_hyphens=False))


if __name__ == "__main__":
    main()
