"""The two examples about game dynamics run and say what they should."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


def test_will_it_converge_tells_large_steps_from_small_ones(capsys: pytest.CaptureFixture[str]) -> None:
    found = runpy.run_path(str(EXAMPLES / "will_it_converge.py"))["main"](steps=600)
    assert found[1.0, 0.1].verdict == "convergent"
    assert found[1.0, 2.0].verdict == "divergent"
    assert found[1.0, 0.1].rate < found[0.0, 0.1].rate  # the penalty damps
    assert "residual" in capsys.readouterr().out


def test_choose_gamma_recommends_one_of_the_weights(capsys: pytest.CaptureFixture[str]) -> None:
    advice = runpy.run_path(str(EXAMPLES / "choose_gamma.py"))["main"](steps=10, gammas=(0.1, 1.0))
    assert advice.gamma in (0.1, 1.0)
    assert "rightmost" in capsys.readouterr().out
