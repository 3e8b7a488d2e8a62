"""A run watches itself: same weights with and without, its diagnosis in the folder, what a method claims."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from planted_run import planted
from tightrope import doctor, methods, training
from tightrope.cli import EXIT_STOPPED, main
from tightrope.monitor import Monitor
from tightrope.runs import watch

WORDS = ["--network", "mlp", "--steps", "12", "--quiet", "--evaluate-every", "100", "--log-every", "5"]


def train(folder: Path, method: str, *more: str) -> dict[str, torch.Tensor]:
    assert main(["train", "digits", "--method", method, *WORDS, *more, "--out", str(folder)]) == 0
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
    planted(monkeypatch)
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


def test_on_trouble_stop_saves_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    planted(monkeypatch)
    words = ["train", "digits", "--method", "r1", *WORDS, "--out", str(tmp_path / "a"), "--on-trouble", "stop"]
    assert main(words) == EXIT_STOPPED
    status = json.loads((tmp_path / "a" / "status.json").read_text())
    assert status["state"] == "stopped" and "penalty_weight_wrong" in status["reason"] and status["step"] < 12
    assert (tmp_path / "a" / "checkpoints").is_dir() and "penalty_weight_wrong" in capsys.readouterr().err
    assert json.loads((tmp_path / "a" / "config.json").read_text())["training"]["on_trouble"] == "stop"


def test_on_trouble_stop_leaves_a_sound_run_alone(tmp_path: Path) -> None:
    assert main(["train", "digits", *WORDS, "--out", str(tmp_path / "a"), "--on-trouble", "stop"]) == 0
    assert json.loads((tmp_path / "a" / "status.json").read_text())["step"] == 12


def test_on_trouble_probe_asks_copies_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(Monitor, "troubled", lambda self: True)
    monkeypatch.setattr(watch, "respond", lambda monitor, seconds: asked.append(monitor.steps))
    words = ["train", "digits", *WORDS, "--out", str(tmp_path / "a"), "--on-trouble", "probe"]
    assert main(words) == 0
    assert asked == [5, 10]  # at the first row, and when the run is twice as long
    assert json.loads((tmp_path / "a" / "status.json").read_text())["step"] == 12


def test_trouble_is_not_waited_for_where_nobody_looks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train", "digits", "--method", "consensus", *WORDS, "--out", str(tmp_path / "a"), "--on-trouble", "stop"]
    assert main(words) == 2
    assert "both players at once" in capsys.readouterr().err
    assert not (tmp_path / "a").exists()


def test_preflight_is_written_down(tmp_path: Path) -> None:
    train(tmp_path / "a", "r1")
    found = json.loads((tmp_path / "a" / "preflight.json").read_text())
    assert found["healthy"] and found["checked"]


def test_preflight_changes_no_weight(tmp_path: Path) -> None:
    checked, plain = train(tmp_path / "a", "sn_gan"), train(tmp_path / "b", "sn_gan", "--no-preflight")
    assert (tmp_path / "a" / "preflight.json").exists() and not (tmp_path / "b" / "preflight.json").exists()
    assert checked.keys() == plain.keys() and all(torch.equal(checked[key], plain[key]) for key in plain)


def test_preflight_refuses_what_can_never_train(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    start = training.start

    def frozen(*args: object, **options: object) -> object:
        run = start(*args, **options)  # type: ignore[arg-type]
        run.critic_optimizer = torch.optim.Adam([torch.nn.Parameter(torch.zeros(2))])
        return run

    monkeypatch.setattr(importlib.import_module("tightrope.runs.assemble"), "start", frozen)
    words = ["train", "digits", *WORDS, "--out", str(tmp_path / "a")]
    assert main(words) == 2
    said = capsys.readouterr().err
    assert "optimizer_wrong_parameters" in said and "--no-preflight" in said
    assert not (tmp_path / "a").exists()
    assert main([*words, "--no-preflight"]) == 0
    assert not (tmp_path / "a" / "preflight.json").exists()
