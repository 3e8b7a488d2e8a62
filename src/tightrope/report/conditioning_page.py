"""Generator conditioning of several runs on one page: over training, spectra, and latent directions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from markupsafe import Markup

from tightrope.drawing.charts import line_chart
from tightrope.drawing.numbers import count, number
from tightrope.report.conditioning import MEANING, QUANTITY, line_of, rows_of, spectra_of
from tightrope.report.pictures import embed
from tightrope.report.render import charts, missing, piece, render, table
from tightrope.runs.record import RunRecord
from tightrope.runs.rows import Followed

_PICTURE_BYTES = 400_000


@dataclass(frozen=True)
class Measured:
    """A run's generator measured now.

    Attributes:
        name: Of the run on the page.
        row: As ``Conditioning.to_json`` gives it.
        strips: Picture of samples along latent directions, or nothing.
        said: What the picture shows.
    """

    name: str
    row: dict[str, Any]
    strips: Path | None = None
    said: str = ""

    @property
    def found(self) -> Followed:
        """The row, of no step."""
        return msgspec.convert({"step": 0, **self.row}, Followed)


def conditioning_page(records: Sequence[tuple[str, RunRecord]], measured: Sequence[Measured]) -> str:
    """A complete HTML document: conditioning over training of all runs in one chart, spectra, and latent directions.

    Args:
        records: Runs by the names they have on the page.
        measured: The same runs' generators as they are now.
    """
    rows = [(name, rows_of(record)) for name, record in records]
    drawn = []
    for title, value in (
        (f"Mean {QUANTITY}", lambda row: row.mean),
        ("Effective rank", lambda row: row.effective_rank),
    ):
        lines = [line for name, found in rows if (line := line_of(found, name, value)) is not None and len(line.x) > 1]
        drawn += [line_chart(lines, title=title, x_label="real samples seen")] if lines else []
    strips = [strip for one in measured if (strip := _strips(one))]
    return render(
        "conditioning.html",
        title="Generator conditioning",
        subtitle=" · ".join(name for name, _ in records),
        meaning=MEANING,
        table=_table(measured),
        over=charts(*drawn) or missing("No run followed its conditioning while it trained."),
        spectra=spectra_of([(one.name, None, one.found) for one in measured]),
        strips=strips or [missing("Latent directions are shown for images only.")],
        footer="Made by Tightrope from the files in the run folders. No scripts, no network.",
    )


def _table(measured: Sequence[Measured]) -> Markup:
    head = (
        "Run",
        "Mean",
        "Standard deviation",
        "5 %",
        "50 %",
        "95 %",
        "Effective rank",
        "Latents with dead directions",
    )
    rows = []
    for one in measured:
        row = one.found
        low, _, middle, _, high = row.quantiles or (None,) * 5
        numbers = (row.mean, row.std, low, middle, high, row.effective_rank)
        shown = ["infinite" if value is None else number(value) for value in numbers]
        rows.append((one.name, [*shown, f"{count(row.dead_latents)} of {count(row.n)}"]))
    return table("numbers", head, rows)


def _strips(one: Measured) -> Markup | None:
    found = None if one.strips is None else embed(one.strips, most_bytes=_PICTURE_BYTES)
    if found is None:
        return None
    alt = f"Samples along latent directions of {one.name}"
    return piece("titled", one.name, piece("picture", found, one.said, one.name, alt, pixels=True))
