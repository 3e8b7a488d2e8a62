"""How results show themselves in a notebook: small tables without scripts or network, whatever they hold escaped."""

from __future__ import annotations

import base64
import functools
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tightrope._plumbing.errors import printable


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
    shown = [(printable(name), printable(value)) for name, value in rows if value not in ("", None)]
    return _piece("table", printable(title), shown, [printable(note) for note in notes])


def picture(png: bytes, alt: str) -> str:
    """A PNG inside the page."""
    return _piece("picture", base64.b64encode(png).decode(), printable(alt))


def _piece(name: str, *values: Any) -> str:
    return str(getattr(_pieces(), name)(*values))


@functools.cache
def _pieces() -> Any:
    from jinja2 import Environment  # for those who look

    text = Path(__file__).with_suffix(".html").read_text(encoding="utf-8")
    return Environment(autoescape=True).from_string(text).module
