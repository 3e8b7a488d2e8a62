"""``resume`` with other rates, weights and cadence: what holds from there on, what is said and written down."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import pytest

from run_cases import config_of, same, weights
from tightrope import UserError, runs
from tightrope.cli import main
from tightrope.report import write_report
from tightrope.runs import rows as records
from tightrope.runs.change import changeable, changed


def begun(folder: Path, **training: Any) -> Path:
    runs.begin(folder, config_of(**training), quiet=True)
    return folder


def rates(folder: Path) -> dict[int, float]:
    return {row["step"]: row["critic_learning_rate"] for row in records.read(folder / records.METRICS)}


def test_another_rate_holds_from_the_checkpoint_on_and_is_said_and_written_down(tmp_path: Path, capsys):
    run, plain = begun(tmp_path / "run"), begun(tmp_path / "plain")
    runs.resume(plain, steps=8, quiet=True)
    assert main(["resume", str(run), "--more-steps", "4", "--learning-rate", "0.003"]) == 0
    said = capsys.readouterr().err
    assert "step 4: learning_rate 0.0001 -> 0.003" in said and "no longer bit for bit" in said
    assert rates(run) == {**dict.fromkeys(range(1, 5), 1e-4), **dict.fromkeys(range(5, 9), 3e-3)}
    assert not same(weights(run)["generator"], weights(plain)["generator"])
    config = runs.read_config(run)
    assert config.method.hyperparameters["learning_rate"] == 0.003
    assert config.changes == ("step 4: learning_rate 0.0001 -> 0.003",)
    assert "resumed with other settings: step 4: learning_rate" in write_report(run).read_text(encoding="utf-8")
    runs.resume(run, steps=10, quiet=True)  # and goes on holding
    assert rates(run)[10] == 3e-3 and len(runs.read_config(run).changes) == 1


def test_a_change_survives_a_call_that_ends_before_its_first_checkpoint(tmp_path: Path, monkeypatch):
    run = begun(tmp_path / "run", steps=4, checkpoint_every=4)

    def killed(*arguments: Any, **keywords: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(importlib.import_module("tightrope.runs.begin"), "fit", killed)
        with pytest.raises(KeyboardInterrupt):
            runs.resume(run, steps=8, changes={"learning_rate": 0.003}, quiet=True)
    runs.resume(run, steps=8, quiet=True)
    assert rates(run)[5] == 3e-3, "the checkpoint holds the old rate, the configuration the new one"


def test_the_cadence_changes_no_weight(tmp_path: Path):
    run, plain = begun(tmp_path / "run"), begun(tmp_path / "plain")
    runs.resume(plain, steps=9, quiet=True)
    words = [
        "--steps",
        "9",
        "--log-every",
        "2",
        "--sample-every",
        "4",
        "--evaluate-every",
        "0",
        "--evaluate-n",
        "50",
        "--keep",
        "1",
        "--quiet",
    ]
    assert main(["resume", str(run), *words]) == 0
    assert same(weights(run), weights(plain))
    assert [step for step in rates(run) if step > 4] == [6, 8]
    training = runs.read_config(run).training
    assert (training.sample_every, training.evaluate_every, training.keep) == (4, None, 1)
    assert len(runs.checkpoint_paths(run)) == 1


def test_a_penalty_and_a_budget_of_another_kind(tmp_path: Path):
    run = begun(tmp_path / "run")
    runs.resume(run, images=80, changes={"gamma": 0.0}, quiet=True)
    rows = {row["step"]: row["penalty"] for row in records.read(run / records.METRICS)}
    assert max(rows) == 10 and all(rows[step] > 0 for step in range(2, 5)) and rows[6] == rows[10] == 0.0
    assert runs.read_config(run).training.steps is None


def test_betas_of_a_checkpoint_do_not_win_over_new_ones(tmp_path: Path):
    config = config_of(method=runs.MethodSettings("dcgan", {"betas": (0.5, 0.999)}))
    runs.begin(tmp_path / "run", config, quiet=True)
    runs.resume(tmp_path / "run", steps=6, changes={"betas": (0.0, 0.9)}, quiet=True)
    group = weights(tmp_path / "run")["critic_optimizer"]["param_groups"][0]
    assert tuple(group["betas"]) == (0.0, 0.9)


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"optimizer": "adam"}, "the checkpoint's state was not made"),
        ({"lr": 0.1}, "did you mean learning_rate"),
        ({"batch_size": 4}, "cannot go on with another 'batch_size'"),
        ({"learning_rate": -1.0}, "learning rate"),
        ({"learning_rate": "fast"}, "learning_rate"),
        ({"keep": 0}, "keep"),
    ],
)
def test_what_cannot_be_changed_is_refused_and_nothing_is_lost(tmp_path: Path, changes: dict[str, Any], wrong: str):
    run = begun(tmp_path / "run")
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    with pytest.raises(UserError, match=wrong):
        runs.resume(run, steps=8, changes=changes, quiet=True)
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_lr_gets_the_right_suggestion_on_the_command_line(tmp_path: Path, capsys):
    run = begun(tmp_path / "run")
    assert main(["resume", str(run), "--lr", "0.1"]) == 2
    assert "did you mean --learning-rate" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["resume", str(run), "--help"])
    assert "--learning-rate" in capsys.readouterr().out


def test_only_numbers_can_be_changed():
    assert {"learning_rate", "gamma", "betas", "n_critic"} <= set(changeable("r1"))
    assert not {"optimizer", "at", "setting"} & set(changeable("r1"))


def test_nothing_changed_is_nothing_said():
    config = config_of()
    assert changed(config, {"gamma": 1.0, "keep": 3}, 4).changes == ()
    assert json.loads(json.dumps(changed(config, {"keep": 5}, 4).to_json()))["changes"] == ["step 4: keep 3 -> 5"]
