"""Generator conditioning of several runs on one page: over training, spectra, and latent directions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from tightrope.drawing.charts import line_chart
from tightrope.drawing.numbers import count, number
from tightrope.report.conditioning import MEANING, QUANTITY, line_of, rows_of, spectra_of
from tightrope.report.html import document
from tightrope.report.pictures import embed
from tightrope.report.pieces import missing
from tightrope.runs.record import Row, RunRecord, is_number

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
    row: Row
    strips: Path | None = None
    said: str = ""


def conditioning_page(records: Sequence[tuple[str, RunRecord]], measured: Sequence[Measured]) -> str:
    """A complete HTML document: conditioning over training of all runs in one chart, spectra, and latent directions.

    Args:
        records: Runs by the names they have on the page.
        measured: The same runs' generators as they are now.
    """
    lines, ranks = [], []
    for name, record in records:
        rows = rows_of(record)
        line, rank = line_of(rows, "mean", None, name), line_of(rows, "effective_rank", None, name)
        lines += [line] if line is not None and len(line.x) > 1 else []
        ranks += [rank] if rank is not None and len(rank.x) > 1 else []
    over = line_chart(lines, title=f"Mean {QUANTITY}", x_label="images seen") if lines else ""
    over += line_chart(ranks, title="Effective rank", x_label="images seen") if ranks else ""
    over = (
        f'<div class="charts">{over}</div>' if over else missing("No run followed its conditioning while it trained.")
    )
    pictures = "".join(_strips(one) for one in measured) or missing("Latent directions are shown for images only.")
    spectra = spectra_of([(one.name, None, one.row) for one in measured])
    title = "Generator conditioning"
    return document(
        title,
        f"<header><h1>{title}</h1><p class='subtitle'>{escape(' · '.join(name for name, _ in records))}</p></header>"
        f"<main><p>{MEANING}</p>{_table(measured)}<section><h2>Over training</h2>"
        f"<p>Of the weights in training, at each run's own latents.</p>{over}</section><section><h2>Spectra</h2>"
        f"<p>Of the averaged weights: geometric mean over latents of each singular value of J.</p>{spectra}</section>"
        f"<section><h2>Latent directions</h2>{pictures}</section></main>"
        "<footer>Made by Tightrope from the files in the run folders. No scripts, no network.</footer>",
    )


def _table(measured: Sequence[Measured]) -> str:
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
    body = ""
    for one in measured:
        quantiles: Any = one.row.get("quantiles") or [None] * 5
        cells = [one.row.get("mean"), one.row.get("std"), quantiles[0], quantiles[2], quantiles[4]]
        cells.append(one.row.get("effective_rank"))
        shown = [number(value) if is_number(value) else "infinite" for value in cells]
        shown.append(f"{count(one.row.get('dead_latents', 0))} of {count(one.row.get('n', 0))}")
        tds = "".join(f"<td>{text}</td>" for text in shown)
        body += f'<tr><th scope="row">{escape(one.name)}</th>{tds}</tr>'
    titles = "".join(f"<th>{title}</th>" for title in head)
    return f'<table class="numbers"><thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table>'


def _strips(one: Measured) -> str:
    picture = None if one.strips is None else embed(one.strips, most_bytes=_PICTURE_BYTES)
    if picture is None:
        return ""
    image = (
        f'<img class="sample pixels" src="{picture.uri}" width="{picture.width}" height="{picture.height}" '
        f'alt="Samples along latent directions of {escape(one.name)}">'
    )
    return f"<h3>{escape(one.name)}</h3><figure>{image}<figcaption>{escape(one.said)}</figcaption></figure>"
