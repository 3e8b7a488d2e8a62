"""Several runs on one page: distances in one table, samples side by side, curves and critic spectra overlaid."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np

from tightrope._plumbing.errors import UserError
from tightrope.drawing.charts import Line, Reference, line_chart
from tightrope.drawing.numbers import count, duration, number, ratio
from tightrope.report import quantities
from tightrope.report.html import document, heading
from tightrope.report.pictures import embed
from tightrope.report.pieces import missing
from tightrope.report.sections import Section, flat
from tightrope.report.verdict import floor_name, has_ratio, newest, primary, protocol_text
from tightrope.runs.record import Reading, RunRecord, is_number

_PICTURE_BYTES = 160_000
_LAYERS = 24
_CURVES = ("wasserstein_estimate", "critic_loss", "generator_loss", "input_gradient_norm_interpolate",
           "input_gradient_norm_real", "critic_gradient_norm", "generator_gradient_norm")  # fmt: skip


@dataclass(frozen=True)
class Named:
    """A run with the name that tells it from the others on the page."""

    name: str
    record: RunRecord


def named(records: Sequence[RunRecord]) -> list[Named]:
    """Runs under their methods' names where those differ, otherwise under folder names, made distinct.

    Raises:
        UserError: Fewer than two runs.
    """
    if len(records) < 2:
        raise UserError(f"Expected at least two runs to compare, got {len(records)}; name more run folders.")
    methods = [str(record.part("method").get("name") or record.name) for record in records]
    names = methods if len(set(methods)) == len(methods) else [record.name for record in records]
    if len(set(names)) < len(names):
        names = [f"{name} ({index + 1})" for index, name in enumerate(names)]
    return [Named(name, record) for name, record in zip(names, records, strict=True)]


def comparison_page(records: Sequence[RunRecord]) -> str:
    """A complete HTML document that sets runs side by side.

    Args:
        records: Two runs or more, as ``tightrope.report.read_run`` loads them.

    Raises:
        UserError: Fewer than two runs.
    """
    runs = named(records)
    parts = (
        Section("result", "Distance to the data", _distances(runs)),
        Section("samples", "Samples", _samples(runs)),
        Section("curves", "Training curves", _curves(runs)),
        Section("spectra", "Critic spectra", _spectra(runs)),
        Section("differences", "What differs between the runs", _differences(runs)),
    )
    links = "".join(f'<a href="#{part.anchor}">{escape(part.title)}</a>' for part in parts)
    body = "".join(f'<section id="{part.anchor}"><h2>{escape(part.title)}</h2>{part.html}</section>' for part in parts)
    title = f"{len(runs)} runs on {', '.join(dict.fromkeys(_data(run.record) for run in runs))}"
    warnings = "".join(f'<p class="missing">{escape(text)}</p>' for text in cautions(runs))
    return document(
        title,
        f'<header><h1>{escape(title)}</h1><p class="subtitle">{escape(" · ".join(run.name for run in runs))}</p>'
        f"</header><main>{warnings}<nav aria-label='Sections'>{links}</nav>{body}</main>"
        "<footer>Made by Tightrope from the files in the run folders. No scripts, no network.</footer>",
    )


def cautions(runs: Sequence[Named]) -> list[str]:
    """What forbids reading the numbers against each other, one sentence each."""
    found = []
    prints = {run.record.part("data").get("fingerprint") for run in runs}
    if len(prints) > 1:
        found.append("The runs were trained on different data (the fingerprints differ): distances do not compare.")
    if len(_protocols(runs)) > 1:
        found.append("The newest measurements follow different protocols: they are listed, and not ranked.")
    budgets = {run.record.images_seen for run in runs}
    if len(budgets) > 1:
        low, high = min(budgets), max(budgets)
        found.append(f"The critics saw different numbers of real samples, from {count(low)} to {count(high)}.")
    if len({run.record.part("training").get("seed") for run in runs}) == 1:
        found.append("One seed per run: differences of this size between seeds are common, so this ranks no method.")
    return found


def rows(records: Sequence[RunRecord]) -> list[dict[str, Any]]:
    """One plain dictionary per run: name, budget, and every newest measurement; best distance first if comparable."""
    runs = named(records)
    table: list[dict[str, Any]] = []
    for run in runs:
        last = newest(run.record)
        readings = last.readings if last else ()
        main = primary(readings)
        table.append(
            {
                "name": run.name,
                "run": str(run.record.path),
                "title": heading(run.record),
                "step": run.record.step,
                "images_seen": run.record.images_seen,
                "seconds": run.record.seconds,
                "state": run.record.state,
                "distance": None if main is None else _plain(main),
                "measurements": {reading.name: _plain(reading) for reading in readings},
            }
        )
    if len(_protocols(runs)) == 1:
        table.sort(key=lambda row: float("inf") if row["distance"] is None else row["distance"]["value"])
    return table


def text(records: Sequence[RunRecord]) -> str:
    """The table of :func:`rows` for a terminal, with what forbids reading it."""
    found = rows(records)
    head = ("run", "method on data", "steps", "samples seen", "time", "distance", "95 % interval", "floor", "ratio")
    lines = [head]
    for row in found:
        d = row["distance"]
        cells = [row["name"], row["title"], count(row["step"]), count(row["images_seen"]), duration(row["seconds"])]
        cells += ["-"] * 4 if d is None else [number(d["value"]), _interval(d), _floor(d), _ratio(d)]
        lines.append(tuple(cells))
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    table = ["  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip() for line in lines]
    return "\n".join([*table, *cautions(named(records))])


def _plain(reading: Reading) -> dict[str, Any]:
    return {
        "metric": reading.name,
        "value": reading.value,
        "interval": reading.interval,
        "floor": reading.floor,
        "ratio": reading.value / reading.floor if reading.floor and has_ratio(reading) else None,
        "protocol": reading.protocol,
    }


def _interval(row: dict[str, Any]) -> str:
    return "-" if row["interval"] is None else f"{number(row['interval'][0])} to {number(row['interval'][1])}"


def _floor(row: dict[str, Any]) -> str:
    return "none" if row["floor"] is None else number(row["floor"])


def _ratio(row: dict[str, Any]) -> str:
    return "-" if row["ratio"] is None else ratio(row["ratio"])


def _protocols(runs: Sequence[Named]) -> set[str]:
    """Distinct conditions of the newest primary distances; the seed of the samples is no condition."""
    found = set()
    for run in runs:
        last = newest(run.record)
        main = primary(last.readings) if last else None
        if main is not None:
            found.add(json.dumps({k: v for k, v in main.protocol.items() if k != "seed"}, sort_keys=True))
    return found


def _data(record: RunRecord) -> str:
    data = record.part("data")
    return str(data.get("name") or data.get("source") or "unnamed data")


def _distances(runs: Sequence[Named]) -> str:
    found = rows([run.record for run in runs])
    names = list(dict.fromkeys(name for row in found for name in row["measurements"]))
    if not names:
        return missing("No run was evaluated, so nothing is known about the distances.")
    titles = ["Run", "Steps", "Samples seen", "Time", *(quantities.metric_label(name, first=True) for name in names)]
    body = ""
    for row in found:
        cells = [count(row["step"]), count(row["images_seen"]), duration(row["seconds"])]
        cells += [_cell(row["measurements"].get(name)) for name in names]
        body += f'<tr><th scope="row">{escape(row["name"])}</th>' + "".join(f"<td>{c}</td>" for c in cells) + "</tr>"
    head = "".join(f"<th>{escape(title)}</th>" for title in titles)
    table = f'<table class="numbers"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
    protocols = dict.fromkeys(
        protocol_text({k: v for k, v in row["distance"]["protocol"].items() if k != "seed"})
        for row in found
        if row["distance"]
    )
    said = "".join(f"<p>{escape(text)}</p>" for text in protocols)
    charts = "".join(_distance_chart(runs, name) for name in names)
    return f'{table}{said}<div class="charts">{charts}</div>'


def _cell(measured: dict[str, Any] | None) -> str:
    if measured is None:
        return "–"
    notes = []
    if measured["interval"] is not None:
        notes.append(f"95 % {_interval(measured)}")
    if measured["floor"] is not None:
        notes.append(f"floor {number(measured['floor'])}")
    if measured["ratio"] is not None:
        notes.append(ratio(measured["ratio"]))
    return number(measured["value"]) + "".join(f"<br><small>{note}</small>" for note in notes)


def _distance_chart(runs: Sequence[Named], name: str) -> str:
    lines, floors = [], []
    for run in runs:
        points = [
            (one.images_seen, reading)
            for one in run.record.evaluations
            for reading in one.readings
            if reading.name == name
        ]
        if len(points) > 1:
            x, y = np.asarray([p for p, _ in points]), np.asarray([r.value for _, r in points])
            lines.append(Line(run.name, x.astype(np.float64), y.astype(np.float64)))
            floors += [Reference(floor_name(points[-1][1]), points[-1][1].floor)] if points[-1][1].floor else []
    if not lines:
        return ""
    log = quantities.is_distance(name)
    title = quantities.metric_label(name, first=True)
    return line_chart(lines, title=title, x_label="real samples seen", log=log, references=floors[:1])


def _samples(runs: Sequence[Named]) -> str:
    figures = [_picture(run.name, run.record.samples[-1][1]) for run in runs if run.record.samples]
    real = next((run.record.real for run in runs if run.record.real is not None), None)
    if real is not None:
        figures.append(_picture("Real", real))
    return f'<div class="side">{"".join(figures)}</div>' if figures else missing("No run wrote sample pictures.")


def _picture(caption: str, path: Any) -> str:
    picture = embed(path, most_bytes=_PICTURE_BYTES, widest=560)
    if picture is None:
        return missing(f"{path.name} could not be embedded: it is damaged or too large.")
    image = f'<img class="sample pixels" src="{picture.uri}" width="{picture.width}" height="{picture.height}"'
    return f'<figure>{image} alt="{escape(caption)} samples"><figcaption>{escape(caption)}</figcaption></figure>'


def _curves(runs: Sequence[Named]) -> str:
    charts = []
    for key in _CURVES:
        series = [(run.name, run.record.series(key)) for run in runs]
        lines = [Line(name, found.images, found.values) for name, found in series if len(found) > 1]
        if lines:
            title = quantities.title(key)
            log = key.endswith("norm") or "gradient_norm" in key
            charts.append(line_chart(lines, title=title[:1].upper() + title[1:], x_label="real samples seen", log=log))
    return f'<div class="charts">{"".join(charts)}</div>' if charts else missing("No curves were logged.")


def _spectra(runs: Sequence[Named]) -> str:
    last = {run.name: run.record.spectra()[-1][1] for run in runs if run.record.spectra()}
    if not last:
        return missing("No critic spectra were logged.")
    layers = list(dict.fromkeys(layer for found in last.values() for layer in found))
    charts = [chart for layer in layers[:_LAYERS] if (chart := _spectrum(layer, last))]
    text = (
        "Singular values of each critic layer's kernel at the end, divided by the layer's largest; the horizontal axis "
        "is the position in the spectrum. A flat line at 1 is an orthogonal layer; a steep fall is one that passes on "
        "few directions."
    )
    return f'<p>{text}</p><div class="charts">{"".join(charts)}</div>{_rank_table(layers, last)}'


def _spectrum(layer: str, last: dict[str, dict[str, Any]]) -> str:
    lines = []
    for name, layers in last.items():
        stored = layers.get(layer, {}).get("values")
        values = np.asarray([v for v in stored if is_number(v)] if isinstance(stored, list) else [], np.float64)
        if len(values) > 1 and values[0] > 0:
            lines.append(Line(name, np.linspace(0.0, 1.0, len(values)), values / values[0]))
    return line_chart(lines, title=layer, x_label="share of the spectrum", log=False) if lines else ""


def _rank_table(layers: Iterable[str], last: dict[str, dict[str, Any]]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in last)
    body = ""
    for layer in layers:
        cells = ""
        for found in last.values():
            sigma, rank = (found.get(layer, {}).get(key) for key in ("sigma", "stable_rank"))
            sigma, rank = (number(v) if is_number(v) else "–" for v in (sigma, rank))
            cells += f"<td>{sigma}<br><small>stable rank {rank}</small></td>"
        body += f'<tr><th scope="row"><code>{escape(layer)}</code></th>{cells}</tr>'
    return (
        f'<h3>Largest singular value and stable rank</h3><table class="numbers"><thead><tr><th>Layer</th>{head}</tr>'
        f"</thead><tbody>{body}</tbody></table>"
    )


def _differences(runs: Sequence[Named]) -> str:
    settings = {}
    for run in runs:
        parts = {k: v for k, v in run.record.config.items() if isinstance(v, dict) and k != "environment"}
        settings[run.name] = {f"{k} {key}": value for k, part in parts.items() for key, value in flat(part)}
    keys = list(dict.fromkeys(key for found in settings.values() for key in found))
    differing = [key for key in keys if len({found.get(key) for found in settings.values()}) > 1]
    if not differing:
        return missing("Nothing in the configurations differs.")
    head = "".join(f"<th>{escape(name)}</th>" for name in settings)
    body = "".join(
        f'<tr><th scope="row">{escape(key)}</th>'
        + "".join(f"<td>{escape(found.get(key, '–'))}</td>" for found in settings.values())
        + "</tr>"
        for key in differing
    )
    return f'<table class="cards"><thead><tr><th>Setting</th>{head}</tr></thead><tbody>{body}</tbody></table>'
