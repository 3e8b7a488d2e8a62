"""Small multiples of line charts as one SVG file that needs nothing else; shared by the benchmark scripts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np

from tightrope.drawing.numbers import number
from tightrope.drawing.scales import Scale, choose_scale

COLOURS = ("#0b62a8", "#c4500a", "#1f7a4d", "#7b3fa0")
DASHES = ("none", "5 3", "2 2", "7 2 2 2")
WIDTH, HEIGHT, LEFT, TOP, BOTTOM, RIGHT = 210, 132, 44, 22, 26, 8


@dataclass(frozen=True)
class Panel:
    """One chart.

    Attributes:
        title: Written above it.
        x: Places from left to right, evenly spaced.
        ticks: What to write below each place; empty for nothing.
        lines: Values [len(x)] by name; NaN leaves a gap.
        log: A logarithmic axis suits the values.
    """

    title: str
    x: Sequence[float]
    ticks: Sequence[str]
    lines: dict[str, Sequence[float]]
    log: bool = False


def write_panels(
    path: Path, title: str, rows: Sequence[Sequence[Panel]], x_labels: Sequence[str] = (), *, shared: bool = False
) -> None:
    """Draw panels in rows with one legend, and below each column what its horizontal axis is.

    Args:
        path: SVG file.
        title: For the reader of the file and of the screen.
        rows: Panels; a line of one name looks the same in all of them.
        x_labels: One for each column.
        shared: The panels of a row have one vertical axis.
    """
    names = list(dict.fromkeys(name for row in rows for panel in row for name in panel.lines))
    across = max(map(len, rows))
    width, height = across * WIDTH, 48 + len(rows) * HEIGHT + (18 if x_labels else 0)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        f'font-family="system-ui, sans-serif" font-size="10"><title>{escape(title)}</title>',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        f'<text x="{LEFT}" y="16" font-size="13" font-weight="600" fill="#16202b">{escape(title)}</text>',
    ]
    place = LEFT
    for index, name in enumerate(names):
        parts.append(f'<path d="M{place} 32h24" {_stroke(index)}/>')
        parts.append(f'<text x="{place + 29}" y="35.5" fill="#16202b">{escape(name)}</text>')
        place += 45 + 6 * len(name)
    for i, row in enumerate(rows):
        for j, panel in enumerate(row):
            picture = _panel(panel, names, _scale(row if shared else [panel]))
            parts.append(f'<g transform="translate({j * WIDTH} {44 + i * HEIGHT})">{picture}</g>')
    for j, label in enumerate(x_labels):
        middle = j * WIDTH + (LEFT + WIDTH - RIGHT) / 2
        parts.append(f'<text x="{middle}" y="{height - 8}" text-anchor="middle" fill="#56636f">{escape(label)}</text>')
    path.write_text("\n".join([*parts, "</svg>"]) + "\n", encoding="utf-8")


def _scale(panels: Sequence[Panel]) -> Scale:
    values = [v for panel in panels for line in panel.lines.values() for v in line if math.isfinite(v)]
    return choose_scale(np.asarray(values, np.float64), log=panels[0].log)


def _panel(panel: Panel, names: Sequence[str], scale: Scale) -> str:
    right, floor = WIDTH - RIGHT, HEIGHT - BOTTOM
    parts = [f'<text x="{LEFT}" y="14" font-weight="600" fill="#16202b">{escape(panel.title)}</text>']
    ticks = scale.ticks()
    for level, text in ticks[:: max(1, len(ticks) // 3)]:
        y = floor - (floor - TOP) * float(scale.place(np.asarray(level)))
        parts.append(f'<path d="M{LEFT} {y:.1f}H{right}" stroke="#e6e9ed"/>')
        parts.append(f'<text x="{LEFT - 4}" y="{y + 3.5:.1f}" text-anchor="end" fill="#56636f">{text}</text>')
    step = (right - LEFT) / max(1, len(panel.x) - 1)
    for index, text in enumerate(panel.ticks):
        if text:
            x = LEFT + index * step
            parts.append(
                f'<text x="{x:.1f}" y="{floor + 13}" text-anchor="middle" fill="#56636f">{escape(text)}</text>'
            )
    for name, line in panel.lines.items():
        points = [
            f"{LEFT + index * step:.1f} {floor - (floor - TOP) * float(scale.place(np.asarray(value))):.1f}"
            for index, value in enumerate(line)
            if math.isfinite(value) and (scale.kind != "log" or value > 0)
        ]
        spoken = f"{name}: " + ", ".join(number(value) for value in line if math.isfinite(value))
        path = f'<path d="M{"L".join(points)}" {_stroke(names.index(name))}>'
        parts.append(f"{path}<title>{escape(spoken)}</title></path>")
    return "".join(parts)


def _stroke(index: int) -> str:
    colour, dash = COLOURS[index % len(COLOURS)], DASHES[index % len(DASHES)]
    return f'fill="none" stroke="{colour}" stroke-width="1.8" stroke-dasharray="{dash}"'
