"""How results show themselves in a notebook: small tables without scripts or network, whatever they hold escaped."""

from __future__ import annotations

import base64
import html
import math
from collections.abc import Iterable, Sequence

from tightrope._plumbing.errors import printable

_CELL = "text-align:left;vertical-align:top;padding:2px 12px 2px 0"


def text(value: object) -> str:
    """Text for a page: characters that act are shown, characters of HTML are escaped."""
    return html.escape(printable(value))


def number(value: float) -> str:
    """Four digits, or a dash where there is no number."""
    return f"{value:.4g}" if math.isfinite(value) else "–"


def interval(low: float, high: float) -> str:
    """Both ends of a 95 % interval, or nothing where there is none."""
    return "" if math.isnan(low) or math.isnan(high) else f"95 % interval {number(low)} to {number(high)}"


def table(title: object, rows: Iterable[tuple[object, object]], notes: Sequence[object] = ()) -> str:
    """A title over names and values; empty values are left out.

    Args:
        title: In bold above.
        rows: Names and values.
        notes: Sentences below.
    """
    cells = "".join(
        f'<tr><th scope="row" style="{_CELL};font-weight:400;opacity:.7">{text(name)}</th>'
        f'<td style="{_CELL}">{text(value)}</td></tr>'
        for name, value in rows
        if value not in ("", None)
    )
    below = "".join(f'<p style="margin:2px 0;opacity:.7">{text(note)}</p>' for note in notes)
    return f'<div><b>{text(title)}</b><table style="border:0">{cells}</table>{below}</div>'


def picture(png: bytes, alt: str) -> str:
    """A PNG inside the page."""
    source = base64.b64encode(png).decode()
    return f'<img alt="{text(alt)}" style="max-width:100%" src="data:image/png;base64,{source}">'
