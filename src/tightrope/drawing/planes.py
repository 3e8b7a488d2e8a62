"""Pictures in the plane as SVG of their own: vector fields with trajectories, eigenvalues in the complex plane.

They carry their colours with them, so that the same text is a file and a part of a page.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

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


@dataclass(frozen=True)
class Mark:
    """What is drawn on a plane, in its own units.

    Attributes:
        kind: Arrows of one length, a line, filled circles, or rings with radii in units of the plane.
        points: Where.
        colour: Of line or filling.
        vectors: Of arrows: direction and length.
        size: Width of a line, radius of a filled circle.
        radii: Of rings.
        dashed: A dashed line.
        names: Tooltips of filled circles.
    """

    kind: Literal["arrows", "path", "dots", "rings"]
    points: Points
    colour: str
    vectors: Points = ()
    size: float = 1.0
    radii: Sequence[float] = ()
    dashed: bool = False
    names: Sequence[str] = ()


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
        marks: What has been drawn so far.
    """

    x: tuple[float, float]
    y: tuple[float, float]
    title: str
    x_label: str = ""
    y_label: str = ""
    width: int = 300
    equal: bool = True
    levels: bool = True
    marks: list[Mark] = field(default_factory=list)

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
        sizes = [(u * u + v * v) ** 0.5 for u, v in vectors]
        kept = [(p, v, size) for p, v, size in zip(points, vectors, sizes, strict=True) if size > 0]
        directions = [(u / size * length, v / size * length) for _, (u, v), size in kept]
        self.marks.append(Mark("arrows", [p for p, _, _ in kept], colour, vectors=directions))

    def path(self, points: Points, colour: str = COLOURS[0], *, width: float = 1.4, dashed: bool = False) -> None:
        """A line through points."""
        self.marks.append(Mark("path", points, colour, size=width, dashed=dashed))

    def dots(self, points: Points, colour: str = COLOURS[0], *, radius: float = 3.0, names: Sequence[str] = ()) -> None:
        """A filled circle per point, with a tooltip each if there are names."""
        self.marks.append(Mark("dots", points, colour, size=radius, names=names))

    def rings(self, points: Points, radii: Sequence[float], colour: str = COLOURS[1]) -> None:
        """A circle per point with a radius in units of the plane: error bars."""
        self.marks.append(Mark("rings", points, colour, radii=radii))

    def _drawn(self, mark: Mark) -> list[Markup]:
        if mark.kind == "arrows":
            pairs_ = zip(mark.points, mark.vectors, strict=True)
            return [tag("path", d=self._arrow(p, v), stroke=mark.colour, fill="none") for p, v in pairs_]
        if mark.kind == "path":
            line = line_through(*self._axes.place(*np.asarray(mark.points, np.float64).reshape(-1, 2).T))
            dash = "4 3" if mark.dashed else None
            look = {"stroke": mark.colour, "stroke_width": mark.size, "fill": "none", "stroke_dasharray": dash}
            return [tag("path", d=line, **look)]
        places = [self.place(point) for point in mark.points]
        if mark.kind == "dots":
            tips: list[tuple[Markup, ...]] = [(tag("title", name),) for name in mark.names] or [()] * len(places)
            return [
                tag("circle", *tip, cx=f"{a:.1f}", cy=f"{b:.1f}", r=mark.size, fill=mark.colour)
                for (a, b), tip in zip(places, tips, strict=True)
            ]
        radii = [self._axes.frame.across * radius / (self.x[1] - self.x[0]) for radius in mark.radii]
        return [
            tag("circle", cx=f"{a:.1f}", cy=f"{b:.1f}", r=f"{r:.1f}", stroke=mark.colour, fill="none")
            for (a, b), r in zip(places, radii, strict=True)
            if r > 0.5
        ]

    def _arrow(self, at: tuple[float, float], along: tuple[float, float]) -> str:
        (x, y), (u, v) = at, along
        (a, b), (c, d) = self.place((x - u / 2, y - v / 2)), self.place((x + u / 2, y + v / 2))
        e, f = 0.35 * (c - a), 0.35 * (d - b)
        left, right = (c - e - f * 0.6, d - f + e * 0.6), (c - e + f * 0.6, d - f - e * 0.6)
        head = f"M{left[0]:.1f} {left[1]:.1f}L{c:.1f} {d:.1f}L{right[0]:.1f} {right[1]:.1f}"
        return f"M{a:.1f} {b:.1f}L{c:.1f} {d:.1f}{head}"

    def render(self) -> Markup:
        """The picture as one ``svg`` element."""
        frame = self._axes.frame
        body = Markup("").join(part for mark in self.marks for part in self._drawn(mark))
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


@dataclass(frozen=True)
class Panels:
    """Planes side by side, each with a caption: a figure of several panels."""

    planes: Sequence[tuple[Plane, str]]

    def drawn(self) -> list[tuple[Markup, str]]:
        """Every plane as SVG with its caption, for a page's grid."""
        return [(plane.render(), caption) for plane, caption in self.planes]


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
