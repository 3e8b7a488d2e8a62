"""Options as people of other programs type them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tightrope.cli import main


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["train", "digits", "--lr", "0.1"], "did you mean --learning-rate?"),
        (["train", "digits", "--batch", "16"], "did you mean --batch-size?"),
        (["train", "digits", "--image-size", "32"], "did you mean --resolution?"),
        (["train", "digits", "--epochs", "3"], "did you mean --images?"),
        (["train", "digits", "--gpu", "0"], "did you mean --device?"),
        (["train", "digits", "--diffaug"], "did you mean --augment?"),
        (["train", "--data", "digits"], "Expected DATA without --data before it: tightrope train digits"),
        (["sample", "run", "--trunc", "0.7"], "did you mean --truncation?"),
        (["sample", "run", "--class", "3"], "did you mean --label?"),
        (["sample", "--run", "x"], "Expected RUN without --run before it"),
    ],
)
def test_the_option_that_was_meant_is_named(words, meant, capsys):
    assert main(words) == 2
    assert meant in capsys.readouterr().err.replace("\n", " ")


def test_one_of_a_kind_may_be_asked_for_in_the_singular(capsys):
    assert main(["list", "method"]) == 0
    assert "wgan_gp" in capsys.readouterr().out


PAGE = Path(__file__).parents[1] / "docs" / "howto" / "from_other_trainers.md"
ROW = re.compile(r"^\| `(--[\w-]+)` \| (?:`(--[\w-]+)`)? ?\| (.*?) ?\|$", re.MULTILINE)
ROWS = ROW.findall(PAGE.read_text(encoding="utf-8")) if PAGE.is_file() else []


@pytest.mark.skipif(not PAGE.is_file(), reason="needs the folder docs/")
@pytest.mark.parametrize(
    "row", ROW.findall(PAGE.read_text(encoding="utf-8")) if PAGE.is_file() else [], ids=lambda r: r[0]
)
def test_the_page_for_those_who_come_from_elsewhere_says_what_the_command_says(row, capsys):
    """What stands beside a foreign option is what the command names when the foreign one is typed."""
    theirs, ours, note = row
    words = ["sample", "run"] if "of `tightrope sample`" in note else ["train", "digits", "--method", "r1"]
    if theirs == ours or theirs == "--evaluate-every":  # that one exists, and means something else
        with pytest.raises(SystemExit):
            main([*words, "--help"])
        assert ours in capsys.readouterr().out
        return
    assert main([*words, theirs, "1"]) == 2, "a foreign word must not be taken for something"
    said = " ".join(capsys.readouterr().err.split())
    if ours:
        named = {"--from": "--from-run"}.get(ours, ours)
        assert f"did you mean {named}?" in said or (theirs == "--data" and "without --data" in said)


def test_the_page_is_read_whole():
    text = PAGE.read_text(encoding="utf-8") if PAGE.is_file() else pytest.skip("needs the folder docs/")
    rows = ROW.findall(text)
    assert len(rows) == text.count("\n| `--") > 60
    assert {"--aug-prob", "--trunc-psi", "--kimg", "--cond"} <= {theirs for theirs, _, _ in rows}
