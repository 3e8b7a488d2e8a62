"""Several runs on one page: distances in one table, samples side by side, curves and critic spectra overlaid."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from markupsafe import Markup

from tightrope.drawing.charts import Line, Reference, line_chart
from tightrope.drawing.numbers import count, duration
from tightrope.metrics import Measurement
from tightrope.report import quantities
from tightrope.report.comparison import Named, cautions, named, protocols, ranked
from tightrope.report.curves import shown, values_of
from tightrope.report.render import Cell, charts, missing, piece, render, table
from tightrope.report.sections import Section, flat, picture_of
from tightrope.report.verdict import cells, data_name, floor_name, protocol_text
from tightrope.runs.record import RunRecord
from tightrope.runs.rows import Layer

_PICTURE_BYTES = 160_000
_LAYERS = 24
_CURVES = ("wasserstein_estimate", "critic_loss", "generator_loss", "input_gradient_norm_interpolate",
           "input_gradient_norm_real", "critic_gradient_norm", "generator_gradient_norm")  # fmt: skip


def comparison_page(records: Sequence[RunRecord]) -> str:
    """A complete HTML document that sets runs side by side.

    Args:
        records: Two runs or more, as ``tightrope.report.read_run`` loads them.

    Raises:
        UserError: Fewer than two runs.
    """
    runs = named(records)
    sections = (
        Section("result", "Distance to the data", _distances(runs)),
        Section("samples", "Samples", _samples(runs)),
        Section("curves", "Training curves", _curves(runs)),
        Section("spectra", "Critic spectra", _spectra(runs)),
        Section("differences", "What differs between the runs", _differences(runs)),
    )
    return render(
        "comparison.html",
        title=f"{len(runs)} runs on {', '.join(dict.fromkeys(data_name(run.record) for run in runs))}",
        subtitle=" · ".join(run.name for run in runs),
        cautions=cautions(runs),
        sections=sections,
        footer="Made by Tightrope from the files in the run folders. No scripts, no network.",
    )


def _distances(runs: Sequence[Named]) -> Markup:
    names = list(dict.fromkeys(one.name for run in ranked(runs) for one in run.measurements))
    if not names:
        return missing("No run was evaluated, so nothing is known about the distances.")
    head = ["Run", "Steps", "Samples seen", "Time", *(quantities.metric_label(name, first=True) for name in names)]
    rows: list[tuple[str, list[Cell]]] = []
    for run in ranked(runs):
        measured = {one.name: one for one in run.measurements}
        spent = (count(run.record.step), count(run.record.images_seen), duration(run.record.seconds))
        rows.append((run.name, [*spent, *(_cell(measured.get(name)) for name in names)]))
    said = piece("text", [protocol_text(protocol, seed=False) for protocol in protocols(runs).values()])
    return table("numbers", head, rows) + said + charts(*(_distance_chart(runs, name) for name in names))


def _cell(measured: Measurement | None) -> Cell:
    if measured is None:
        return "–"
    value, interval, floor, share = cells(measured)
    notes = [f"95 % {interval}"] if measured.interval is not None else []
    notes += [f"floor {floor}"] if measured.floor is not None else []
    return [value, *notes, *([share] if share != "–" else [])]


def _distance_chart(runs: Sequence[Named], name: str) -> str:
    lines, floors = [], []
    for run in runs:
        points = [(e.images, one) for e in run.record.evaluations for one in e.measurements if one.name == name]
        if len(points) > 1:
            x, y = np.asarray([(x, one.value) for x, one in points], np.float64).T
            lines.append(Line(run.name, x, y))
            final = points[-1][1]
            floors += [Reference(floor_name(final), final.floor)] if final.floor else []
    if not lines:
        return ""
    title = quantities.metric_label(name, first=True)
    log = quantities.is_distance(name)
    return line_chart(lines, title=title, x_label="real samples seen", log=log, references=floors[:1])


def _samples(runs: Sequence[Named]) -> Markup:
    drawn = [(run.name, run.record, run.record.samples[-1][1]) for run in runs if run.record.samples]
    drawn += [("Real", run.record, run.record.real) for run in runs if run.record.real is not None][:1]
    figures = [picture_of(record, path, name, _PICTURE_BYTES, widest=560) for name, record, path in drawn]
    return piece("side", figures) if figures else missing("No run wrote sample pictures.")


def _curves(runs: Sequence[Named]) -> Markup:
    drawn = []
    for key in _CURVES:
        series = [(run.name, run.record.series(key)) for run in runs]
        lines = [Line(name, found.images, found.values) for name, found in series if len(found) > 1]
        if lines:
            title, log = quantities.label(key, first=True), "gradient_norm" in key
            drawn.append(line_chart(lines, title=title, x_label="real samples seen", log=log))
    return charts(*drawn) if drawn else missing("No curves were logged.")


def _spectra(runs: Sequence[Named]) -> Markup:
    newest = {run.name: run.record.spectra()[-1] for run in runs if run.record.spectra()}
    if not newest:
        return missing("No critic spectra were logged.")
    last = {name: layers for name, (_, layers) in newest.items()}
    layers = list(dict.fromkeys(layer for found in last.values() for layer in found))
    when = ", ".join(f"{name} at step {row['step']:,}" for name, (row, _) in newest.items())
    text = (
        f"Singular values of each critic layer's kernel as last logged ({when}), divided by the layer's largest; the "
        "horizontal axis is the position in the spectrum. A flat line at 1 is an orthogonal layer; a steep fall is one "
        "that passes on few directions."
    )
    drawn = charts(*(_spectrum(layer, last) for layer in layers[:_LAYERS]))
    return piece("text", [text]) + drawn + _rank_table(layers, last)


def _spectrum(layer: str, last: dict[str, dict[str, Layer]]) -> str:
    lines = []
    for name, layers in last.items():
        values = values_of(layers.get(layer))
        if len(values) > 1 and values[0] > 0:
            with np.errstate(over="ignore"):
                lines.append(Line(name, np.linspace(0.0, 1.0, len(values)), values / values[0]))
    return line_chart(lines, title=layer, x_label="share of the spectrum", log=False) if lines else ""


def _rank_table(layers: Iterable[str], last: dict[str, dict[str, Layer]]) -> Markup:
    rows = []
    for name in layers:
        found = [run.get(name, Layer()) for run in last.values()]
        rows.append((name, [[shown(one.sigma), f"stable rank {shown(one.stable_rank)}"] for one in found]))
    title = "Largest singular value and stable rank"
    return piece("titled", title, table("numbers", ["Layer", *last], rows, code=True))


def _differences(runs: Sequence[Named]) -> Markup:
    settings = {}
    for run in runs:
        parts = {k: v for k, v in run.record.config.items() if isinstance(v, dict) and k != "environment"}
        settings[run.name] = {f"{k} {key}": value for k, part in parts.items() for key, value in flat(part)}
    keys = dict.fromkeys(key for found in settings.values() for key in found)
    differing = [key for key in keys if len({found.get(key) for found in settings.values()}) > 1]
    if not differing:
        return missing("Nothing in the configurations differs.")
    rows = [(key, [found.get(key, "–") for found in settings.values()]) for key in differing]
    return table("cards", ["Setting", *settings], rows)
