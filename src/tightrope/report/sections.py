"""The sections of one run's report, each a function of the loaded run: a page may hold the sections of several runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np

from tightrope.report import quantities
from tightrope.report.figures import CALM_ROWS, Line, Reference, line_chart, spectrum_chart
from tightrope.report.formats import count, number, plural, ratio
from tightrope.report.pictures import Picture, embed
from tightrope.report.record import Reading, RunRecord, Series
from tightrope.report.scales import choose_scale
from tightrope.report.verdict import floor_name, has_ratio, newest, protocol_text

_LARGE_BYTES = 420_000  # of the newest and the real picture each
_STRIP_BYTES = 70_000  # of each picture in the strip
_STRIP = 6
_LAYERS = 48  # spectra shown
_SIGMAS = 8  # layers in the chart of sigma over training


@dataclass(frozen=True)
class Section:
    """A part of the page: its anchor, its heading and its HTML."""

    anchor: str
    title: str
    html: str


def sections(record: RunRecord) -> tuple[Section, ...]:
    """All sections of one run, in reading order."""
    return (
        Section("samples", "Samples", samples(record)),
        Section("distance", "Distance to the data", distance(record)),
        Section("curves", "Training curves", curves(record)),
        Section("spectra", "Critic layer spectra", spectra(record)),
        Section("configuration", "Configuration", configuration(record)),
        Section("reproduce", "Reproduce this run", reproduce(record)),
        Section("definitions", "What the numbers mean", definitions(record)),
    )


def samples(record: RunRecord) -> str:
    """The newest generated samples beside real ones, and a strip of how they came about."""
    if not record.samples and record.real is None:
        return _missing("No sample picture was written.")
    parts = []
    if record.samples:
        step, path = record.samples[-1]
        parts.append(
            _picture(record, embed(path, most_bytes=_LARGE_BYTES), f"Generated, step {count(step)}", path.name)
        )
    else:
        parts.append(_missing("No picture of generated samples was written."))
    if record.real is not None:
        parts.append(_picture(record, embed(record.real, most_bytes=_LARGE_BYTES), "Real", record.real.name))
    else:
        parts.append(_missing("No picture of real samples was written."))
    return f'<div class="pair">{"".join(parts)}</div>{_strip(record)}'


def _strip(record: RunRecord) -> str:
    if len(record.samples) < 2:
        return ""
    places = np.unique(np.linspace(0, len(record.samples) - 1, _STRIP).round().astype(int))
    parts = []
    for step, path in (record.samples[place] for place in places):
        picture = embed(path, most_bytes=_STRIP_BYTES, widest=280)
        parts.append(_picture(record, picture, f"step {count(step)}", path.name))
    return f'<h3>Over training</h3><div class="strip">{"".join(parts)}</div>'


def _picture(record: RunRecord, picture: Picture | None, caption: str, name: str) -> str:
    if picture is None:
        return _missing(f"{name} could not be embedded: it is damaged or too large.")
    pixels = " pixels" if record.part("data").get("kind") == "images" and picture.shrunk == 1 else ""
    image = (
        f'<img class="sample{pixels}" src="{picture.uri}" width="{picture.width}" height="{picture.height}" '
        f'alt="{escape(caption)} samples">'
    )
    return f"<figure>{image}<figcaption>{escape(caption)}</figcaption></figure>"


def distance(record: RunRecord) -> str:
    """Every measured quantity over training against its floor, and the newest values with their protocols."""
    last = newest(record)
    if last is None:
        return _missing("The run was not evaluated, so nothing is known about its distance to the data.")
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
        return _missing("No metrics were logged.")
    found = {key: record.series(key) for key in _keys(record)}
    found = {key: series for key, series in found.items() if len(series)}
    if len(record.rows) == 1:
        values = {quantities.title(key): number(float(series.values[0])) for key, series in found.items()}
        return _missing("One row was logged; a curve needs two.") + _table(values.items())
    constant = {key: s for key, s in found.items() if len(s) > 1 and np.ptp(s.values) == 0}
    drawn = {key: series for key, series in found.items() if key not in constant}
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
        page += f'<p class="muted">Constant throughout: {escape(same)}.</p>'
    return page


def _keys(record: RunRecord) -> list[str]:
    keys = dict.fromkeys(key for row in record.rows for key, value in row.items() if isinstance(value, int | float))
    return [key for key in keys if key not in quantities.CLOCK]


def spectra(record: RunRecord) -> str:
    """The singular values of each critic layer, newest and first, with a table, and the largest over training."""
    rows = record.spectra()
    if not rows:
        return _missing("No critic spectra were logged.")
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
    return f"<p>{text}</p>{charts}{_spectra_table(layers, first if len(rows) > 1 else {})}{over}"


def _values(layer: dict[str, Any]) -> np.ndarray[Any, np.dtype[np.float64]]:
    stored = layer.get("values")
    numbers = [v for v in stored if isinstance(v, int | float)] if isinstance(stored, list) else []
    values = np.asarray(numbers, np.float64)
    return values[np.isfinite(values)]


def _spectra_table(layers: dict[str, Any], first: dict[str, Any]) -> str:
    head = ("Layer", "σ", *(("σ at first",) if first else ()), "Stable rank")
    rows = []
    for name, layer in layers.items():
        numbers = [layer.get("sigma"), *([first.get(name, {}).get("sigma")] if first else []), layer.get("stable_rank")]
        cells = "".join(f"<td>{number(n) if isinstance(n, int | float) else '–'}</td>" for n in numbers)
        rows.append(f'<tr><th scope="row"><code>{escape(name)}</code></th>{cells}</tr>')
    titles = "".join(f"<th>{title}</th>" for title in head)
    return f'<table class="numbers"><thead><tr>{titles}</tr></thead><tbody>{"".join(rows)}</tbody></table>'


def _sigma_chart(record: RunRecord, rows: tuple[tuple[dict[str, Any], dict[str, Any]], ...]) -> str:
    if len(rows) < 2:
        return ""
    collected: dict[str, list[tuple[float, float, float]]] = {}
    for row, layers in rows:
        for name, layer in layers.items():
            if isinstance(layer.get("sigma"), int | float):
                images = row.get("images_seen", row["step"])
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
    chart = line_chart(
        lines,
        title=f"Largest singular value of each layer{some}",
        x_label=_axis(record),
        log=True,
        tip=_tip(record, Series(longest[:, 0], longest[:, 1], longest[:, 2])),
    )
    return f'<div class="charts">{chart}</div>'


def configuration(record: RunRecord) -> str:
    """What was trained, with what, on what: one table for each part of the configuration."""
    if not record.config:
        return _missing("config.json is missing or could not be read.")
    order = ("method", "network", "data", "training", "environment")
    parts = {key: record.config[key] for key in order if key in record.config}
    parts |= {k: v for k, v in record.config.items() if k not in parts and isinstance(v, dict)}
    loose = {k: v for k, v in record.config.items() if not isinstance(v, dict) and k != "command"}
    groups = [(key, dict(_flat(value))) for key, value in parts.items() if isinstance(value, dict)]
    groups += [("versions", dict(_flat(loose)))] if loose else []
    tables = (f"<div><h3>{escape(key.capitalize())}</h3>{_table(rows.items())}</div>" for key, rows in groups)
    return f'<div class="config">{"".join(tables)}</div>'


def _flat(part: dict[str, Any], prefix: str = "") -> Iterable[tuple[str, str]]:
    for key, value in part.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, "" if key == "hyperparameters" else f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", _shown(value)


def _shown(value: Any) -> str:
    if isinstance(value, list):
        text = ", ".join(_shown(item) for item in value[:24])
        return f"{text}, … ({len(value)} in all)" if len(value) > 24 else text or "none"
    if value is None or value == {}:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) and abs(value) >= 10_000 else str(value)


def reproduce(record: RunRecord) -> str:
    """The command that starts the same run."""
    command = record.config.get("command")
    if not isinstance(command, str) or not command.strip():
        return _missing("No command was recorded.")
    return f"<pre><code>{escape(command)}</code></pre>"


def definitions(record: RunRecord) -> str:
    """One sentence for each quantity that the page shows."""
    keys = [key for key in quantities.QUANTITIES if len(record.series(key))]
    entries = [(quantities.title(key), quantities.QUANTITIES[key].meaning) for key in keys]
    entries += quantities.OTHERS
    return f"<dl>{''.join(f'<dt>{escape(a)}</dt><dd>{escape(b)}</dd>' for a, b in entries)}</dl>"


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


def _table(rows: Iterable[tuple[str, str]]) -> str:
    body = "".join(f'<tr><th scope="row">{escape(key)}</th><td>{escape(value)}</td></tr>' for key, value in rows)
    return f'<table class="pairs"><tbody>{body}</tbody></table>'


def _missing(sentence: str) -> str:
    return f'<p class="missing">{escape(sentence)}</p>'
