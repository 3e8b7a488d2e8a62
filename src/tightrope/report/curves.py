"""The sections that are charts: distance to the data, training curves, critic spectra."""

from __future__ import annotations

import json
from collections.abc import Callable
from html import escape
from typing import Any

import numpy as np

from tightrope.drawing.charts import CALM_ROWS, Line, Reference, line_chart, spectrum_chart
from tightrope.drawing.numbers import count, number, plural, ratio
from tightrope.drawing.scales import choose_scale
from tightrope.report import quantities
from tightrope.report.pieces import missing, table
from tightrope.report.verdict import floor_name, has_ratio, newest, protocol_text
from tightrope.runs.record import Reading, RunRecord, Series, is_number

_LAYERS = 48  # spectra shown
_SIGMAS = 8  # layers in the chart of sigma over training


def distance(record: RunRecord) -> str:
    """Every measured quantity over training against its floor, and the newest values with their protocols."""
    last = newest(record)
    if last is None:
        return missing("The run was not evaluated, so nothing is known about its distance to the data.")
    names = list(dict.fromkeys(reading.name for one in record.evaluations for reading in one.readings))
    charts = "".join(_distance_chart(record, name) for name in names)
    rows = "".join(_reading_row(reading) for reading in last.readings)
    head = "".join(f"<th>{title}</th>" for title in ("Measured", "Value", "Floor", "Ratio", "How it was measured"))
    table = f'<table class="cards"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'
    return f'<p>Measured at step {count(last.step)}:</p>{table}<div class="charts">{charts}</div>'


def _distance_chart(record: RunRecord, name: str) -> str:
    groups: dict[str, list[tuple[float, Reading]]] = {}
    for one in record.evaluations:
        for reading in one.readings:
            if reading.name == name:
                groups.setdefault(json.dumps(reading.protocol, sort_keys=True), []).append((one.images_seen, reading))
    lines = []
    for index, group in enumerate(groups.values()):
        title = quantities.metric_label(name) + (f", protocol {index + 1}" if len(groups) > 1 else "")
        lines.append(_reading_line(title, group))
    if max(len(line.x) for line in lines) < 2:
        return ""
    final = next(reversed(groups.values()))[-1][1]
    floors = [] if final.floor is None else [Reference(floor_name(final), final.floor)]
    steps = np.asarray([one.step for one in record.evaluations], np.float64)
    images = np.asarray([one.images_seen for one in record.evaluations], np.float64)
    return line_chart(
        lines,
        title=quantities.metric_label(name, first=True),
        x_label=_axis(record),
        log=quantities.is_distance(name),
        references=floors,
        tip=_tip(record, Series(steps, images, images)),
    )


def _reading_line(title: str, group: list[tuple[float, Reading]]) -> Line:
    x = np.asarray([images for images, _ in group], np.float64)
    y = np.asarray([reading.value for _, reading in group], np.float64)
    ends = [reading.interval or (reading.value, reading.value) for _, reading in group]
    if not any(reading.interval for _, reading in group):
        return Line(title, x, y)
    return Line(title, x, y, np.asarray([low for low, _ in ends]), np.asarray([high for _, high in ends]))


def _reading_row(reading: Reading) -> str:
    value = number(reading.value)
    if reading.interval is not None:
        value += f" <small>95 % interval {number(reading.interval[0])} to {number(reading.interval[1])}</small>"
    share = ratio(reading.value / (reading.floor or 1.0)) if has_ratio(reading) else "–"
    floor = "none" if reading.floor is None else number(reading.floor)
    how = escape(protocol_text(reading.protocol)) + "".join(f"<br>{escape(note)}" for note in reading.notes)
    name = quantities.metric_label(reading.name, first=True)
    cells = (("Value", value), ("Floor", floor), ("Ratio", share), ("How it was measured", how))
    body = "".join(f'<td data-label="{label}">{text}</td>' for label, text in cells)
    return f'<tr><th scope="row">{escape(name)}</th>{body}</tr>'


def curves(record: RunRecord) -> str:
    """A chart for each group of logged quantities; those that never change are listed instead."""
    if not record.rows:
        return missing("No metrics were logged.")
    found = {key: record.series(key) for key in _keys(record)}
    found = {key: series for key, series in found.items() if len(series)}
    if len(record.rows) == 1:
        values = {quantities.title(key): number(float(series.values[0])) for key, series in found.items()}
        return missing("One row was logged; a curve needs two.") + table(values.items())
    constant = {key: s for key, s in found.items() if len(s) > 1 and np.ptp(s.values) == 0}
    drawn = {key: series for key, series in found.items() if key not in constant}
    if "gap" in drawn and _equal(drawn["gap"], drawn.get("wasserstein_estimate")):
        del drawn["gap"]  # one chart says both
    parts = [
        line_chart(
            [Line(quantities.label(key), drawn[key].images, drawn[key].values) for key in chart.keys],
            title=chart.title,
            x_label=_axis(record),
            log=chart.log,
            tip=_tip(record, drawn[chart.keys[0]]),
        )
        for chart in quantities.charts(set(drawn))
    ]
    page = f'<div class="charts">{"".join(parts)}</div>' if parts else ""
    if any(len(series) > CALM_ROWS for series in drawn.values()):
        page = f"<p>Thin lines show every logged row, thick lines the medians of equal parts.</p>{page}"
    if constant:
        same = "; ".join(f"{quantities.title(key)} {number(float(s.values[0]), 6)}" for key, s in constant.items())
        page += f'<p class="constant">Constant throughout: {escape(same)}.</p>'
    return page


def _equal(one: Series, other: Series | None) -> bool:
    return other is not None and np.array_equal(one.values, other.values) and np.array_equal(one.steps, other.steps)


def _keys(record: RunRecord) -> list[str]:
    keys = dict.fromkeys(key for row in record.rows for key, value in row.items() if isinstance(value, int | float))
    return [key for key in keys if key not in quantities.CLOCK]


def spectra(record: RunRecord) -> str:
    """The singular values of each critic layer, newest and first, with a table, and the largest over training."""
    rows = record.spectra()
    if not rows:
        return missing("No critic spectra were logged.")
    (first_row, first), (row, layers) = rows[0], rows[-1]
    values = {name: _values(layer) for name, layer in list(layers.items())[:_LAYERS]}
    early = {name: _values(first[name]) if name in first and len(rows) > 1 else None for name in values}
    everything = [part for part in (*values.values(), *early.values()) if part is not None and len(part)]
    charts = ""
    if everything:
        scale = choose_scale(np.concatenate(everything), log=True)
        drawn = (spectrum_chart(name, part, early[name], scale) for name, part in values.items() if len(part))
        charts = f'<div class="smalls">{"".join(drawn)}</div>'
    before = f"; dashed: step {count(first_row['step'])}" if len(rows) > 1 else ""
    text = f"Singular values of each layer's kernel at step {count(row['step'])}, largest first{before}."
    if len(layers) > _LAYERS:
        text += f" The first {_LAYERS} of {len(layers)} layers are shown."
    over = _sigma_chart(record, rows)
    table = _spectra_table(layers, first if len(rows) > 1 else {})
    return f'<p>{text}</p>{charts}<div class="charts"><div>{table}</div>{over}</div>'


def _values(layer: dict[str, Any]) -> np.ndarray[Any, np.dtype[np.float64]]:
    stored = layer.get("values")
    return np.asarray([v for v in stored if is_number(v)] if isinstance(stored, list) else [], np.float64)


def _spectra_table(layers: dict[str, Any], first: dict[str, Any]) -> str:
    head = ("Layer", "σ", *(("σ at first",) if first else ()), "Stable rank")
    rows = []
    for name, layer in layers.items():
        numbers = [layer.get("sigma"), *([first.get(name, {}).get("sigma")] if first else []), layer.get("stable_rank")]
        cells = "".join(f"<td>{number(n, zeros=True) if is_number(n) else '–'}</td>" for n in numbers)
        rows.append(f'<tr><th scope="row"><code>{escape(name)}</code></th>{cells}</tr>')
    titles = "".join(f"<th>{title}</th>" for title in head)
    return f'<table class="numbers"><thead><tr>{titles}</tr></thead><tbody>{"".join(rows)}</tbody></table>'


def _sigma_chart(record: RunRecord, rows: tuple[tuple[dict[str, Any], dict[str, Any]], ...]) -> str:
    if len(rows) < 2:
        return ""
    collected: dict[str, list[tuple[float, float, float]]] = {}
    for row, layers in rows:
        for name, layer in layers.items():
            if is_number(layer.get("sigma")):
                images = row["images_seen"] if is_number(row.get("images_seen")) else row["step"]
                collected.setdefault(name, []).append((row["step"], images, float(layer["sigma"])))
    largest = sorted(collected, key=lambda name: -collected[name][-1][2])[:_SIGMAS]
    lines = []
    for name in (name for name in collected if name in largest):
        table = np.asarray(collected[name], np.float64)
        lines.append(Line(name, table[:, 1], table[:, 2]))
    if not lines:
        return ""
    some = f", the {_SIGMAS} largest of {len(collected)} layers" if len(collected) > _SIGMAS else ""
    longest = np.asarray(max(collected.values(), key=len), np.float64)
    return line_chart(
        lines,
        title=f"Largest singular value of each layer{some}",
        x_label=_axis(record),
        log=True,
        tip=_tip(record, Series(longest[:, 0], longest[:, 1], longest[:, 2])),
    )


def _axis(record: RunRecord) -> str:
    if not any("images_seen" in row for row in record.rows) and not any(
        e.images_seen != e.step for e in record.evaluations
    ):
        return "step"
    return f"{_noun(record)}s seen"


def _noun(record: RunRecord) -> str:
    return "image" if record.part("data").get("kind") in (None, "images") else "sample"


def _tip(record: RunRecord, series: Series) -> Callable[[float], str]:
    def tip(images: float) -> str:
        step = series.steps[int(np.abs(series.images - images).argmin())]
        return f"step {count(step)}, {plural(images, _noun(record))} seen"

    return tip
