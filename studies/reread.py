"""Committed results read again with intervals that respect what shares a cell: nothing is run.

    python studies/reread.py

JC-5 (docs/conditioning.md) has 40 runs in 8 cells of rate and width: the cells are the independent units of a claim
over rates and widths. C4 (docs/convergence.md) is a ratio of means over five seeds: its interval is on the log scale.
"""

from __future__ import annotations

import json
from pathlib import Path

from tightrope.studies import statistics as over_seeds

RESULTS = Path(__file__).parents[1] / "docs" / "results"


def words(found: over_seeds.Interval) -> str:
    return f"{found.value:.2f} [{found.low:.2f}, {found.high:.2f}] from {found.n}"


def correlations(found: dict) -> None:
    cells = [(cell["rate"], cell["width"]) for cell in found["cells"] for _ in range(5)]
    scores, distances = ([point[key] for point in found["points"]] for key in ("score", "w1"))
    print(f"JC-5 pooled over 40 runs: {found['spearman']:.2f}; no interval, the runs share cells")
    print(f"JC-5 between the cells:   {words(over_seeds.correlation_between(scores, distances, cells))}")
    print(f"JC-5 within the cells:    {words(over_seeds.correlation_within(scores, distances, cells))}")
    for width in (32, 128):
        rows = [i for i, cell in enumerate(cells) if cell[1] == width]
        part = [[values[i] for i in rows] for values in (scores, distances)]
        between = over_seeds.correlation_between(part[0], part[1], [cells[i] for i in rows])
        print(f"JC-5 between the cells of width {width}: {words(between)}")


def ratios(arms: dict) -> None:
    for data in ("line", "circle", "segments"):
        plain, r1 = (arms[name]["data"][data]["w1"] for name in ("unregularised", "r1"))
        print(f"C4 {data}: unregularised over R1 {words(over_seeds.ratio(plain, r1, paired=False))}")


def dead(found: dict) -> None:
    for name in ("JC-3", "JC-4", "JC-6", "JC-3R", "JC-4R"):
        for arm, rows in found[name]["runs"].items():
            lost = [row["dead"] for row in rows if row.get("dead")]
            print(f"{name} {arm}: {len(rows)} runs, latents with a dead direction in {len(lost)} of them: {lost}")


def main() -> None:
    clamping = json.loads((RESULTS / "jacobian_clamping.json").read_text())
    correlations(clamping["JC-5"])
    ratios(json.loads((RESULTS / "convergence_2d.json").read_text())["arms"])
    dead(clamping)


if __name__ == "__main__":
    main()
