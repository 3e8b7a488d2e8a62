"""Options as people of other programs type them."""

from __future__ import annotations

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
