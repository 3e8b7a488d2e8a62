"""How much a number of seeds can show, and what several questions at once cost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from numbers import Integral

from scipy import stats

from tightrope._plumbing.errors import UserError
from tightrope.studies.statistics.intervals import Interval, Values, finite, share


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values adjusted for having asked several questions, in the order given (Holm 1979)."""
    if not len(p_values):
        return []
    if not all(0 <= p <= 1 for p in finite(p_values)):
        raise UserError(f"Expected p-values from 0 to 1, got {list(p_values)[:6]}; adjust those alone.")
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, i in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = highest
    return adjusted


def probability_of_improvement(treated: Values, control: Values, *, lower_is_better: bool = True) -> float:
    """Probability that a run of one arm beats one of the other, ties counting half (Mann-Whitney)."""
    a, b = finite(treated)[:, None], finite(control)[None, :]
    better = (a < b) if lower_is_better else (a > b)
    return float((better + 0.5 * (a == b)).mean())


def equivalent(gap: Interval, margin: float) -> bool:
    """Whether a difference is shown to be smaller than ``margin`` either way; give a 90 % interval for a test at 5 %.

    Source: two one-sided tests (Schuirmann 1987).
    """
    if not margin > 0:
        raise UserError(f"Expected a margin above 0, got {margin}; say which difference matters.")
    return -margin < gap.low and gap.high < margin


def detectable(sd: float, n: int, *, alpha: float = 0.05, power: float = 0.8) -> float:
    """Smallest true mean of ``n`` paired differences with standard deviation ``sd`` that a t-test finds."""
    _check(sd, alpha, power)
    if not isinstance(n, Integral):
        raise UserError(f"Expected a whole number of pairs, got {n!r}; count the seeds.")
    return _detectable(int(n), float(alpha), float(power)) * sd if n >= 2 else math.inf


def seeds_needed(effect: float, sd: float, *, alpha: float = 0.05, power: float = 0.8, most: int = 10_000) -> int:
    """Pairs of seeds that find a true mean difference ``effect`` of standard deviation ``sd`` with ``power``.

    Raises:
        UserError: More than ``most`` would be needed.

    Example:
        >>> from tightrope.studies import statistics
        >>> statistics.seeds_needed(1.0, 1.0)  # an effect as large as its spread
        10
    """
    _check(sd, alpha, power)
    finite([effect])
    if sd == 0:
        return 2

    def found(n: int) -> bool:
        return _power(abs(effect) / sd, n, alpha) >= power

    low, high = 1, 2
    while high <= most and not found(high):
        low, high = high, 2 * high
    high = min(high, most)
    if found(high):
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if found(middle) else (middle, high)
        return high
    raise UserError(f"An effect of {effect:.3g} at a spread of {sd:.3g} needs more than {most:,} seeds; ask for less.")


def _check(sd: float, alpha: float, power: float) -> None:
    share("alpha", alpha)
    share("power", power)
    if not (finite([sd]) >= 0).all():
        raise UserError(f"Expected a standard deviation of 0 or more, got {sd}; take that of the differences.")


@lru_cache(maxsize=1024)
def _detectable(n: int, alpha: float, power: float) -> float:
    """In standard deviations; kept, since every line of a ledger asks for it and few differ in ``n`` and ``alpha``."""
    low, high = 0.0, 1.0
    while _power(high, n, alpha) < power:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _power(middle, n, alpha) < power else (low, middle)
    return high


def _power(effect: float, n: int, alpha: float) -> float:
    """Power of a two-sided paired t-test at an effect in standard deviations."""
    critical = stats.t.ppf(1 - alpha / 2, n - 1)
    shift = effect * math.sqrt(n)
    return float(stats.nct.sf(critical, n - 1, shift) + stats.nct.cdf(-critical, n - 1, shift))
