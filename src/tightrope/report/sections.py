"""The sections of one run's report, each a function of the loaded run: a page may hold the sections of several runs."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from tightrope.drawing.dataset import SEARCHED, SHRUNK
from tightrope.drawing.numbers import count
from tightrope.monitor import SIGNALS
from tightrope.report import quantities
from tightrope.report.conditioning import conditioning
from tightrope.report.curves import curves, distance, spectra
from tightrope.report.pictures import embed
from tightrope.report.reference import References
from tightrope.report.render import missing, piece
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
    html: Markup


def sections(record: RunRecord, prefix: str = "", references: References | None = None) -> tuple[Section, ...]:
    """All sections of one run, in reading order.

    Args:
        record: the run.
        prefix: begins every anchor, so that a page may hold several runs.
        references: bands of reference runs behind the training curves.
    """
    parts = (
        Section("samples", "Samples", samples(record)),
        Section("distance", "Distance to the data", distance(record)),
        Section("curves", "Training curves", curves(record, references)),
        Section("spectra", "Critic layer spectra", spectra(record)),
        Section("conditioning", "Generator conditioning", conditioning(record)),
        Section("configuration", "Configuration", configuration(record)),
        Section("reproduce", "Reproduce this run", reproduce(record)),
        Section("definitions", "What the numbers mean", definitions(record)),
    )
    return tuple(replace(part, anchor=prefix + part.anchor) for part in parts)


def samples(record: RunRecord) -> Markup:
    """The newest generated samples beside real ones, and a strip of how they came about."""
    if not record.samples and record.real is None:
        return missing("No sample picture was written.")
    pair = [missing("No picture of generated samples was written."), missing("No picture of real samples was written.")]
    if record.samples:
        step, path = record.samples[-1]
        pair[0] = picture_of(record, path, f"Generated, step {count(step)}", _LARGE_BYTES)
    if record.real is not None:
        pair[1] = picture_of(record, record.real, "Real", _LARGE_BYTES)
    many = len(record.samples)
    places = np.unique(np.linspace(0, many - 1, _STRIP).round().astype(int)) if many > 1 else ()
    strip = [
        picture_of(record, path, f"step {count(step)}", _STRIP_BYTES, widest=280)
        for step, path in (record.samples[place] for place in places)
    ]
    return piece("samples", _legend(record), pair, strip) + _nearest(record)


def _legend(record: RunRecord) -> str:
    """How to read the pictures."""
    data = record.part("data")
    if record.samples and data.get("kind") == "vectors":
        return _SCATTER
    classes = data.get("classes") or []
    if data.get("kind") != "images" or len(classes) < 2:
        return ""
    if not data.get("conditional"):
        return "Of the real images as many are shown of one class as of another, mixed."
    names = ", ".join(str(name) for name in classes[:16])
    return f"Both class by class, the same class at the same place{f': {names}' if len(classes) <= 16 else ''}."


def _nearest(record: RunRecord) -> Markup:
    if record.nearest is None:
        return Markup("")
    n = record.part("data").get("n")
    among = f"{count(min(n, SEARCHED))} training images" if isinstance(n, int) and n else "the training images"
    caption = f"Generated, and at its right the nearest of {among}, by pixels of images shrunk to {SHRUNK} a side"
    return piece("nearest", picture_of(record, record.nearest, caption, _LARGE_BYTES))


def picture_of(record: RunRecord, path: Path, caption: str, most: int, widest: int | None = None) -> Markup:
    """A sample picture of a run with its caption, or a sentence."""
    found = embed(path, most_bytes=most, widest=widest)
    pixels = found is not None and found.shrunk == 1 and record.part("data").get("kind") == "images"
    return piece("picture", found, caption, path.name, f"{caption} samples", pixels)


def configuration(record: RunRecord) -> Markup:
    """What was trained, with what, on what: one table for each part of the configuration."""
    if not record.config:
        return missing("config.json is missing or could not be read.")
    order = ("method", "network", "data", "training", "environment")
    parts = {key: record.config[key] for key in order if key in record.config}
    parts |= {k: v for k, v in record.config.items() if k not in parts and isinstance(v, dict)}
    loose = {k: v for k, v in record.config.items() if not isinstance(v, dict) and k != "command"}
    groups = [(key.capitalize(), list(flat(value))) for key, value in parts.items() if isinstance(value, dict)]
    return piece("configuration", groups + ([("Versions", list(flat(loose)))] if loose else []))


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


def reproduce(record: RunRecord) -> Markup:
    """The command that starts the same run."""
    command, changes = record.config.get("command"), record.config.get("changes")
    told = missing(f"Then it was resumed with other settings: {_shown(changes)}.") if changes else Markup("")
    if not isinstance(command, str) or not command.strip():
        return missing("No command was recorded.") + told
    return piece("reproduce", re.findall(r"(\s*)(\S*)", command)) + told


def definitions(record: RunRecord) -> Markup:
    """One sentence for each quantity that the page shows."""
    logged = [key for key in SIGNALS if any(key in row for row in record.rows)]
    followed = ("mean", "effective_rank") if record.conditioning else ()
    entries = [(quantities.label(key), _meaning(key)) for key in (*logged, *followed)]
    names = dict.fromkeys(measured.name for one in record.evaluations for measured in one.measurements)
    metrics = [(quantities.metric_label(name), quantities.metric_meaning(name)) for name in names]
    return piece("definitions", [*entries, *((name, said) for name, said in metrics if said), *quantities.OTHERS])


def _meaning(key: str) -> str:
    signal = SIGNALS[key]
    return f"{signal.meaning} In {signal.unit}." if signal.unit else signal.meaning
