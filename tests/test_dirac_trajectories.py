"""What the Dirac-GAN does far from its equilibrium: trajectories, limit cycles, wrong fixed points, averages."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from torch import nn

from dirac_cases import LOSS, descend, game, gradient_play, oracles, toy
from tightrope import losses, penalties, toys
from tightrope.dynamics import field_jacobian, gradient_field, update_jacobian
from tightrope.optimizers import SIMULTANEOUS, alternating, outer_step
from tightrope.penalties import Penalty
from tightrope.training.average import update_average_

FILE = oracles()


def cases(key):
    return pytest.mark.parametrize("case", FILE.get(key, ()), ids=lambda case: case["id"])


def by_id(key):
    return {case["id"]: case for case in FILE.get(key, ())}


def position(players):
    """``(theta, psi)`` in the file's sign."""
    theta, psi = (float(next(p.parameters()).detach()) for p in players)
    return theta, -psi


def walk(step, players, steps):
    points = []
    for _ in range(steps):
        step()
        points.append(position(players))
    return points


def lengths(case):
    """Steps to follow a case for; all of them for 500, where limit sets are seen, are minutes of a whole suite."""
    if case["scheme"] == "sim":
        return [(10, ()), (500, pytest.mark.slow)]
    return [(10, ()), (100, pytest.mark.slow), (500, pytest.mark.long)]


TRAJECTORIES = [
    pytest.param(case, steps, marks=marks, id=f"{case['id']}-{steps}")
    for case in FILE.get("trajectories", ())
    for steps, marks in lengths(case)
]


@pytest.mark.parametrize(("case", "steps"), TRAJECTORIES)
def test_trajectories(case, steps):
    step, players, _ = gradient_play(case, *case["start"])
    points = walk(step, players, steps)
    tolerance = 1e-6 * (1 + case["sensitivity_d_final_d_start"])
    for k, expected in case["z"].items():
        if int(k) <= steps:
            assert points[int(k) - 1] == pytest.approx(expected, abs=tolerance), k
    if steps == 500:
        radii = [math.hypot(*z) for z in points[-100:]]
        assert max(radii) == pytest.approx(case["max_norm_last_100"], abs=tolerance)
        assert min(radii) == pytest.approx(case["min_norm_last_100"], abs=tolerance)


def test_a_simultaneous_step_of_the_unregularised_game_always_moves_outward():
    """Exactly ``|z'|^2 = |z|^2 (1 + h^2 f'(psi theta)^2)`` from any point."""
    for theta, psi in [(1.0, 1.0), (0.3, -2.0), (-1.5, 0.1)]:
        step, players, _ = gradient_play({"scheme": "sim", "method": "gan", "params": {}, "h": 0.3}, theta, psi)
        step()
        slope = 1 / (1 + math.exp(theta * psi))
        assert math.hypot(*position(players)) ** 2 == pytest.approx(
            (theta**2 + psi**2) * (1 + 0.09 * slope**2), rel=1e-14
        )


def test_the_bilinear_game_keeps_its_invariant_under_alternating_steps():
    """``theta^2 + psi^2 - h theta psi`` is constant, generator first."""
    case = {"scheme": "alt", "n_d": 1, "method": "gan", "params": {"f": "wasserstein"}, "h": 0.2}
    step, players, _ = gradient_play(case, 1.0, 0.5)
    values = [t * t + p * p - 0.2 * t * p for t, p in walk(step, players, 50)]
    assert values == pytest.approx([1.25 - 0.1] * 50, rel=1e-13)


def flow(losses_, players, start, times, *, rtol=1e-10, event=None):
    """Follow the gradient field from ``start`` (in the file's sign) with an independent integrator."""
    from scipy.integrate import solve_ivp

    parameters = [next(p.parameters()) for p in players]

    def velocity(_, z):
        with torch.no_grad():
            parameters[0].fill_(z[0])
            parameters[1].fill_(-z[1])
        v = gradient_field(losses_, players).detach().numpy()
        return [v[0], -v[1]]

    return solve_ivp(velocity, (0, times), start, rtol=rtol, atol=rtol * 1e-2, events=event)


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in by_id("limit_set_cases") if n.startswith("wgan_gp_flow_cycle")])
def test_wgan_gp_turns_on_a_limit_cycle(name):
    gamma, target = (float(part.split("=")[1]) for part in name.split("_")[-2:])
    made, players, _ = game("wgan_gp", {"f": "wasserstein", "gamma": gamma, "g0": target})

    def crossing(_, z):
        return z[1]

    expected = by_id("limit_set_cases")[name]["value"]
    # One arc, from the cycle's crossing of psi = 0 to the next: the integrator never steps over the jump.
    crossing.terminal = True
    sign = 1.0
    theta = expected
    for _ in range(2):
        arc = flow(made, players, [theta, sign * 1e-12], 50.0, event=crossing)
        theta, sign = float(arc.y_events[0][-1][0]), -sign
    assert theta == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize("name", [n for n in by_id("limit_set_cases") if "overdamped" in n])
def test_wgan_gp_with_strong_damping_stops_at_the_wrong_point(name):
    case = by_id("limit_set_cases")[name]
    gamma, target = (float(part.split("=")[1]) for part in name.split("_")[-2:])
    made, players, _ = game("wgan_gp", {"f": "wasserstein", "gamma": gamma, "g0": target})
    end = flow(made, players, case["start"], 40.0, rtol=1e-5).y[:, -1]
    assert list(end) == pytest.approx(case["value"], abs=1e-3)


def test_optimal_critic_two_cycle_and_contraction():
    """The critic trained to its optimum before each generator step."""
    case = by_id("limit_set_cases")["wgan_gp_optimal_critic_2cycle"]
    h, gamma, target = (case["params"][k] for k in ("h", "gamma", "g0"))
    made, players, _ = game("wgan_gp", {"f": "wasserstein", "gamma": gamma, "g0": target}, 0.1, 0.5)
    step = outer_step(made, players, descend(players, (h, 1 / gamma)), alternating(3))
    for _ in range(60):
        with torch.no_grad():  # descent alone stays on its side of the kink, on which the optimum may not be
            players[1].psi.fill_(-math.copysign(target, position(players)[0]))
        step()
    assert abs(position(players)[0]) == pytest.approx(case["value"], abs=1e-6)

    case = by_id("limit_set_cases")["r1_optimal_critic_contraction"]
    p = case["params"]
    play = {"scheme": "alt", "n_d": 2, "method": "r1", "params": {"gamma": p["gamma"]}}
    play |= {"h_g": p["h"], "h_d": 1 / p["gamma"]}
    M = update_jacobian(*gradient_play(play))
    assert float(torch.linalg.eigvals(M).abs().max()) == pytest.approx(case["value"], abs=1e-8)


@pytest.mark.long
def test_wgan_lp_settles_on_a_circle():
    case = by_id("limit_set_cases")["wgan_lp_flow_final_radius"]
    p = case["params"]
    made, players, _ = game("wgan_lp", {"f": "wasserstein", "gamma": p["gamma"], "g0": p["g0"]})
    end = flow(made, players, p["start"], p["T"], rtol=1e-6).y[:, -1]
    assert math.hypot(*end) == pytest.approx(case["value"], abs=case["atol"])


@pytest.mark.long
@pytest.mark.parametrize("name", [n for n in by_id("limit_set_cases") if n.startswith("conopt_global")])
def test_consensus_optimisation_converges_only_locally(name):
    case = by_id("limit_set_cases")[name]
    p = case["params"]
    play = {"scheme": "alt", "method": name.removeprefix("conopt_global_"), "params": p, "h": p["h"], "n_d": p["n_d"]}
    step, players, _ = gradient_play(play, *p["start"])
    for _ in range(p["steps"]):
        step()
    assert position(players) == pytest.approx(case["value"], abs=1e-4)


@pytest.mark.long
@pytest.mark.parametrize("h", [0.05, 0.01])
def test_non_saturating_simultaneous_descent_ends_on_a_limit_cycle(h):
    case = by_id("limit_set_cases")[f"nsgan_simGD_limit_cycle_h={h:g}"]
    play = {"scheme": "sim", "method": "nsgan", "params": {}, "h": h}
    step, players, _ = gradient_play(play, case["value"], 0.0)
    squares = [t * t + p * p for t, p in walk(step, players, 8000)]
    turn = round(2 * math.pi / (0.5 * h))
    tail = squares[-(len(squares) // 2 // turn) * turn :]
    assert math.sqrt(sum(tail) / len(tail)) == pytest.approx(case["value"], rel=2e-3)


@pytest.mark.long
def test_non_saturating_flow_converges_sublinearly():
    case = by_id("static_cases")["nsgan_flow_sublinear"]
    made, players, _ = game("nsgan", {})
    end = flow(made, players, case["params"]["start"], case["params"]["T"], rtol=1e-7).y[:, -1]
    assert float(end @ end) == pytest.approx(case["value"], rel=case["rtol"])


def test_unregularised_flow_keeps_its_radius():
    made, players, _ = game("gan", {})
    end = flow(made, players, [1.0, 1.0], 10.0, rtol=1e-8).y[:, -1]
    assert float(end @ end) == pytest.approx(2.0, abs=1e-6)


@pytest.mark.parametrize("name", [n for n in by_id("static_cases") if n.startswith("ema_gain")])
def test_averaging_hides_the_rotation(name):
    """Amplitude of the averaged generator against the raw one on the linear orbit, which never converges."""
    case = by_id("static_cases")[name]
    decay, alpha = case["params"]["beta"], case["params"]["h"] * case["params"]["a"]
    phi = math.acos(1 - alpha**2 / 2)
    assert phi == pytest.approx(case["phi"], abs=1e-12)
    raw, averages = (nn.ParameterList([torch.zeros(2, dtype=torch.float64)]) for _ in range(2))
    # Two quadratures of one orbit; after a transient the average's amplitude is constant.
    with torch.no_grad():
        steps = int(18 / (1 - decay))
        for k in range(steps):
            raw[0].copy_(torch.tensor([math.cos(k * phi), math.sin(k * phi)], dtype=torch.float64))
            update_average_(averages, raw, decay)
    assert float(torch.linalg.vector_norm(averages[0].detach())) == pytest.approx(case["value"], rel=1e-6)


def test_penalties_of_affine_and_quadratic_critics():
    found = by_id("static_cases")
    case = found["r1_affine"]
    w = torch.tensor(case["params"]["w"], dtype=torch.float64)
    x = torch.zeros(4, 3, dtype=torch.float64)
    assert penalties.r1(lambda x: x @ w, x, gamma=case["params"]["gamma"]).item() == pytest.approx(case["value"])
    case = found["r1_quadratic"]
    A, b, x = (torch.tensor(case["params"][k], dtype=torch.float64) for k in ("A", "b", "x"))
    value = penalties.r1(lambda x: 0.5 * ((x @ A) * x).sum(1) + x @ b, x, gamma=case["params"]["gamma"])
    assert value.item() == pytest.approx(case["value"])
    case = found["ar1_affine_expectation"]
    w, sigma = torch.tensor(case["params"]["w"], dtype=torch.float64), case["params"]["sigma"]
    gamma = 2 * case["params"]["lam"] * sigma**2
    rng = torch.Generator().manual_seed(0)
    value = penalties.finite_difference_r1(
        lambda x: x @ w, torch.zeros(200_000, 3, dtype=torch.float64), gamma=gamma, sigma=sigma, rng=rng
    )
    assert float(value) == pytest.approx(case["value"], rel=0.015)  # five standard errors of sqrt(2 / n)


def test_parallel_lines_distances():
    from tightrope.metrics.transport import wasserstein1

    case = by_id("static_cases")["parallel_lines_theta=0.5"]["value"]
    made = toys.parallel_lines(0.5)
    fake = made.generator(made.z).detach()
    assert float(wasserstein1(made.real, fake)) == pytest.approx(case["W1"])
    # A critic that separates the lines drives the logistic loss to 0, hence JS = log 2 - loss / 2 to log 2.
    sure = losses.minimax.critic(torch.full((4,), 40.0), torch.full((4,), -40.0))
    assert math.log(2) - float(sure) / 2 == pytest.approx(case["JS"])
    v = gradient_field(made.losses, made.players)
    assert v.tolist() == pytest.approx([0.0, -0.5, 0.0], abs=1e-12)  # the critic's slope grows by the distance


@cases("gaussian_quadratic_cases")
def test_gaussian_quadratic_game(case):
    p = case["params"]
    chosen = {"r1": (penalties.r1,), "r2": (penalties.r2,), "both": (penalties.r1, penalties.r2)}[p["reg"]]
    terms = tuple(Penalty(f, {"gamma": p["gamma"]}) for f in chosen)
    made = toys.gaussian_quadratic(LOSS[p["f"]], penalties=terms)
    flip = torch.tensor([1.0, 1.0, -1.0, -1.0], dtype=torch.float64)
    J = flip[:, None] * field_jacobian(made.losses, made.players) * flip
    torch.testing.assert_close(J, torch.tensor(case["J"], dtype=torch.float64), rtol=0, atol=1e-8)


@cases("block_cases")
def test_block_games(case):
    P = torch.tensor(case["P"], dtype=torch.float64)
    m, n = P.shape
    terms = (Penalty(penalties.r1, {"gamma": case["gamma"]}),)
    made = toys.dirac_gan(losses.wasserstein, theta=[0.0] * n, psi=[0.0] * m, coupling=P, penalties=terms)
    values = torch.linalg.eigvals(field_jacobian(made.losses, made.players))
    expected = [complex(e["re"], e["im"]) for e in case["eigenvalues"]]
    assert sorted(map(complex, values), key=lambda x: (round(x.imag, 6), x.real)) == pytest.approx(
        sorted(expected, key=lambda x: (round(x.imag, 6), x.real)), abs=1e-7
    )


def test_wgan_clip_two_cycle_of_an_optimal_critic():
    """With the critic at its bound each step, ``|theta_k| + |theta_{k+1}| = h c``."""
    play = {
        "scheme": "alt",
        "n_d": 60,
        "method": "gan",
        "h_g": 0.2,
        "h_d": 1.0,
        "params": {"f": "wasserstein", "clip": 0.7},
    }
    step, players, _ = gradient_play(play, 0.09, 0.0)
    thetas = [abs(t) for t, _ in walk(step, players, 6)]
    assert [a + b for a, b in pairwise(thetas)] == pytest.approx([0.2 * 0.7] * 5)


def test_toys_reuse_the_descent_helpers():
    """A toy's losses equal the training objectives of a Method with the same parts."""
    from tightrope.methods import build
    from tightrope.methods.game import critic_objective, generator_objective

    made = toy("ns_r1", {"gamma": 0.7}, 0.4, -0.6)
    method = build("r1", gamma=0.7)
    fake = made.generator(made.z)
    both = (
        generator_objective(method, made.generator, made.critic, made.z, real=made.real).total,
        critic_objective(method, made.critic, made.real, fake).total,
    )
    assert [f().item() for f in made.losses] == pytest.approx([x.item() for x in both], rel=1e-15)
    optimizers = descend(made.players, (0.1, 0.1))
    outer_step(made.losses, made.players, optimizers, SIMULTANEOUS)()
    assert position(made.players)[0] != 0.4
