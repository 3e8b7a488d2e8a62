"""Mistakes of the user are one kind of exception everywhere, and what Python raises for the same still catches it."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import pytest

import tightrope
from tightrope._plumbing.errors import UserError, UserFileError, UserTypeError

ROOT = Path(tightrope.__file__).parent
CAUGHT = {
    "_plumbing/typed.py", "data/images.py", "data/label_files.py", "data/parquet.py", "data/pixels.py", "runs/rows.py",
}  # fmt: skip
"""Files that raise plain errors for themselves: they or their callers turn them into sentences."""


@pytest.mark.parametrize(
    ("kind", "plain"), [(UserError, ValueError), (UserTypeError, TypeError), (UserFileError, OSError)]
)
def test_a_user_error_is_caught_as_what_python_would_raise(kind: type[UserError], plain: type[Exception]) -> None:
    error = kind("Expected a, got b; do c.")
    assert isinstance(error, plain) and isinstance(error, UserError) and isinstance(error, ValueError)
    assert str(error) == str(pickle.loads(pickle.dumps(error))) == "Expected a, got b; do c."


def test_the_library_raises_no_plain_error_for_a_mistake_of_the_user() -> None:
    plain = re.compile(r"\braise (ValueError|TypeError|FileNotFoundError)\(")
    found = {
        str(path.relative_to(ROOT))
        for path in ROOT.rglob("*.py")
        if plain.search(path.read_text()) and str(path.relative_to(ROOT)) not in CAUGHT
    }
    assert not found, "raise UserError, UserTypeError or UserFileError (_plumbing/errors.py) instead"
