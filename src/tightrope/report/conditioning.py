"""Generator conditioning as charts: over training, and the spectrum."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tightrope.drawing.charts import Floats, Line, line_chart, spectrum_chart
from tightrope.drawing.scales import choose_scale
from tightrope.report.pieces import missing
from tightrope.runs.record import Row, RunRecord, is_number

QUANTITY = "log condition number of JᵀJ"
MEANING = (
    "Natural logarithm of the condition number of JᵀJ, J the generator's Jacobian in its latents: twice the logarithm "
    "of the ratio of its largest to its smallest gain. The generator is in eval mode; latents with a dead direction "
    "are left out of the mean."
)
_STYLES = ("mean", "5 %", "median", "95 %")


def rows_of(record: RunRecord) -> list[Row]:
    """Rows of ``conditioning.jsonl`` that hold a measurement."""
    return [row for row in record.conditioning if isinstance(row.get("values"), list) and row["values"]]


def conditioning(record: RunRecord) -> str:
    """The section of one run's report: the log condition number over training, and the newest and first spectra."""
    rows = rows_of(record)
    if not rows:
        errors = [str(row["error"]) for row in record.conditioning if row.get("error")]
        why = f" It could not be: {errors[-1]}" if errors else ""
        return missing(f"The generator's conditioning was not followed.{why}")
    first, last = rows[0], rows[-1]
    spent = sum(row["took_seconds"] for row in rows if is_number(row.get("took_seconds")))
    share = f" Following it took {100 * spent / record.seconds:.1f} % of the time." if record.seconds else ""
    text = f"{MEANING} {last.get('n', 0)} latents, the same ones each time.{share}{_dead(last)}"
    lines = []
    for index, name in enumerate(_STYLES):
        line = line_of(rows, name, None if index == 0 else {1: 0, 2: 2, 3: 4}[index])
        lines += [line] if line is not None else []
    over = line_chart(lines, title=QUANTITY, x_label=_axis(rows)) if lines and len(rows) > 1 else ""
    rank = _rank(rows)
    return f'<p>{text}</p><div class="charts">{over}{rank}</div>{spectra_of([("generator", first, last)])}'


def line_of(rows: Sequence[Row], key: str, quantile: int | None, name: str | None = None) -> Line | None:
    """One quantity of the rows, or one of their quantiles, over images seen; None where there is none."""
    found = []
    for row in rows:
        quantiles = row.get("quantiles")
        value = quantiles[quantile] if quantile is not None and isinstance(quantiles, list) else row.get(key)
        if is_number(value):
            found.append((row["images_seen"] if is_number(row.get("images_seen")) else row["step"], value))
    if not found:
        return None
    table = np.asarray(found, np.float64)
    return Line(name or key, table[:, 0], table[:, 1])


def _rank(rows: Sequence[Row]) -> str:
    line = line_of(rows, "effective_rank", None, "effective rank")
    if line is None or len(line.x) < 2:
        return ""
    return line_chart([line], title=f"Effective rank of {rows[-1].get('latent', '?')} latents", x_label=_axis(rows))


def _axis(rows: Sequence[Row]) -> str:
    return "images seen" if any(is_number(row.get("images_seen")) for row in rows) else "step"


def _dead(row: Row) -> str:
    surplus, dead, n = row.get("surplus_latents", 0), row.get("dead_latents", 0), row.get("n", 0)
    said = f" {surplus} latents outnumber the outputs and have no gain whatever the weights." if surplus else ""
    return said + (f" At the end {dead} of {n} latents have a dead direction." if dead else "")


def spectra_of(named: Sequence[tuple[str, Row | None, Row]]) -> str:
    """A small chart per name: the spectrum of the last row, and dashed that of the first, on one scale."""
    values = [(name, None if first is None else _values(first), _values(last)) for name, first, last in named]
    everything = [part for _, first, last in values for part in (first, last) if part is not None and len(part)]
    if not everything or not any((part > 0).any() for part in everything):
        return ""
    scale = choose_scale(np.concatenate(everything), log=True)
    charts = "".join(
        spectrum_chart(f"{name}: singular values of J", last, first, scale) for name, first, last in values if len(last)
    )
    dashed = "<p>Dashed: at the start.</p>" if any(first is not None for _, first, _ in named) else ""
    return f'{dashed}<div class="smalls">{charts}</div>'


def _values(row: Row) -> Floats:
    stored: Any = row.get("values")
    return np.asarray([v for v in stored if is_number(v)] if isinstance(stored, list) else [], np.float64)
