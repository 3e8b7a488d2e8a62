"""Predictions against closed-form boundaries and against what happens when the real steps are taken."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from dirac_cases import descend, game, gradient_play, optimizer_case, oracles, toy
from random_games import compare
from tightrope import losses, penalties, toys
from tightrope.dynamics import contracting_weights, euler_limit, field_jacobian, largest_safe_step, predict
from tightrope.optimizers import SIMULTANEOUS, alternating, outer_step
from tightrope.penalties import Penalty

F64 = torch.float64
FILE = oracles()


def r1(gamma):
    return (Penalty(penalties.r1, {"gamma": gamma}),)


def play(gamma, h, order, loss=losses.minimax):
    made = toys.dirac_gan(loss, theta=0.0, psi=0.0, penalties=r1(gamma))
    optimizers = descend(made.players, (h, h))
    return outer_step(made.losses, made.players, optimizers, order), made.players, optimizers


def test_verdict_rate_and_period_in_closed_form():
    found = predict(*play(0.3, 0.2, SIMULTANEOUS))
    assert found.verdict == "convergent"
    assert found.rate == pytest.approx(math.sqrt(1 - 0.2 * 0.3 + 0.04 * 0.25), rel=1e-12)
    assert found.period_steps == pytest.approx(2 * math.pi / math.atan2(0.2 * math.sqrt(0.25 - 0.0225), 0.97), rel=1e-9)
    assert found.half_life_steps == pytest.approx(math.log(0.5) / math.log(found.rate))
    found = predict(*play(0.0, 0.2, SIMULTANEOUS))
    assert (found.verdict, found.rate) == ("divergent", pytest.approx(math.sqrt(1.01)))
    assert found.half_life_steps < 0
    found = predict(*play(0.0, 0.2, alternating()))
    assert found.verdict == "marginal"
    assert found.period_steps == pytest.approx(2 * math.pi / math.acos(1 - 0.01 / 2), rel=1e-6)
    found = predict(*play(10.0, 0.2, alternating()))  # flips sign: diverges although simultaneous steps contract
    assert (found.verdict, found.period_steps) == ("divergent", pytest.approx(2.0))
    overdamped = predict(*play(2.0, 0.2, SIMULTANEOUS))
    assert overdamped.period_steps == math.inf
    assert "no rotation" in str(overdamped)


@pytest.mark.parametrize("index", range(34))
def test_verdicts_of_the_operator_cases(index):
    case = [c for c in FILE["jacobian_and_operator_cases"] if c["kind"] == "update_operator"][index]
    assert predict(*gradient_play(case), tolerance=3e-6).verdict == case["verdict"]


@pytest.mark.parametrize("index", range(0, 58, 3))
def test_verdicts_of_the_optimiser_cases(index):
    case = FILE["game_optimiser_cases"][index]
    found = predict(*optimizer_case(case), tolerance=3e-6)
    assert found.verdict == case["verdict"]
    assert found.rate == pytest.approx(case["spectral_radius"], abs=3e-6)


STEPS = {
    "sim_r1_gamma=0.3_max_h": lambda: play(0.3, 1.0, SIMULTANEOUS),
    "sim_r1_gamma=0.7_max_h": lambda: play(0.7, 1.0, SIMULTANEOUS),
    "sim_r1_gamma=2_max_h": lambda: play(2.0, 1.0, SIMULTANEOUS),
    "alt_r1_gamma=0.3_nd=1_max_h": lambda: play(0.3, 1.0, alternating()),
    "alt_gan_nd=1_max_h": lambda: play(0.0, 1.0, alternating()),
    "alt_gan_nd=5_max_h": lambda: play(0.0, 1.0, alternating(5)),
}
FLOWS = {
    "sim_conopt_gamma=0.1_max_h": ("conopt", {"gamma": 0.1}),
    "sim_instnoise_sigma=0.7_max_h": ("instance_noise", {"sigma": 0.7}),
    "general_rule_r1": ("r1", {"gamma": 0.3}),
    "general_rule_instance_noise": ("instance_noise", {"sigma": 1.0}),
    "sim_r1_gamma=2_max_h": ("r1", {"gamma": 2.0}),
}
BOUNDARY = {  # the same numbers in closed form, for checkouts without the file
    "sim_r1_gamma=0.3_max_h": 0.3 / 0.25,
    "sim_r1_gamma=0.7_max_h": 0.7 / 0.25,
    "sim_r1_gamma=2_max_h": 2 / (1 + math.sqrt(0.75)),
    "alt_r1_gamma=0.3_nd=1_max_h": (-0.6 + math.sqrt(0.36 + 4)) / 0.5,
    "alt_gan_nd=1_max_h": 4.0,
    "alt_gan_nd=5_max_h": 4 / math.sqrt(5),
    "sim_conopt_gamma=0.1_max_h": 0.2 / 1.0025,
    "sim_instnoise_sigma=0.7_max_h": 0.98,
    "general_rule_r1": 1.2,
    "general_rule_instance_noise": 2.0,
}


def test_the_boundaries_are_those_of_the_file():
    if FILE is None:
        pytest.skip("dirac_oracles.json is not beside this checkout")
    assert {c["id"]: c["value"] for c in FILE["step_size_thresholds"]} == pytest.approx(BOUNDARY, rel=1e-12)


@pytest.mark.parametrize("name", list(STEPS))
def test_largest_safe_step(name):
    step, players, optimizers = STEPS[name]()
    assert largest_safe_step(step, players, optimizers) == pytest.approx(BOUNDARY[name], abs=2e-8)
    assert all(o.param_groups[0]["lr"] == 1.0 for o in optimizers)


@pytest.mark.parametrize("name", list(FLOWS))
def test_limit_of_simultaneous_steps_from_the_flow(name):
    made, players, _ = game(*FLOWS[name])
    assert euler_limit(torch.linalg.eigvals(field_jacobian(made, players))) == pytest.approx(BOUNDARY[name], rel=1e-8)


def test_no_step_is_safe_without_damping():
    assert largest_safe_step(*play(0.0, 0.2, SIMULTANEOUS)) == 0.0
    made, players, _ = game("gan", {})
    assert euler_limit(torch.linalg.eigvals(field_jacobian(made, players))) == 0.0


@pytest.mark.parametrize(
    ("order", "smallest", "largest"),
    [(SIMULTANEOUS, 0.2 * 0.25, 4.01 / 0.4), (alternating(), 0.0, 3.99 / 0.4)],
)
def test_range_of_contracting_gammas(order, smallest, largest):
    grid = [0.01, 0.1, 1.0, 5.0, 20.0] if smallest else [1e-3, 1.0, 5.0, 20.0]
    found = contracting_weights(lambda gamma: predict(*play(gamma, 0.2, order)), grid, accuracy=1e-5)
    assert found.smallest == pytest.approx(smallest, rel=5e-4)
    assert found.largest == pytest.approx(largest, rel=1e-4)
    assert found.best == 1.0
    assert contracting_weights(lambda gamma: predict(*play(gamma, 0.2, order)), [50.0, 100.0]) is None
    with pytest.raises(ValueError, match="ascending"):
        contracting_weights(lambda gamma: predict(*play(gamma, 0.2, order)), [1.0, 0.5])


def test_neutral_directions_are_counted_and_left_out():
    """A coupling of rank one leaves two generator directions and one critic direction without any force."""
    P = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]], dtype=F64)
    made = toys.dirac_gan(
        theta=[0.0] * 3, psi=[0.0] * 2, coupling=P, penalties=(Penalty(penalties.r1, {"gamma": 0.3}),)
    )
    optimizers = descend(made.players, (0.2, 0.2))
    found = predict(outer_step(made.losses, made.players, optimizers, SIMULTANEOUS), made.players, optimizers)
    assert (found.neutral, found.verdict) == (2, "convergent")
    assert found.rate == pytest.approx(math.sqrt(0.95), rel=1e-9)


def test_a_point_that_is_no_equilibrium_is_said_to_be_none():
    made = toy("r1", {"gamma": 0.3}, 1.0, 1.0)
    optimizers = descend(made.players, (0.2, 0.2))
    found = predict(outer_step(made.losses, made.players, optimizers), made.players, optimizers)
    assert found.displacement > 0.01
    assert "not at a fixed point" in str(found)


def test_large_states_use_the_iteration():
    torch.manual_seed(0)
    P = torch.randn(330, 310, dtype=F64) / 18
    made = toys.dirac_gan(
        losses.wasserstein,
        theta=[0.0] * 310,
        psi=[0.0] * 330,
        coupling=P,
        penalties=(Penalty(penalties.r1, {"gamma": 2.0}),),
    )
    optimizers = descend(made.players, (1.1, 1.1))
    found = predict(outer_step(made.losses, made.players, optimizers, SIMULTANEOUS), made.players, optimizers, k=2)
    s = torch.linalg.svdvals(P).to(torch.complex128)
    root = (1 - s.square()).sqrt()
    exact = torch.cat((1 + 1.1 * (-1 + root), 1 + 1.1 * (-1 - root))).abs().max().item()
    assert len(found.eigenvalues) == 2
    assert found.rate == pytest.approx(max(exact, 1.2), abs=1e-6)
    assert found.error < 1e-6


def test_prediction_tells_what_happens_in_random_games():
    counted, agree, errors = compare(range(24))
    assert counted >= 12
    assert agree == counted
    assert np.median(errors) < 0.02
    assert (errors < 0.1).mean() >= 0.9


@pytest.mark.slow
def test_prediction_tells_what_happens_in_more_random_games():
    """A fixed part of the full comparison over 200 games, which is ``benchmarks/checks/random_games.py``."""
    counted, agree, errors = compare(range(100, 136))
    assert counted >= 20
    assert agree >= 0.95 * counted
    assert (errors < 0.1).mean() >= 0.95
