"""Table and picture of the script before the study ``convergence``'s results.

python studies/convergence_picture.py docs/results/convergence_2d.json docs/results/convergence_2d.svg
"""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path

from tightrope.drawing.planes import COLOURS, INK, SOFT, Plane

ORDER = ("unregularised", "r1", "r2", "r3gan", "gp1", "gp5", "clip", "consensus")


def table(found: dict) -> str:
    names = list(found["floors"])
    lines = ["| method | steps | " + " | ".join(names) + " | critic's slope at the data (circle) |"]
    lines.append("|---|---|" + "---|" * (len(names) + 1))
    floor = " | ".join(f"{found['floors'][n]:.3f}" for n in names)
    lines.append(f"| *real against real* | | {floor} | |")
    for arm in (a for a in ORDER if a in found["arms"]):
        data = found["arms"][arm]["data"]
        cells = [f"{statistics.fmean(data[n]['w1']):.3f} ({statistics.stdev(data[n]['w1']):.3f})" for n in names]
        slope = statistics.fmean(data["circle"]["slope_at_data"])
        lines.append(f"| {arm} | {found['arms'][arm]['steps']} | {' | '.join(cells)} | {slope:.3g} |")
    return "\n".join(lines)


def picture(found: dict) -> str:
    arms = [a for a in ORDER if a in found["arms"]]
    parts, width, height = [], 250, 0
    for column, (name, floor) in enumerate(found["floors"].items()):
        values = {a: found["arms"][a]["data"][name]["w1"] for a in arms}
        top = 1.08 * max(max(v) for v in values.values())
        plane = Plane(
            (0.0, top), (-0.6, len(arms) - 0.4), name, "exact W1, dashed: real against real", "", width, False
        )
        plane.path([(floor, -1.0), (floor, len(arms))], SOFT, width=1.2, dashed=True)
        for row, arm in enumerate(reversed(arms)):
            colour = COLOURS[1] if arm == "unregularised" else COLOURS[0]
            plane.dots(
                [(v, row) for v in values[arm]], colour, radius=2.6, names=[f"{arm} {v:.3f}" for v in values[arm]]
            )
        picture = str(plane.render()).replace("<svg ", f'<svg x="{110 + column * width}" width="{width}" ', 1)
        parts.append(picture)
        height = plane.height
        if not column:
            for row, arm in enumerate(reversed(arms)):
                _, y = plane.place((0.0, row))
                parts.append(f'<text x="112" y="{y + 4:.1f}" text-anchor="end" fill="{INK}">{arm}</text>')
    inner = "".join(f'<g font-family="sans-serif" font-size="12">{part}</g>' for part in parts)
    total = 110 + width * len(found["floors"])
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {total} {height}">'
        f'<rect width="{total}" height="{height}" fill="#ffffff"/>{inner}</svg>\n'
    )


def main() -> None:
    found = json.loads(Path(sys.argv[1]).read_text())
    print(table(found))
    if len(sys.argv) > 2:
        Path(sys.argv[2]).write_text(picture(found), encoding="utf-8")


if __name__ == "__main__":
    main()
