"""Line charts as inline SVG: no scripts, colours from the page's style sheet, a tooltip for every part of the axis."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from markupsafe import Markup

from tightrope.drawing.axes import Axes, Floats, Frame, line_through
from tightrope.drawing.numbers import number, short_count
from tightrope.drawing.scales import Scale, bounded, choose_scale, linear_ticks
from tightrope.drawing.svg import tag
from tightrope.drawing.thinning import downsample, medians

CALM_ROWS = 120  # curves with more rows get a line of medians over them
_BANDS = 60  # tooltips per chart
_MARKED = 30  # points on a curve up to which each is marked
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
class Band:
    """An area between two curves, drawn behind the lines.

    Attributes:
        name: for the legend.
        x: float64 ``[n]``, ascending.
        low: float64 ``[n]``, finite.
        high: float64 ``[n]``, finite.
    """

    name: str
    x: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True)
class Reference:
    """A level drawn across the chart, e.g. the floor of a distance."""

    name: str
    level: float


@dataclass(frozen=True)
class Chart:
    """A line chart as data: on a page it draws itself (:func:`line_chart`), for a paper matplotlib does.

    Attributes:
        lines: the curves, each with at least one point.
        title: what it shows.
        x_label: name of the horizontal axis.
        log: whether a logarithmic axis suits the values.
        references: levels to draw across.
    """

    lines: Sequence[Line]
    title: str
    x_label: str
    log: bool = False
    references: Sequence[Reference] = ()

    def __html__(self) -> str:
        """The chart as a part of a page."""
        return line_chart(self.lines, title=self.title, x_label=self.x_label, log=self.log, references=self.references)


SMALL = Frame(220, 136, 48, 8, 8, 22)


def line_chart(
    lines: Sequence[Line],
    *,
    title: str,
    x_label: str,
    log: bool = False,
    references: Sequence[Reference] = (),
    tip: Callable[[float], str] | None = None,
    band: Band | None = None,
) -> Markup:
    """A chart with its legend, as HTML.

    Args:
        lines: the curves, each with at least one point.
        title: what it shows; also the text for a screen reader, with the newest values.
        x_label: name of the horizontal axis.
        log: whether a logarithmic axis suits the values.
        references: levels to draw across.
        tip: how to name a place on the horizontal axis in a tooltip.
        band: an area behind the curves; what a logarithmic axis cannot show of it is left out.

    Returns:
        A ``figure`` element. Curves differ in colour and in dashes; points are marked where there are few; a curve of
        many rows is drawn thin, with the medians of its parts as a thick line. Values that a logarithmic axis cannot
        show are counted in the caption.
    """
    lines = [replace(line, x=bounded(line.x)) for line in lines]
    ends = [part for line in lines for part in (line.y, line.low, line.high) if part is not None]
    ends += [] if band is None else [band.low, band.high]
    scale = choose_scale(np.concatenate([*ends, np.asarray([r.level for r in references], np.float64)]), log=log)
    shown = [_visible(line, scale) for line in lines]
    hidden = sum(len(line.y) for line in lines) - sum(len(line.y) for line in shown)
    axes = Axes(Frame(), _span(shown), scale)
    frame = axes.frame
    body = [axes.levels(scale.ticks()), *([] if band is None else [_area(axes, band)]), _floor(frame)]
    body.append(axes.uprights([(x, short_count(x)) for x, _ in linear_ticks(axes.x.low, axes.x.high)], mark=4))
    body.append(axes.names(x_label))
    for index, reference in enumerate(references):
        level = f"M{frame.left} {axes.level(reference.level):.1f}h{frame.across}"
        body.append(tag("path", cls=f"floor f{index % 2}", d=level))
    body += [_curve(axes, line, index) for index, line in enumerate(shown)]
    body.append(_bands(axes, shown, tip or short_count))
    notes = ", ".join(note for note, true in _notes(scale, shown, hidden) if true)
    spoken = "; ".join(f"{line.name}: last {number(float(line.y[-1]))}" for line in lines)
    caption = tag("figcaption", title, *((" ", tag("small", notes)) if notes else ()))
    return tag(
        "figure", caption, _svg(frame, f"{title}. {spoken}", body), _legend(lines, references, band), cls="chart"
    )


def spectrum_chart(name: str, newest: Floats, first: Floats | None, scale: Scale) -> Markup:
    """A small chart of the singular values of one layer, descending, over their position in the spectrum.

    Args:
        name: the layer.
        newest: ``[k]``, the newest values.
        first: ``[k]``, the values at the first row that has them, drawn dashed; or nothing.
        scale: the vertical axis, shared by all layers.

    Returns:
        A ``figure`` element.
    """
    axes = Axes(SMALL, Scale(0.0, 1.0), scale)
    spoken = f"Singular values of {name}: largest {number(float(newest[0]))}, smallest {number(float(newest[-1]))}"
    ticks = scale.ticks()
    named = {text for level, text in ticks if scale.kind == "log" and level == 10.0 ** round(math.log10(level))}
    body = [tag("title", spoken), axes.levels(ticks, named if len(named) > 1 else {text for _, text in ticks[::2]})]
    body.append(_floor(SMALL))
    for anchor, place, word in (("start", SMALL.left, "largest"), ("end", SMALL.left + SMALL.across, "smallest")):
        body.append(tag("text", word, x=place, y=SMALL.height - 5, text_anchor=anchor))
    for values, style in ((first, "early"), (newest, "s0")):
        if values is not None and len(values):
            x = np.linspace(0.0, 1.0, len(values)) if len(values) > 1 else np.asarray([0.0])
            line = _visible(Line(name, x, values), scale)
            places = axes.place(line.x, line.y)
            body.append(tag("path", cls=f"line {style}", d=line_through(*places)))
            if style == "s0":
                body.append(_markers(*places, 0, small=True))
    return tag("figure", tag("figcaption", name), _svg(SMALL, spoken, body), cls="small")


def _visible(line: Line, scale: Scale) -> Line:
    if scale.kind != "log" or (line.y > 0).all():
        return line
    keep = line.y > 0
    return Line(
        line.name, line.x[keep], line.y[keep], *(None if end is None else end[keep] for end in (line.low, line.high))
    )


def _span(lines: Sequence[Line]) -> Scale:
    places = np.concatenate([line.x for line in lines])
    low, high = float(places.min()), float(places.max())
    low = 0.0 if 0 <= low < 0.25 * high else low
    room = 0.0 if high > low else max(0.5, 1e-6 * abs(high))
    return Scale(low - room, high + room)


def _notes(scale: Scale, lines: Sequence[Line], hidden: int) -> list[tuple[str, bool]]:
    return [
        ("log scale", scale.kind == "log"),
        ("bars: 95 % interval", any(line.low is not None for line in lines)),
        (f"asinh scale, linear below {number(scale.width, 2)}", scale.kind == "asinh"),
        (f"{hidden} values at or below zero are not shown", hidden > 0),
    ]


def _svg(frame: Frame, spoken: str, body: Sequence[Markup]) -> Markup:
    return tag("svg", *body, viewBox=f"0 0 {frame.width} {frame.height}", role="img", aria_label=spoken)


def _floor(frame: Frame) -> Markup:
    return tag("path", cls="axis", d=f"M{frame.left} {frame.floor}H{frame.left + frame.across}")


def _area(axes: Axes, band: Band) -> Markup:
    keep = (band.low > 0) if axes.y.kind == "log" else np.full(len(band.x), True)
    x = np.clip(bounded(band.x[keep]), axes.x.low, axes.x.high)
    if not len(x):
        return Markup("")
    right, high = axes.place(x, band.high[keep])
    left, low = axes.place(x[::-1], band.low[keep][::-1])
    return tag("path", cls="band", d=line_through(right, high) + line_through(left, low).replace("M", "L", 1) + "Z")


def _curve(axes: Axes, line: Line, index: int) -> Markup:
    style = f"s{index % _STYLES}"
    x, y = axes.place(*downsample(line.x, line.y))
    parts = []
    if line.low is not None and line.high is not None:
        parts += [_whisker(axes, *ends) for ends in zip(line.x, line.low, line.high, strict=True)]
    calm = len(line.y) > CALM_ROWS
    parts.append(tag("path", cls=f"line {'raw ' if calm else ''}{style}", d=line_through(x, y)))
    if calm:
        parts.append(tag("path", cls=f"line {style}", d=line_through(*axes.place(*medians(line.x, bounded(line.y))))))
    if len(line.y) <= _MARKED:
        parts.append(_markers(x, y, index))
    return Markup("").join(parts)


def _whisker(axes: Axes, x: float, low: float, high: float) -> Markup:
    ends = np.clip([low, high], axes.y.low, axes.y.high)  # a logarithmic axis has no place for an end below zero
    places, levels = axes.place(np.asarray([x, x]), ends)
    a, b, c = float(places[0]), float(levels[0]), float(levels[1])
    return tag("path", cls="whisker", d=f"M{a - 3:.1f} {b:.1f}h6M{a:.1f} {b:.1f}V{c:.1f}M{a - 3:.1f} {c:.1f}h6")


def _markers(x: Floats, y: Floats, index: int, *, small: bool = False) -> Markup:
    r = 1.6 if small else 3.0
    shape = (
        f"m{-r} 0a{r} {r} 0 1 0 {2 * r} 0a{r} {r} 0 1 0 {-2 * r} 0",
        f"m{-r} {-r}h{2 * r}v{2 * r}h{-2 * r}z",
        f"m0 {-1.3 * r:.1f}l{1.3 * r:.1f} {2.3 * r:.1f}h{-2.6 * r:.1f}z",
        f"m0 {-1.4 * r:.1f}l{1.4 * r:.1f} {1.4 * r:.1f}l{-1.4 * r:.1f} {1.4 * r:.1f}l{-1.4 * r:.1f} {-1.4 * r:.1f}z",
    )[index % 4]
    marks = "".join(f"M{a:.1f} {b:.1f}{shape}" for a, b in zip(x.tolist(), y.tolist(), strict=True))
    return tag("path", cls=f"mark s{index % _STYLES}", d=marks)


def _bands(axes: Axes, lines: Sequence[Line], tip: Callable[[float], str]) -> Markup:
    """Invisible upright strips, each with the values of the row in its middle as a tooltip."""
    frame = axes.frame
    places = np.unique(np.concatenate([line.x for line in lines]))
    places = places[np.unique(np.linspace(0, len(places) - 1, min(_BANDS, len(places))).round().astype(int))]
    across = frame.left + frame.across * axes.x.place(places)
    edges = [float(frame.left), *((across[1:] + across[:-1]) / 2).tolist(), float(frame.left + frame.across)]
    parts = []
    for place, left, right in zip(places.tolist(), edges, edges[1:], strict=False):
        values = []
        for line in (line for line in lines if len(line.x)):
            nearest = int(np.abs(line.x - place).argmin())
            values.append(f"{line.name}: {number(float(line.y[nearest]))}")
        text = tag("title", "\n".join([tip(place), *values]))
        width = f"{right - left:.1f}"
        parts.append(tag("rect", text, x=f"{left:.1f}", y=frame.top, width=width, height=frame.down))
    return tag("g", *parts, cls="bands")


def _legend(lines: Sequence[Line], references: Sequence[Reference], band: Band | None) -> Markup:
    items = []
    for index, line in enumerate(lines):
        swatch = [tag("path", cls=f"line s{index % _STYLES}", d="M0 6H28")]
        if len(line.y) <= _MARKED:
            swatch.append(_markers(np.asarray([14.0]), np.asarray([6.0]), index))
        items.append(_item(swatch, line.name, float(line.y[-1])))
    for index, reference in enumerate(references):
        swatch = [tag("path", cls=f"floor f{index % 2}", d="M0 6H28")]
        items.append(_item(swatch, reference.name, reference.level))
    if band is not None:
        picture = tag("svg", tag("path", cls="band", d="M0 1H28V11H0Z"), viewBox="0 0 28 12", aria_hidden="true")
        items.append(tag("li", picture, band.name))
    return tag("ul", *items, cls="legend")


def _item(swatch: Sequence[Markup], name: str, value: float) -> Markup:
    picture = tag("svg", *swatch, viewBox="0 0 28 12", aria_hidden="true")
    return tag("li", picture, name, " ", tag("b", number(value)))
