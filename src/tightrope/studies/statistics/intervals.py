"""Intervals over seeds: means, ratios, variances, correlations, with runs that share a cluster counted as one."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
from scipy import stats

from tightrope._plumbing import rich
from tightrope._plumbing.errors import UserError

Values = Sequence[float] | np.ndarray


@dataclass(frozen=True)
class Interval:
    """An estimate with its confidence interval.

    Attributes:
        value: The estimate.
        low: Lower end; NaN where too few values allow none.
        high: Upper end.
        n: Independent units behind it: seeds, pairs of seeds, or clusters.
    """

    value: float
    low: float
    high: float
    n: int

    def excludes(self, value: float) -> bool:
        """Whether ``value`` lies outside; False where there is no interval."""
        return value < self.low or value > self.high

    def _repr_html_(self) -> str:
        """As a notebook shows it."""
        return rich.table(rich.number(self.value), [("uncertainty", rich.interval(self.low, self.high)), ("n", self.n)])

    def mapped(self, scale: Callable[[float], float]) -> Interval:
        """The interval on another scale, through an increasing function."""
        return Interval(scale(self.value), scale(self.low), scale(self.high), self.n)


def mean(values: Values, *, clusters: Sequence[Hashable] | None = None, level: float = 0.95) -> Interval:
    """Mean over seeds with its Student interval; with ``clusters``, over the means of the clusters.

    Args:
        values: One number per run ``[n]``.
        clusters: What each run shares with others, such as its cell; runs of one cluster count as one.
        level: Confidence.

    Raises:
        UserError: No values, one that is not finite, or not as many clusters as values.

    Example:
        >>> from tightrope.studies import statistics
        >>> found = statistics.mean([1.0, 2.0, 3.0])
        >>> found.value, round(found.low, 3), round(found.high, 3)  # three seeds say little
        (2.0, -0.484, 4.484)
    """
    x = _means(finite(values), clusters)
    n, centre = len(x), float(np.mean(x))
    if n < 2:
        return Interval(centre, math.nan, math.nan, n)
    half = float(stats.t.ppf((1 + share("level", level)) / 2, n - 1)) * float(np.std(x, ddof=1)) / math.sqrt(n)
    return Interval(centre, centre - half, centre + half, n)


def geometric_mean(values: Values, *, clusters: Sequence[Hashable] | None = None, level: float = 0.95) -> Interval:
    """:func:`mean` on the log scale: of distances and other positive quantities, whose spread grows with their size."""
    return mean(np.log(positive(values)), clusters=clusters, level=level).mapped(math.exp)


def ratio(
    treated: Values,
    control: Values,
    *,
    paired: bool = True,
    clusters: Sequence[Hashable] | None = None,
    level: float = 0.95,
) -> Interval:
    """Ratio of geometric means, treated over control.

    Args:
        treated: Positive numbers ``[n]``.
        control: Positive numbers, ``[n]`` in the same order of seeds where ``paired``.
        paired: Whether run ``i`` of both arms shares seed, initialisation and data order.
        clusters: Of the pairs.
        level: Confidence.

    Raises:
        UserError: A value is not positive, pairs do not match, or clusters are given without pairs.

    Example:
        >>> from tightrope.studies import statistics
        >>> found = statistics.ratio([2.0, 4.0, 8.0], [1.0, 2.0, 4.1])  # seeds differ, their ratios do not
        >>> round(found.value, 3), round(found.low, 3), round(found.high, 3)
        (1.984, 1.915, 2.055)
    """
    a, b = np.log(positive(treated)), np.log(positive(control))
    return difference(a, b, paired=paired, clusters=clusters, level=level).mapped(math.exp)


def difference(
    treated: Values,
    control: Values,
    *,
    paired: bool = True,
    clusters: Sequence[Hashable] | None = None,
    level: float = 0.95,
) -> Interval:
    """Difference of means, treated less control: paired by seed, or Welch's; arguments as for :func:`ratio`."""
    a, b = finite(treated), finite(control)
    if paired:
        if len(a) != len(b):
            raise UserError(f"Pairs need as many runs in both arms: expected one length, got {len(a)} and {len(b)}.")
        return mean(a - b, clusters=clusters, level=level)
    if clusters is not None:
        raise UserError(
            "Clusters of unpaired arms say nothing about their difference; pair the arms or leave them out."
        )
    gap, n = float(a.mean() - b.mean()), min(len(a), len(b))
    if n < 2:
        return Interval(gap, math.nan, math.nan, n)
    parts = a.var(ddof=1) / len(a), b.var(ddof=1) / len(b)
    error = math.sqrt(sum(parts))
    if error == 0:
        return Interval(gap, gap, gap, n)
    freedom = sum(parts) ** 2 / (parts[0] ** 2 / (len(a) - 1) + parts[1] ** 2 / (len(b) - 1))
    half = float(stats.t.ppf((1 + share("level", level)) / 2, freedom)) * error
    return Interval(gap, gap - half, gap + half, n)


def variance_ratio(treated: Values, control: Values, *, level: float = 0.95) -> Interval:
    """Ratio of the variances between runs, treated over control, of unpaired arms.

    Source: the jackknife of the logarithm of a variance, with Student's quantile (Miller 1968); unlike the F interval
    it holds its level for heavy tails, at the price of width.

    Args:
        treated: ``[n]``, at least three.
        control: ``[m]``, at least three.
        level: Confidence.

    Raises:
        UserError: Fewer than three runs in an arm, or all its values are equal.
    """
    centres, errors, sizes = [], [], []
    for arm in (finite(treated), finite(control)):
        n = len(arm)
        if n < 3 or np.ptp(arm) == 0:
            raise UserError(f"A variance between runs needs three different values at least, got {arm.tolist()}.")
        rest = np.array([np.log(np.delete(arm, i).var(ddof=1)) for i in range(n)])
        pseudo = n * np.log(arm.var(ddof=1)) - (n - 1) * rest
        centres.append(float(pseudo.mean()))
        errors.append(float(pseudo.var(ddof=1)) / n)
        sizes.append(n)
    freedom = sum(errors) ** 2 / sum(e**2 / (n - 1) for e, n in zip(errors, sizes, strict=True))
    half = float(stats.t.ppf((1 + share("level", level)) / 2, freedom)) * math.sqrt(sum(errors))
    gap = centres[0] - centres[1]
    return Interval(gap, gap - half, gap + half, min(sizes)).mapped(math.exp)


def spearman(x: Values, y: Values, *, level: float = 0.95) -> Interval:
    """Rank correlation of independent runs.

    Source: Bonett and Wright 2000: Fisher's z with variance ``(1 + r^2 / 2) / (n - 3)``. Runs that share a cell are not
    independent: use :func:`correlation_between` and :func:`correlation_within`.

    Raises:
        UserError: Fewer than four pairs, different lengths, or a constant.
    """
    a, b = _pairs(x, y, 4)
    return _fisher(float(stats.spearmanr(a, b).statistic), len(a), level)


def correlation_between(x: Values, y: Values, cells: Sequence[Hashable], *, level: float = 0.95) -> Interval:
    """Rank correlation of the cells' means: what a pooled correlation over cells can honestly claim.

    Args:
        x: One number per run ``[n]``.
        y: Another ``[n]``.
        cells: The setup of each run.
        level: Confidence.

    Raises:
        UserError: Fewer than four cells.
    """
    a, b = _pairs(x, y, 4)
    return spearman(_means(a, cells), _means(b, cells), level=level)


def correlation_within(x: Values, y: Values, cells: Sequence[Hashable], *, level: float = 0.95) -> Interval:
    """Correlation of runs around their own cell's mean ranks: whether one setup's better runs are those with more.

    Ranks are taken within each cell, so that no difference between setups enters; one degree of freedom is lost a cell.

    Raises:
        UserError: Fewer than four runs more than cells, or nothing varies within the cells.
    """
    a, b = _pairs(x, y, 4)
    members = groups(cells, len(a))
    u, v = np.empty(len(a)), np.empty(len(a))
    for rows in members:
        for target, source in ((u, a), (v, b)):
            ranks = stats.rankdata(source[rows])
            target[rows] = (ranks - ranks.mean()) / len(rows)
    scale = math.sqrt(float(u @ u) * float(v @ v))
    freedom = len(a) - len(members) + 1
    if scale == 0 or freedom < 4:
        raise UserError("A correlation within setups needs runs that differ within them; give more seeds a setup.")
    return _fisher(float(u @ v) / scale, freedom, level)


def _fisher(r: float, n: int, level: float) -> Interval:
    if abs(r) >= 1 - 1e-12:  # z is infinite there; take it where two neighbours in the order are exchanged
        nearly = math.copysign(1 - 12 / (n * (n * n - 1)), r)
        ends = _fisher(nearly, n, level)
        return Interval(r, ends.low if r > 0 else -1.0, 1.0 if r > 0 else ends.high, n)
    half = float(stats.norm.ppf((1 + share("level", level)) / 2)) * math.sqrt((1 + r * r / 2) / (n - 3))
    return Interval(math.atanh(r), math.atanh(r) - half, math.atanh(r) + half, n).mapped(math.tanh)


def finite(values: Values) -> np.ndarray:
    """One finite number per run, or a refusal."""
    try:
        x = np.asarray(values, dtype=float).reshape(-1)
    except (TypeError, ValueError) as problem:
        raise UserError(
            f"Expected numbers, one a run, got {values!r:.60} ({problem}); pass a list of them."
        ) from problem
    if not len(x) or not np.isfinite(x).all():
        raise UserError(
            f"Expected finite numbers, one a run, got {x.tolist()[:6]}; count diverged runs on their own, they are a "
            "result and no number."
        )
    return x


def positive(values: Values) -> np.ndarray:
    """One positive number per run, or a refusal."""
    x = finite(values)
    if (x <= 0).any():
        raise UserError(f"The log scale needs positive numbers, got {float(x.min())}; use the difference instead.")
    return x


def _pairs(x: Values, y: Values, least: int) -> tuple[np.ndarray, np.ndarray]:
    a, b = finite(x), finite(y)
    if len(a) != len(b) or len(a) < least or np.ptp(a) == 0 or np.ptp(b) == 0:
        raise UserError(
            f"A correlation needs {least} pairs at least that are not all equal, got {len(a)} and {len(b)} numbers."
        )
    return a, b


def groups(clusters: Sequence[Hashable], n: int) -> list[np.ndarray]:
    """Rows of each cluster, in the order in which clusters first appear."""
    if len(clusters) != n:
        raise UserError(f"Expected a cluster for each of {n} runs, got {len(clusters)}.")
    found: dict[Hashable, list[int]] = {}
    for row, name in enumerate(clusters):
        found.setdefault(name, []).append(row)
    return [np.array(rows) for rows in found.values()]


def _means(x: np.ndarray, clusters: Sequence[Hashable] | None) -> np.ndarray:
    return x if clusters is None else np.array([x[rows].mean() for rows in groups(clusters, len(x))])


def share(name: str, value: Any) -> float:
    """A probability strictly between 0 and 1, or a refusal."""
    if not isinstance(value, Real) or isinstance(value, bool) or not 0 < float(value) < 1:
        raise UserError(f"Expected {name} between 0 and 1, got {value!r}; 0.95 is 95 %.")
    return float(value)
