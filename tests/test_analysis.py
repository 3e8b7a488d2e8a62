"""The game of what is trained: its losses, its step, and the advice on R1's weight."""

from __future__ import annotations

import ast
import copy
import math

import pytest
import torch
from torch import nn

import house
from tightrope import toys
from tightrope.doctor import tune_gamma
from tightrope.dynamics import eigenvalues, field_jacobian, predict
from tightrope.methods import build
from tightrope.methods.game import critic_objective, game_of, generator_objective, losses_on
from tightrope.networks import NETWORKS
from tightrope.training import start, train
from tightrope.training.as_game import run_game, run_optimizers, run_step
from tightrope.training.joint import _draw

F64 = torch.float64
REAL = torch.randn(12, 2, generator=torch.Generator().manual_seed(9))


def networks(seed=0, width=4, depth=1):
    rng = torch.Generator().manual_seed(seed)
    size = {"width": width, "depth": depth}
    pair = NETWORKS["mlp"]
    return pair.generator((2,), latent=3, rng=rng, **size), pair.critic((2,), rng=rng, **size)


def begun(name, **options):
    run = start(build(name, **options), *networks(), seed=0, latent=3, batch_size=12, ema_half_life_images=0.0)
    for _ in train(run, [REAL], steps=3):
        pass
    return run


def test_the_losses_are_the_training_objectives():
    method, (G, D) = build("wgan_gp"), networks()
    rng = torch.Generator().manual_seed(5)
    for_critic, for_generator = (torch.randn(12, 3, generator=rng) for _ in range(2))
    found = [loss().item() for loss in game_of(method, G, D, REAL, latent=3, seed=5)]
    again = torch.Generator().manual_seed(6)
    assert found[0] == generator_objective(method, G, D, for_generator).total.item()
    assert found[1] == critic_objective(method, D, REAL, G(for_critic), rng=again).total.item()


@pytest.mark.parametrize("name", ["wgan_gp", "r3gan", "r1"])
def test_a_game_repeats_itself_and_other_seeds_give_other_games(name):
    method, (G, D) = build(name), networks()
    values = [[loss().item() for loss in game_of(method, G, D, REAL, latent=3, seed=s)] for s in (0, 0, 1)]
    game = game_of(method, G, D, REAL, latent=3)
    assert [loss().item() for loss in game] == [loss().item() for loss in game] == values[0] == values[1]
    assert all(a != b for a, b in zip(values[0], values[2], strict=True))


def test_lazy_penalties_and_schedules_are_taken_where_they_are_asked_for():
    method, (G, D) = build("r1", every=4, gamma=50.0), networks()
    due, not_due = (game_of(method, G, D, REAL, latent=3, critic_step=k)[1]().item() for k in (4, 5))
    assert due > not_due + 0.1
    ramped = build("r3gan", gamma=50.0, gamma_final=1e-3, schedule_images=100)
    early, late = (game_of(ramped, G, D, REAL, latent=3, images_seen=k)[1]().item() for k in (0, 100))
    assert early > late + 0.1


def test_the_dirac_gan_as_a_method_has_the_papers_eigenvalues():
    """The Dirac-GAN's two modules through the Method that trains images: J = [[0, -a], [a, -gamma]], a = 1/2."""
    made = toys.dirac_gan(theta=0.0, psi=0.0)
    game = game_of(build("r1", gamma=0.3), *made.players, torch.zeros(4, 1), latent=1)
    found = torch.linalg.eigvals(field_jacobian(game, made.players))
    assert sorted(found.imag.tolist()) == pytest.approx([-0.476969601, 0.476969601], abs=1e-8)
    assert found.real.tolist() == pytest.approx([-0.15, -0.15], abs=1e-12)


def test_a_runs_step_is_predicted_as_the_paper_says():
    made = toys.dirac_gan(theta=0.0, psi=0.0)
    method = build("r1", gamma=0.3, optimizer="sgd", learning_rate=0.2, n_critic=5)
    run = start(method, *made.players, seed=0, latent=1, batch_size=4)
    found = predict(
        run_step(run, torch.zeros(4, 1)),
        (run.generator, run.critic),
        run_optimizers(run),
    )
    assert found.rate == pytest.approx(0.856681984, abs=1e-8)  # alt R1, gamma 0.3, h 0.2, five critic steps
    assert found.displacement == 0.0


@pytest.mark.parametrize("name", ["wgan", "r1"])
def test_a_runs_step_is_its_methods_step(name):
    """The step as training orders it, written out: critic steps on one batch, projection, then the generator."""
    run = begun(name, learning_rate=1e-2)
    other = copy.deepcopy(run)
    run_step(run, REAL, seed=4)()
    generator_loss, critic_loss = run_game(other, REAL, seed=4)
    for _ in range(run.method.n_critic):
        other.critic_optimizer.zero_grad()
        critic_loss().backward(inputs=list(other.critic.parameters()))
        other.critic_optimizer.step()
        if run.method.projection is not None:
            run.method.projection(other.critic)
    other.generator_optimizer.zero_grad()
    generator_loss().backward(inputs=list(other.generator.parameters()))
    other.generator_optimizer.step()
    for p, q in zip(
        [*run.generator.parameters(), *run.critic.parameters()],
        [*other.generator.parameters(), *other.critic.parameters()],
        strict=True,
    ):
        torch.testing.assert_close(p, q, rtol=0, atol=1e-6)


def test_analysing_a_run_leaves_it_as_it_was():
    run = begun("wgan_gp", n_critic=1)
    before = copy.deepcopy(run.state_dict())
    players = (run.generator, run.critic)
    predict(run_step(run, REAL), players, run_optimizers(run))
    eigenvalues(run_game(run, REAL), players, k=2, which="LM", tolerance=1e-2)
    assert torch.equal(before["rng"], run.rng.get_state())
    after = run.state_dict()
    for part in ("generator", "critic", "average"):
        assert all(torch.equal(before[part][k], v) for k, v in after[part].items())
    for part in ("generator_optimizer", "critic_optimizer"):
        for i, entry in after[part]["state"].items():
            assert all(
                torch.equal(torch.as_tensor(before[part]["state"][i][k]), torch.as_tensor(v)) for k, v in entry.items()
            )


# ------------------------------------------------------------------------------------------------------- tune_gamma


DATA = 0.1 * torch.randn(160, 2, generator=torch.Generator().manual_seed(1)) + 1.0


def advise(gammas, learning_rate=1e-2, **options):
    options = {"latent": 3, "steps": 50, "batch_size": 16, "seeds": (0,)} | options
    return tune_gamma(
        lambda gamma: build("r1", gamma=gamma, learning_rate=learning_rate), networks, DATA, gammas=gammas, **options
    )


def test_a_weight_that_smothers_the_critic_is_not_recommended():
    advice = advise((0.1, 1e5), steps=150)
    assert advice.gamma == 0.1
    good, bad = advice.trials
    assert good.distance < 0.7 * bad.distance
    assert [len(t.distances) for t in advice.trials] == [1, 1]
    assert all(len(s.values) == 6 for t in advice.trials for s in t.spectra)
    assert bad.rightmost < math.inf
    assert "gamma 0.1" in advice.reason and str(advice).count("\n") == 3


def test_equal_weights_are_decided_by_the_spectrum():
    advice = advise((0.5, 0.6), steps=4, seeds=(0, 1))
    equal = advice.trials
    best = min(equal, key=lambda t: t.distance)
    margin = torch.tensor(best.distances).std().item() / 2**0.5
    assert abs(equal[0].distance - equal[1].distance) <= margin  # the two weights cannot be told apart in four steps
    assert advice.gamma == min(equal, key=lambda t: t.rightmost).gamma
    assert "2 weights within one standard error" in advice.reason


def test_the_advice_repeats_itself():
    assert advise((0.5,), steps=3).trials[0].distances == advise((0.5,), steps=3).trials[0].distances


def exploding(gamma):
    return build("r1", gamma=gamma, optimizer="sgd", learning_rate=1e30 if gamma > 1 else 1e-2)


def test_probes_that_meet_a_value_that_is_not_finite_are_out():
    options = {"latent": 3, "steps": 10, "batch_size": 16, "seeds": (0,)}
    advice = tune_gamma(exploding, networks, DATA, gammas=(0.5, 2.0), **options)
    assert advice.gamma == 0.5
    assert advice.trials[1].distance == advice.trials[1].rightmost == math.inf
    with pytest.raises(ValueError, match="No probe stayed finite"):
        tune_gamma(exploding, networks, DATA, gammas=(2.0, 3.0), **options)


def test_tune_gamma_takes_networks_of_any_kind():
    def own(seed):
        torch.manual_seed(seed)
        return nn.Linear(3, 2), nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1))

    advice = tune_gamma(
        lambda gamma: build("r1", gamma=gamma), own, DATA, latent=3, gammas=(1.0,), steps=2, batch_size=8, seeds=(0,)
    )
    assert advice.gamma == 1.0


# -------------------------------------------------------------------------------------------------------- one game


def test_the_analysed_generator_batch_is_the_trained_one():
    """Three fakes per real sample for the generator, as its half-step draws them; labels repeat with them."""
    method, (G, D) = build("sn_gan", generator_batch_factor=3), networks()
    rng = torch.Generator().manual_seed(5)
    for_critic, for_generator = torch.randn(12, 3, generator=rng), torch.randn(36, 3, generator=rng)
    found = [loss().item() for loss in game_of(method, G, D, REAL, latent=3, seed=5)]
    assert found[0] == generator_objective(method, G, D, for_generator).total.item()
    assert found[1] == critic_objective(method, D, REAL, G(for_critic)).total.item()


def test_joint_steps_descend_the_game_that_is_analysed():
    """The two losses of a joint step and of ``game_of``, given the same draws, agree to the bit."""
    run = start(build("extra_adam"), *networks(), seed=0, latent=3, batch_size=12)
    draw = _draw(run, REAL, None)
    seen = {}
    losses = losses_on(run.method, run.generator, run.critic, draw, detached=True, seen=seen)
    attached = losses_on(run.method, run.generator, run.critic, draw)
    for player, loss, other in zip(("generator", "critic"), losses, attached, strict=True):
        assert loss().item() == other().item() == loss().item() == seen[player].total.item()
    assert torch.autograd.grad(attached[1](), list(run.generator.parameters()), allow_unused=True)[0] is None


def test_what_players_minimise_is_written_in_one_place():
    """Nothing else evaluates a Method's loss: the law that keeps what is analysed what is trained."""
    calls = [
        path.relative_to(house.ROOT).as_posix()
        for path in house.files()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("critic", "generator")
        and isinstance(node.func.value, ast.Attribute)
        and node.func.value.attr == "loss"
    ]
    assert calls == ["methods/game.py"] * 2
