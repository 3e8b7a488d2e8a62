"""Boundaries of stability: the largest safe step, and the weights of a penalty between which training contracts."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor

from tightrope._plumbing.checks import check_number, short
from tightrope._plumbing.errors import UserError, UserTypeError
from tightrope.dynamics.players import Player
from tightrope.dynamics.prediction import Prediction, judge
from tightrope.dynamics.state import replay
from tightrope.dynamics.update import check_update, dense_update, wants_check

MOST = 1e9
"""Factor on learning rates beyond which nobody need search."""


def largest_safe_step(
    step: Callable[[], object],
    players: Sequence[Player],
    optimizers: Sequence[torch.optim.Optimizer],
    *,
    largest: float = 1024.0,
    generators: Sequence[torch.Generator] = (),
) -> float:
    """Factor on all learning rates up to which training does not diverge near the present point.

    One means that the present rates sit on the boundary; below one they diverge. Rates are raised from a thousandth of
    the present ones until the spectral radius of the update passes one, and the crossing is bisected.

    Args:
        step: Takes one outer step in place and reads its rates from ``optimizers``.
        players: The parameters that the step moves.
        optimizers: Whose ``lr`` is scaled.
        largest: Factor beyond which the search stops.
        generators: Random-number generators that the step draws from.

    Returns:
        The factor; 0 if even the smallest rates diverge, infinity if ``largest`` times the rates still do not.

    Raises:
        UserError: A step that is not differentiable here.

    Cost: about forty update Jacobians, so it is meant for small games.

    Example:
        >>> from tightrope import dynamics
        >>> from tightrope.optimizers import outer_step
        >>> x = torch.zeros(1, dtype=torch.float64, requires_grad=True)
        >>> sgd = torch.optim.SGD([x], lr=0.1)
        >>> step = outer_step((lambda: 0.5 * x.square().sum(),), ([x],), (sgd,), order=((0,),))
        >>> round(dynamics.largest_safe_step(step, ([x],), (sgd,)), 3)  # descent on x^2/2 holds up to a rate of 2
        20.0
    """
    check_number("largest", largest, 1024)
    if largest > MOST:
        raise UserError(f"Expected largest as a factor up to {MOST:.0e}, got {short(largest)}; 1024 is the default.")
    groups = [group for optimizer in optimizers for group in optimizer.param_groups if "lr" in group]
    rates = [group["lr"] for group in groups]

    def excess(factor: float) -> float:
        for group, rate in zip(groups, rates, strict=True):
            group["lr"] = rate * factor
        with replay(step, players, optimizers, generators) as at:
            values = torch.linalg.eigvals(dense_update(at, step).double())
        return judge(values, 1e-12).rate - 1 - 1e-11 * factor

    factor, below = 2.0**-10, 0.0
    with replay(step, players, optimizers, generators) as at:
        dense_update(at, step)  # what is not finite has a sentence of its own
        if wants_check(at, None):
            check_update(step, at, players)
    try:
        while factor <= largest:
            if excess(factor) > 0:
                return _bisect(excess, below, factor) if below else 0.0
            below, factor = factor, factor * 2**0.5
        return math.inf
    finally:
        for group, rate in zip(groups, rates, strict=True):
            group["lr"] = rate


def euler_limit(values: Tensor) -> float:
    r"""Largest step ``h`` for which ``x + h v(x)`` contracts: the least ``2 |Re l| / |l|^2`` over the eigenvalues.

    Source: Mescheder et al. 2017 (1705.10461), lemma 4.

    Args:
        values: Eigenvalues ``[n]`` of the field's Jacobian, all players at one rate, simultaneously.

    Returns:
        The limit; 0 if some eigenvalue has a real part of zero or more (eigenvalues of zero are neutral).

    Raises:
        UserError: No eigenvalues, or some that are not finite.

    Example:
        >>> from tightrope import dynamics
        >>> round(dynamics.euler_limit(torch.tensor([-0.3 + 0.4j, -0.3 - 0.4j])), 3)  # 2 * 0.3 / 0.25
        2.4
        >>> dynamics.euler_limit(torch.tensor([1.0j, -1.0j]))  # a pure rotation
        0.0
    """
    if not isinstance(values, Tensor) or values.dim() != 1 or not len(values) or not bool(values.isfinite().all()):
        got = f"shape {list(values.shape)}" if isinstance(values, Tensor) else f"a {type(values).__name__}"
        raise UserError(f"Expected finite eigenvalues [n] as a tensor, got {got} or NaN; pass those of eigenvalues().")
    moving = values[values.abs() > 1e-12 * float(values.abs().max().clamp(min=1e-300))]
    if not len(moving):
        return math.inf
    if float(moving.real.max()) >= 0:
        return 0.0
    return float((-2 * moving.real / moving.abs().square()).min())


@dataclass(frozen=True)
class WeightRange:
    """Weights of a penalty between which training contracts near a point.

    Attributes:
        smallest: Contraction begins above it; 0 if every positive weight suffices.
        largest: Contraction ends at it; infinite if it was not reached.
        best: The tried weight of the smallest spectral radius.
        tried: Every weight that was tried, with its prediction.
    """

    smallest: float
    largest: float
    best: float
    tried: tuple[tuple[float, Prediction], ...]


def contracting_weights(
    predict_at: Callable[[float], Prediction], weights: Iterable[float], *, accuracy: float = 1e-3
) -> WeightRange | None:
    """The first interval of weights, such as R1's gamma, in which a game contracts; None if none tried does.

    Args:
        predict_at: The prediction with this weight, all else as it is.
        weights: Where to look, ascending and positive; the ends of the interval are bisected between them.
        accuracy: Relative accuracy of the ends.

    Raises:
        UserError: ``weights`` are not positive and ascending, or there are none.

    Example:
        >>> from tightrope import dynamics, penalties, toys
        >>> from tightrope.optimizers import SIMULTANEOUS, outer_step
        >>> from tightrope.penalties import Penalty
        >>> def predict_at(gamma):
        ...     toy = toys.dirac_gan(penalties=[Penalty(penalties.r1, {"gamma": gamma})], theta=0.0, psi=0.0)
        ...     sgd = [torch.optim.SGD(player.parameters(), lr=1.0) for player in toy.players]
        ...     return dynamics.predict(outer_step(toy.losses, toy.players, sgd, SIMULTANEOUS), toy.players, sgd)
        >>> found = dynamics.contracting_weights(predict_at, [0.1, 0.5, 1.0, 4.0])
        >>> round(found.smallest, 2), round(found.largest, 2)  # h (1/4) < gamma < 2/h + h/8
        (0.25, 2.12)
    """
    check_number("accuracy", accuracy, 1e-3, least=1e-12)
    grid = list(weights)
    for w in grid:
        check_number("each weight", w, 1)
    tried = [(w, predict_at(w)) for w in grid]
    if not all(isinstance(found, Prediction) for _, found in tried):
        raise UserTypeError("Expected predict_at as a function that gives a Prediction, got another; see predict.")
    if not tried or any(w <= 0 for w, _ in tried) or any(a[0] >= b[0] for a, b in pairwise(tried)):
        raise UserError(
            f"Expected positive weights in ascending order, got {[w for w, _ in tried]}; for example a geometric grid."
        )
    holds = [p.verdict == "convergent" for _, p in tried]
    if not any(holds):
        return None
    first = holds.index(True)
    last = next((i for i in range(first, len(holds)) if not holds[i]), None)
    fails = partial(_fails, predict_at)
    smallest = 0.0 if first == 0 else _bisect_log(fails, tried[first - 1][0], tried[first][0], accuracy)
    largest = math.inf if last is None else _bisect_log(fails, tried[last - 1][0], tried[last][0], accuracy)
    best = min((p.rate, w) for (w, p), hold in zip(tried, holds, strict=True) if hold)[1]
    return WeightRange(smallest, largest, best, tuple(tried))


def _fails(predict_at: Callable[[float], Prediction], weight: float) -> bool:
    return predict_at(weight).verdict != "convergent"


def _bisect(excess: Callable[[float], float], low: float, high: float) -> float:
    """Where ``excess`` crosses zero between a safe and an unsafe factor, to rounding."""
    for _ in range(60):
        middle = 0.5 * (low + high)
        if not low < middle < high or high - low < 1e-11 * high:
            break
        low, high = (low, middle) if excess(middle) > 0 else (middle, high)
    return 0.5 * (low + high)


def _bisect_log(fails: Callable[[float], bool], low: float, high: float, accuracy: float) -> float:
    at_low = fails(low)
    while high / low > 1 + accuracy:
        middle = math.sqrt(low * high)
        low, high = (middle, high) if fails(middle) == at_low else (low, middle)
    return math.sqrt(low * high)
