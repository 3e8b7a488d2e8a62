"""A remedy in this training's numbers: what is set to what, the line to write, and what copies and probe can try."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from monitor_loop import Loop, r1
from tightrope import methods
from tightrope._plumbing.errors import UserError
from tightrope.doctor.fixes import fixed
from tightrope.monitor import CAUSES, Diagnosis, Finding, remedies
from tightrope.monitor.claims import Claims, claims_of
from tightrope.monitor.counting import Counters
from tightrope.monitor.history import Ends, History
from tightrope.monitor.ledger.columns import COSTS
from tightrope.monitor.ledger.hypotheses import claim_of
from tightrope.monitor.remedies import exact_change, joined, lines_of
from tightrope.monitor.responses import with_responses
from tightrope.monitor.what_if.changes import of_numbers
from tightrope.monitor.what_if.game import game_of
from tightrope.monitor.what_if.place import numbers
from tightrope.monitor.window import PlayerWindow, Window
from tightrope.optimizers.settings import Adam
from tightrope.runs.diagnosis import command, options_of


def training(claims: Claims | None = None, **players: dict[str, Any]) -> History:
    """Twelve windows of a training whose players move and count as said."""
    history = History(claim_of("wasserstein"), claims or Claims(False))
    for name in ("generator", "critic"):
        given = {"rate": 1e-3, "moved": 0.005, "momentum": 0.0, "adaptive": True, **players.get(name, {})}
        rate = given["rate"]
        history.counters[name] = Counters(steps=100, rate=rate, top_rate=rate, adaptive=given["adaptive"])
        players[name] = given
    for step in range(10, 130, 10):
        window = Window(step, numbers={"batch": 64.0, "features": 10.0, "real_low": 0.0, "real_high": 255.0})
        for name in ("generator", "critic"):
            moved, momentum = players[name]["moved"], players[name]["momentum"]
            setattr(window, name, PlayerWindow(moved=moved, momentum=momentum))
        history.add(window)
    return history


def changed(cause: str, history: History, **evidence: Any) -> dict[str, float]:
    found = exact_change(Finding(cause, "It is.", evidence), history)
    assert found is not None and found.said.endswith(".") and "nan" not in found.said
    return dict(found.numbers)


def said(cause: str, history: History, **evidence: Any) -> str:
    found = exact_change(Finding(cause, "It is.", evidence), history)
    assert found is not None
    return found.said


def test_every_change_belongs_to_a_cause() -> None:
    assert remedies._CHANGES.keys() <= CAUSES.keys()


def test_a_rate_comes_down_to_what_sound_runs_move_by() -> None:
    fast = training(generator={"rate": 0.06, "moved": 0.5})
    assert changed("generator_step_too_large", fast, moved=0.5) == {"lr_generator": pytest.approx(0.0006)}
    both = training(generator={"rate": 0.06, "moved": 0.5}, critic={"rate": 0.06, "moved": 0.5})
    assert changed("generator_step_too_large", both) == pytest.approx({"lr_generator": 6e-4, "lr_critic": 6e-4})
    sgd = training(critic={"rate": 1.0, "moved": 0.05, "adaptive": False})
    assert changed("critic_step_too_large", sgd) == {"lr_critic": pytest.approx(0.1)}


def test_a_rate_goes_up_to_the_other_players() -> None:
    slow = training(critic={"rate": 2e-5})
    assert changed("critic_step_too_small", slow) == {"lr_critic": 1e-3}
    assert changed("learning_rate_zero", training(critic={"rate": 0.0}), player="critic") == {"lr_critic": 1e-3}
    wild = training(critic={"rate": 2e-5}, generator={"rate": 1.0})
    assert changed("critic_step_too_small", wild) == {"lr_critic": 0.01}  # not to a rate that is too large itself
    assert exact_change(Finding("critic_step_too_small", "It is."), training(critic={"rate": 0.1})) is None


def test_momentum_decay_and_counts_of_steps() -> None:
    heavy = training(generator={"momentum": 0.97}, critic={"momentum": 0.5})
    assert changed("momentum_too_high", heavy) == {"beta1 of the generator": 0.0}
    assert changed("weight_decay_crippling", heavy, decay=1.0, player="critic") == {"weight_decay of the critic": 0.0}
    swapped = {"generator_steps": 50, "critic_steps": 10}
    assert changed("n_critic_swapped", heavy, **swapped) == {"n_critic": 5.0}
    heavy.claim = claim_of("non_saturating")
    assert changed("n_critic_swapped", heavy, **swapped) == {"n_critic": 1.0}  # no loss that needs many


def test_weights_of_penalties() -> None:
    gp = training(claims_of(("gp", 3000.0)))
    assert changed("penalty_too_strong", gp, share=1000.0) == {"penalty=gp": 3.0}
    assert changed("penalty_too_strong", gp, share=20.0) == {"penalty=gp": 30.0}  # no more than is known to work
    assert changed("penalty_too_strong", gp, share=1e6) == {"penalty=gp": 1.0}  # and no less
    assert changed("penalty_too_weak", training(claims_of(("r1", 1e-5)))) == {"penalty=r1": 1.0}
    both = training(claims_of([("r1", 2000.0), ("r2", 1000.0)]))
    assert changed("penalty_too_strong", both, share=100.0) == {"penalty=r1": 15.0, "penalty=r2": 7.5}
    wrong = said("penalty_weight_wrong", training(claims_of(("gp", 10.0))), weight=640.0, expected=10.0)
    assert "by 0.0156" in wrong and "from 640 to 10" in wrong and "rows of a batch" in wrong
    lazy = said("penalty_too_lazy", gp, share=1 / 40)
    assert "every 40" in lazy and "every 16" in lazy
    assert "by 8" in said("penalty_too_lazy", gp, share=1 / 8)


@pytest.mark.parametrize("name", ["gp", "gp1", "r1", "r2"])
def test_the_line_of_a_penalty_is_the_penalty(name: str) -> None:
    torch.manual_seed(0)
    critic = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1)).double()
    real, fake, loss = torch.randn(5, 3).double(), torch.randn(5, 3).double(), torch.zeros((), dtype=torch.float64)
    scope: dict[str, Any] = {"torch": torch, "critic": critic, "real": real, "fake": fake, "loss": loss}
    exec(lines_of(name, 7.0), scope)
    (slope,) = torch.autograd.grad(critic(scope["x"]).sum(), scope["x"])
    assert scope["loss"].item() == pytest.approx(7.0 * float(COSTS[name][1](slope)), rel=1e-9)
    assert scope["loss"].requires_grad and scope["x"].shape == real.shape


def test_lines_of_data_and_of_averages() -> None:
    history = training()
    history.ends["generator"] = Ends(-1.0, 1.0)
    text = said("data_range", history)
    x = 255.0
    assert eval(text.partition(" = ")[2].partition(",")[0]) == pytest.approx(1.0, abs=1e-2)
    assert x == 255.0 and "0.007843" in text
    assert exact_change(Finding("data_range", "It is."), training()) is None  # the generator's ends are not known
    slow = said("average_too_slow", history, behind=0.99)
    assert "0.999916" in slow and f"{0.5 ** (20 / 120):.3g}" in slow
    assert "by 0.01:" in said("reconstruction_drowns_adversarial", history, share=0.99)
    assert 'group["lr"] = 0.002' in said("schedule_too_fast", history, top=0.002, rate=1e-9, player="critic")
    missing = said("optimizer_misses_parameters", history, missing=["0.weight", "2.bias"], player="generator")
    assert "add_param_group" in missing and "'0.weight', '2.bias'" in missing


def test_copies_set_what_the_numbers_say() -> None:
    monitor = Loop(steps=40, penalty=("r1", 2.0), extra=r1(2.0)).run()
    assert monitor is not None
    game = game_of(monitor)
    wanted = {"lr_critic": 3e-5, "beta1 of the generator": 0.25, "penalty=r1": 0.5, "n_critic": 3.0}
    before, after = numbers(game.copied()), numbers(of_numbers(wanted).apply(game.copied()))
    assert {key for key in after if after[key] != before[key]} == wanted.keys()
    assert {key: after[key] for key in wanted} == wanted
    state = of_numbers({"weight_decay of the critic": 0.5}).apply(game.copied())
    assert state.optimizers["critic"][0].param_groups[0]["weight_decay"] == 0.5
    assert state.optimizers["generator"][0].param_groups[0]["weight_decay"] == 0.0


def test_a_finding_carries_its_numbers_and_goes_back_from_values_that_are_not_finite() -> None:
    history = training(generator={"rate": 0.06, "moved": 0.5}, critic={"rate": 0.06})
    finding = Finding("generator_step_too_large", "It is.", {"moved": 0.5}, 1, "medium", "why it fails")
    (found,) = with_responses(Diagnosis((finding,), 120), history)
    assert found.evidence["fix"] == "lr_generator=0.0006+lr_critic=0.001"
    assert found.remedy.startswith(CAUSES[finding.cause].remedy) and "lr_critic from 0.06 to 0.001" in found.remedy
    for since, words in ((31, "before step 31"), (1, "first weights")):
        broken = Finding("non_finite", "It is.", {}, since, "high", "why it fails")
        assert words in with_responses(Diagnosis((broken,), 120), history)[0].remedy


def test_several_changes_are_one_fix() -> None:
    assert joined({"beta1 of the generator": 0.0, "beta1 of the critic": 0.0}) == "beta1=0"
    assert joined({"clip": 1.0}) == joined({"lr_critic": 1.0, "clip": 1.0}) == ""
    assert joined({"penalty=r1": 1.0, "penalty=r2": 2.0}) == ""  # probe's penalty is one
    method = methods.build("r1", gamma=3.0, optimizer="adam")
    for fix in ("lr_critic=1e-5+gamma=7+beta1=0.5", "beta1=0.5+lr_critic=1e-05+gamma=7"):
        found = fixed(method, fix)
        assert found.penalties[0].hyperparameters["gamma"] == 7.0 and found.critic_optimizer.learning_rate == 1e-5
        for optimizer in (found.critic_optimizer, found.generator_optimizer):
            assert isinstance(optimizer, Adam) and optimizer.betas[0] == 0.5
        assert found.generator_optimizer.learning_rate == method.generator_optimizer.learning_rate
    with pytest.raises(UserError, match="gama"):
        fixed(method, "lr_critic=1e-5+gama=1")
    assert fixed(method, "lr=1e+1").critic_optimizer.learning_rate == 10.0  # a plus of a number is one


@pytest.mark.parametrize(
    ("name", "fix", "options"),
    [
        ("r1", "penalty=r1:6.1", "--gamma 6.1"),
        ("r1", "penalty=gp:6.1", ""),  # another penalty than the method has
        ("wgan_gp", "penalty=gp:3", "--weight 3"),
        ("dcgan", "beta1=0", "--betas 0 0.999"),
        ("r1", "lr_generator=0.00038+lr_critic=0.001", "--learning-rate 0.00038"),
        ("r1", "lr_generator=0.00038", ""),  # it has one rate for both
        ("wgan_ttur", "lr_generator=0.00038", "--generator-learning-rate 0.00038"),
        ("r1", "n_critic=5+lr=1e-05", "--n-critic 5 --learning-rate 1e-05"),
        ("r1", "", ""),
    ],
)
def test_a_fix_as_options_of_train(name: str, fix: str, options: str) -> None:
    assert options_of(fix, methods.build(name).hyperparameters) == options


def test_a_run_past_saving_is_measured_anew_and_another_from_here(tmp_path: Any) -> None:
    finding = Finding("penalty_too_strong", "It is.", {"fix": "penalty=r1:6.1"}, 1, "medium", "why it fails")
    hyperparameters = methods.build("r1").hyperparameters
    for words, wanted in (("Start again from the first weights: so.", " --anew measures"), ("", " --seeds 4 measures")):
        found = Diagnosis((Finding(**{**vars(finding), "exact": f"Lower it. {words}"}),), 100)
        said = command(tmp_path, found, 10.0, hyperparameters)
        assert said.startswith(f"tightrope probe {tmp_path} --try penalty=r1:6.1") and wanted in said
        assert ("with --gamma 6.1 and" in said) == bool(words)
    assert f"--from {tmp_path} --gamma 6.1" in command(tmp_path, found, 10.0, hyperparameters)
