"""Every example runs and does what it says, and stays short enough to read at one look."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


def load(name: str) -> Callable[..., Any]:
    return runpy.run_path(str(EXAMPLES / name))["main"]


@pytest.mark.parametrize("path", sorted(EXAMPLES.rglob("*.py")), ids=lambda path: path.name)
def test_examples_are_short(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 60


def test_r1_in_my_loop_finds_the_circle() -> None:
    assert load("r1_in_my_loop.py")(steps=600) == pytest.approx(1.0, abs=0.3)


def test_my_networks_approach_the_ring() -> None:
    untrained = load("my_networks.py")(steps=1)
    assert load("my_networks.py")(steps=400) < 0.5 * untrained


@pytest.mark.slow
def test_train_and_sample() -> None:
    assert load("train_and_sample.py")(steps=4) == (16, 1, 8, 8)


@pytest.mark.parametrize("name", ["plain.py", "with_tightrope.py"])
def test_before_and_after(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    load(f"before_after/{name}")(steps=101)
    assert "100" in capsys.readouterr().out
