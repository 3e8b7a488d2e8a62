"""Charts and planes as files for a paper: SVG, PDF or PNG by matplotlib, the same bytes from the same numbers."""

from __future__ import annotations

import importlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tightrope._plumbing.errors import UserError
from tightrope._plumbing.files import write_atomically
from tightrope._plumbing.optional import optional
from tightrope.drawing.charts import Chart, Line
from tightrope.drawing.planes import COLOURS, Mark, Panels, Plane

KINDS = ("svg", "pdf", "png")
COLUMN = 3.3
"""Width of a chart or of a panel in inches: one column of a page of two."""
_ACROSS = 3  # panels side by side
_POINTS = 0.72  # of a paper, in a unit of a plane's own picture
_DASHES = ("-", "--", ":", "-.")
_LOOK = {
    "font.size": 8,
    "axes.titlesize": 8,
    "legend.fontsize": 7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 1.2,
    "figure.dpi": 200,
    "svg.hashsalt": "tightrope",
    "pdf.fonttype": 42,
}


def write_figure(picture: Chart | Panels, path: Path) -> Path:
    """Draw one figure into a file whose ending names the kind.

    Args:
        picture: A chart, or planes side by side.
        path: Ends in .svg, .pdf or .png.

    Returns:
        The path. Neither date nor version stands in the file: the same numbers give the same bytes.

    Raises:
        UserError: Another ending, or matplotlib is not installed.
    """
    kind = path.suffix.removeprefix(".")
    if kind not in KINDS:
        raise UserError(f"Expected a file that ends in .svg, .pdf or .png, got {path.name}; rename it.")
    matplotlib, stream = optional("matplotlib", "plots", "figures of a paper"), io.BytesIO()
    with matplotlib.rc_context(_LOOK):
        figure = importlib.import_module("matplotlib.figure").Figure(layout="constrained")
        if isinstance(picture, Chart):
            figure.set_size_inches(COLUMN, 0.68 * COLUMN)
            _chart(figure.subplots(), picture)
        else:
            _panels(figure, picture)
        figure.savefig(stream, format=kind, metadata=_unsaid(kind))
    return write_atomically(path, stream.getvalue())


def _unsaid(kind: str) -> Mapping[str, None]:
    """What a file would tell of the day and the program."""
    fields = {"svg": ("Date", "Creator"), "pdf": ("CreationDate", "Creator", "Producer"), "png": ("Software",)}
    return dict.fromkeys(fields[kind])


def _chart(axes: Any, chart: Chart) -> None:
    shown = [line for line in chart.lines if len(line.y)]
    positive = all((line.y > 0).all() for line in shown) and all(one.level > 0 for one in chart.references)
    if chart.log:
        axes.set_yscale("log" if positive else "asinh")
    for index, line in enumerate(shown):
        _curve(axes, line, index)
    for index, reference in enumerate(chart.references):
        axes.axhline(
            reference.level, color="0.45", linewidth=0.8, linestyle=_DASHES[1 + index % 3], label=reference.name
        )
    axes.set(title=chart.title, xlabel=chart.x_label)
    axes.legend(frameon=False)


def _curve(axes: Any, line: Line, index: int) -> None:
    look: dict[str, Any] = {
        "color": COLOURS[index % len(COLOURS)],
        "linestyle": _DASHES[index // len(COLOURS) % len(_DASHES)],
        "label": line.name,
    }
    if len(line.y) <= 30:
        look |= {"marker": "os^D"[index % 4], "markersize": 3}
    axes.plot(line.x, line.y, **look)
    if line.low is not None and line.high is not None:
        axes.fill_between(line.x, line.low, line.high, color=look["color"], alpha=0.15, linewidth=0)


def _panels(figure: Any, panels: Panels) -> None:
    many = len(panels.planes)
    across = min(many, _ACROSS)
    down = -(-many // across)
    shapes = [
        (plane.y[1] - plane.y[0]) / (plane.x[1] - plane.x[0]) if plane.equal else 0.7 for plane, _ in panels.planes
    ]
    wide = 0.7 * COLUMN
    figure.set_size_inches(across * wide, down * ((wide - 0.55) * max(shapes) + 0.62))
    places = figure.subplots(down, across, squeeze=False).ravel()
    for axes, (plane, _) in zip(places, panels.planes, strict=False):
        _plane(axes, plane)
    for axes in places[many:]:
        axes.set_axis_off()


def _plane(axes: Any, plane: Plane) -> None:
    for mark in plane.marks:
        _mark(axes, mark)
    axes.set(xlim=plane.x, ylim=plane.y, title=plane.title, xlabel=plane.x_label, ylabel=plane.y_label)
    axes.grid(linewidth=0.4, color="0.9")
    axes.set_axisbelow(True)
    if plane.equal:
        axes.set_aspect("equal")


def _mark(axes: Any, mark: Mark) -> None:
    points = np.asarray(mark.points, np.float64).reshape(-1, 2)
    if mark.kind == "path":
        axes.plot(*points.T, color=mark.colour, linewidth=_POINTS * mark.size, linestyle="--" if mark.dashed else "-")
    elif mark.kind == "dots":
        axes.plot(*points.T, "o", color=mark.colour, markersize=2 * _POINTS * mark.size, markeredgewidth=0)
    elif mark.kind == "rings":
        patches = importlib.import_module("matplotlib.patches")
        for point, radius in zip(points, mark.radii, strict=True):
            axes.add_patch(patches.Circle(point, radius, fill=False, edgecolor=mark.colour))
    else:
        vectors = np.asarray(mark.vectors, np.float64).reshape(-1, 2)
        axes.quiver(*points.T, *vectors.T, color=mark.colour, angles="xy", scale_units="xy", scale=1, pivot="mid")
