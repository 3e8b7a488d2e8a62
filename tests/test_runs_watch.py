"""A run watches itself: same weights with and without, its diagnosis in the folder, what a method claims."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tightrope import doctor, methods
from tightrope.cli import main
from tightrope.monitor import Monitor
from tightrope.runs import watch

WORDS = ["--network", "mlp", "--steps", "12", "--quiet", "--evaluate-every", "100", "--log-every", "5"]


def train(folder: Path, method: str) -> dict[str, torch.Tensor]:
    assert main(["train", "digits", "--method", method, *WORDS, "--out", str(folder)]) == 0
    files = sorted(folder.rglob("*.safetensors"))
    return {f"{file.name} {key}": value for file in files for key, value in load_file(file).items()}


@pytest.mark.parametrize("method", ["wgan_gp", "sn_gan"])
def test_weights_are_those_of_an_unwatched_run(method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watched = train(tmp_path / "a", method)
    found = doctor.diagnose(tmp_path / "a")
    assert found.healthy and found[0].cause == "healthy", str(found)
    assert "as claimed in 5 of 5" in str(found)
    monkeypatch.setattr(watch, "monitor_of", lambda run: None)
    plain = train(tmp_path / "b", method)
    assert watched.keys() == plain.keys() and watched
    assert all(torch.equal(watched[key], plain[key]) for key in plain)
    assert not (tmp_path / "b" / "diagnosis.json").exists()


def test_a_fault_of_the_run_is_in_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    claimed = watch.monitor_of

    def other(run: object) -> Monitor | None:
        monitor = claimed(run)  # type: ignore[arg-type]
        assert monitor is not None
        monitor.history.claims = type(monitor.history.claims)(True, (("r1", 1000.0),))
        return monitor

    monkeypatch.setattr(watch, "monitor_of", other)
    train(tmp_path / "a", "r1")
    assert json.loads((tmp_path / "a" / "diagnosis.json").read_text())["findings"][0]["cause"] == "penalty_weight_wrong"
    assert doctor.diagnose(tmp_path / "a")[0].cause == "penalty_weight_wrong"


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("r1", [("r1", 10.0)]),
        ("wgan_gp", [("gp", 10.0)]),
        ("dcgan", None),
    ],
)
def test_what_a_method_claims(method: str, expected: object) -> None:
    assert watch.claimed(methods.build(method)) == expected
