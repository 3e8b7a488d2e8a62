"""Counts what the Monitor said: ``python -m benchmarks.diagnosis.report rows.jsonl [--markdown report.md]``.

A run is named rightly when a finding's cause is among the planted fault's right names (``faults.py``). A run is named
wrongly when the first finding, of medium or high confidence, names another cause; to begin with a finding that names
no cause (trouble of unknown cause, refuted and unexplained, no progress), or with one of low confidence, is to abstain.
On healthy runs every finding of medium or high confidence is a false alarm. Intervals are Wilson's, 95 %.
"""

from __future__ import annotations

import argparse
import json
import math
from collections import Counter, defaultdict
from pathlib import Path
from statistics import median
from typing import Any

from tightrope.monitor import CAUSES

from .faults import NAMELESS

Row = dict[str, Any]
SURE = ("high", "medium")


def wilson(hits: int, n: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's interval of a share."""
    if not n:
        return 0.0, 1.0
    p = hits / n
    centre, spread = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return max(0.0, (centre - spread) / (1 + z * z / n)), min(1.0, (centre + spread) / (1 + z * z / n))


def share(hits: int, n: int) -> str:
    """A share with its interval, in words."""
    low, high = wilson(hits, n)
    return f"{hits}/{n} = {100 * hits / n:.0f} % [{100 * low:.0f}, {100 * high:.0f}]" if n else "0/0"


def findings(row: Row, at: int = -1) -> list[list[Any]]:
    """The ranked findings at the end (or at another reading), without the one that says healthy."""
    verdicts = row.get("verdicts") or [(0, [])]
    return [f for f in verdicts[at][1] if f[0] != "healthy"]


def first(row: Row) -> str:
    """Right, wrong, or abstained: what stands first at the end."""
    found = findings(row)
    if found and found[0][0] in row["expected"]:
        return "right"
    return "wrong" if found and found[0][1] in SURE and found[0][0] not in NAMELESS else "abstained"


def among(row: Row, n: int = 3) -> bool:
    """Whether a right name is among the first n findings at the end."""
    return any(f[0] in row["expected"] for f in findings(row)[:n])


def step_found(row: Row) -> int | None:
    """First reading at which a right name stood first."""
    for step, found in row.get("verdicts", []):
        real = [f for f in found if f[0] != "healthy"]
        if real and real[0][0] in row["expected"]:
            return int(step)
    return None


def alarms(row: Row) -> list[str]:
    """Findings of medium or high confidence standing at the end."""
    return [f[0] for f in findings(row) if f[1] in SURE]


def passing(row: Row) -> list[str]:
    """Those that stood at any reading."""
    return sorted({f[0] for _, found in row.get("verdicts", []) for f in found if f[0] != "healthy" and f[1] in SURE})


def _part(title: str, rows: list[Row]) -> str:
    n, verdicts = len(rows), Counter(first(row) for row in rows)
    third = sum(among(row) for row in rows)
    return (
        f"| {title} | {n} | {share(verdicts['right'], n)} | {share(third, n)} | {share(verdicts['wrong'], n)} "
        f"| {verdicts['abstained']} |"
    )


def faults_part(rows: list[Row]) -> list[str]:
    """Planted runs: first, among three, wrongly named; damaged ones apart; exact causes apart."""
    hurt = [r for r in rows if r["damaged"]]
    lines = [
        "| planted runs | n | cause first | among three | wrong cause first | abstained |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        _part("damaged", hurt),
        _part("damaged, exact evidence exists", [r for r in hurt if r["evidence"] == "exact"]),
    ]
    lines += [_part("damaged, response or statistic", [r for r in hurt if r["evidence"] == "slow"])]
    lines += [_part("not damaged in the time given", [r for r in rows if not r["damaged"]]), _part("all", rows)]
    return lines


def healthy_part(rows: list[Row]) -> list[str]:
    """Healthy runs: alarms standing at the end and passing."""
    standing, ever = [r for r in rows if alarms(r)], [r for r in rows if passing(r)]
    lines = [f"Healthy runs with an alarm standing at the end: {share(len(standing), len(rows))}."]
    lines += [f"Healthy runs with an alarm at any reading: {share(len(ever), len(rows))}.", ""]
    said = Counter(cause for row in ever for cause in passing(row))
    stood = Counter(cause for row in standing for cause in alarms(row))
    lines += ["| false alarm | standing | ever |", "|---|---|---|"] if said else []
    lines += [f"| {cause} | {stood[cause]} | {n} |" for cause, n in said.most_common()]
    return lines


def rates_of_causes(rows: list[Row]) -> dict[str, list[int]]:
    """Per cause: healthy runs that end with it, that ever pass through it, and healthy runs in all."""
    sound = [r for r in rows if not r["fault"]]
    ever = Counter(cause for row in sound for cause in passing(row))
    stood = Counter(cause for row in sound for cause in set(alarms(row)))
    return {cause: [stood[cause], ever[cause], len(sound)] for cause in CAUSES if CAUSES[cause].kind != "state"}


def rates_part(rows: list[Row]) -> list[str]:
    """Each cause's own false-alarm rate; of those that never alarmed one line."""
    found = rates_of_causes(rows)
    lines = ["| cause | standing at the end | at any reading |", "|---|---|---|"]
    lines += [f"| {c} | {share(a, n)} | {share(b, n)} |" for c, (a, b, n) in found.items() if b]
    quiet = [c for c, (_, b, _) in found.items() if not b]
    n = sum(not r["fault"] for r in rows)
    top = 100 * wilson(0, n)[1]
    return [*lines, "", f"In none of {n} healthy runs (95 %: below {top:.2g} %): {', '.join(quiet)}."]


def when_part(rows: list[Row]) -> list[str]:
    """Step of the finding against step of the damage, for damaged runs."""
    hurt = [r for r in rows if r["damaged"]]
    found = [(r, step_found(r)) for r in hurt]
    seen = [(r, s) for r, s in found if s is not None]
    before = sum(s <= r["damage_step"] for r, s in seen)
    half = [(r, s) for r, s in found if r["half_lost_step"] is not None]
    in_time = sum(s is not None and s <= r["half_lost_step"] for r, s in half)
    exact = [s for r, s in seen if r["evidence"] == "exact"]
    slow = [s for r, s in seen if r["evidence"] == "slow"]
    lines = [
        f"Named first at some time, at or before the visible damage: {share(before, len(hurt))} of the damaged runs."
    ]
    lines += [f"Named first before half of the quality is lost: {share(in_time, len(half))}."]
    for name, steps in (("exact evidence", exact), ("response or statistic", slow)):
        if steps:
            lines.append(f"Step of the first right finding, {name}: median {median(steps):g}, latest {max(steps)}.")
    sharp = [r for r in rows if r["evidence"] == "exact"]
    early = sum((s := step_found(r)) is not None and s <= 3 for r in sharp)
    lines.append(
        f"Named first within three windows (steps 1, 2, 3), all runs with exact evidence: {share(early, len(sharp))}."
    )
    if hurt:
        lines.append(f"Step of visible damage: median {median(r['damage_step'] for r in hurt):g}.")
    return lines


def cause_part(rows: list[Row]) -> list[str]:
    """One line per fault, weak ones too, with what was said in place of the cause."""
    by = defaultdict(list)
    for row in rows:
        by[row["fault"]].append(row)
    lines = ["| fault | runs | damaged | first | among three | wrong first | step found | said first otherwise |"]
    lines.append("|" + "---|" * 8)
    for fault, runs in sorted(by.items()):
        verdicts = Counter(first(r) for r in runs)
        steps = [s for r in runs if (s := step_found(r)) is not None]
        other = Counter((findings(r) or [["nothing"]])[0][0] for r in runs if first(r) != "right")
        said = ", ".join(f"{cause} x{n}" for cause, n in other.most_common(3))
        hurt, third = sum(r["damaged"] for r in runs), sum(among(r) for r in runs)
        at = f"{median(steps):g}" if steps else ""
        lines.append(
            f"| {fault} | {len(runs)} | {hurt} | {verdicts['right']} | {third} | {verdicts['wrong']} | {at} | {said} |"
        )
    return lines


def confusion_part(rows: list[Row]) -> list[str]:
    """The confusion matrix without its diagonal: planted against wrongly named, over all runs."""
    pairs = Counter((r["fault"] or "healthy", findings(r)[0][0]) for r in rows if findings(r) and first(r) == "wrong")
    lines = ["| planted | named | runs |", "|---|---|---|"]
    return lines + [f"| {fault} | {cause} | {n} |" for (fault, cause), n in pairs.most_common()]


def calibration_part(rows: list[Row]) -> list[str]:
    """How often the first finding is right, by the confidence it states; a healthy run has no right finding."""
    lines = ["| stated confidence of the first finding | runs | right |", "|---|---|---|"]
    for level in ("high", "medium", "low"):
        said = [r for r in rows if findings(r) and findings(r)[0][1] == level and findings(r)[0][0] not in NAMELESS]
        lines.append(f"| {level} | {len(said)} | {share(sum(first(r) == 'right' for r in said), len(said))} |")
    return lines


def cost_part(rows: list[Row]) -> list[str]:
    """Process time with the Monitor over without, and whether it disturbed or failed."""
    ratios = sorted(
        r["seconds_monitored"] / r["seconds"] for r in rows if r.get("seconds_monitored") and r.get("seconds")
    )
    lines = []
    if ratios:
        lines.append(
            f"Time with over without the Monitor (process time, short runs with every={rows[0]['options']['every']}): "
            f"median {median(ratios):.2f}, worst tenth {ratios[int(0.9 * len(ratios))]:.2f}."
        )
    compared = [r for r in rows if r.get("undisturbed") is not None]
    changed = [r["key"] for r in compared if not r["undisturbed"]]
    broken = [f"{r['key']}: {r['problem']}" for r in rows if r.get("problem")]
    lines.append(
        f"Training disturbed (samples differ with the Monitor): {len(changed)} of {len(compared)} runs compared."
    )
    lines += [f"* {key}" for key in changed[:10]]
    lines.append(f"The Monitor raised: {len(broken)} runs.")
    return lines + [f"* {line}" for line in broken[:10]]


def report(rows: list[Row]) -> str:
    """The whole report in Markdown."""
    planted, sound = [r for r in rows if r["fault"]], [r for r in rows if not r["fault"]]
    parts = [
        ("Planted faults", faults_part(planted)),
        ("Healthy runs", healthy_part(sound)),
        ("Each cause's own false alarms", rates_part(rows)),
        ("When", when_part(planted)),
        ("Calibration", calibration_part(rows)),
        ("Cost", cost_part(rows)),
        ("Per fault", cause_part(planted)),
        ("Wrong names", confusion_part(rows)),
    ]
    made = Counter((r.get("access", "?"), str(r.get("options"))) for r in rows)
    head = "; ".join(f"{n} runs with access {access}, options {options}" for (access, options), n in made.items())
    return head + "\n\n" + "\n\n".join(f"## {title}\n\n" + "\n".join(lines) for title, lines in parts) + "\n"


def compact(rows: list[Row]) -> str:
    """Rows for keeping: at each change the first four findings and all sure ones, all else that the report needs."""
    lines = []
    for row in rows:
        kept: list[Any] = []
        for step, found in row.get("verdicts", []):
            short = [f[:3] for i, f in enumerate(found) if i < 4 or f[1] in SURE]
            if not kept or [f[:2] for f in kept[-1][1]] != [f[:2] for f in short]:
                kept.append([step, short])
        lines.append(json.dumps(row | {"verdicts": kept}, separators=(",", ":")))
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", type=Path, nargs="+")
    parser.add_argument("--markdown", type=Path, help="write it there instead of to the screen")
    parser.add_argument("--compact", type=Path, help="write the rows there, short enough to keep")
    parser.add_argument("--rates", type=Path, help="write each cause's false alarms there, for its page")
    options = parser.parse_args(arguments)
    rows = [json.loads(line) for path in options.rows for line in path.read_text().splitlines()]
    if options.compact:
        options.compact.write_text(compact(rows))
    if options.rates:
        options.rates.write_text(json.dumps(rates_of_causes(rows)).replace("], ", "],\n ") + "\n")
    text = report(rows)
    if options.markdown:
        options.markdown.write_text(text)
    else:
        print(text)


if __name__ == "__main__":
    main()
