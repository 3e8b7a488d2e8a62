"""Logs of other programs and damaged records: what could not be read is said, and never counts as healthy."""

from __future__ import annotations

import json
import math

import pytest
import torch
from torch import nn

from run_folders import make_run
from tightrope._plumbing.errors import UserError
from tightrope.doctor import diagnose, preflight
from tightrope.report import assessment


def log(tmp_path, rows):
    path = tmp_path / "log.jsonl"
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("first", [0, 20])
@pytest.mark.parametrize("key", ["critic_loss", "generator_loss"])
def test_a_loss_that_python_wrote_as_nan_is_found(tmp_path, bad, first, key):
    found = diagnose(log(tmp_path, [{"step": i, key: bad if i >= first else 1.0} for i in range(30)]))
    assert found[0].cause == "non_finite" and found[0].since == first and found.step == 29
    assert not found.healthy


def test_a_nan_elsewhere_costs_no_row(tmp_path):
    rows = [{"step": i, "critic_loss": 1.0, "gap": math.nan, "critic_gradient_norm": 0.0} for i in range(9)]
    assert diagnose(log(tmp_path, rows))[0].cause == "critic_no_gradient"


def test_steps_may_be_whole_floats(tmp_path):
    rows = [{"step": float(i), "critic_loss": 1.0, "critic_gradient_norm": 0.0} for i in range(9)]
    assert diagnose(log(tmp_path, rows))[0].cause == "critic_no_gradient"


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"iter": 1, "critic_loss": 1.0}, "whole number step"),
        ({"step": 1.5, "critic_loss": 1.0}, "whole number step"),
        ({"step": True, "critic_loss": 1.0}, "whole number step"),
        ({"step": 1, "loss_D": 1.0, "seconds": 2.0}, "got step, loss_D, seconds"),
        ({"step": 1, "critic_loss": "1.0"}, "keys of signals"),
        ({}, "empty objects"),
    ],
)
def test_a_log_that_tells_nothing_is_not_healthy(tmp_path, row, words):
    with pytest.raises(UserError, match=words):
        diagnose(log(tmp_path, [row] * 9))


def test_what_was_not_read_of_a_log_is_said(tmp_path):
    rows = [{"step": i, "critic_loss": 1.0, "loss_D": 2.0} for i in range(9)]
    said = "; ".join(diagnose(log(tmp_path, [*rows, "broken", {"critic_loss": 3.0}])).not_checked)
    for words in ("1 lines of log.jsonl", "line 10", "1 rows without", "none of our signals: loss_D"):
        assert words in said


def test_damaged_records_are_said_in_the_answer_for_machines(tmp_path):
    run = make_run(tmp_path / "a")
    assert assessment(run)["problems"] == []
    good = assessment(run)["answer"]["sentence"]
    for name in ("metrics.jsonl", "evaluations.jsonl"):
        lines = (run / name).read_text().splitlines()
        (run / name).write_text("\n".join(["{broken", *lines[1:]] if name == "metrics.jsonl" else ["{broken"]) + "\n")
    said = assessment(run)
    assert [problem.partition(":")[0] for problem in said["problems"]] == ["metrics.jsonl", "evaluations.jsonl"]
    assert said["answer"]["sentence"] != good and "can be read" in said["answer"]["sentence"]
    assert any(words.startswith("metrics.jsonl: 1 line is left out") for words in diagnose(run).not_checked)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_batch_that_is_not_finite_is_not_blamed_on_the_critic(bad):
    torch.manual_seed(0)
    generator, critic = (nn.Sequential(nn.Linear(k, 8), nn.ReLU(), nn.Linear(8, n)) for k, n in ((3, 2), (2, 1)))
    real = torch.randn(16, 2)
    assert "bounded_scores" not in [finding.cause for finding in preflight(generator, critic, real, loss="hinge")]
    real[3, 1] = bad
    with pytest.raises(UserError, match="in row 3"):
        preflight(generator, critic, real, loss="hinge")
    with torch.no_grad():
        critic[0].weight[0, 0] = bad
    found = preflight(generator, critic, real.nan_to_num(0, 0, 0), loss="hinge")
    assert "bounded_scores" not in [finding.cause for finding in found]
