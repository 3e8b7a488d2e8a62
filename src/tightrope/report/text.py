"""The report of a run for the terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from tightrope.drawing.numbers import count, number, plain, ratio
from tightrope.report import quantities
from tightrope.report.html import heading
from tightrope.report.verdict import has_ratio, newest, protocol_text, recorded_reason, verdict
from tightrope.runs.record import Reading, RunRecord, is_number

_WIDTH = 96


def summarise(record: RunRecord) -> str:
    """The verdict and the newest numbers as plain text.

    Args:
        record: the run, as `tightrope.runs.record.read_run` loads it.

    Returns:
        Lines of at most 96 characters where words allow, without a line break at the end.
    """
    parts = [f"{heading(record)}  ({record.name})", _wrapped(verdict(record))]
    parts += [_wrapped(recorded_reason(record))] if recorded_reason(record) else []
    evaluation = newest(record)
    if evaluation is not None:
        rows = [_reading(reading) for reading in evaluation.readings]
        parts.append(
            f"Measured at step {count(evaluation.step)}\n" + _aligned((("", "value", "floor", "ratio"), *rows))
        )
        protocols = dict.fromkeys(protocol_text(reading.protocol) for reading in evaluation.readings)
        parts.append("\n".join(_wrapped(text) for text in protocols))
        notes = dict.fromkeys(note for reading in evaluation.readings for note in reading.notes)
        parts += ["\n".join(_wrapped(note) for note in notes)] if notes else []
    values = _last_values(record)
    if values:
        parts.append(f"Last logged row, step {count(record.rows[-1]['step'])}\n" + _aligned(values))
    if record.problems:
        parts.append("\n".join(_wrapped(problem) for problem in record.problems))
    return plain("\n\n".join(parts))


def _reading(reading: Reading) -> tuple[str, str, str, str]:
    floor = "none" if reading.floor is None else number(reading.floor)
    share = ratio(reading.value / (reading.floor or 1.0)) if has_ratio(reading) else "-"
    value = number(reading.value)
    if reading.interval is not None:
        value += f" [{number(reading.interval[0])}, {number(reading.interval[1])}]"
    return quantities.metric_label(reading.name), value, floor, share


def _last_values(record: RunRecord) -> list[tuple[str, str]]:
    if not record.rows:
        return []
    last = record.rows[-1]
    keys = [key for key in quantities.QUANTITIES if len(record.series(key)) and key in last]
    return [(quantities.title(key), number(float(last[key]))) for key in keys if is_number(last[key])]


def _aligned(rows: Sequence[tuple[str, ...]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        lines.append("  " + "  ".join(cells).rstrip())
    return "\n".join(lines)


def _wrapped(text: str) -> str:
    return textwrap.fill(text, _WIDTH, break_long_words=False, break_on_hyphens=False)
