"""Names that people type: the nearest valid one, and choices out of a list."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from tightrope._plumbing.errors import UserError


def nearest(given: str, valid: Iterable[str]) -> str:
    """The valid name that is nearest; empty when none is near."""
    return next(iter(difflib.get_close_matches(given, list(valid), n=1)), "")


def closest(given: str, valid: Iterable[str]) -> str:
    """``" (did you mean ...?)"``, or nothing when no valid name is near."""
    near = nearest(given, valid)
    return f" (did you mean {near}?)" if near else ""


def one_of(name: str, value: object, valid: Iterable[str]) -> None:
    """Refuse what is none of the valid words.

    Args:
        name: What is chosen, as the sentence calls it: ``"a method"``, ``"loss"``.
        value: What was given.
        valid: The words to choose from.

    Raises:
        UserError: It is none of them; the sentence lists them and names the nearest.
    """
    words = list(valid)
    if value not in words:
        near = closest(value, words) if isinstance(value, str) else ""
        raise UserError(f"Expected {name} out of {', '.join(words)}, got {value!r}{near}.")
