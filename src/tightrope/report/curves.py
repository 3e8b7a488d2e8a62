"""The sections that are charts: distance to the data, training curves, critic spectra."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from markupsafe import Markup

from tightrope.drawing.axes import Floats
from tightrope.drawing.charts import CALM_ROWS, Line, Reference, line_chart, spectrum_chart
from tightrope.drawing.numbers import count, number, plural
from tightrope.drawing.scales import bounded, choose_scale
from tightrope.metrics import Measurement, Protocol
from tightrope.report import quantities
from tightrope.report.reference import References
from tightrope.report.render import charts, missing, piece, table
from tightrope.report.verdict import cells, floor_name, newest, noun, protocol_text
from tightrope.runs.record import RunRecord, Series
from tightrope.runs.rows import Layer, Logged

_LAYERS = 48  # spectra shown
_SIGMAS = 8  # layers in the chart of sigma over training


def distance(record: RunRecord) -> Markup:
    """Every measured quantity over training against its floor, and the newest values with their protocols."""
    last = newest(record)
    failed = [one for one in record.evaluations if one.error]
    why = f"The evaluation at step {count(failed[-1].step)} gave no numbers: {failed[-1].error}." if failed else ""
    if last is None:
        return missing(why or "The run was not evaluated, so nothing is known about its distance to the data.")
    names = dict.fromkeys(measured.name for one in record.evaluations for measured in one.measurements)
    head = ("Measured", "Value", "Floor", "Ratio", "How it was measured")
    rows = []
    for one in last.measurements:
        value, interval, floor, share = cells(one)
        how = (protocol_text(one.protocol), *one.notes)
        name = quantities.metric_label(one.name, first=True)
        rows.append((name, value, "" if one.interval is None else interval, floor, share, how))
    drawn = charts(*(_distance_chart(record, name) for name in names))
    return (missing(why) if why else Markup("")) + piece("distance", count(last.step), head, rows, drawn)


def _distance_chart(record: RunRecord, name: str) -> str:
    groups: dict[Protocol, list[tuple[float, Measurement]]] = {}
    for one in record.evaluations:
        for measured in one.measurements:
            if measured.name == name:
                groups.setdefault(measured.protocol, []).append((one.images, measured))
    if max(map(len, groups.values())) < 2:
        return ""
    lines = []
    for index, group in enumerate(groups.values()):
        title = quantities.metric_label(name) + (f", protocol {index + 1}" if len(groups) > 1 else "")
        lines.append(_measured_line(title, group))
    final = next(reversed(groups.values()))[-1][1]
    floors = [] if final.floor is None else [Reference(floor_name(final), final.floor)]
    steps = np.asarray([one.step for one in record.evaluations], np.float64)
    images = np.asarray([one.images for one in record.evaluations], np.float64)
    return line_chart(
        lines,
        title=quantities.metric_label(name, first=True),
        x_label=axis(record),
        log=quantities.is_distance(name),
        references=floors,
        tip=_tip(record, Series(steps, images, images)),
    )


def _measured_line(title: str, group: Sequence[tuple[float, Measurement]]) -> Line:
    x = np.asarray([images for images, _ in group], np.float64)
    y = np.asarray([measured.value for _, measured in group], np.float64)
    if not any(measured.interval for _, measured in group):
        return Line(title, x, y)
    ends = [measured.interval or (measured.value, measured.value) for _, measured in group]
    return Line(title, x, y, np.asarray([low for low, _ in ends]), np.asarray([high for _, high in ends]))


def curves(record: RunRecord, references: References | None = None) -> Markup:
    """A chart for each group of logged quantities; those that never change are listed instead.

    Args:
        record: the run.
        references: bands of reference runs; a quantity that has one gets a chart of its own.
    """
    if not record.rows:
        return missing("No metrics were logged.")
    keys = dict.fromkeys(key for row in record.rows for key, value in row.items() if isinstance(value, int | float))
    found = {key: record.series(key) for key in keys if key not in quantities.CLOCK}
    if len(record.rows) == 1:
        values = [(quantities.label(key), number(float(series.values[0]))) for key, series in found.items()]
        return missing("One row was logged; a curve needs two.") + piece("pairs", values)
    constant = {key: s for key, s in found.items() if len(s) > 1 and (s.values == s.values[0]).all()}
    drawn = {key: series for key, series in found.items() if key not in constant}
    if "gap" in drawn and _equal(drawn["gap"], drawn.get("wasserstein_estimate")):
        del drawn["gap"]  # one chart says both
    parts = [
        line_chart(
            [Line(name, drawn[key].images, drawn[key].values) for key, name in chart.lines.items()],
            title=chart.title,
            x_label=axis(record),
            log=chart.log,
            tip=_tip(record, drawn[next(iter(chart.lines))]),
        )
        for chart in quantities.charts(set(drawn))
    ]
    if references is not None:
        parts = [*_over_bands(record, drawn, references), *parts]
    calm = any(len(series) > CALM_ROWS for series in drawn.values())
    same = "; ".join(f"{quantities.label(key)} {number(float(s.values[0]), 6)}" for key, s in constant.items())
    said = Markup("") if references is None else piece("beside_reference", references.said)
    return said + piece("curves", calm, charts(*parts), same)


def _over_bands(record: RunRecord, drawn: Mapping[str, Series], references: References) -> list[Markup]:
    """Charts of quantities over the band of reference runs."""
    pairs = [(key, series, references.band(key)) for key, series in drawn.items()]
    return [
        line_chart(
            [Line(quantities.label(key), series.images, series.values)],
            title=f"{quantities.label(key, first=True)}, over {band.name}",
            x_label=axis(record),
            log="norm" in key,
            tip=_tip(record, series),
            band=band,
        )
        for key, series, band in pairs
        if band is not None
    ]


def _equal(one: Series, other: Series | None) -> bool:
    return other is not None and np.array_equal(one.values, other.values) and np.array_equal(one.steps, other.steps)


def spectra(record: RunRecord) -> Markup:
    """The singular values of each critic layer, newest and first, with a table, and the largest over training."""
    rows = record.spectra()
    if not rows:
        return missing("No critic spectra were logged.")
    (first_row, first), (row, layers) = rows[0], rows[-1]
    first = first if len(rows) > 1 else {}
    missing_ones = {name: layer.not_understood for name, layer in layers.items() if layer.not_understood}
    layers = {name: layer for name, layer in layers.items() if name not in missing_ones}
    before = f"; dashed: step {_count(first_row)}" if first else ""
    text = f"Singular values of each layer's kernel at step {_count(row)}, largest first{before}."
    if row["step"] != record.step:
        text += f" These are the newest that were logged; the run stands at step {count(record.step)}."
    if len(layers) > _LAYERS:
        text += f" The first {_LAYERS} of {len(layers)} layers are shown."
    text += not_understood(missing_ones)
    pairs = [(name, values_of(layer), values_of(first.get(name))) for name, layer in list(layers.items())[:_LAYERS]]
    head = ("Layer", "σ", *(("σ at first",) if first else ()), "Stable rank")
    numbers = []
    for name, layer in layers.items():
        early = [first.get(name, Layer()).sigma] if first else []
        numbers.append((name, [shown(value) for value in (layer.sigma, *early, layer.stable_rank)]))
    beside = piece("beside", table("numbers", head, numbers, code=True), _sigma_chart(record, rows))
    return spectrum_charts(pairs, text) + beside


def not_understood(found: Mapping[str, str]) -> str:
    """A sentence on the weights that are missing from a page of spectra; empty if there are none."""
    if not found:
        return ""
    return f" Not understood, and not shown: {'; '.join(f'{name} ({why})' for name, why in found.items())}."


def spectrum_charts(layers: Sequence[tuple[str, Floats, Floats]], text: str = "") -> Markup:
    """A small chart per name: newest values, and dashed the first ones where there are any, on one scale."""
    everything = np.concatenate([part for _, *both in layers for part in both]) if layers else np.zeros(0)
    if not len(everything):
        return piece("smalls", text, [])
    scale = choose_scale(everything, log=True)
    drawn = [spectrum_chart(name, new, old if len(old) else None, scale) for name, new, old in layers if len(new)]
    return piece("smalls", text, drawn)


def values_of(layer: Layer | None) -> Floats:
    """The singular values of a layer; none where there is none."""
    return np.asarray(() if layer is None else layer.values, np.float64)


def shown(value: float | None) -> str:
    """A number for a column, or a dash."""
    return "–" if value is None else number(value, zeros=True)


def _count(row: Logged) -> str:
    step = row["step"]
    return count(step) if isinstance(step, int | float) else "?"


def _sigma_chart(record: RunRecord, rows: Sequence[tuple[Logged, dict[str, Layer]]]) -> str:
    if len(rows) < 2:
        return ""
    collected: dict[str, list[tuple[object, object, float]]] = {}
    for row, layers in rows:
        for name, layer in layers.items():
            if layer.sigma is not None:
                collected.setdefault(name, []).append((row["step"], row.get("images_seen", row["step"]), layer.sigma))
    largest = sorted(collected, key=lambda name: -collected[name][-1][2])[:_SIGMAS]
    tables = {name: np.asarray(found, np.float64) for name, found in collected.items()}
    lines = [Line(name, tables[name][:, 1], tables[name][:, 2]) for name in tables if name in largest]
    if not lines:
        return ""
    some = f", the {_SIGMAS} largest of {len(collected)} layers" if len(collected) > _SIGMAS else ""
    return line_chart(
        lines,
        title=f"Largest singular value of each layer{some}",
        x_label=axis(record),
        log=True,
        tip=_tip(record, Series(*max(tables.values(), key=len).T)),
    )


def axis(record: RunRecord) -> str:
    """The name of the horizontal axis of training."""
    measured = [row.images_seen for row in record.evaluations] + [row.images_seen for row in record.conditioning]
    counted = any("images_seen" in row for row in record.rows) or any(images is not None for images in measured)
    return f"{noun(record)}s seen" if counted else "step"


def _tip(record: RunRecord, series: Series) -> Callable[[float], str]:
    places = bounded(series.images)

    def tip(images: float) -> str:
        step = series.steps[int(np.abs(places - images).argmin())]
        return f"step {count(step)}, {plural(images, noun(record))} seen"

    return tip
