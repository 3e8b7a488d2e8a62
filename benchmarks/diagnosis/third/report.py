# ruff: noqa: E501
"""Counts of the set: ``python -m benchmarks.diagnosis.third.report ROWS.jsonl NONE.jsonl third.md``.

What stands in the page before the first table is written by hand and kept; all tables are made anew.
"""

from __future__ import annotations

import math
import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.diagnosis.third.plan import CASES, FACTOR, SECOND_SEED, SEED
from benchmarks.diagnosis.third.rows import load

SURE = ("medium", "high")
NAMELESS = ("unknown_trouble", "no_progress", "refuted_unexplained")
Row = dict[str, Any]
WIDER = {  # labels found too narrow after the run: what was said is true of the loop as well
    "amp_digits/integer_division": "batch_repeated",
    "amp_digits/weight_zero": "penalty_detached",
    "ema_digits/no_r1": "penalty_detached",
    "gp_waves/not_added": "penalty_detached",
    "one_adam_moons/critic_group_missing": "optimizer_other_player",
    "wgan_grid/eight_rows_sixteen_times": "few_rows",
}


def wilson(k: int, n: int) -> tuple[float, float]:
    """95 % interval of a share."""
    if not n:
        return 0.0, 1.0
    z, p = 1.959964, k / n
    middle, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return max(0.0, (middle - half) / (1 + z * z / n)), min(1.0, (middle + half) / (1 + z * z / n))


def share(hits: Iterable[bool]) -> str:
    """Count, percentage and interval."""
    marks = list(hits)
    k, n = sum(marks), len(marks)
    low, high = wilson(k, n)
    return f"{k} of {n} ({100 * k / n:.0f} %, {100 * low:.0f} to {100 * high:.0f})" if n else "none"


def distances(rows: list[Row]) -> dict[tuple[str, int], float]:
    """End distance by case and seed; a run that broke, or whose samples are not finite, is infinitely far."""
    out: dict[tuple[str, int], float] = {}
    for row in rows:
        bad = not isinstance(row["distance"], float) or not math.isfinite(row["distance"])
        out.setdefault((row["key"], row["seed"]), math.inf if bad else row["distance"])
    return out


def ratio(key: str, far: dict[tuple[str, int], float]) -> float | None:
    """Mean distance over both seeds, in terms of the twin's; of the seeds for which both are there."""
    twin = key.split("/")[0] + "/healthy"
    seeds = [s for s in (SEED, SECOND_SEED) if (key, s) in far and (twin, s) in far]
    if not seeds:
        return None
    return sum(far[key, s] for s in seeds) / sum(far[twin, s] for s in seeds)


def sure(finding: Row) -> bool:
    """Medium or high."""
    return finding["confidence"] in SURE


def last(row: Row) -> list[Row]:
    """Findings at the end."""
    return row["readings"][-1]["findings"] if row["readings"] else []


def right(findings: list[Row], accepted: tuple[str, ...]) -> bool:
    """The first finding is sure and its cause is accepted."""
    return bool(findings) and sure(findings[0]) and findings[0]["cause"] in accepted


def wrong(findings: list[Row], accepted: tuple[str, ...]) -> bool:
    """The first finding is sure, names a cause, and not an accepted one."""
    return bool(findings) and sure(findings[0]) and findings[0]["cause"] not in (*accepted, *NAMELESS)


def among_three(findings: list[Row], accepted: tuple[str, ...]) -> bool:
    """An accepted cause is among the first three findings or their candidates."""
    named = {name for f in findings[:3] for name in (f["cause"], *f["candidates"])}
    return right(findings, accepted) or bool(named & set(accepted))


def found_at(row: Row, accepted: tuple[str, ...]) -> int | None:
    """First reading at which an accepted cause stood first and sure."""
    return next((r["at"] for r in row["readings"] if right(r["findings"], accepted)), None)


def table(title: str, groups: dict[str, list[Row]], far: dict[tuple[str, int], float]) -> list[str]:
    """Right, among three, wrong, by group."""
    out = [
        f"| {title} | runs | harmful | right first | among three | wrong first | right, harmful |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in sorted(groups):
        rows = groups[name]
        harmful = [r for r in rows if harm(r, far)]
        cells = [sum(f(last(r), CASES[r["key"]].accepted) for r in rows) for f in (right, among_three, wrong)]
        good = sum(right(last(r), CASES[r["key"]].accepted) for r in harmful)
        out.append(
            f"| {name} | {len(rows)} | {len(harmful)} | {cells[0]} | {cells[1]} | {cells[2]} | {good} of {len(harmful)} |"
        )
    return out


def harm(row: Row, far: dict[tuple[str, int], float]) -> bool:
    """Whether the planted fault damages the result."""
    found = ratio(row["key"], far)
    return found is not None and found > FACTOR


def criteria(rows: list[Row], far: dict[tuple[str, int], float], access: str) -> list[str]:
    """The table against what was asked."""
    faults = [r for r in rows if r["cause"] and r["access"] == access]
    healthy = [r for r in rows if not r["cause"] and r["access"] == access]
    harmful = [r for r in faults if harm(r, far)]
    exact = [r for r in harmful if r["kind"] == "exact"]
    unharmed = [r for r in healthy if not harm(r, far)]  # of a twin the ratio is 1
    accepted = {r["key"]: CASES[r["key"]].accepted for r in faults}
    early = [r for r in faults if r["kind"] == "exact" and not CASES[r["key"]].late]
    late = [r for r in faults if r["kind"] == "exact" and CASES[r["key"]].late]
    wider = {key: (*names, *filter(None, [WIDER.get(key)])) for key, names in accepted.items()}
    asked = ("50 %", "65 %") if access == "real_z" else ("85 %", "92 %")
    out = [
        f"| `{access}` | asked | here |",
        "|---|---|---|",
        f"| right first, harmful | {asked[0]} | {share(right(last(r), accepted[r['key']]) for r in harmful)} |",
        f"| among three, harmful | {asked[1]} | {share(among_three(last(r), accepted[r['key']]) for r in harmful)} |",
        f"| right first, harmful, exact | 98 % | {share(right(last(r), accepted[r['key']]) for r in exact)} |",
        f"| among three, harmful, exact | - | {share(among_three(last(r), accepted[r['key']]) for r in exact)} |",
        f"| wrong first, harmful | at most 5 % | {share(wrong(last(r), accepted[r['key']]) for r in harmful)} |",
        f"| harmful, and nothing said but healthy | - | {share(not last(r) for r in harmful)} |",
        f"| with the labels in doubt widened: right first, harmful | {asked[0]} | {share(right(last(r), wider[r['key']]) for r in harmful)} |",
        f"| likewise, exact | 98 % | {share(right(last(r), wider[r['key']]) for r in exact)} |",
        f"| likewise, wrong first | at most 5 % | {share(wrong(last(r), wider[r['key']]) for r in harmful)} |",
        f"| right first, all faults | - | {share(right(last(r), accepted[r['key']]) for r in faults)} |",
        f"| wrong first, all faults | - | {share(wrong(last(r), accepted[r['key']]) for r in faults)} |",
        f"| healthy, alarm at the end | at most 2 % | {share(any(sure(f) for f in last(r)) for r in healthy)} |",
        f"| healthy, alarm ever | at most 5 % | {share(any(sure(f) for d in r['readings'] for f in d['findings']) for r in healthy)} |",
        f"| the same without oddities that did harm, at the end | at most 2 % | {share(any(sure(f) for f in last(r)) for r in unharmed)} |",
        f"| the same without oddities that did harm, ever | at most 5 % | {share(any(sure(f) for d in r['readings'] for f in d['findings']) for r in unharmed)} |",
        f"| exact causes right by update 3 | all | {share((found_at(r, accepted[r['key']]) or 99) <= 3 for r in early)} |",
        f"| exact causes right by update 8 | - | {share((found_at(r, accepted[r['key']]) or 99) <= 8 for r in early)} |",
        f"| exact causes that begin later, right at the end | - | {share(right(last(r), accepted[r['key']]) for r in late)} |",
        f"| right first within the first half of the run, harmful | 80 % | {share((found_at(r, accepted[r['key']]) or 10**9) <= r['updates'] / 2 for r in harmful)} |",
    ]
    for style in ("functional_moons", "table_by_hand"):
        some = [r for r in harmful if not r["key"].startswith(style)]
        out.append(
            f"| right first, harmful, without `{style}` | - | {share(right(last(r), accepted[r['key']]) for r in some)} |"
        )
    for kind in ("exact", "response", "slow"):
        some = [r for r in faults if r["kind"] == kind]
        out.append(
            f"| right first, all faults, {kind} | - | {share(right(last(r), accepted[r['key']]) for r in some)} |"
        )
    return out


def misses(rows: list[Row], far: dict[tuple[str, int], float]) -> list[str]:
    """Each planted run that is not right, with what was said in its place."""
    out = ["| case | access | planted | kind | ratio | said first | others |", "|---|---|---|---|---|---|---|"]
    for row in sorted(rows, key=lambda r: (r["access"], r["key"])):
        if not row["cause"] or right(last(row), CASES[row["key"]].accepted):
            continue
        said = [f"{f['cause']} ({f['confidence']})" for f in last(row)]
        times = ratio(row["key"], far)
        shown = "?" if times is None else f"{times:.1f}"
        out.append(
            f"| {row['key']} | {row['access']} | {row['cause']} | {row['kind']} | {shown} | {said[0] if said else '-'} | {', '.join(said[1:3]) or '-'} |"
        )
    return out


def alarms(rows: list[Row]) -> list[str]:
    """Healthy runs with a sure finding at any reading."""
    out = ["| case | access | seed | finding | readings | at the end |", "|---|---|---|---|---|---|"]
    for row in rows:
        if row["cause"]:
            continue
        seen: dict[str, list[int]] = defaultdict(list)
        for reading in row["readings"]:
            for f in reading["findings"]:
                if sure(f):
                    seen[f["cause"]].append(reading["at"])
        ends = {f["cause"] for f in last(row) if sure(f)}
        out += [
            f"| {row['key']} | {row['access']} | {row['seed']} | {cause} | {at[0]} to {at[-1]}, {len(at)} times | {'yes' if cause in ends else 'no'} |"
            for cause, at in seen.items()
        ]
    return out


def calibration(rows: list[Row]) -> list[str]:
    """How often a first finding of each confidence is right, over planted runs with full access."""
    out = ["| confidence of the first finding | right cause |", "|---|---|"]
    for level in ("high", "medium", "low"):
        some = [
            r for r in rows if r["access"] == "full" and r["cause"] and last(r) and last(r)[0]["confidence"] == level
        ]
        out.append(f"| {level} | {share(last(r)[0]['cause'] in CASES[r['key']].accepted for r in some)} |")
    return out


def main() -> None:
    """Write all tables below the words of the page."""
    rows, plain = load(Path(sys.argv[1])), load(Path(sys.argv[2]))
    far = distances([*plain, *rows])
    full = [r for r in rows if r["access"] == "full" and r["cause"]]
    styles, causes = defaultdict(list), defaultdict(list)
    for row in full:
        styles[row["key"].split("/")[0]].append(row)
        causes[row["cause"]].append(row)
    both = [(a, b) for a in rows for b in plain if (a["key"], a["seed"]) == (b["key"], b["seed"])]
    same = share(a["distance"] == b["distance"] for a, b in both if a["updates"] == b["updates"])
    parts = [
        ("Against what was asked", [*criteria(rows, far, "full"), "", *criteria(rows, far, "real_z")]),
        ("Calibration, full access", calibration(rows)),
        ("Undisturbed", [f"The same end distance with and without a Monitor: {same}."]),
        ("By style, full access", table("style", styles, far)),
        ("By planted cause, full access", table("cause", causes, far)),
        ("Alarms in healthy runs", alarms(rows)),
        ("Planted runs that are not right", misses(rows, far)),
        (
            "Processor time",
            [
                f"With a Monitor {sum(r['seconds'] for r in rows) / 60:.1f} minutes, without {sum(r['seconds'] for r in plain) / 60:.1f}."
            ],
        ),
    ]
    page = Path(sys.argv[3])
    words = (
        page.read_text().split(f"## {parts[0][0]}")[0] if page.exists() else "# The third frozen set: what came out\n\n"
    )
    page.write_text(words + "\n".join(f"## {title}\n\n" + "\n".join(lines) + "\n" for title, lines in parts))


if __name__ == "__main__":
    main()
