"""The Dirac-GAN through the library's own losses, penalties and optimisers, against independent closed forms."""

from __future__ import annotations

import math

import pytest
import torch

from dirac_cases import FLIP, complex_values, game, gradient_play, optimizer_case, oracles
from tightrope import losses, penalties, toys
from tightrope.dynamics import field_jacobian, update_jacobian
from tightrope.optimizers import SIMULTANEOUS, alternating, outer_step
from tightrope.penalties import Penalty

FILE = oracles()


def cases(key, keep=lambda case: True):
    found = [case for case in FILE.get(key, ()) if keep(case)]
    return pytest.mark.parametrize("case", found, ids=lambda case: f"{case['id']}-{case['params'].get('h', '')}")


def eigenvalues(matrix):
    return torch.linalg.eigvals(torch.as_tensor(matrix))


def distance(found, expected):
    """Greatest distance of a pairing of two spectra, the shorter one filled with zeros (memory that decays at once)."""
    found, expected = list(map(complex, found)), list(map(complex, expected))
    size = max(len(found), len(expected))
    found += [0j] * (size - len(found))
    expected += [0j] * (size - len(expected))
    worst = 0.0
    for value in sorted(expected, key=abs, reverse=True):
        nearest = min(found, key=lambda x: abs(x - value))
        worst = max(worst, abs(nearest - value))
        found.remove(nearest)
    return worst


def tolerance(values, defective=False):
    """1e-8, or 3e-6 where two eigenvalues coincide and the exact matrix is defective."""
    gap = min((abs(a - b) for i, a in enumerate(values) for b in values[:i]), default=1.0)
    return 3e-6 if defective or gap < 1e-6 else 1e-8


# Exact cases from the closed forms, kept here so that the tests have teeth without the file.
# Eigenvalues of the flow: a = f'(0), b = f''(0).
EXACT_FLOW = [
    ("gan", {"f": "logistic"}, [0.5j, -0.5j]),
    ("nsgan", {"f": "logistic"}, [0.5j, -0.5j]),
    ("gan", {"f": "wasserstein"}, [1j, -1j]),
    ("gan", {"f": "lsgan"}, [2j, -2j]),
    ("r1", {"gamma": 0.6}, [-0.3 + 0.4j, -0.3 - 0.4j]),
    ("r2", {"gamma": 0.6}, [-0.3 + 0.4j, -0.3 - 0.4j]),
    ("r1r2", {"gamma": 0.3}, [-0.3 + 0.4j, -0.3 - 0.4j]),
    ("ns_r1", {"gamma": 1.25}, [-0.25, -1.0]),
    ("r1", {"f": "wasserstein", "gamma": 2.5}, [-0.5, -2.0]),
    ("ar1", {"lam": 30.0, "sigma": 0.1}, [-0.3 + 0.4j, -0.3 - 0.4j]),
    ("instance_noise", {"sigma": math.sqrt(1.2)}, [-0.3 + 0.4j, -0.3 - 0.4j]),
    ("instance_noise", {"f": "wasserstein", "sigma": 0.7}, [1j, -1j]),
    ("ac_gaussian", {"s": math.sqrt(1.2)}, [-0.3 + 0.4j, -0.3 - 0.4j]),
    ("conopt", {"gamma": 2.0}, [-0.5 + 0.5j, -0.5 - 0.5j]),
]


@pytest.mark.parametrize(("method", "params", "expected"), EXACT_FLOW, ids=str)
def test_flow_eigenvalues_in_closed_form(method, params, expected):
    made, players, _ = game(method, params)
    J = field_jacobian(made, players)
    assert distance(eigenvalues(J), expected) < 1e-8


def alternating_spectrum(J, h_g, h_d, n_d):
    """Trace and determinant of ``n_d`` critic steps and one generator step, written out for a 2 x 2 Jacobian."""
    r_g, r_d = 1 + h_g * J[0][0], 1 + h_d * J[1][1]
    series = n_d if r_d == 1 else (1 - r_d**n_d) / (1 - r_d)
    c = h_g * J[0][1] * h_d * J[1][0] * series
    trace, determinant = r_g + r_d**n_d + c, r_g * r_d**n_d
    root = complex(trace**2 / 4 - determinant) ** 0.5
    return [trace / 2 + root, trace / 2 - root]


@pytest.mark.parametrize("n_d", [1, 5])
@pytest.mark.parametrize(("h_g", "h_d"), [(0.2, 0.2), (0.1, 0.4)])
@pytest.mark.parametrize("gamma", [0.0, 0.3, 2.0])
def test_update_operators_in_closed_form(gamma, h_g, h_d, n_d):
    penalty = (Penalty(penalties.r1, {"gamma": gamma}),)
    toy = toys.dirac_gan(losses.non_saturating, theta=0.0, psi=0.0, penalties=penalty)
    rates = zip(toy.players, (h_g, h_d), strict=True)
    optimizers = [torch.optim.SGD(player.parameters(), lr=h) for player, h in rates]
    J = [[0.0, 0.5], [-0.5, -gamma]]
    M = update_jacobian(outer_step(toy.losses, toy.players, optimizers, alternating(n_d)), toy.players, optimizers)
    assert distance(eigenvalues(M), alternating_spectrum(J, h_g, h_d, n_d)) < 1e-8
    M = update_jacobian(outer_step(toy.losses, toy.players, optimizers, SIMULTANEOUS), toy.players, optimizers)
    h, J = (torch.tensor(x, dtype=torch.float64) for x in ([h_g, h_d], J))
    torch.testing.assert_close(M, torch.eye(2, dtype=torch.float64) + h[:, None] * J, rtol=0, atol=1e-12)


@cases("jacobian_and_operator_cases", lambda c: c["kind"] == "flow_jacobian")
def test_flow_cases(case):
    made, players, _ = game(case["method"], case["params"])
    J = field_jacobian(made, players)
    torch.testing.assert_close(
        FLIP[:, None] * J * FLIP, torch.tensor(case["J"], dtype=torch.float64), rtol=0, atol=1e-8
    )
    assert distance(eigenvalues(J), complex_values(case)) < tolerance(complex_values(case), case["defective"])
    assert float(eigenvalues(J).real.max()) == pytest.approx(case["spectral_abscissa"], abs=3e-6)


@cases("jacobian_and_operator_cases", lambda c: c["kind"] == "update_operator")
def test_update_operator_cases(case):
    M = update_jacobian(*gradient_play(case))
    assert float(M.trace()) == pytest.approx(case["trace"], abs=1e-8)
    assert float(torch.linalg.det(M)) == pytest.approx(case["det"], abs=1e-8)
    assert distance(eigenvalues(M), complex_values(case)) < tolerance(complex_values(case))


@cases("game_optimiser_cases")
def test_game_optimiser_cases(case):
    M = update_jacobian(*optimizer_case(case))
    expected = complex_values(case)
    assert distance(eigenvalues(M), expected) < tolerance(expected)
    assert float(eigenvalues(M).abs().max()) == pytest.approx(case["spectral_radius"], abs=tolerance(expected))
