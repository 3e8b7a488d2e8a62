"""Pictures in the plane as SVG of their own: vector fields with trajectories, eigenvalues in the complex plane.

They carry their colours with them, so that the same text is a file and a part of a page.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from markupsafe import Markup
from torch import Tensor

from tightrope.drawing.axes import Axes, Frame, Pen, line_through
from tightrope.drawing.scales import Scale, linear_ticks
from tightrope.drawing.svg import tag

COLOURS = ("#0b62a8", "#c4500a", "#1f7a4d", "#7b3fa0")
INK, SOFT, GRID = "#16202b", "#56636f", "#e6e9ed"
Points = Sequence[tuple[float, float]]

_PEN = Pen(
    grid={"stroke": GRID, "stroke_width": ".6"},
    zero={"stroke": SOFT, "stroke_width": ".6"},
    number={"fill": SOFT},
    name={"fill": INK},
)


@dataclass
class Plane:
    """A rectangle of the plane being drawn on, both axes at one scale unless ``equal`` is False.

    Attributes:
        x: Lower and upper end of the horizontal axis.
        y: Of the vertical axis.
        title: Above the picture, and what a screen reader says.
        x_label: Name of the horizontal axis.
        y_label: Name of the vertical axis.
        width: Of the picture, in its own units.
        equal: One unit is as long on both axes.
        levels: Write numbers at the vertical axis.
        parts: What has been drawn so far.
    """

    x: tuple[float, float]
    y: tuple[float, float]
    title: str
    x_label: str = ""
    y_label: str = ""
    width: int = 300
    equal: bool = True
    levels: bool = True
    parts: list[Markup] = field(default_factory=list)

    def __post_init__(self) -> None:
        frame = Frame(self.width, 0, 44, 12, 26, 36)
        share = (self.y[1] - self.y[0]) / (self.x[1] - self.x[0])
        down = round(frame.across * min(max(share, 0.4), 1.6)) if self.equal else round(0.62 * frame.across)
        if self.equal:  # a very long picture shows more of the short axis instead
            want = (self.x[1] - self.x[0]) * down / frame.across
            middle = (self.y[0] + self.y[1]) / 2
            self.y = (middle - want / 2, middle + want / 2)
        self.height = down + frame.top + frame.bottom
        frame = Frame(self.width, self.height, frame.left, frame.right, frame.top, frame.bottom)
        self._axes = Axes(frame, Scale(*self.x), Scale(*self.y), reach=9.0, pen=_PEN)

    def place(self, point: tuple[float, float]) -> tuple[float, float]:
        """Where a point of the plane lies in the picture; far outside it is brought to a finite place."""
        return self._axes.at(*point)

    def arrows(self, points: Points, vectors: Points, length: float, colour: str = "#9aa5b1") -> None:
        """An arrow per point, all of one length: directions of a field."""
        for (x, y), (u, v) in zip(points, vectors, strict=True):
            size = (u * u + v * v) ** 0.5
            if not size > 0:
                continue
            u, v = u / size * length, v / size * length
            (a, b), (c, d) = self.place((x - u / 2, y - v / 2)), self.place((x + u / 2, y + v / 2))
            e, f = 0.35 * (c - a), 0.35 * (d - b)
            left, right = (c - e - f * 0.6, d - f + e * 0.6), (c - e + f * 0.6, d - f - e * 0.6)
            head = f"M{left[0]:.1f} {left[1]:.1f}L{c:.1f} {d:.1f}L{right[0]:.1f} {right[1]:.1f}"
            self.parts.append(tag("path", d=f"M{a:.1f} {b:.1f}L{c:.1f} {d:.1f}{head}", stroke=colour, fill="none"))

    def path(self, points: Points, colour: str = COLOURS[0], *, width: float = 1.4, dashed: bool = False) -> None:
        """A line through points."""
        line = line_through(*self._axes.place(*np.asarray(points, np.float64).reshape(-1, 2).T))
        dash = "4 3" if dashed else None
        self.parts.append(tag("path", d=line, stroke=colour, stroke_width=width, fill="none", stroke_dasharray=dash))

    def dots(self, points: Points, colour: str = COLOURS[0], *, radius: float = 3.0, names: Sequence[str] = ()) -> None:
        """A filled circle per point, with a tooltip each if there are names."""
        for k, point in enumerate(points):
            a, b = self.place(point)
            tip = (tag("title", names[k]),) if names else ()
            self.parts.append(tag("circle", *tip, cx=f"{a:.1f}", cy=f"{b:.1f}", r=radius, fill=colour))

    def rings(self, points: Points, radii: Sequence[float], colour: str = COLOURS[1]) -> None:
        """A circle per point with a radius in units of the plane: error bars."""
        for point, radius in zip(points, radii, strict=True):
            a, b = self.place(point)
            r = self._axes.frame.across * radius / (self.x[1] - self.x[0])
            if r > 0.5:
                self.parts.append(tag("circle", cx=f"{a:.1f}", cy=f"{b:.1f}", r=f"{r:.1f}", stroke=colour, fill="none"))

    def render(self) -> Markup:
        """The picture as one ``svg`` element."""
        frame = self._axes.frame
        body = Markup("").join(self.parts)
        clip = f"clip{zlib.crc32((self.title + str(body)).encode(errors='replace')):08x}"
        return tag(
            "svg",
            tag("rect", width=frame.width, height=frame.height, fill="#ffffff"),
            tag("defs", tag("clipPath", tag("rect", **frame.box), id=clip)),
            self._axes.uprights(linear_ticks(*self.x, most=4)),
            self._axes.levels(linear_ticks(*self.y, most=4) if self.levels else ()),
            self._axes.names(self.x_label, self.y_label),
            tag("g", body, clip_path=f"url(#{clip})"),
            tag("rect", **frame.box, fill="none", stroke=SOFT),
            tag("text", self.title, x=frame.left, y=17, fill=INK, font_weight=600),
            xmlns="http://www.w3.org/2000/svg", viewBox=f"0 0 {frame.width} {frame.height}", role="img",
            aria_label=self.title, font_family="sans-serif", font_size=11,
        )  # fmt: skip


def span(values: Sequence[float], *, least: float = 0.0, margin: float = 0.08) -> tuple[float, float]:
    """Ends of an axis that holds all values and the interval ``[-least, least]``, with a margin."""
    low, high = min([*values, -least]), max([*values, least])
    room = margin * ((high - low) or abs(high) or 1.0)
    return low - room, high + room


def pairs(values: Tensor) -> Points:
    """Points ``[n, 2]``, or complex values ``[n]``, as pairs."""
    return [(complex(v).real, complex(v).imag) for v in values.tolist()] if values.dim() == 1 else [
        (float(a), float(b)) for a, b in values.tolist()
    ]  # fmt: skip
