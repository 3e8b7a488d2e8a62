"""Pieces of HTML that several sections share."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape


def table(rows: Iterable[tuple[str, str]]) -> str:
    """A table of names and values, both plain text."""
    body = "".join(f'<tr><th scope="row">{escape(key)}</th><td>{escape(value)}</td></tr>' for key, value in rows)
    return f'<table class="pairs"><tbody>{body}</tbody></table>'


def missing(sentence: str) -> str:
    """The sentence that stands where a part of the report would have been; plain text."""
    return f'<p class="missing">{escape(sentence)}</p>'
