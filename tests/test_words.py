"""Names that people type: one place says what is near and what is valid."""

from __future__ import annotations

import ast

import pytest

import house
from tightrope._plumbing.errors import UserError
from tightrope._plumbing.words import closest, one_of


def test_the_nearest_name_is_offered_and_nothing_when_none_is_near():
    assert closest("wgann", {"wgan": 1, "r1": 2}) == " (did you mean wgan?)"
    assert closest("zebra", ["wgan", "r1"]) == ""
    assert closest("--lr", ["--flip", "--learning-rate"]) == " (did you mean --learning-rate?)"
    assert closest("image_size", ["images", "resolution"]) == " (did you mean resolution?)"
    assert closest("--epochs", ["--steps", "--images"]) == " (did you mean --images?)"
    with pytest.raises(
        UserError, match=r"^Expected loss out of hinge, minimax, got 'hinche' \(did you mean hinge\?\)\.$"
    ):
        one_of("loss", "hinche", ("hinge", "minimax"))
    with pytest.raises(UserError, match=r"got 3\.$"):
        one_of("loss", 3, ("hinge", "minimax"))
    assert one_of("loss", "hinge", ("hinge",)) is None


def test_no_other_place_measures_how_near_two_names_are():
    importing = [
        path.relative_to(house.ROOT).as_posix()
        for path in house.files()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if (isinstance(node, ast.Import) and "difflib" in [alias.name for alias in node.names])
        or (isinstance(node, ast.ImportFrom) and node.module == "difflib")
    ]
    assert importing == ["_plumbing/words.py"]
