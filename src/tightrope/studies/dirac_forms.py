"""Closed forms of the Dirac-GAN and its relatives, and how far this library's own games are from them.

The closed forms are written down by hand; the other side is this library's losses, penalties and update rules,
differentiated. ``a = f'(0)`` and ``b = f''(0)`` of the paper's ``f``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import torch
from scipy.integrate import solve_ivp
from torch import Tensor

from tightrope import losses, penalties
from tightrope.autodiff import input_gradients
from tightrope.dynamics import field_jacobian, gradient_field
from tightrope.optimizers import alternating
from tightrope.penalties import Penalty
from tightrope.studies import dirac
from tightrope.studies.design import Cell
from tightrope.toys import dirac_gan, gaussian_quadratic
from tightrope.toys.toy import under
from tightrope.toys.variants import variant

SIM: Final = "simultaneous"
ALT: Final = "alternating"
ALT5: Final = "alternating 5"
SLOPE: Final = 0.5  # a of f(t) = -log(1 + exp(-t))
BEND: Final = -0.25  # b of it


def closed_form(name: str, weight: float) -> list[list[float]]:
    """The field's Jacobian at the equilibrium, with ``psi`` in the library's sign."""
    a = 1.0 if name.startswith("wgan") else SLOPE
    damping = {"r1": weight, "r2": weight, "nsgan_r1": weight, "r1_r2": 2 * weight, "r3gan": 2 * weight,
               "instance_noise": -2 * BEND * weight**2}.get(name, 0.0)  # fmt: skip
    if name == "consensus":  # J - gamma J^T J
        return [[-weight * a * a, a], [-a, -weight * a * a]]
    return [[0.0, a], [-a, -damping]]


def update(name: str, weight: float, order: str, rate: float) -> Tensor:
    """The matrix of one outer step near the equilibrium."""
    J = _exact(closed_form(name, weight))
    one = torch.eye(2, dtype=torch.float64)
    if order == SIM:
        return one + rate * J
    generator, critic = one.clone(), one.clone()
    generator[0] += rate * J[0]
    critic[1] += rate * J[1]
    return generator @ torch.linalg.matrix_power(critic, 5 if order == ALT5 else 1)


def _exact(matrix: list[list[float]]) -> Tensor:
    return torch.tensor(matrix, dtype=torch.float64)


def _distance(found: Tensor, expected: Tensor) -> float:
    """Largest difference of two sets of eigenvalues, each to its nearest."""
    apart = (found[:, None] - expected[None, :]).abs()
    return float(torch.maximum(apart.min(0).values.max(), apart.min(1).values.max()))


def _options(cell: Cell) -> dict[str, float]:
    parameter = dirac.parameter_of(str(cell["variant"]))
    return {parameter: float(cell["weight"])} if parameter else {}


def _study(cell: Cell, steps: int) -> dirac.DiracStudy:
    order, n = (SIM, None) if cell["order"] == SIM else (ALT, 5 if cell["order"] == ALT5 else 1)
    return dirac.study(
        str(cell["variant"]),
        learning_rate=float(cell["rate"]),
        order=order,  # type: ignore[arg-type]
        n_critic=n,
        steps=steps,
        **_options(cell),
    )


def measured(cell: Cell, seed: int) -> Mapping[str, Any]:
    """What one part of the study measures."""
    runs = {"flow": _flow, "step": _step, "path": _path, "sweep": _sweep, "continuous": _continuous}
    runs |= {"starts": _starts, "games": _games, "conserved": _conserved, "dragan": _dragan, "roth": _roth}
    return runs[str(cell["part"])](cell, seed)


def _flow(cell: Cell, seed: int) -> Mapping[str, Any]:
    toy = dirac_gan(variant(str(cell["variant"]), **_options(cell)), theta=0.0, psi=0.0)
    found = torch.linalg.eigvals(field_jacobian(toy.losses, toy.players, check=False))
    expected = torch.linalg.eigvals(_exact(closed_form(str(cell["variant"]), float(cell["weight"]))))
    return {"error": _distance(found, expected), "abscissa": float(found.real.max()),
            "turning": float(found.imag.max())}  # fmt: skip


def _step(cell: Cell, seed: int) -> Mapping[str, Any]:
    found = _study(cell, 1).prediction
    assert found is not None
    expected = update(str(cell["variant"]), float(cell["weight"]), str(cell["order"]), float(cell["rate"]))
    moduli = torch.linalg.eigvals(expected).abs()
    return {"error": _distance(found.eigenvalues, torch.linalg.eigvals(expected)),
            "radius": float(found.eigenvalues.abs().max()), "expected": float(moduli.max())}  # fmt: skip


def _path(cell: Cell, seed: int) -> Mapping[str, Any]:
    walked = _study(cell, int(cell["steps"])).trajectory
    distance = torch.linalg.vector_norm(walked, dim=1)
    f1 = torch.sigmoid(walked[:-1].prod(1) if cell["variant"] == "gan" else walked[:-1, 0])
    ideal = distance[:-1].square() * (1 + float(cell["rate"]) ** 2 * f1.square())
    grown = (distance[1:].square() / ideal - 1).abs().max() if len(walked) > 1 else torch.zeros(())
    thin = walked[:: max(len(walked) // 100, 1)]
    return {"end": float(distance[-1]), "least": float(distance[-100:].min()), "most": float(distance[-100:].max()),
            "identity": float(grown), "theta": thin[:, 0].tolist(), "psi": thin[:, 1].tolist()}  # fmt: skip


def _sweep(cell: Cell, seed: int) -> Mapping[str, Any]:
    name, last = str(cell["variant"]), 2 * {"r1": 1.0, "instance_noise": math.sqrt(2), "consensus": 1.0}[
        str(cell["variant"])]  # fmt: skip
    weights = [last * (k + 1) / int(cell["points"]) for k in range(int(cell["points"]))]
    found = dirac.sweep_weight(name, weights)
    expected = [torch.linalg.eigvals(_exact(closed_form(name, w))) for w in weights]
    worst = max(_distance(f, e) for f, e in zip(found, expected, strict=True))
    return {"error": worst, "abscissa": float(found.real.max()), "real": found.real.flatten().tolist(),
            "imaginary": found.imag.flatten().tolist()}  # fmt: skip


def _continuous(cell: Cell, seed: int) -> Mapping[str, Any]:
    """The four-parameter Gaussian case: ``[[0, -a], [a, 2b - g]]`` and ``[[0, -2a], [2a, 6b - 4g]]``."""
    name = str(cell["variant"])
    toy = gaussian_quadratic(variant(name, **({"gamma": 0.3} if name == "r1" else {})))
    found = torch.linalg.eigvals(field_jacobian(toy.losses, toy.players))
    a, b, g = (1.0, 0.0, 0.0) if name == "wgan" else (SLOPE, BEND, 0.3 if name == "r1" else 0.0)
    blocks = [[[0.0, -a], [a, 2 * b - g]], [[0.0, -2 * a], [2 * a, 6 * b - 4 * g]]]
    expected = torch.cat([torch.linalg.eigvals(_exact(block)) for block in blocks])
    return {"error": _distance(found, expected), "abscissa": float(found.real.max())}


def _starts(cell: Cell, seed: int) -> Mapping[str, Any]:
    """Share of starts on a grid over [-2, 2]^2 from which the authors' settings come near the equilibrium."""
    places = torch.linspace(-2, 2, int(cell["count"]), dtype=torch.float64).tolist()
    near = 0
    for theta in places:
        for psi in places:
            method = dirac.at_rate(variant(str(cell["variant"]), **_options(cell)), float(cell["rate"]))
            walked = dirac.walk(dirac_gan(method, theta=theta, psi=psi), alternating(5), int(cell["steps"]))
            near += float(torch.linalg.vector_norm(walked[-1])) < 0.1
    return {"away": 1 - near / len(places) ** 2, "near": near}


def _games(cell: Cell, seed: int) -> Mapping[str, Any]:
    """``[[0, -a P^T], [a P, -gamma I]]`` for a random ``P``: how far its spectrum passes the bounds of the proof."""
    gamma, n = float(cell["gamma"]), int(cell["size"])
    P = torch.randn(n, n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    toy = dirac_gan(variant("r1", gamma=gamma), theta=[0.0] * n, psi=[0.0] * n, coupling=P)
    found = torch.linalg.eigvals(field_jacobian(toy.losses, toy.players))
    least = SLOPE**2 * float(torch.linalg.svdvals(P).min()) ** 2
    bounds = torch.where(found.imag.abs() > 1e-9, -gamma / 2, -gamma * least / (gamma * gamma + least))
    return {"beyond": max(float((found.real - bounds).max()), 0.0), "abscissa": float(found.real.max())}


def _conserved(cell: Cell, seed: int) -> Mapping[str, Any]:
    """How far the flow's distance from the equilibrium leaves its start's, relative, integrated to a time."""
    toy = dirac_gan(variant(str(cell["variant"])))
    theta, psi = (next(player.parameters()) for player in toy.players)

    def velocity(_: float, place: Any) -> Any:
        with torch.no_grad():
            theta.fill_(float(place[0])), psi.fill_(float(place[1]))
        return gradient_field(toy.losses, toy.players).detach().numpy()

    found = solve_ivp(velocity, (0.0, float(cell["time"])), dirac.START, method="DOP853", rtol=1e-10, atol=1e-12)
    radius = (found.y**2).sum(0) ** 0.5
    return {"left": float(abs(radius / radius[0] - 1).max()), "turned": float(abs(found.y[0].min()))}


def _dragan(cell: Cell, seed: int) -> Mapping[str, Any]:
    """Distances from the equilibrium over the last 100 steps under DRAGAN's penalty, critic first."""
    penalty = Penalty(penalties.dragan, {"weight": float(cell["weight"])})
    toy = dirac_gan(dirac.at_rate(under(losses.minimax, penalties=(penalty,)), float(cell["rate"])),
                    theta=dirac.START[0], psi=dirac.START[1])  # fmt: skip
    distance = torch.linalg.vector_norm(dirac.walk(toy, alternating(1), int(cell["steps"])), dim=1)[-100:]
    return {"least": float(distance.min()), "most": float(distance.max())}


def _roth(cell: Cell, seed: int) -> Mapping[str, Any]:
    """Eigenvalues under the penalty of Roth et al. against those of R1 at half its weight."""
    gamma = float(cell["weight"])
    toy = dirac_gan(under(losses.minimax, penalties=(Penalty(_jensen_shannon, {"gamma": gamma}),)), theta=0.0, psi=0.0)
    found = torch.linalg.eigvals(field_jacobian(toy.losses, toy.players, check=False))
    expected = torch.linalg.eigvals(_exact(closed_form("r1", gamma / 2)))
    return {"error": _distance(found, expected), "abscissa": float(found.real.max())}


def _jensen_shannon(critic: Any, real: Tensor, fake: Tensor, *, gamma: float, rng: Any = None) -> Tensor:
    """``gamma/2 (E (1 - p)^2 |grad D(real)|^2 + E p^2 |grad D(fake)|^2)``, ``p`` the probability of being real.

    Source: Roth et al. 2017 (1705.09367), the regulariser of the Jensen-Shannon GAN.
    """
    total = torch.zeros((), dtype=real.dtype)
    for x, its in ((real, lambda score: torch.sigmoid(-score)), (fake, torch.sigmoid)):
        (slopes,) = input_gradients(critic, x, create_graph=True)
        total = total + (its(critic(x)).flatten().square() * slopes.flatten(1).square().sum(1)).mean()
    return gamma / 2 * total
