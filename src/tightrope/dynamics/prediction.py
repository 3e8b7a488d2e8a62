"""Will training hold here: the verdict of the update's spectrum, its rate, and the period of the rotation."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import torch
from torch import Tensor

from tightrope.dynamics.players import Player, flatten
from tightrope.dynamics.spectrum import arnoldi
from tightrope.dynamics.state import Replay, replay
from tightrope.dynamics.update import check_update, dense_update, update_operator, wants_check

Verdict = Literal["convergent", "marginal", "divergent"]

DENSE_STATE: Final = 600
"""Numbers of state up to which the update's Jacobian is written down."""


@dataclass(frozen=True)
class Prediction:
    """What one outer step does to small deviations, and so what training does near this point.

    Attributes:
        verdict: ``"convergent"`` if they shrink, ``"divergent"`` if they grow, ``"marginal"`` if neither.
        rate: Factor per outer step of the slowest mode: the spectral radius, neutral directions left out.
        period_steps: Outer steps of one turn of that mode; infinite if it does not turn.
        eigenvalues: complex128 ``[m]`` of the update, by descending modulus; all of them, or the leading ones.
        neutral: How many of them equal one: directions along which nothing happens, such as a manifold of equilibria
            or unused parameters.
        error: Accuracy of the eigenvalues: residual of the iteration, or rounding.
        displacement: Length of the step from here relative to the parameters' length; the verdict is about the
            neighbourhood of a fixed point, where this is zero.
    """

    verdict: Verdict
    rate: float
    period_steps: float
    eigenvalues: Tensor
    neutral: int
    error: float
    displacement: float

    @property
    def half_life_steps(self) -> float:
        """Outer steps in which deviations halve (negative: in which they double); infinite if marginal."""
        if self.verdict == "marginal":
            return math.inf
        return -math.log(2) / math.log(self.rate) if self.rate > 0 else 0.0

    def __str__(self) -> str:
        turn = "no rotation" if math.isinf(self.period_steps) else f"one turn in {self.period_steps:.4g} steps"
        speed = {"convergent": "halves", "divergent": "doubles", "marginal": "neither shrinks nor grows"}[self.verdict]
        if self.verdict != "marginal":
            speed += f" in {abs(self.half_life_steps):.4g} steps"
        far = "" if self.displacement < 1e-3 else f"; not at a fixed point, one step moves by {self.displacement:.2g}"
        return f"{self.verdict}: factor {self.rate:.6g} per step ({speed}), {turn}{far}"


def predict(
    step: Callable[[], object],
    players: Sequence[Player],
    optimizers: Sequence[torch.optim.Optimizer] = (),
    *,
    generators: Sequence[torch.Generator] = (),
    tolerance: float | None = None,
    k: int = 6,
    check: bool | None = None,
) -> Prediction:
    """Whether training contracts near the present point, how fast, and how it turns.

    The step is the real one, see ``update_jacobian``: all critic steps, momentum and preconditioning included. The
    answer is local. Away from an equilibrium it says how neighbouring runs part, not where they go; a game may
    contract here and still have other attractors.

    Source: Mescheder et al. 2018 (1801.04406), section 2: contraction if all eigenvalues lie inside the unit circle.

    Args:
        step: Takes one outer step in place, for example ``optimizers.outer_step(...)``, on one fixed batch.
        players: The parameters that the step moves.
        optimizers: Those whose memory is part of the state.
        generators: Random-number generators that the step draws from.
        tolerance: Moduli this close to one are marginal; None for 1e-6 in float64, 1e-3 in float32.
        k: Eigenvalues computed if the state has more than 600 numbers.
        check: Test first that the step is differentiable here, for six steps; None for float64 alone, see
            ``eigenvalues``.

    Returns:
        The prediction.

    Raises:
        UserError: A step that is not differentiable here, or no convergence of the eigenvalues.

    Example:
        >>> from tightrope import dynamics, toys
        >>> from tightrope.optimizers import SIMULTANEOUS, outer_step
        >>> toy = toys.dirac_gan(theta=0.0, psi=0.0)  # nothing holds it: it turns, with eigenvalues +- i/2
        >>> sgd = [torch.optim.SGD(player.parameters(), lr=0.2) for player in toy.players]
        >>> found = dynamics.predict(outer_step(toy.losses, toy.players, sgd, SIMULTANEOUS), toy.players, sgd)
        >>> found.verdict, round(found.rate, 4)  # |1 + 0.1 i|
        ('divergent', 1.005)
    """
    with replay(step, players, optimizers, generators) as at:
        values, error = _update_eigenvalues(at, step, k)
        if wants_check(at, check):
            check_update(step, at, players)
        displacement = _displacement(at, step)
    margin = (1e-6 if at.state[0].dtype == torch.float64 else 1e-3) if tolerance is None else tolerance
    return judge(values, margin, error=error, displacement=displacement)


def judge(values: Tensor, tolerance: float, *, error: float = 0.0, displacement: float = 0.0) -> Prediction:
    """The prediction that follows from the eigenvalues ``[m]`` of an update."""
    neutral = (values - 1).abs() <= tolerance
    moving = values[~neutral]
    if not len(moving):
        return Prediction("marginal", 1.0, math.inf, values, int(neutral.sum()), error, displacement)
    leading = complex(moving[moving.abs().argmax()])
    rate = abs(leading)
    verdict: Verdict = "marginal" if abs(rate - 1) <= tolerance else "convergent" if rate < 1 else "divergent"
    angle = abs(math.atan2(leading.imag, leading.real))
    period = 2 * math.pi / angle if angle > 1e-9 else math.inf
    return Prediction(verdict, rate, period, values, int(neutral.sum()), error, displacement)


def _update_eigenvalues(at: Replay, step: Callable[[], object], k: int) -> tuple[Tensor, float]:
    size = sum(t.numel() for t in at.state)
    if size <= max(DENSE_STATE, k + 1):
        M = dense_update(at, step).double().cpu()
        values = torch.linalg.eigvals(M)
        error = torch.finfo(at.state[0].dtype).eps * float(torch.linalg.matrix_norm(M))
        return values[torch.argsort(-values.abs(), stable=True)], error
    double = at.state[0].dtype == torch.float64
    operator = update_operator(at, step)
    values, residuals = arnoldi(operator, k, "LM", 1e-8 if double else 1e-4, 200, None)
    return values, float(residuals.max())


def _displacement(at: Replay, step: Callable[[], object]) -> float:
    at.rewind()
    before = flatten([p.detach() for p in at.parameters]).clone()
    step()
    moved = torch.linalg.vector_norm(flatten([p.detach() for p in at.parameters]) - before)
    at.rewind()
    return float(moved) / max(float(torch.linalg.vector_norm(before)), 1.0)
