"""Pages from templates: whatever is filled in is escaped, but for pieces of HTML that come as ``Markup``."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from tightrope.drawing.svg import clean

Cell = str | Sequence[str]
"""A cell of a table: its text, or its text and the notes below it."""


@functools.cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: clean(value) if isinstance(value, str) and not isinstance(value, Markup) else value,
    )
    environment.globals["refresh"] = 0
    environment.globals["style"] = Markup(Path(__file__).with_name("report.css").read_text(encoding="utf-8"))
    return environment


def render(template: str, **values: Any) -> str:
    """A whole page.

    Args:
        template: Its file in ``report/templates``.
        **values: What it asks for.
    """
    return _environment().get_template(template).render(**values)


def piece(name: str, *values: Any, **named: Any) -> Markup:
    """A part of a page: a macro of ``pieces.html``."""
    macro = getattr(_environment().get_template("pieces.html").module, name)
    return Markup(macro(*values, **named))


def missing(sentence: str) -> Markup:
    """The sentence that stands where a part of the page would have been."""
    return piece("missing", sentence)


def table(kind: str, head: Sequence[str], rows: Sequence[tuple[str, Sequence[Cell]]], *, code: bool = False) -> Markup:
    """A table whose rows begin with a name.

    Args:
        kind: Its class in the style sheet.
        head: Titles of the columns.
        rows: Name and cells of each.
        code: Names are parts of a program.
    """
    return piece("table", kind, head, rows, code=code)


def charts(*drawn: str) -> Markup:
    """Charts side by side; nothing where there are none."""
    return piece("charts", [chart for chart in drawn if chart])
