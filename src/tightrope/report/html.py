"""The page around the sections: one file, no scripts, and a policy in its head that forbids any connection."""

from __future__ import annotations

from html import escape
from pathlib import Path

from tightrope.drawing.numbers import count, duration, number
from tightrope.report.quantities import metric_label
from tightrope.report.sections import Section, sections
from tightrope.report.verdict import newest, primary, protocol_text, recorded_reason, tone, verdict
from tightrope.runs.record import RunRecord

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_STATES = {
    "finished": "Run finished",
    "open": "Run not ended",
    "stopped": "Run stopped early",
    "nonfinite": "Run stopped at a non-finite value",
}


def page(record: RunRecord) -> str:
    """The report of one run as a complete HTML document.

    Args:
        record: the run, as `tightrope.runs.record.read_run` loads it.

    Returns:
        The document. The same record gives the same text.
    """
    parts = sections(record)
    links = "".join(f'<a href="#{part.anchor}">{escape(part.title)}</a>' for part in parts)
    title = heading(record)
    body = (
        f'<header><h1>{escape(title)}</h1><p class="subtitle">{escape(_subtitle(record))}</p></header>'
        f"<main>{_verdict(record)}{_tiles(record)}<nav aria-label='Sections'>{links}</nav>"
        f"{_problems(record)}{''.join(_section(part) for part in parts)}</main>"
        f"<footer>{escape(_footer(record))}</footer>"
    )
    return document(f"{title} · {record.name}", body)


def document(title: str, body: str) -> str:
    """A complete HTML document with the report's style.

    Args:
        title: plain text.
        body: HTML.
    """
    style = Path(__file__).with_name("report.css").read_text(encoding="utf-8")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark"><link rel="icon" href="data:,">'
        f"<title>{escape(title)}</title>\n<style>\n{style}</style></head>\n<body>{body}</body></html>\n"
    )


def heading(record: RunRecord) -> str:
    """What was trained on what, e.g. ``r1 on digits``."""
    method, data = record.part("method").get("name"), record.part("data")
    return f"{method or 'Training run'} on {data.get('name') or data.get('source') or 'unnamed data'}"


def _subtitle(record: RunRecord) -> str:
    network, training = record.part("network").get("name"), record.part("training")
    parts = [f"run {record.name}"]
    parts += [f"network {network}"] if network else []
    parts += [f"batch size {training['batch_size']}"] if "batch_size" in training else []
    parts += [f"seed {training['seed']}"] if "seed" in training else []
    return " · ".join(parts)


def _verdict(record: RunRecord) -> str:
    evaluation = newest(record)
    reading = primary(evaluation.readings) if evaluation else None
    reason = recorded_reason(record)
    how = f'<p class="how">{escape(reason)}</p>' if reason else ""
    if reading is not None:
        notes = "".join(f" {escape(note)}" for note in reading.notes)
        conditions = f"{metric_label(reading.name, first=True)} measured with {protocol_text(reading.protocol)}."
        how += f'<p class="how">{escape(conditions)}{notes}</p>'
    kind = tone(record)
    return (
        f'<div class="verdict {kind}"><p class="state">{_STATES[kind]}</p>'
        f'<p class="line" id="verdict">{escape(verdict(record))}</p>{how}</div>'
    )


def _tiles(record: RunRecord) -> str:
    evaluation = newest(record)
    reading = primary(evaluation.readings) if evaluation else None
    tiles = []
    if reading is not None:
        floor = f" <small>floor {number(reading.floor)}</small>" if reading.floor is not None else ""
        tiles.append((metric_label(reading.name, first=True), number(reading.value) + floor))
    tiles.append(("Steps", count(record.step)))
    if record.images_seen:
        noun = "Images" if record.part("data").get("kind") in (None, "images") else "Samples"
        tiles.append((f"{noun} seen", count(record.images_seen)))
    if record.seconds:
        tiles.append(("Training time", duration(record.seconds)))
        if record.step:
            tiles.append(("Steps per second", number(record.step / record.seconds)))
    body = "".join(f"<div><dt>{escape(name)}</dt><dd>{value}</dd></div>" for name, value in tiles)
    return f'<dl class="tiles">{body}</dl>'


def _problems(record: RunRecord) -> str:
    return "".join(f'<p class="missing">{escape(problem)}</p>' for problem in record.problems)


def _section(part: Section) -> str:
    return f'<section id="{part.anchor}"><h2>{escape(part.title)}</h2>{part.html}</section>'


def _footer(record: RunRecord) -> str:
    version = record.config.get("tightrope")
    return (
        f"Made by Tightrope{f' {version}' if version else ''} from the files in {record.name}. No scripts, no network."
    )
