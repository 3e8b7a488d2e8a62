"""Generator conditioning as charts: over training, and the spectrum."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from markupsafe import Markup

from tightrope.drawing.axes import Floats
from tightrope.drawing.charts import Line, line_chart
from tightrope.monitor import SIGNALS
from tightrope.report.curves import axis, spectrum_charts
from tightrope.report.render import charts, missing, piece
from tightrope.runs.record import RunRecord
from tightrope.runs.rows import Followed

QUANTITY = "log condition number of JᵀJ"
MEANING = SIGNALS["mean"].meaning


def rows_of(record: RunRecord) -> list[Followed]:
    """Rows of ``conditioning.jsonl`` that hold a measurement."""
    return [row for row in record.conditioning if row.values]


def conditioning(record: RunRecord) -> Markup:
    """The section of one run's report: the log condition number over training, and the newest and first spectra."""
    rows = rows_of(record)
    if not rows:
        errors = [row.error for row in record.conditioning if row.error]
        why = f" It could not be: {errors[-1]}" if errors else ""
        return missing(f"The generator's conditioning was not followed.{why}")
    first, last = rows[0], rows[-1]
    spent = sum(row.took_seconds for row in rows)
    share = f" Following it took {100 * spent / record.seconds:.1f} % of the time." if record.seconds else ""
    text = f"{MEANING} {last.n} latents, the same ones each time.{share}{_dead(last)}"
    quantiles = [line_of(rows, name, quantile(place)) for name, place in (("5 %", 0), ("median", 2), ("95 %", 4))]
    lines = [line for line in (line_of(rows, "mean", lambda row: row.mean), *quantiles) if line is not None]
    rank = line_of(rows, "effective rank", lambda row: row.effective_rank)
    drawn = [line_chart(lines, title=QUANTITY, x_label=axis(record))] if lines and len(rows) > 1 else []
    if rank is not None and len(rank.x) > 1:
        drawn.append(line_chart([rank], title=f"Effective rank of {last.latent} latents", x_label=axis(record)))
    return piece("text", [text]) + charts(*drawn) + spectra_of([("generator", first, last)])


def line_of(rows: Sequence[Followed], name: str, value: Callable[[Followed], float | None]) -> Line | None:
    """One number of the rows over images seen; None where there is none."""
    found = [(row.images, value(row)) for row in rows if value(row) is not None]
    table = np.asarray(found, np.float64)
    return Line(name, table[:, 0], table[:, 1]) if found else None


def quantile(place: int) -> Callable[[Followed], float | None]:
    """The value of one of the five quantiles of a row."""
    return lambda row: row.quantiles[place] if len(row.quantiles) == 5 else None


def _dead(row: Followed) -> str:
    surplus, dead, n = row.surplus_latents, row.dead_latents, row.n
    said = f" {surplus} latents outnumber the outputs and have no gain whatever the weights." if surplus else ""
    return said + (f" At the end {dead} of {n} latents have a dead direction." if dead else "")


def spectra_of(named: Sequence[tuple[str, Followed | None, Followed]]) -> Markup:
    """A small chart per name: the spectrum of the last row, and dashed that of the first, on one scale."""
    layers = [(f"{name}: singular values of J", _values(last), _values(first)) for name, first, last in named]
    if not any((part > 0).any() for _, *both in layers for part in both):
        return Markup("")
    return spectrum_charts(layers, "Dashed: at the start." if any(first for _, first, _ in named) else "")


def _values(row: Followed | None) -> Floats:
    return np.asarray([] if row is None else [value for value in row.values if value is not None], np.float64)
