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
    assert load("r1_in_my_loop.py")() == pytest.approx(1.0, abs=0.3)


def test_my_networks_approach_the_ring() -> None:
    untrained = load("my_networks.py")(steps=1)
    assert load("my_networks.py")(steps=200) < 0.5 * untrained


def test_compare_two_folders_sees_the_noise() -> None:
    main = load("compare_two_folders.py")
    same, worse = main(noise=0.0), main(noise=60.0)
    assert same["frechet"] < worse["frechet"]
    assert same["coverage"] > worse["coverage"]
    assert same.keys() == {"frechet", "kernel", "precision", "recall", "density", "coverage", "memorisation"}


def test_condition_my_generator_lowers_the_condition_number_by_clamping() -> None:
    found = load("condition_my_generator.py")(steps=150)
    assert found["clamped"].quantiles[2] < found["plain"].quantiles[2]
    assert found["plain"].values.shape == (256, 4)


@pytest.mark.slow
def test_train_and_sample() -> None:
    assert load("train_and_sample.py")(steps=4) == (16, 1, 8, 8)


@pytest.mark.parametrize("name", ["plain.py", "with_tightrope.py"])
def test_before_and_after(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    load(f"before_after/{name}")(steps=101)
    assert "100" in capsys.readouterr().out


def test_constrain_my_critic_shows_which_constraints_bound_the_distance() -> None:
    estimates = load("constrain_my_critic.py")(steps=60)
    distance = 0.3 * 8  # between the means, in Euclidean norm
    assert estimates["orthogonal operator"] == pytest.approx(distance, rel=0.1)
    assert estimates["spectral norm of the operator"] < distance * 1.05
    assert estimates["orthogonal kernel"] > 2 * distance, "a kernel of norm one is no layer of norm one"


def test_how_lipschitz_is_it_compares_the_two_norms(tmp_path: Path) -> None:
    published, exact = load("how_lipschitz_is_it.py")(tmp_path / "spectra.html")
    assert exact.upper < 1.2 < published.upper
    assert (tmp_path / "spectra.html").is_file()
