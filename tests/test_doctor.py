"""The door: diagnoses of monitors, run folders and logs; the check before the start; the command."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
import torch
from torch import nn

from monitor_loop import LATENT, Sigmoid, build, mlp
from tightrope import constraints, doctor
from tightrope._plumbing.errors import UserError
from tightrope.cli import main


def rows(path: Path, **series: list[float]) -> Path:
    n = len(next(iter(series.values())))
    lines = [{"step": 10 * (k + 1)} | {key: values[k] for key, values in series.items()} for k in range(n)]
    path.write_text("\n".join(map(json.dumps, lines)) + "\n")
    return path


def test_of_a_monitor() -> None:
    monitor = build({}).run()
    assert monitor is not None
    assert doctor.diagnose(monitor).healthy


@pytest.mark.parametrize(
    ("cause", "series"),
    [
        ("healthy", {"critic_loss": [1.3] * 20, "generator_loss": [0.7] * 20, "critic_accuracy": [0.6] * 20}),
        ("learning_rate_zero", {"critic_learning_rate": [0.0] * 5}),
        ("critic_no_gradient", {"critic_gradient_norm": [0.0] * 5}),
        ("generator_detached", {"generator_gradient_norm": [0.0] * 5}),
        (
            "generator_gradient_vanishes",
            {"generator_gradient_norm": [1.0] * 6 + [1e-6] * 6, "critic_accuracy": [0.6] * 6 + [1.0] * 6},
        ),
        ("unknown_trouble", {"input_gradient_norm_real": [10.0**k for k in range(10)]}),
    ],
)
def test_of_a_log(cause: str, series: dict[str, list[float]], tmp_path: Path) -> None:
    found = doctor.diagnose(rows(tmp_path / "metrics.jsonl", **series))
    assert found[0].cause == cause
    assert found.healthy == (cause == "healthy")
    assert "rows" in str(found) and found.not_checked


def test_of_a_log_with_a_hole(tmp_path: Path) -> None:
    path = rows(tmp_path / "metrics.jsonl", critic_loss=[1.0, 1.0, 1.0], generator_loss=[1.0, 1.0, 1.0])
    path.write_text(path.read_text() + '{"step": 40, "generator_loss": 1.0}\n{"step": 50, "critic_loss": NaN}\nrest')
    found = doctor.diagnose(path)
    assert found[0].cause == "non_finite" and found[0].since == 40


def test_of_a_run_folder_the_monitor_stands_first(tmp_path: Path) -> None:
    rows(tmp_path / "metrics.jsonl", critic_gradient_norm=[0.0] * 5)
    monitor = build({"generator_loss": lambda f, r: f.mean()}).run()
    assert monitor is not None
    (tmp_path / "diagnosis.json").write_text(json.dumps(monitor.diagnose().to_json()))
    found = doctor.diagnose(tmp_path)
    assert [f.cause for f in found][:2] == ["generator_sign_flipped", "critic_no_gradient"]
    for damaged in (
        {"findings": [{"cause": 3}]},
        {"findings": 3},
        {"checked": 3},
        {"not_checked": -1},
        {"checked": [1]},
    ):
        (tmp_path / "diagnosis.json").write_text(json.dumps(damaged))
        found = doctor.diagnose(tmp_path)
        assert found[0].cause == "critic_no_gradient"
        assert "diagnosis.json cannot be read" in found.not_checked[-1]


@pytest.mark.parametrize("content", ["", "nothing\n", "[1]\n"])
def test_refusals(content: str, tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text(content)
    for wrong in (tmp_path / "metrics.jsonl", tmp_path / "missing", 3):
        with pytest.raises(UserError):
            doctor.diagnose(wrong)  # type: ignore[arg-type]


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = rows(tmp_path / "metrics.jsonl", critic_learning_rate=[0.0] * 5)
    assert main(["diagnose", str(path)]) == 0
    assert "learning_rate_zero" in capsys.readouterr().out
    assert main(["diagnose", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["findings"][0]["cause"] == "learning_rate_zero"
    assert main(["diagnose", str(tmp_path / "missing")]) == 2


def networks() -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(0)
    return nn.Sequential(mlp(LATENT, 8, 2), nn.Tanh()), mlp(2, 8, 8, 1)


def optimizers(*nets: nn.Module) -> tuple[torch.optim.Optimizer, ...]:
    return tuple(torch.optim.Adam(net.parameters(), 1e-3) for net in nets)


def test_preflight_of_a_sound_training() -> None:
    g, d = networks()
    constraints.spectral_norm(d)
    both = optimizers(g, d)
    real = torch.rand(16, 2)
    before, random = copy.deepcopy((g.state_dict(), d.state_dict())), torch.get_rng_state()
    found = doctor.preflight(g, d, real, "hinge", both, "spectral_norm", lambda: g(torch.randn(9, LATENT)))
    assert found.healthy and found[0].cause == "healthy", str(found)
    after = (g.state_dict(), d.state_dict())
    assert all(torch.equal(a[k], b[k]) for a, b in zip(before, after, strict=True) for k in a)
    assert torch.equal(random, torch.get_rng_state())
    assert not g._forward_hooks and not d._forward_pre_hooks and all(p.grad is None for p in d.parameters())


@pytest.mark.parametrize("loss", ["non_saturating", "wasserstein", "least_squares", "relativistic", "minimax"])
def test_preflight_plays_the_claimed_loss_of_both_players(loss: str) -> None:
    g, d = mlp(LATENT, 16, 2), mlp(2, 16, 1)
    both = torch.optim.Adam(g.parameters(), 1e-3), torch.optim.Adam(d.parameters(), 1e-3)
    penalty = ("gp", 10.0) if loss == "wasserstein" else None
    found = doctor.preflight(g, d, torch.randn(32, 2), loss, both, penalty, z=torch.randn(32, LATENT))
    assert found.healthy, str(found)


def test_preflight_finds_what_needs_no_training() -> None:
    g, d = networks()
    real = torch.rand(16, 2)

    def first(*args: object, **kwargs: object) -> str:
        return str(doctor.preflight(*args, **kwargs)[0].cause)  # type: ignore[arg-type]

    assert first(g, d, 255 * real, "hinge", optimizers(g, d)) == "data_range"
    assert first(g, d, real, "hinge", optimizers(d, d)) == "optimizer_other_player"
    assert first(g, d, real, "hinge", optimizers(networks()[0], d)) == "optimizer_wrong_parameters"
    assert first(g, d, real, "hinge", penalty="spectral_norm") == "constraint_missing"
    assert first(g, Sigmoid(d), real, "wasserstein", penalty="clip") == "probability_as_score"
    assert first(g, mlp(2, 8, 1, norm=True), real, "wgan", penalty="gp") == "penalty_under_batch_norm"
    g.requires_grad_(False)
    assert first(g, d, real, "hinge", optimizers(g, d)) == "generator_frozen"
    with pytest.raises(UserError, match="shape"):
        doctor.preflight(g, d, torch.rand(16, 3), "hinge")
