"""The report of a run for the terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

from tightrope.drawing.numbers import count, number, plain
from tightrope.drawing.svg import clean
from tightrope.monitor import SIGNALS
from tightrope.report import quantities
from tightrope.report.verdict import cells, heading, newest, protocol_text, recorded_reason, verdict
from tightrope.runs.record import RunRecord

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
        rows = [("", "value", "95 % interval", "floor", "ratio")]
        rows += [(quantities.metric_label(one.name), *cells(one)) for one in evaluation.measurements]
        parts.append(f"Measured at step {count(evaluation.step)}\n" + _indented(aligned(rows)))
        protocols = dict.fromkeys(protocol_text(one.protocol) for one in evaluation.measurements)
        parts.append("\n".join(_wrapped(text) for text in protocols))
        notes = dict.fromkeys(note for one in evaluation.measurements for note in one.notes)
        parts += ["\n".join(_wrapped(note) for note in notes)] if notes else []
    values = _last_values(record)
    if values:
        logged = record.series("step").values[-1]
        parts.append(f"Last logged row, step {count(logged)}\n" + _indented(aligned(values)))
    if record.problems:
        parts.append("\n".join(_wrapped(problem) for problem in record.problems))
    return plain(clean("\n\n".join(parts)))


def aligned(rows: Sequence[tuple[str, ...]], *, left: bool = False) -> str:
    """Rows of texts in columns of one width, the first to the left, the others to the right unless ``left``."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    sides = [str.ljust, *([str.ljust if left else str.rjust] * (len(widths) - 1))]
    lines = ("  ".join(side(cell, w) for side, cell, w in zip(sides, row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def _last_values(record: RunRecord) -> list[tuple[str, str]]:
    last: Mapping[str, object] = record.rows[-1] if record.rows else {}
    shown = ((key, last.get(key)) for key in SIGNALS if key not in quantities.CLOCK)
    return [(quantities.label(key), number(value)) for key, value in shown if isinstance(value, int | float)]


def _indented(text: str) -> str:
    return textwrap.indent(text, "  ")


def _wrapped(text: str) -> str:
    return textwrap.fill(text, _WIDTH, break_long_words=False, break_on_hyphens=False)
