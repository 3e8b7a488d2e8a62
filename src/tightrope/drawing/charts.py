"""Line charts as inline SVG: no scripts, colours from the page's style sheet, a tooltip for every part of the axis."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

from tightrope.drawing.numbers import number, short_count
from tightrope.drawing.scales import Scale, choose_scale, linear_ticks
from tightrope.drawing.thinning import downsample, medians

Floats = NDArray[np.float64]

CALM_ROWS = 120  # curves with more rows get a line of medians over them
_BANDS = 60  # tooltips per chart
_STYLES = 12  # combinations of colour and dash in the style sheet


@dataclass(frozen=True)
class Line:
    """One curve.

    Attributes:
        name: for the legend.
        x: float64 ``[n]``, ascending.
        y: float64 ``[n]``, finite.
        low: float64 ``[n]``, lower ends of an interval around ``y``, or nothing.
        high: float64 ``[n]``, upper ends.
    """

    name: str
    x: Floats
    y: Floats
    low: Floats | None = None
    high: Floats | None = None


@dataclass(frozen=True)
class Reference:
    """A level drawn across the chart, e.g. the floor of a distance."""

    name: str
    level: float


@dataclass(frozen=True)
class Frame:
    """Size of a chart and the room around its plot, in units of its view box."""

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


SMALL = Frame(220, 136, 48, 8, 8, 22)


def line_chart(
    lines: Sequence[Line],
    *,
    title: str,
    x_label: str,
    log: bool = False,
    references: Sequence[Reference] = (),
    tip: Callable[[float], str] | None = None,
) -> str:
    """A chart with its legend, as HTML.

    Args:
        lines: the curves, each with at least one point.
        title: what it shows; also the text for a screen reader, with the newest values.
        x_label: name of the horizontal axis.
        log: whether a logarithmic axis suits the values.
        references: levels to draw across.
        tip: how to name a place on the horizontal axis in a tooltip.

    Returns:
        A ``figure`` element. Curves differ in colour and in dashes; points are marked where there are few; a curve of
        many rows is drawn thin, with the medians of its parts as a thick line. Values that a logarithmic axis cannot
        show are counted in the caption.
    """
    ends = [part for line in lines for part in (line.y, line.low, line.high) if part is not None]
    scale = choose_scale(np.concatenate([*ends, np.asarray([r.level for r in references], np.float64)]), log=log)
    shown = [_visible(line, scale) for line in lines]
    hidden = sum(len(line.y) for line in lines) - sum(len(line.y) for line in shown)
    frame, span = Frame(), _span(shown)
    body = [_axes(frame, scale, span, x_label)]
    body += [_reference(frame, scale, reference, index) for index, reference in enumerate(references)]
    body += [_curve(frame, scale, span, line, index) for index, line in enumerate(shown)]
    body.append(_bands(frame, span, shown, tip or short_count))
    notes = ", ".join(note for note, true in _notes(scale, shown, hidden) if true)
    spoken = "; ".join(f"{line.name}: last {number(float(line.y[-1]))}" for line in lines)
    caption = f"<figcaption>{escape(title)}{f' <small>{notes}</small>' if notes else ''}</figcaption>"
    picture = _svg(frame, f"{title}. {spoken}", "".join(body))
    return f'<figure class="chart">{caption}{picture}{_legend(lines, references)}</figure>'


def spectrum_chart(name: str, newest: Floats, first: Floats | None, scale: Scale) -> str:
    """A small chart of the singular values of one layer, descending, over their position in the spectrum.

    Args:
        name: the layer.
        newest: ``[k]``, the newest values.
        first: ``[k]``, the values at the first row that has them, drawn dashed; or nothing.
        scale: the vertical axis, shared by all layers.

    Returns:
        A ``figure`` element.
    """
    span = (0.0, 1.0)
    body = [_axes(SMALL, scale, span, "", sparse=True)]
    for anchor, place, word in (("start", SMALL.left, "largest"), ("end", SMALL.left + SMALL.across, "smallest")):
        body.append(f'<text x="{place}" y="{SMALL.height - 5}" text-anchor="{anchor}">{word}</text>')
    for values, style in ((first, "early"), (newest, "s0")):
        if values is not None and len(values):
            x = np.linspace(0.0, 1.0, len(values)) if len(values) > 1 else np.asarray([0.0])
            line = _visible(Line(name, x, values), scale)
            body.append(f'<path class="line {style}" d="{_path(*_place(SMALL, scale, span, line.x, line.y))}"/>')
            if style == "s0":
                body.append(_markers(*_place(SMALL, scale, span, line.x, line.y), 0, small=True))
    spoken = f"Singular values of {name}: largest {number(float(newest[0]))}, smallest {number(float(newest[-1]))}"
    picture = _svg(SMALL, spoken, f"<title>{escape(spoken)}</title>" + "".join(body))
    return f'<figure class="small"><figcaption>{escape(name)}</figcaption>{picture}</figure>'


def _visible(line: Line, scale: Scale) -> Line:
    if scale.kind != "log" or (line.y > 0).all():
        return line
    keep = line.y > 0
    return Line(
        line.name, line.x[keep], line.y[keep], *(None if end is None else end[keep] for end in (line.low, line.high))
    )


def _span(lines: Sequence[Line]) -> tuple[float, float]:
    places = np.concatenate([line.x for line in lines])
    low, high = float(places.min()), float(places.max())
    low = 0.0 if 0 <= low < 0.25 * high else low
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _notes(scale: Scale, lines: Sequence[Line], hidden: int) -> list[tuple[str, bool]]:
    return [
        ("log scale", scale.kind == "log"),
        ("bars: 95 % interval", any(line.low is not None for line in lines)),
        (f"asinh scale, linear below {number(scale.width, 2)}", scale.kind == "asinh"),
        (f"{hidden} values at or below zero are not shown", hidden > 0),
    ]


def _svg(frame: Frame, spoken: str, body: str) -> str:
    return f'<svg viewBox="0 0 {frame.width} {frame.height}" role="img" aria-label="{escape(spoken)}">{body}</svg>'


def _place(frame: Frame, scale: Scale, span: tuple[float, float], x: Floats, y: Floats) -> tuple[Floats, Floats]:
    across = frame.left + frame.across * (x - span[0]) / (span[1] - span[0])
    return across, frame.top + frame.down * (1.0 - np.clip(scale.place(y), -0.02, 1.02))


def _path(x: Floats, y: Floats) -> str:
    return "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(x.tolist(), y.tolist(), strict=True)) if len(x) else ""


def _axes(frame: Frame, scale: Scale, span: tuple[float, float], x_label: str, sparse: bool = False) -> str:
    right, floor = frame.left + frame.across, frame.top + frame.down
    parts = []
    ticks = scale.ticks()
    named = {text for level, text in ticks if scale.kind == "log" and level == 10.0 ** round(math.log10(level))}
    if not sparse or len(named) < 2:
        named = {text for _, text in (ticks[::2] if sparse else ticks)}
    for level, text in ticks:
        y = frame.top + frame.down * (1.0 - float(scale.place(np.asarray(level))))
        zero = " zero" if level == 0 else ""
        parts.append(f'<path class="grid{zero}" d="M{frame.left} {y:.1f}H{right}"/>')
        if text in named:
            parts.append(f'<text x="{frame.left - 6}" y="{y + 4:.1f}" text-anchor="end">{text}</text>')
    parts.append(f'<path class="axis" d="M{frame.left} {floor}H{right}"/>')
    if x_label:
        for place, _ in linear_ticks(*span):
            x = frame.left + frame.across * (place - span[0]) / (span[1] - span[0])
            anchor = "end" if x > right - 12 else "middle"
            parts.append(f'<path class="axis" d="M{x:.1f} {floor}v4"/>')
            shift = min(x + 10, frame.width - 2) if anchor == "end" else x
            parts.append(f'<text x="{shift:.1f}" y="{floor + 17}" text-anchor="{anchor}">{short_count(place)}</text>')
        middle = frame.left + frame.across / 2
        parts.append(
            f'<text class="name" x="{middle:.0f}" y="{frame.height - 6}" text-anchor="middle">{escape(x_label)}</text>'
        )
    return "".join(parts)


def _reference(frame: Frame, scale: Scale, reference: Reference, index: int) -> str:
    y = frame.top + frame.down * (1.0 - float(scale.place(np.asarray(reference.level))))
    return f'<path class="floor f{index % 2}" d="M{frame.left} {y:.1f}h{frame.across}"/>'


def _curve(frame: Frame, scale: Scale, span: tuple[float, float], line: Line, index: int) -> str:
    style = f"s{index % _STYLES}"
    x, y = _place(frame, scale, span, *downsample(line.x, line.y))
    parts = []
    if line.low is not None and line.high is not None:
        parts += [_whisker(frame, scale, span, *ends) for ends in zip(line.x, line.low, line.high, strict=True)]
    if len(line.y) > CALM_ROWS:
        parts.append(f'<path class="line raw {style}" d="{_path(x, y)}"/>')
        parts.append(f'<path class="line {style}" d="{_path(*_place(frame, scale, span, *medians(line.x, line.y)))}"/>')
    else:
        parts.append(f'<path class="line {style}" d="{_path(x, y)}"/>')
    if len(line.y) <= 30:
        parts.append(_markers(x, y, index))
    return "".join(parts)


def _whisker(frame: Frame, scale: Scale, span: tuple[float, float], x: float, low: float, high: float) -> str:
    ends = np.clip([low, high], scale.low, scale.high)  # a logarithmic axis has no place for an end below zero
    places, levels = _place(frame, scale, span, np.asarray([x, x]), ends)
    a, b, c = float(places[0]), float(levels[0]), float(levels[1])
    return f'<path class="whisker" d="M{a - 3:.1f} {b:.1f}h6M{a:.1f} {b:.1f}V{c:.1f}M{a - 3:.1f} {c:.1f}h6"/>'


def _markers(x: Floats, y: Floats, index: int, *, small: bool = False) -> str:
    r = 1.6 if small else 3.0
    shape = (
        f"m{-r} 0a{r} {r} 0 1 0 {2 * r} 0a{r} {r} 0 1 0 {-2 * r} 0",
        f"m{-r} {-r}h{2 * r}v{2 * r}h{-2 * r}z",
        f"m0 {-1.3 * r:.1f}l{1.3 * r:.1f} {2.3 * r:.1f}h{-2.6 * r:.1f}z",
        f"m0 {-1.4 * r:.1f}l{1.4 * r:.1f} {1.4 * r:.1f}l{-1.4 * r:.1f} {1.4 * r:.1f}l{-1.4 * r:.1f} {-1.4 * r:.1f}z",
    )[index % 4]
    marks = "".join(f"M{a:.1f} {b:.1f}{shape}" for a, b in zip(x.tolist(), y.tolist(), strict=True))
    return f'<path class="mark s{index % _STYLES}" d="{marks}"/>'


def _bands(frame: Frame, span: tuple[float, float], lines: Sequence[Line], tip: Callable[[float], str]) -> str:
    """Invisible upright strips, each with the values of the row in its middle as a tooltip."""
    places = np.unique(np.concatenate([line.x for line in lines]))
    places = places[np.unique(np.linspace(0, len(places) - 1, min(_BANDS, len(places))).round().astype(int))]
    across = frame.left + frame.across * (places - span[0]) / (span[1] - span[0])
    edges = [float(frame.left), *((across[1:] + across[:-1]) / 2).tolist(), float(frame.left + frame.across)]
    parts = []
    for place, left, right in zip(places.tolist(), edges, edges[1:], strict=False):
        values = []
        for line in (line for line in lines if len(line.x)):
            nearest = int(np.abs(line.x - place).argmin())
            values.append(f"{line.name}: {number(float(line.y[nearest]))}")
        text = escape("\n".join([tip(place), *values]), quote=False)
        size = f'x="{left:.1f}" y="{frame.top}" width="{right - left:.1f}" height="{frame.down}"'
        parts.append(f"<rect {size}><title>{text}</title></rect>")
    return f'<g class="bands">{"".join(parts)}</g>'


def _legend(lines: Sequence[Line], references: Sequence[Reference]) -> str:
    items = []
    for index, line in enumerate(lines):
        few = _markers(np.asarray([14.0]), np.asarray([6.0]), index) if len(line.y) <= 30 else ""
        swatch = f'<path class="line s{index % _STYLES}" d="M0 6H28"/>{few}'
        items.append(_item(swatch, line.name, float(line.y[-1])))
    for index, reference in enumerate(references):
        items.append(_item(f'<path class="floor f{index % 2}" d="M0 6H28"/>', reference.name, reference.level))
    return f'<ul class="legend">{"".join(items)}</ul>'


def _item(swatch: str, name: str, value: float) -> str:
    picture = f'<svg viewBox="0 0 28 12" aria-hidden="true">{swatch}</svg>'
    return f"<li>{picture}{escape(name)} <b>{number(value)}</b></li>"
