"""``tightrope probe``: arms of one seed share everything but the fix, and a fix is what it says or refused."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tightrope import doctor, methods
from tightrope._plumbing.errors import UserError
from tightrope.cli import main
from tightrope.doctor.fixes import fixed, write_numbers
from tightrope.doctor.trial import FixTrial
from tightrope.monitor.what_if import respond


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "ring"
    words = "--method r1 --network mlp --steps 20 --latent 4 --evaluate-every 0 --evaluate-n 20 --batch-size 32 --quiet"
    more = ["--gamma", "0.1", "--learning-rate", "1e-9", "--optimizer", "adam", "--out", str(folder)]
    assert main(["train", "toy:ring", *words.split(), *more]) == 0
    return folder


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_rate_that_explodes_hurts_a_run_that_stands_still(run: Path) -> None:
    before, stream = files(run), torch.get_rng_state()
    (trial,) = doctor.probe(run, ["lr=1"], steps=12, seeds=3, write=False)
    assert trial.verdict == "hurts" and trial.ratio[1] > 3
    assert trial.step == 20 and len(trial.plain) == len(trial.changed) == 3
    assert trial.plain == pytest.approx([trial.start] * 3, rel=1e-3)  # at a rate of 1e-9 nothing moves
    assert files(run) == before and torch.equal(stream, torch.get_rng_state())


def test_arms_share_rows_and_latents(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fix that is no change gives the same distances, to the last digit."""
    monkeypatch.setattr("tightrope.doctor.trial.fixed", lambda method, fix: method)
    (trial,) = doctor.probe(run, ["lr=1"], steps=3, seeds=2, write=False)
    assert trial.plain == trial.changed and trial.verdict == "no difference beyond chance"


def test_arms_begin_anew(run: Path) -> None:
    """From the first weights, which are not those of the checkpoint, and without what its optimisers have gathered."""
    (trial,) = doctor.probe(run, ["lr=0.01"], steps=2, seeds=2, anew=True, write=False)
    assert trial.step == 0 and "from step 0" in str(trial) and "of the first weights" in str(trial)
    kept = (run / "checkpoints").rename(run / "away")
    try:
        assert doctor.probe(run, ["lr=0.01"], steps=2, seeds=2, anew=True, write=False) == (trial,)
        with pytest.raises(UserError, match="--anew"):
            doctor.probe(run, ["lr=0.01"], steps=2, seeds=2)
    finally:
        kept.rename(run / "checkpoints")


def test_a_fix_that_moves_nothing_from_a_damaged_checkpoint_is_to_be_tried_anew() -> None:
    assert "--anew" in str(FixTrial("x", 300, 40, (4.0, 4.1), (2.2, 2.3), 2.28, ""))
    for other in (
        FixTrial("x", 300, 40, (8.0, 7.9), (1.3, 1.4), 7.9, ""),
        FixTrial("x", 0, 40, (4.0, 4.1), (2.2, 2.3), 2.28, ""),
        FixTrial("x", 300, 40, (0.05, 0.05), (0.05, 0.05), 0.05, ""),
    ):
        assert "--anew" not in str(other)


def test_the_command_prints_and_writes(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["probe", str(run), "--try", "beta1=0.5,n_critic=2", "--steps", "2", "--seeds", "2"]) == 0
    said = capsys.readouterr().out
    assert "beta1=0.5: " in said and "n_critic=2: " in said and "95 % interval" in said and "held-out samples" in said
    rows = [json.loads(line) for line in (run / "probes.jsonl").read_text().splitlines()]
    assert [row["fix"] for row in rows] == ["beta1=0.5", "n_critic=2"] and len(rows[0]["plain"]) == 2
    assert main(["resume", str(run), "--more-steps", "1", "--quiet"]) == 0


def test_interval_of_paired_ratios() -> None:
    trial = FixTrial("x", 0, 1, (0.4, 0.5, 0.6), (0.2, 0.2, 0.3), 1.0, "")
    logs = [math.log(0.4 / 0.2), math.log(0.5 / 0.2), math.log(0.6 / 0.3)]
    mean = sum(logs) / 3
    half = 4.302653 * math.sqrt(sum((v - mean) ** 2 for v in logs) / 2) / math.sqrt(3)
    assert trial.ratio == pytest.approx((math.exp(-mean), math.exp(-mean - half), math.exp(-mean + half)), rel=1e-3)
    assert trial.verdict == "helps"
    assert FixTrial("x", 0, 1, (0.2, 0.21), (0.4, 0.41), 1.0, "").verdict == "hurts"


R1 = methods.build("r1", gamma=2.0, optimizer="adam")
FIXES: dict[str, Callable[[methods.Method], object]] = {
    "lr=3e-4": lambda m: (m.critic_optimizer.learning_rate, m.generator_optimizer.learning_rate) == (3e-4, 3e-4),
    "lr-critic=3e-4": lambda m: (m.critic_optimizer.learning_rate, m.generator_optimizer.learning_rate) == (3e-4, 1e-4),
    "beta1=0.5": lambda m: m.critic_optimizer.betas == (0.5, 0.99) == m.generator_optimizer.betas,  # type: ignore[attr-defined]
    "beta2=0.9": lambda m: m.critic_optimizer.betas == (0.0, 0.9),  # type: ignore[attr-defined]
    "n_critic=5": lambda m: m.n_critic == 5,
    "gamma=7": lambda m: m.penalties[0].hyperparameters["gamma"] == 7.0,
    "penalty=none": lambda m: not m.penalties,
    "penalty=gp:3": lambda m: m.penalties[0].hyperparameters == {"weight": 3.0},
}


@pytest.mark.parametrize("fix", FIXES)
def test_a_fix_changes_what_it_says(fix: str) -> None:
    assert FIXES[fix](fixed(R1, fix))


@pytest.mark.parametrize(
    ("fix", "words"),
    [
        ("gamma", "name=value"), ("gama=1", "gamma"), ("gamma=2", "changes something"), ("gamma=much", "gamma"),
        ("lr=fast", "number"), ("n_critic=1.5", "n_critic"), ("penalty=r3", "penalty"),
    ],
)  # fmt: skip
def test_what_is_no_fix_is_refused(fix: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        fixed(R1, fix)


def test_a_fix_that_holds_from_the_first_step_on_is_refused() -> None:
    with pytest.raises(UserError, match="first step"):
        fixed(methods.build("sn_wgan"), "norm=operator")
    with pytest.raises(UserError, match=r"first step|changes"):
        fixed(methods.build("wgan"), "bound=0.1")


def test_numbers_reach_an_optimiser_in_the_middle_of_its_run() -> None:
    p = torch.nn.Parameter(torch.ones(2))
    before, after = R1.critic_optimizer, fixed(R1, "beta1=0.5").critic_optimizer
    optimizer = before.build([p])
    p.sum().backward()
    optimizer.step()
    optimizer.param_groups[0]["lr"] = 7e-5  # what a schedule has made of it stays
    write_numbers(optimizer, before, after)
    assert optimizer.param_groups[0]["betas"] == (0.5, 0.99) and optimizer.param_groups[0]["lr"] == 7e-5
    assert optimizer.state[p]
    with pytest.raises(UserError, match="start a new run"):
        write_numbers(optimizer, before, methods.build("r1").critic_optimizer)


def test_what_ifs_of_a_folder_change_nothing(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("ROUNDS", "MOST_ROUNDS"):
        monkeypatch.setattr(respond, name, 3)
    monkeypatch.setattr(respond, "NEAR", 0.0)
    before, stream = files(run), torch.get_rng_state()
    found = doctor.diagnose(run, what_if=True)
    assert files(run) == before and torch.equal(stream, torch.get_rng_state())
    assert any("changes on copies from the first weights, 3 rounds" in said for said in found.checked), found.checked
    assert main(["diagnose", str(run), "--what-if", "--seconds", "5"]) == 0
    assert "from where it stands" in capsys.readouterr().out


def test_what_ifs_need_a_checkpoint_and_players_in_turn(tmp_path: Path) -> None:
    words = "--network mlp --steps 2 --latent 4 --evaluate-every 0 --evaluate-n 20 --batch-size 32 --quiet"
    folder = tmp_path / "both"
    assert main(["train", "toy:ring", "--method", "consensus", *words.split(), "--out", str(folder)]) == 0
    with pytest.raises(UserError, match="one after the other"):
        doctor.diagnose(folder, what_if=True)
    with pytest.raises(UserError, match="copies need networks"):
        doctor.diagnose(folder / "metrics.jsonl", what_if=True)
    for path in (folder / "checkpoints").iterdir():
        path.unlink()
    with pytest.raises(UserError, match="checkpoint"):
        doctor.diagnose(folder, what_if=True)
    with pytest.raises(UserError, match="checkpoint"):
        doctor.probe(folder, ["lr=1"])
