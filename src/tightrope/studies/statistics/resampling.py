"""What resampling says about runs: bootstrap intervals, permutation tests."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Hashable, Sequence
from numbers import Integral, Real

import numpy as np
from scipy import stats

from tightrope._plumbing.checks import short
from tightrope._plumbing.errors import UserError
from tightrope.studies.statistics.intervals import Interval, Values, difference, finite, groups, share

EXACT = 20_000
"""Permutation tests with at most so many arrangements try them all."""


def bootstrap(
    statistic: Callable[[np.ndarray], float],
    rows: Values,
    *,
    clusters: Sequence[Hashable] | None = None,
    level: float = 0.95,
    resamples: int = 4999,
    seed: int = 0,
) -> Interval:
    """BCa bootstrap interval of any statistic of the runs; clusters are drawn whole.

    Source: Efron 1987. With fewer than about 20 units it is too narrow; see the module's first paragraph.

    Args:
        statistic: Function of rows ``[m, ...]``.
        rows: One row per run ``[n, ...]``.
        clusters: What each run shares with others.
        level: Confidence.
        resamples: Draws.
        seed: Of the draws.

    Raises:
        UserError: ``level`` or ``resamples`` out of range.
    """
    data = finite(rows).reshape(np.shape(rows))
    _check_draws(resamples, seed)
    share("level", level)
    if not callable(statistic):
        raise UserError(f"Expected a statistic as a function of rows, got {statistic!r}; pass one such as numpy.mean.")
    if not data.ndim:
        raise UserError(f"Expected rows to draw from, got {rows!r}; pass a list of them.")
    members = groups(range(len(data)) if clusters is None else clusters, len(data))
    first = statistic(data)
    if not isinstance(first, Real):
        raise UserError(f"Expected a statistic that gives a number, got {short(first)}; pass one such as numpy.mean.")
    k, value = len(members), float(first)
    if k < 2:
        return Interval(value, math.nan, math.nan, k)
    rng = np.random.default_rng(seed)
    draws = np.array(
        [statistic(data[np.concatenate([members[i] for i in rng.integers(k, size=k)])]) for _ in range(resamples)]
    )
    if not np.isfinite(draws).all():
        raise UserError("Expected a statistic that is finite on every draw, got NaN or infinity; choose another.")
    without = np.array([statistic(np.delete(data, rows, axis=0)) for rows in members])
    skew = without.mean() - without
    spread = float((skew**2).sum())
    acceleration = 0.0 if spread == 0 else float((skew**3).sum()) / (6 * spread**1.5)
    below = (np.sum(draws < value) + 0.5 * np.sum(draws == value)) / resamples
    bias = float(stats.norm.ppf(min(max(below, 0.5 / resamples), 1 - 0.5 / resamples)))
    ends = []
    for quantile in ((1 - level) / 2, (1 + level) / 2):
        z = bias + float(stats.norm.ppf(quantile))
        ends.append(float(np.quantile(draws, stats.norm.cdf(bias + z / (1 - acceleration * z)))))
    return Interval(value, ends[0], ends[1], k)


def permutation_test(
    treated: Values, control: Values, *, paired: bool = True, resamples: int = 9999, seed: int = 0
) -> float:
    """Two-sided p-value of equal means: signs of paired differences exchanged, or labels of runs.

    All arrangements are tried where there are at most :data:`EXACT`. With five pairs the smallest possible value is
    1/16: no result of five pairs is significant at 5 %.

    Args:
        treated: ``[n]``.
        control: ``[m]``, ``[n]`` in the same order where ``paired``.
        paired: Whether run ``i`` of both arms shares seed, initialisation and data order.
        resamples: Random arrangements where there are too many.
        seed: Of those.

    Example:
        >>> from tightrope.studies import statistics
        >>> statistics.permutation_test([2.0, 4.0, 8.0, 3.0, 5.0], [1.0, 2.0, 4.0, 2.5, 4.5])  # all five point one way
        0.0625
    """
    a, b = finite(treated), finite(control)
    _check_draws(resamples, seed)
    rng = np.random.default_rng(seed)
    if paired:
        gap = difference(a, b).value * len(a)
        d, n = a - b, len(a)
        exact = 2**n <= EXACT
        signs = np.array(list(itertools.product((1, -1), repeat=n))) if exact else rng.choice((1, -1), (resamples, n))
        found = signs @ d
    else:
        both, n = np.concatenate([a, b]), len(a)
        gap = float(a.mean() - b.mean())
        exact = math.comb(len(both), n) <= EXACT
        rows = (
            list(itertools.combinations(range(len(both)), n))
            if exact
            else [rng.permutation(len(both))[:n] for _ in range(resamples)]
        )
        sums = both[np.array(rows)].sum(axis=1)
        found = sums / n - (both.sum() - sums) / (len(both) - n)
    extreme = int(np.sum(np.abs(found) >= abs(gap) * (1 - 1e-9) - 1e-300))
    return extreme / len(found) if exact else (extreme + 1) / (len(found) + 1)


def _check_draws(resamples: int, seed: int) -> None:
    for name, value, least in (("resamples", resamples, 1), ("seed", seed, 0)):
        if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
            raise UserError(f"Expected {name} as a whole number of at least {least}, got {value!r}; leave it out.")
