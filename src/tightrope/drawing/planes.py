"""Pictures in the plane as SVG of their own: vector fields with trajectories, eigenvalues in the complex plane.

They carry their colours with them, so that the same text is a file and a part of a page.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

from tightrope.drawing.scales import linear_ticks

COLOURS = ("#0b62a8", "#c4500a", "#1f7a4d", "#7b3fa0")
INK, SOFT, GRID = "#16202b", "#56636f", "#e6e9ed"
Points = Sequence[tuple[float, float]]


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
    parts: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._left, self._top, self._right, self._bottom = 44, 26, 12, 36
        self._across = self.width - self._left - self._right
        share = (self.y[1] - self.y[0]) / (self.x[1] - self.x[0])
        self._down = round(self._across * min(max(share, 0.4), 1.6)) if self.equal else round(0.62 * self._across)
        if self.equal:  # a very long picture shows more of the short axis instead
            want = (self.x[1] - self.x[0]) * self._down / self._across
            middle = (self.y[0] + self.y[1]) / 2
            self.y = (middle - want / 2, middle + want / 2)
        self.height = self._down + self._top + self._bottom

    def place(self, point: tuple[float, float]) -> tuple[float, float]:
        """Where a point of the plane lies in the picture; far outside it is brought to a finite place."""
        shares = ((value - low) / (high - low) for value, (low, high) in zip(point, (self.x, self.y), strict=True))
        a, b = (min(max(share, -9.0), 10.0) for share in shares)
        return self._left + self._across * a, self._top + self._down * (1 - b)

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
            self.parts.append(f'<path d="M{a:.1f} {b:.1f}L{c:.1f} {d:.1f}{head}" stroke="{colour}" fill="none"/>')

    def path(self, points: Points, colour: str = COLOURS[0], *, width: float = 1.4, dashed: bool = False) -> None:
        """A line through points."""
        text = "L".join("{:.1f} {:.1f}".format(*self.place(p)) for p in points)
        dash = ' stroke-dasharray="4 3"' if dashed else ""
        self.parts.append(f'<path d="M{text}" stroke="{colour}" stroke-width="{width}" fill="none"{dash}/>')

    def dots(self, points: Points, colour: str = COLOURS[0], *, radius: float = 3.0, names: Sequence[str] = ()) -> None:
        """A filled circle per point, with a tooltip each if there are names."""
        for k, point in enumerate(points):
            a, b = self.place(point)
            tip = f"<title>{escape(names[k])}</title>" if names else ""
            self.parts.append(f'<circle cx="{a:.1f}" cy="{b:.1f}" r="{radius}" fill="{colour}">{tip}</circle>')

    def rings(self, points: Points, radii: Sequence[float], colour: str = COLOURS[1]) -> None:
        """A circle per point with a radius in units of the plane: error bars."""
        for point, radius in zip(points, radii, strict=True):
            a, b = self.place(point)
            r = self._across * radius / (self.x[1] - self.x[0])
            if r > 0.5:
                self.parts.append(f'<circle cx="{a:.1f}" cy="{b:.1f}" r="{r:.1f}" stroke="{colour}" fill="none"/>')

    def render(self) -> str:
        """The picture as one ``svg`` element."""
        box = f'x="{self._left}" y="{self._top}" width="{self._across}" height="{self._down}"'
        body = "".join(self.parts)
        clip = f"clip{zlib.crc32((self.title + body).encode()):08x}"
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" role="img" '
            f'aria-label="{escape(self.title)}" font-family="sans-serif" font-size="11">'
            f'<rect width="{self.width}" height="{self.height}" fill="#ffffff"/>'
            f'<defs><clipPath id="{clip}"><rect {box}/></clipPath></defs>{self._axes()}'
            f'<g clip-path="url(#{clip})">{body}</g>'
            f'<rect {box} fill="none" stroke="{SOFT}"/>'
            f'<text x="{self._left}" y="17" fill="{INK}" font-weight="600">{escape(self.title)}</text></svg>'
        )

    def _axes(self) -> str:
        parts = []
        floor, right = self._top + self._down, self._left + self._across
        for place, text in linear_ticks(*self.x, most=4):
            a, _ = self.place((place, self.y[0]))
            strong = SOFT if place == 0 else GRID
            parts.append(f'<path d="M{a:.1f} {self._top}V{floor}" stroke="{strong}" stroke-width=".6"/>')
            parts.append(f'<text x="{a:.1f}" y="{floor + 13}" text-anchor="middle" fill="{SOFT}">{text}</text>')
        for place, text in linear_ticks(*self.y, most=4) if self.levels else []:
            _, b = self.place((self.x[0], place))
            strong = SOFT if place == 0 else GRID
            parts.append(f'<path d="M{self._left} {b:.1f}H{right}" stroke="{strong}" stroke-width=".6"/>')
            parts.append(f'<text x="{self._left - 5}" y="{b + 4:.1f}" text-anchor="end" fill="{SOFT}">{text}</text>')
        middle = f'x="{self._left + self._across / 2:.0f}" y="{self.height - 6}" text-anchor="middle"'
        parts.append(f'<text {middle} fill="{INK}">{escape(self.x_label)}</text>')
        half = self._top + self._down / 2
        parts.append(
            f'<text x="11" y="{half:.0f}" text-anchor="middle" fill="{INK}" transform="rotate(-90 11 {half:.0f})">'
            f"{escape(self.y_label)}</text>"
        )
        return "".join(parts)


def span(values: Sequence[float], *, least: float = 0.0, margin: float = 0.08) -> tuple[float, float]:
    """Ends of an axis that holds all values and the interval ``[-least, least]``, with a margin."""
    low, high = min([*values, -least]), max([*values, least])
    room = margin * ((high - low) or abs(high) or 1.0)
    return low - room, high + room
