"""A frame with two axes: where a point lies in it, and the lines and numbers around it. Charts and planes share it."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from tightrope.drawing.scales import Scale
from tightrope.drawing.svg import tag

Floats = NDArray[np.float64]
Ticks = Sequence[tuple[float, str]]
Look = Mapping[str, Any]


@dataclass(frozen=True)
class Pen:
    """Attributes of an axis's lines, numbers and name; by default classes, for the style sheet of a page."""

    grid: Look = field(default_factory=lambda: {"cls": "grid"})
    zero: Look = field(default_factory=lambda: {"cls": "grid zero"})
    number: Look = field(default_factory=dict)
    name: Look = field(default_factory=lambda: {"cls": "name"})


@dataclass(frozen=True)
class Frame:
    """Size of a picture and the room around its plot, in units of its view box."""

    width: int = 440
    height: int = 236
    left: int = 58
    right: int = 14
    top: int = 10
    bottom: int = 42

    @property
    def across(self) -> int:
        """Width of the plot itself."""
        return self.width - self.left - self.right

    @property
    def down(self) -> int:
        """Height of the plot itself."""
        return self.height - self.top - self.bottom

    @property
    def floor(self) -> int:
        """Where the plot ends below."""
        return self.top + self.down

    @property
    def box(self) -> dict[str, int]:
        """Attributes of a rectangle around the plot."""
        return {"x": self.left, "y": self.top, "width": self.across, "height": self.down}


@dataclass(frozen=True)
class Axes:
    """Two axes around a frame.

    Attributes:
        frame: Sizes.
        x: Horizontal axis.
        y: Vertical axis.
        reach: How far outside the plot a point may be placed, in shares of its size.
        pen: How the axes look.
    """

    frame: Frame
    x: Scale
    y: Scale
    reach: float = 0.02
    pen: Pen = field(default_factory=Pen)

    def place(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Where points lie in the picture."""
        a, b = (np.clip(scale.place(v), -self.reach, 1 + self.reach) for scale, v in ((self.x, x), (self.y, y)))
        return self.frame.left + self.frame.across * a, self.frame.top + self.frame.down * (1.0 - b)

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Where one point lies."""
        a, b = self.place(np.asarray(x, np.float64), np.asarray(y, np.float64))
        return float(a), float(b)

    def level(self, y: float) -> float:
        """How far down a value of the vertical axis lies."""
        return self.at(self.x.low, y)[1]

    def levels(self, ticks: Ticks, named: Container[str] | None = None) -> Markup:
        """Horizontal lines across the plot, with numbers beside those whose text is in ``named``, or all."""
        parts = []
        left, right = self.frame.left, self.frame.left + self.frame.across
        for value, text in ticks:
            y = self.level(value)
            look = self.pen.grid if value else self.pen.zero
            parts.append(tag("path", d=f"M{left} {y:.1f}H{right}", **look))
            if named is None or text in named:
                parts.append(tag("text", text, x=left - 6, y=f"{y + 4:.1f}", text_anchor="end", **self.pen.number))
        return Markup("").join(parts)

    def uprights(self, ticks: Ticks, mark: int | None = None) -> Markup:
        """Numbers below the plot, each with a line through it, or a mark of some length below its floor."""
        parts = []
        frame, right = self.frame, self.frame.left + self.frame.across
        for value, text in ticks:
            x, _ = self.at(value, self.y.low)
            if mark is None:
                look = self.pen.grid if value else self.pen.zero
                parts.append(tag("path", d=f"M{x:.1f} {frame.top}V{frame.floor}", **look))
            else:
                parts.append(tag("path", cls="axis", d=f"M{x:.1f} {frame.floor}v{mark}"))
            anchor, shift = ("end", min(x + 10, frame.width - 2)) if mark and x > right - 12 else ("middle", x)
            below = f"{frame.floor + 13 + (mark or 0)}"
            parts.append(tag("text", text, x=f"{shift:.1f}", y=below, text_anchor=anchor, **self.pen.number))
        return Markup("").join(parts)

    def names(self, x_label: str, y_label: str = "") -> Markup:
        """What the axes are."""
        frame = self.frame
        middle, half = frame.left + frame.across / 2, f"{frame.top + frame.down / 2:.0f}"
        parts = []
        if x_label:
            place = {"x": f"{middle:.0f}", "y": frame.height - 6, "text_anchor": "middle"}
            parts.append(tag("text", x_label, **place, **self.pen.name))
        if y_label:
            turned = {"x": 11, "y": half, "text_anchor": "middle", "transform": f"rotate(-90 11 {half})"}
            parts.append(tag("text", y_label, **turned, **self.pen.name))
        return Markup("").join(parts)


def line_through(x: Floats, y: Floats) -> str:
    """The path through points of the picture, for the ``d`` of a ``path``."""
    return "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(x.tolist(), y.tolist(), strict=True)) if len(x) else ""
