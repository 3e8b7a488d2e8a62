"""The sections of one run's report, each a function of the loaded run: a page may hold the sections of several runs."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from html import escape
from typing import Any

import numpy as np

from tightrope.drawing.numbers import count
from tightrope.report import quantities
from tightrope.report.conditioning import conditioning
from tightrope.report.curves import curves, distance, spectra
from tightrope.report.pictures import Picture, embed
from tightrope.report.pieces import missing, table
from tightrope.runs.record import RunRecord

_LARGE_BYTES = 420_000  # of the newest and the real picture each
_STRIP_BYTES = 70_000  # of each picture in the strip
_STRIP = 6
_SCATTER = "Generated samples are orange, over real ones in blue; a point outside the frame is drawn on its edge."


@dataclass(frozen=True)
class Section:
    """A part of the page: its anchor, its heading and its HTML."""

    anchor: str
    title: str
    html: str


def sections(record: RunRecord, prefix: str = "") -> tuple[Section, ...]:
    """All sections of one run, in reading order.

    Args:
        record: the run.
        prefix: begins every anchor, so that a page may hold several runs.
    """
    parts = (
        Section("samples", "Samples", samples(record)),
        Section("distance", "Distance to the data", distance(record)),
        Section("curves", "Training curves", curves(record)),
        Section("spectra", "Critic layer spectra", spectra(record)),
        Section("conditioning", "Generator conditioning", conditioning(record)),
        Section("configuration", "Configuration", configuration(record)),
        Section("reproduce", "Reproduce this run", reproduce(record)),
        Section("definitions", "What the numbers mean", definitions(record)),
    )
    return tuple(replace(part, anchor=prefix + part.anchor) for part in parts)


def samples(record: RunRecord) -> str:
    """The newest generated samples beside real ones, and a strip of how they came about."""
    if not record.samples and record.real is None:
        return missing("No sample picture was written.")
    parts = []
    if record.samples:
        step, path = record.samples[-1]
        parts.append(
            _picture(record, embed(path, most_bytes=_LARGE_BYTES), f"Generated, step {count(step)}", path.name)
        )
    else:
        parts.append(missing("No picture of generated samples was written."))
    if record.real is not None:
        parts.append(_picture(record, embed(record.real, most_bytes=_LARGE_BYTES), "Real", record.real.name))
    else:
        parts.append(missing("No picture of real samples was written."))
    vectors = record.samples and record.part("data").get("kind") == "vectors"
    legend = f"<p>{_SCATTER}</p>" if vectors else ""
    return f'{legend}<div class="pair">{"".join(parts)}</div>{_strip(record)}'


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
        return missing(f"{name} could not be embedded: it is damaged or too large.")
    pixels = " pixels" if record.part("data").get("kind") == "images" and picture.shrunk == 1 else ""
    image = (
        f'<img class="sample{pixels}" src="{picture.uri}" width="{picture.width}" height="{picture.height}" '
        f'alt="{escape(caption)} samples">'
    )
    return f"<figure>{image}<figcaption>{escape(caption)}</figcaption></figure>"


def configuration(record: RunRecord) -> str:
    """What was trained, with what, on what: one table for each part of the configuration."""
    if not record.config:
        return missing("config.json is missing or could not be read.")
    order = ("method", "network", "data", "training", "environment")
    parts = {key: record.config[key] for key in order if key in record.config}
    parts |= {k: v for k, v in record.config.items() if k not in parts and isinstance(v, dict)}
    loose = {k: v for k, v in record.config.items() if not isinstance(v, dict) and k != "command"}
    groups = [(key, dict(flat(value))) for key, value in parts.items() if isinstance(value, dict)]
    groups += [("versions", dict(flat(loose)))] if loose else []
    tables = (f"<div><h3>{escape(key.capitalize())}</h3>{table(rows.items())}</div>" for key, rows in groups)
    return f'<div class="config">{"".join(tables)}</div>'


def flat(part: dict[str, Any], prefix: str = "") -> Iterable[tuple[str, str]]:
    """Names and values of a part of the configuration as text, nested parts with dots between their names."""
    for key, value in part.items():
        if isinstance(value, dict) and value:
            yield from flat(value, "" if key == "hyperparameters" else f"{prefix}{key}.")
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
        return missing("No command was recorded.")
    words = re.sub(r"\S+", lambda word: f'<span class="word">{escape(word.group())}</span>', command)
    return f"<pre><code>{words}</code></pre>"


def definitions(record: RunRecord) -> str:
    """One sentence for each quantity that the page shows."""
    keys = [key for key in quantities.QUANTITIES if len(record.series(key))]
    entries = [(quantities.title(key), quantities.QUANTITIES[key].meaning) for key in keys]
    entries += quantities.OTHERS
    return f"<dl>{''.join(f'<dt>{escape(a)}</dt><dd>{escape(b)}</dd>' for a, b in entries)}</dl>"
