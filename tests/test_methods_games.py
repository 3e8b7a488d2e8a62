"""Game optimisers through a Method: joint steps against written-out ones, the paper's rates, saving and refusals."""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import nn

from tightrope import losses, optimizers, toys
from tightrope._plumbing.errors import UserError
from tightrope.dynamics import predict
from tightrope.methods import Alternating, Method, Projection, Simultaneous, WarmUp, build
from tightrope.networks import NETWORKS
from tightrope.optimizers.settings import Lookahead, Optimizer
from tightrope.runs.serialize import read_state, write_state
from tightrope.training import critic_step, generator_step, joint_step, start, train
from tightrope.training.as_game import run_optimizers, run_step
from tightrope.training.nonfinite import NonFiniteError

F64 = torch.float64
GAMES = ("consensus", "symplectic", "extra_adam", "optimistic_adam", "negative_momentum", "lookahead")
REAL = torch.randn(12, 2, generator=torch.Generator().manual_seed(9))


def networks(seed=0):
    rng = torch.Generator().manual_seed(seed)
    pair, size = NETWORKS["mlp"], {"width": 6, "depth": 1}
    return pair.generator((2,), latent=3, rng=rng, **size), pair.critic((2,), rng=rng, **size)


def begun(method, seed=0):
    return start(method, *networks(seed), seed=seed, latent=3, batch_size=12, ema_half_life_images=0.0)


def everything(run):
    parameters = [*run.generator.parameters(), *run.critic.parameters(), *run.average.parameters()]
    return torch.cat([p.detach().flatten() for p in parameters])


# ---------------------------------------------------------------------------- the paper's rates, through a Method


def dirac(loss, kind, h, **pieces):
    """A run of the Dirac-GAN at its equilibrium; the identity as a projection lets a Wasserstein loss do without."""
    made = toys.dirac_gan(loss, theta=0.0, psi=0.0)
    settings = Optimizer(kind, h)
    method = Method("mine", loss, settings, settings, projection=Projection(lambda critic: critic), **pieces)
    return start(method, *made.players, seed=0, latent=1, batch_size=1)


SIMULTANEOUS = {"play": Simultaneous()}
RATES = {  # section 2 of 1801.04406 and 1705.10461; bilinear rates of each optimiser's paper
    "simultaneous": (losses.minimax, "sgd", 0.2, SIMULTANEOUS, 1.004987562),
    "consensus": (
        losses.minimax,
        "sgd",
        0.2,
        {"play": Simultaneous(partial(optimizers.consensus, gamma=1.0))},
        0.955248659,
    ),
    "symplectic": (
        losses.wasserstein,
        "sgd",
        0.2,
        {"play": Simultaneous(partial(optimizers.symplectic, weight=1.0))},
        0.824621125,
    ),
    "extragradient": (losses.wasserstein, "extra_sgd", 0.5, SIMULTANEOUS, 0.901387819),
    "optimistic": (losses.wasserstein, "optimistic_sgd", 0.2, SIMULTANEOUS, 0.978906313),
    "negative momentum": (losses.wasserstein, "momentum", 0.2, {}, 0.994062510),
    "lookahead": (
        losses.wasserstein,
        "sgd",
        0.5,
        {"play": Alternating(lookahead=Lookahead(5, 0.5))},
        0.302576824,
    ),  # per cycle of five
}


@pytest.mark.parametrize("name", list(RATES))
def test_rates_of_a_runs_step(name):
    loss, kind, h, pieces, rate = RATES[name]
    run = dirac(loss, kind, h, **pieces)
    found = predict(run_step(run, torch.zeros(1, 1)), (run.generator, run.critic), run_optimizers(run))
    assert found.rate == pytest.approx(rate, abs=2e-8)


@pytest.mark.parametrize("name", list(RATES))
def test_training_itself_goes_at_that_rate(name):
    """``train``, not the analysis: the distance from the equilibrium over whole turns, on the same Dirac-GAN."""
    loss, kind, h, pieces, rate = RATES[name]
    run = dirac(loss, kind, h, **pieces)
    with torch.no_grad():
        run.generator.theta.fill_(1e-3), run.critic.psi.fill_(-1e-3)
        if run.lookahead is not None:
            for p in (run.generator.theta, run.critic.psi):
                run.lookahead.state[p]["slow"].copy_(p)
    per = 1 if run.lookahead is None else 5
    steps = 60 if run.lookahead is not None else 240
    radii = [
        math.hypot(run.generator.theta.item(), run.critic.psi.item())
        for _ in train(run, [torch.zeros(1, 1, dtype=F64)], steps=steps)
    ]
    first, last = steps // 4, steps
    seen = (radii[last - 1] / radii[first - 1]) ** (per / (last - first))
    assert seen == pytest.approx(rate, rel=3e-3 if per == 1 else 0.1)  # a turn is not a whole number of steps


# ------------------------------------------------------------------------------------ joint steps, written out


def by_hand(run, correction=None, looks=0):
    """The step's losses from the same draws as ``joint_step`` makes, and plain autograd."""
    z_critic, z_generator = run.latents(12), run.latents(12)
    torch.randint(2**62, (), generator=run.rng)
    G, D = run.generator, run.critic
    loss = run.method.loss

    def game():
        fake = G(z_critic) if correction else G(z_critic).detach()
        return loss.generator(D(G(z_generator))), loss.critic(D(REAL), D(fake))

    parameters = [list(G.parameters()), list(D.parameters())]
    both = (run.generator_optimizer, run.critic_optimizer)
    for half in range(looks + 1):
        totals = list(game())
        if correction:
            field = [torch.autograd.grad(t, p, create_graph=True) for t, p in zip(totals, parameters, strict=True)]
            square = sum(g.square().sum() for part in field for g in part)
            totals = [t + correction / 2 * square for t in totals]
        found = [torch.autograd.grad(t, p, retain_graph=True) for t, p in zip(totals, parameters, strict=True)]
        for part, gradients in zip(parameters, found, strict=True):
            for p, g in zip(part, gradients, strict=True):
                p.grad = g
        for optimizer in both:
            optimizer.step() if half == looks else optimizer.extrapolate()
    with torch.no_grad():
        for p, q in zip(run.average.parameters(), G.parameters(), strict=True):
            p.copy_(q)


@pytest.mark.parametrize(
    ("kind", "correction", "looks"),
    [("sgd", None, 0), ("adam", None, 0), ("rmsprop", 10.0, 0), ("extra_adam", None, 1)],
)
def test_a_joint_step_is_its_written_out_form(kind, correction, looks):
    settings = Optimizer(kind, 1e-2)
    term = partial(optimizers.consensus, gamma=correction) if correction else None
    method = Method("mine", losses.non_saturating, settings, settings, Simultaneous(term))
    run, other = begun(method), begun(method)
    for _ in range(3):
        joint_step(run, REAL)
        by_hand(other, correction, looks)
    torch.testing.assert_close(everything(run), everything(other), rtol=1e-4, atol=2e-6)
    assert (run.step, run.critic_steps, run.images_seen) == (3, 3, 36)
    assert torch.equal(run.rng.get_state(), other.rng.get_state())


def test_a_simultaneous_step_differs_from_an_alternating_one_only_in_where_the_gradient_is_taken():
    """Seen from the critic the first step is the same; the generator's gradient is the one before that step."""
    settings = Optimizer("sgd", 0.1)
    simultaneous = begun(Method("mine", losses.non_saturating, settings, settings, Simultaneous()))
    before = [p.detach().clone() for p in simultaneous.critic.parameters()]
    alternating = begun(Method("mine", losses.non_saturating, settings, settings))
    joint_step(simultaneous, REAL)
    critic_step(alternating, REAL)
    for p, q in zip(simultaneous.critic.parameters(), alternating.critic.parameters(), strict=True):
        torch.testing.assert_close(p, q)
    generator = begun(Method("mine", losses.non_saturating, settings, settings))
    z = simultaneous.latents(12, torch.Generator().manual_seed(0)), simultaneous.latents(12, _after(12))
    assert all(torch.equal(p, q) for p, q in zip(before, generator.critic.parameters(), strict=True))
    total = losses.non_saturating.generator(generator.critic(generator.generator(z[1])))
    gradients = torch.autograd.grad(total, list(generator.generator.parameters()))
    for p, q, g in zip(simultaneous.generator.parameters(), generator.generator.parameters(), gradients, strict=True):
        torch.testing.assert_close(p, q - 0.1 * g)


def _after(n):
    rng = torch.Generator().manual_seed(0)
    torch.randn(n, 3, generator=rng)
    return rng


def test_lookahead_averages_both_players_every_k_steps():
    method = build("lookahead", k=2, share=0.25, learning_rate=1e-2)
    run, plain = begun(method), begun(build("dcgan", learning_rate=1e-2))
    slow = everything(run)[: -sum(p.numel() for p in run.average.parameters())].clone()
    for step in range(1, 5):
        for one in (run, plain):
            critic_step(one, REAL)
            generator_step(one)
        fast = torch.cat([p.detach().flatten() for n in (plain.generator, plain.critic) for p in n.parameters()])
        if step % 2 == 0:
            slow = slow + 0.25 * (fast - slow)
            torch.nn.utils.vector_to_parameters(
                slow.clone(), [*plain.generator.parameters(), *plain.critic.parameters()]
            )
        now = torch.cat([p.detach().flatten() for n in (run.generator, run.critic) for p in n.parameters()])
        torch.testing.assert_close(now, fast if step % 2 else slow, rtol=0, atol=1e-6)


def test_penalties_and_schedules_reach_a_joint_step():
    run = begun(build("extra_adam", every=2))
    halves = [joint_step(run, REAL)[0].objective.penalty for _ in range(3)]
    assert [half is None for half in halves] == [False, True, False]
    from tightrope.schedules import Linear

    settings = Optimizer("optimistic_adam", Linear(1e-2, 0.0, 24), (Linear(0.0, 0.5, 24), 0.9))
    run = begun(replace(build("optimistic_adam"), critic_optimizer=settings, generator_optimizer=settings))
    for _ in range(2):
        joint_step(run, REAL)
    group = run.generator_optimizer.param_groups[0]
    assert (group["lr"], group["betas"][0]) == pytest.approx((5e-3, 0.25))


# -------------------------------------------------------------------------------------------------- saving, resuming


@pytest.mark.parametrize("name", GAMES)
def test_a_checkpoint_file_continues_bit_for_bit(name, tmp_path):
    options = {"k": 3} if name == "lookahead" else {}
    batches = list(torch.randn(16, 12, 2, generator=torch.Generator().manual_seed(2)))
    run = begun(build(name, **options))
    list(train(run, batches, steps=4))
    path = write_state(tmp_path / "state.safetensors", run.state_dict())
    list(train(run, batches, steps=8))
    other = begun(build(name, **options), seed=5)
    list(train(other, batches, steps=1))
    other.load_state_dict(read_state(path))
    assert other.step == 4
    list(train(other, batches, steps=8))
    assert torch.equal(everything(run), everything(other))
    assert torch.equal(run.rng.get_state(), other.rng.get_state())


def test_runs_without_lookahead_save_what_they_always_did():
    assert "lookahead" not in begun(build("r1")).state_dict()
    assert "lookahead" in begun(build("lookahead")).state_dict()


# ----------------------------------------------------------------------------------------------------------- refusals


def test_half_steps_of_a_simultaneous_method_are_refused():
    run = begun(build("consensus"))
    for half in (lambda: critic_step(run, REAL), lambda: generator_step(run)):
        with pytest.raises(UserError, match="joint_step"):
            half()


@pytest.mark.parametrize(
    "pieces",
    [
        {"critic_optimizer": Optimizer("extra_adam"), "generator_optimizer": Optimizer("extra_adam")},
        {"play": Simultaneous(), "critic_optimizer": Optimizer("extra_adam")},
        {"play": Simultaneous(), "generator_optimizer": Optimizer("extra_sgd")},
    ],
)
def test_extragradient_that_does_not_fit_the_play_is_refused(pieces):
    with pytest.raises(UserError, match="Extragradient looks ahead with both players"):
        replace(build("dcgan"), **pieces)


def test_contradictions_cannot_be_written():
    """Each option belongs to the one thing that reads it; beside anything else Python itself knows no such argument."""
    for function, options in (
        (Simultaneous, {"n_critic": 5}),
        (Simultaneous, {"warm_up": WarmUp()}),
        (Alternating, {"correction": optimizers.consensus}),
        (partial(replace, build("dcgan")), {"project_every": 7}),
    ):
        with pytest.raises(TypeError, match="unexpected keyword"):
            function(**options)
    for function, options in (
        (Alternating, {"n_critic": 0}),
        (Alternating, {"generator_batch_factor": 0}),
        (partial(Projection, lambda critic: critic), {"every": 0}),
        (WarmUp, {"steps": 0}),
        (WarmUp, {"every": 0}),
        (Lookahead, {"k": 0}),
        (Lookahead, {"share": 0.0}),
        (partial(build, "optimistic_adam"), {"n_critic": 5}),
        (partial(build, "optimistic_adam"), {"order": "both"}),
    ):
        with pytest.raises(UserError, match=r"Expected|expected"):
            function(**options)


def test_kinds_of_optimisers_are_listed():
    with pytest.raises(ValueError, match="extra_adam"):
        Optimizer("extra-adam")


@pytest.mark.parametrize("name", ["consensus", "extra_adam"])
def test_values_that_are_not_finite_stop_before_anything_moves(name):
    run = begun(build(name))
    joint_step(run, REAL)
    before = everything(run)
    with pytest.raises(NonFiniteError, match="the real samples"):
        joint_step(run, REAL * torch.nan)
    assert torch.equal(everything(run), before)


def test_a_look_ahead_that_is_not_finite_is_taken_back():
    class Trap(nn.Linear):
        def forward(self, x):
            return super().forward(x) + (self.weight.sum() - 100.0).clamp(min=0).sqrt() * torch.inf

    settings = Optimizer("extra_sgd", 1e4)
    method = Method("mine", losses.hinge, settings, settings, Simultaneous())
    run = start(method, nn.Linear(1, 1), Trap(1, 1), seed=0, latent=1, batch_size=4)
    real = torch.full((4, 1), 3.0)
    with torch.no_grad():
        run.critic.weight.fill_(0.0), run.critic.bias.fill_(0.0)
        before = copy.deepcopy(run.critic.state_dict())
    with pytest.raises(NonFiniteError):
        for _ in range(3):
            joint_step(run, real)
    assert all(torch.equal(v, before[k]) for k, v in run.critic.state_dict().items())
