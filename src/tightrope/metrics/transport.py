"""Wasserstein distances between two sets of points: exact, and sliced."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tightrope._plumbing.checks import check_rng
from tightrope._plumbing.errors import UserError
from tightrope.metrics._checks import Array, as_float64, as_pair, check_count

MAX_PLAN = 40_000
"""Most pairs of points for the linear programme that stands in for POT."""

MAX_POINTS = 5000
"""Most points per side for the exact distance: the cost matrix has this size squared, the assignment its cube."""


def wasserstein1(x: Array, y: Array) -> float:
    """Return the exact 1-Wasserstein distance between two sets of equally weighted points.

    Args:
        x: Points [n, d].
        y: Points [m, d]. In one dimension n and m are free. Otherwise a common multiple of n and m must not be larger
            than `MAX_POINTS`, because each point is split into as many copies.

    Raises:
        UserError: Shapes do not fit, an entry is not finite, or the sizes ask for too many copies.

    **Source** wgan (Arjovsky et al. 2017), eq. 1, with the Euclidean ground distance.
    **Claim** Exact: an optimal assignment (Jonker-Volgenant in SciPy) in float64; in one dimension the integral
    between the quantile functions.
    **Cost** Two sets of 2,000 points in the plane take one to five seconds of one core; time grows as the cube.
    """
    a, b = (points.numpy() for points in as_pair(x, y))
    if a.shape[1] == 1:
        return _between_quantiles(a[:, 0], b[:, 0])
    n, m = len(a), len(b)
    copies = math.lcm(n, m)
    if copies > MAX_POINTS:
        raise UserError(
            f"The exact distance between {n} and {m} points would need an assignment of {copies} copies, and at most "
            f"{MAX_POINTS} are allowed; take {min(n, m, 2000)} points of each set at random."
        )
    return _by_assignment(np.repeat(a, copies // n, axis=0), np.repeat(b, copies // m, axis=0))


def weighted_wasserstein1(x: Array, y: Array, x_weights: Array, y_weights: Array) -> float:
    """Return the exact 1-Wasserstein distance between two sets of weighted points.

    Args:
        x: Points [n, d].
        y: Points [m, d].
        x_weights: Weights [n] >= 0 with a positive sum; they are divided by it.
        y_weights: Weights [m], likewise.

    Raises:
        UserError: Shapes do not fit, an entry is not finite, a weight is negative or all are zero, or the network
            solver did not reach the optimum.
        ImportError: The problem has more than `MAX_PLAN` pairs in several dimensions and POT is not installed.

    **Claim** Exact: quantile functions in one dimension; otherwise the network simplex of POT where it is installed,
    and the linear programme over transport plans (HiGHS in SciPy) for small problems where it is not.
    """
    a, b = (points.numpy() for points in as_pair(x, y))
    p, q = _weights(x_weights, len(a), "x"), _weights(y_weights, len(b), "y")
    if a.shape[1] == 1:
        return _between_weighted_quantiles(a[:, 0], b[:, 0], p, q)
    from scipy.spatial.distance import cdist

    return _by_plan(cdist(a, b), p, q)


def sliced_wasserstein(
    x: Array, y: Array, *, projections: int = 256, order: int = 1, rng: torch.Generator | None = None
) -> float:
    """Return the sliced Wasserstein distance: the mean over random directions of the one-dimensional distance.

    Args:
        x: Points [n, d].
        y: Points [m, d]; n and m are free.
        projections: Number of directions, uniform on the sphere.
        order: 1 or 2. For 2 the root of the mean of squared distances is returned.
        rng: CPU generator that draws the directions.

    Raises:
        UserError: Shapes do not fit, an entry is not finite, ``order`` or ``projections`` is out of range.

    **Source** Rabin et al. 2011.
    **Claim** Never larger than `wasserstein1` for order 1, for any draw of directions.
    **Cost** One sort of n + m numbers for each direction.
    """
    check_count("projections", projections)
    check_rng(rng)
    if order not in (1, 2):
        raise UserError(f"The order of a sliced distance must be 1 or 2, but it is {order}; choose one of them.")
    if projections < 1:
        raise UserError(f"At least 1 projection is needed, but there are {projections}; 256 is a good number.")
    a, b = as_pair(x, y)
    directions = random_directions(projections, a.shape[1], rng)
    total = math.fsum(_between_quantiles((a @ one).numpy(), (b @ one).numpy(), order) for one in directions)
    mean = total / projections
    return mean if order == 1 else math.sqrt(mean)


def sliced_from_projections(x: Array, y: Array) -> float:
    """Return the sliced 1-Wasserstein distance of points of which only their projections were kept.

    Args:
        x: Projections [n, k] on k random directions.
        y: Projections [m, k] on the same ones.

    Raises:
        UserError: Shapes do not fit, or an entry is not finite.
    """
    a, b = as_pair(x, y)
    return math.fsum(_between_quantiles(a[:, i].numpy(), b[:, i].numpy()) for i in range(a.shape[1])) / a.shape[1]


def random_directions(count: int, dimension: int, rng: torch.Generator | None) -> Tensor:
    """Return unit vectors [count, dimension], float64, uniform on the sphere."""
    directions = torch.randn(count, dimension, generator=rng, dtype=torch.float64)
    return directions / directions.norm(dim=1, keepdim=True)


def _by_assignment(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    from scipy.optimize import linear_sum_assignment
    from scipy.spatial.distance import cdist

    cost = cdist(a, b)
    rows, columns = linear_sum_assignment(cost)
    return float(cost[rows, columns].mean())


def _between_quantiles(a: NDArray[np.float64], b: NDArray[np.float64], order: int = 1) -> float:
    """Return the integral of |F_a^-1 - F_b^-1|^order over (0, 1) for samples [n] and [m]."""
    a, b = np.sort(a), np.sort(b)
    n, m = len(a), len(b)
    if n == m:
        return float((np.abs(a - b) ** order).mean())
    # Levels at which one of the two step functions jumps, in units of 1 / (n m) so that they are exact integers.
    levels = np.union1d(np.arange(n + 1, dtype=np.int64) * m, np.arange(m + 1, dtype=np.int64) * n)
    widths = np.diff(levels) / (n * m)
    gaps = np.abs(a[levels[:-1] // m] - b[levels[:-1] // n]) ** order
    return float((gaps * widths).sum())


def _between_weighted_quantiles(
    a: NDArray[np.float64], b: NDArray[np.float64], p: NDArray[np.float64], q: NDArray[np.float64]
) -> float:
    """Return the integral of |F - G| over the line for samples [n], [m] of weights p, q: the same in one dimension."""
    places = np.concatenate([a, b])
    order = np.argsort(places, kind="stable")
    difference = np.cumsum(np.concatenate([p, -q])[order])[:-1]
    return float((np.abs(difference) * np.diff(places[order])).sum())


def _by_plan(cost: NDArray[np.float64], p: NDArray[np.float64], q: NDArray[np.float64]) -> float:
    try:
        import ot
    except ImportError:
        if cost.size > MAX_PLAN:
            raise ImportError(
                f"Weighted points with {cost.size} pairs need the package POT, and without it at most {MAX_PLAN} pairs "
                "can be solved; run pip install 'tightrope[ot]', or take fewer points."
            ) from None
        return _by_linear_programme(cost, p, q)
    value, log = ot.emd2(p, q, cost, numItermax=10_000_000, log=True)
    if log.get("warning"):
        raise UserError(f"The optimal plan was not reached ({log['warning']}); take fewer points.")
    return float(value)


def _by_linear_programme(cost: NDArray[np.float64], p: NDArray[np.float64], q: NDArray[np.float64]) -> float:
    from scipy import sparse
    from scipy.optimize import linprog

    n, m = cost.shape
    rows, columns = sparse.kron(sparse.eye(n), np.ones((1, m))), sparse.kron(np.ones((1, n)), sparse.eye(m))
    result = linprog(cost.ravel(), A_eq=sparse.vstack([rows, columns]).tocsr(), b_eq=np.concatenate([p, q]))
    if not result.success:
        raise UserError(f"The optimal plan was not reached ({result.message}); take fewer points.")
    return float(result.fun)


def _weights(weights: Array, n: int, name: str) -> NDArray[np.float64]:
    values = as_float64(weights, f"weights of {name}")
    if values.shape != (n,) or not bool((values >= 0).all()) or not 0 < float(values.sum()) < math.inf:
        raise UserError(
            f"The weights of {name} must be {n} finite numbers >= 0 with a positive sum, but they have shape "
            f"{tuple(values.shape)}, minimum {float(values.min()) if values.numel() else math.nan} and sum "
            f"{float(values.sum())}; pass one weight for each point."
        )
    return np.asarray((values / values.sum()).numpy(), dtype=np.float64)
