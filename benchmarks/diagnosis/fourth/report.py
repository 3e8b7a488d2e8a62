# ruff: noqa: E501
"""Counts of the set: ``python -m benchmarks.diagnosis.fourth.report FOLDER PAGE.md``.

``FOLDER`` holds ``fourth_full.jsonl``, ``fourth_real_z.jsonl`` and ``fourth_none.jsonl``. What stands in the page before
the first table is written by hand and kept; all tables are made anew. Counts are those of the third set's report.
"""

from __future__ import annotations

import sys
import textwrap
from collections import Counter, defaultdict
from pathlib import Path

from benchmarks.diagnosis.fourth.plan import CASES
from benchmarks.diagnosis.third.report import (
    Row,
    among_three,
    distances,
    found_at,
    harm,
    last,
    ratio,
    right,
    share,
    sure,
    wrong,
)
from benchmarks.diagnosis.third.rows import load

Far = dict[tuple[str, int], float]


def accepted(row: Row) -> tuple[str, ...]:
    """Causes that count as right for a row."""
    return CASES[row["key"]].accepted


def first_half(row: Row) -> bool:
    """An accepted cause stood first and sure within the first half of the run."""
    at = found_at(row, accepted(row))
    return at is not None and at <= row["updates"] / 2


def by_update(row: Row, limit: int) -> bool:
    """An accepted cause stood first and sure at an update up to this one."""
    at = found_at(row, accepted(row))
    return at is not None and at <= limit


def ever(row: Row) -> bool:
    """A sure finding at any reading."""
    return any(sure(f) for reading in row["readings"] for f in reading["findings"])


def criteria(rows: list[Row], far: Far, access: str) -> list[str]:
    """The table against what was asked."""
    faults = [r for r in rows if r["cause"] and r["access"] == access]
    healthy = [r for r in rows if not r["cause"] and r["access"] == access]
    harmful = [r for r in faults if harm(r, far)]
    exact = [r for r in harmful if r["kind"] == "exact"]
    unharmed = [r for r in healthy if not harm(r, far)]  # of a twin the ratio is 1
    early = [r for r in faults if r["kind"] == "exact" and not CASES[r["key"]].late]
    late = [r for r in faults if r["kind"] == "exact" and CASES[r["key"]].late]
    asked = ("50 %", "65 %") if access == "real_z" else ("85 %", "92 %")
    lines = [
        ("right first, harmful", asked[0], [right(last(r), accepted(r)) for r in harmful]),
        ("among three, harmful", asked[1], [among_three(last(r), accepted(r)) for r in harmful]),
        ("right first, harmful, exact", "98 %", [right(last(r), accepted(r)) for r in exact]),
        ("among three, harmful, exact", "-", [among_three(last(r), accepted(r)) for r in exact]),
        ("wrong first, harmful", "at most 5 %", [wrong(last(r), accepted(r)) for r in harmful]),
        ("harmful, and nothing said but healthy", "-", [not last(r) for r in harmful]),
        ("right first, all faults", "-", [right(last(r), accepted(r)) for r in faults]),
        ("among three, all faults", "-", [among_three(last(r), accepted(r)) for r in faults]),
        ("wrong first, all faults", "-", [wrong(last(r), accepted(r)) for r in faults]),
        ("healthy, alarm at the end", "at most 2 %", [any(sure(f) for f in last(r)) for r in healthy]),
        ("healthy, alarm ever", "at most 5 %", [ever(r) for r in healthy]),
        (
            "without oddities that did harm, at the end",
            "at most 2 %",
            [any(sure(f) for f in last(r)) for r in unharmed],
        ),
        ("without oddities that did harm, ever", "at most 5 %", [ever(r) for r in unharmed]),
        ("exact causes right by update 3", "all", [by_update(r, 3) for r in early]),
        (
            "of those right at the end, by update 3",
            "-",
            [by_update(r, 3) for r in early if right(last(r), accepted(r))],
        ),
        ("exact causes right by update 8", "-", [by_update(r, 8) for r in early]),
        ("exact causes that begin later, right at the end", "-", [right(last(r), accepted(r)) for r in late]),
        ("right first within the first half of the run, harmful", "80 %", [first_half(r) for r in harmful]),
    ]
    lines.extend(
        (f"right first, all faults, {kind}", "-", [right(last(r), accepted(r)) for r in faults if r["kind"] == kind])
        for kind in ("exact", "response", "slow")
    )
    return [
        f"| `{access}` | asked | here |",
        "|---|---|---|",
        *(f"| {name} | {want} | {share(marks)} |" for name, want, marks in lines),
    ]


def table(title: str, groups: dict[str, list[Row]], far: Far) -> list[str]:
    """Right, among three, wrong, by group."""
    out = [
        f"| {title} | runs | harmful | right first | among three | wrong first | right, harmful |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, rows in sorted(groups.items()):
        cells = [sum(f(last(r), accepted(r)) for r in rows) for f in (right, among_three, wrong)]
        harmful = [r for r in rows if harm(r, far)]
        good = sum(right(last(r), accepted(r)) for r in harmful)
        out.append(
            f"| {name} | {len(rows)} | {len(harmful)} | {cells[0]} | {cells[1]} | {cells[2]} | {good} of {len(harmful)} |"
        )
    return out


def misses(rows: list[Row], far: Far) -> list[str]:
    """Each planted run that is not right, with what was said in its place."""
    out = ["| case | access | planted | kind | ratio | said first | others |", "|---|---|---|---|---|---|---|"]
    for row in sorted(rows, key=lambda r: (r["access"], r["key"])):
        if not row["cause"] or right(last(row), accepted(row)):
            continue
        said = [f"{f['cause']} ({f['confidence']})" for f in last(row)] or ["-"]
        times = ratio(row["key"], far)
        shown = "?" if times is None else f"{times:.1f}"
        out.append(
            f"| {row['key']} | {row['access']} | {row['cause']} | {row['kind']} | {shown} | {said[0]} | {', '.join(said[1:3]) or '-'} |"
        )
    return out


def alarms(rows: list[Row], far: Far) -> list[str]:
    """Healthy runs with a sure finding at any reading."""
    out = ["| case | access | seed | finding | first at | at the end | ratio |", "|---|---|---|---|---|---|---|"]
    for row in rows:
        if row["cause"]:
            continue
        seen: dict[str, int] = {}
        for reading in row["readings"]:
            for f in reading["findings"]:
                if sure(f):
                    seen.setdefault(f["cause"], reading["at"])
        ends = {f["cause"] for f in last(row) if sure(f)}
        times = ratio(row["key"], far)
        shown = "?" if times is None else f"{times:.1f}"
        out += [
            f"| {row['key']} | {row['access']} | {row['seed']} | {cause} | {at} | {'yes' if cause in ends else 'no'} | {shown} |"
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
        out.append(f"| {level} | {share(last(r)[0]['cause'] in accepted(r) for r in some)} |")
    return out


def broken(rows: list[Row]) -> list[str]:
    """A line, wrapped, for each script and message, with the number of its runs."""
    counts = Counter((r["key"].split("/")[0], r["access"], r["error"]) for r in rows if r["error"])
    said = [f"* {style} ({access}, {count} runs): {error}" for (style, access, error), count in counts.items()]
    return [part for line in said for part in textwrap.wrap(line, 120, subsequent_indent="  ")] or ["None."]


def main(name: str = "fourth") -> None:
    """Write all tables below the words of the page; a later set has put its cases into ``CASES`` before."""
    folder, page = Path(sys.argv[1]), Path(sys.argv[2])
    rows = [row for access in ("full", "real_z") for row in load(folder / f"{name}_{access}.jsonl")]
    plain = load(folder / f"{name}_none.jsonl")
    far = distances([*plain, *rows])
    styles, causes = defaultdict(list), defaultdict(list)
    for row in rows:
        if row["access"] == "full" and row["cause"]:
            styles[row["key"].split("/")[0]].append(row)
            causes[row["cause"]].append(row)
    alone = {(r["key"], r["seed"]): r for r in plain}
    both = [(r, alone[r["key"], r["seed"]]) for r in rows if (r["key"], r["seed"]) in alone]
    same = share(repr(a["distance"]) == repr(b["distance"]) for a, b in both if a["updates"] == b["updates"])
    parts = [
        ("Against what was asked", [*criteria(rows, far, "full"), "", *criteria(rows, far, "real_z")]),
        ("Calibration, full access", calibration(rows)),
        ("Undisturbed", [f"The same end distance with and without a Monitor: {same}."]),
        ("By style, full access", table("style", styles, far)),
        ("By planted cause, full access", table("cause", causes, far)),
        ("Alarms in healthy runs", alarms(rows, far)),
        ("Planted runs that are not right", misses(rows, far)),
        ("Loops that broke", broken(rows)),
        (
            "Processor time",
            [
                f"With a Monitor {sum(r['seconds'] for r in rows) / 60:.1f} minutes, without {sum(r['seconds'] for r in plain) / 60:.1f}."
            ],
        ),
    ]
    words = (
        page.read_text().split(f"## {parts[0][0]}")[0]
        if page.exists()
        else f"# The {name} frozen set: what came out\n\n"
    )
    page.write_text(words + "\n".join(f"## {title}\n\n" + "\n".join(lines) + "\n" for title, lines in parts))


if __name__ == "__main__":
    main()
