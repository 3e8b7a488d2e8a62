"""How a claim is judged: from numbers over seeds to a finding, and from all findings of a study to verdicts.

A judge compares an estimate with a threshold that was fixed beforehand. It gives two one-sided p-values: ``p_for``
against "the claim is false" and ``p_against`` against "the claim is true". Over the claims of a study both are adjusted
by Holm; a claim is *reproduced* or *contradicted* where the adjusted value is at most :data:`ALPHA`, which a 95 %
interval that lies on one side of the threshold says for a single claim. Everything else is *undecided*.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
from scipy import stats

from tightrope._plumbing import rich
from tightrope._plumbing.errors import UserError
from tightrope.studies.statistics import Interval, detectable, geometric_mean, holm, mean, seeds_needed, spearman
from tightrope.studies.statistics.intervals import Values, finite, positive

ALPHA: Final = 0.025
"""One-sided level of either verdict."""

Verdict = Literal["reproduced", "contradicted", "undecided", "not tested"]


@dataclass(frozen=True)
class Finding:
    """What the rows say about one claim.

    Attributes:
        estimate: Our number with its 95 % interval.
        quantity: What that number is.
        p_for: Probability of numbers so much in favour if the claim just fails.
        p_against: Probability of numbers so much against it if the claim just holds.
        exact: Nothing random enters: the claim holds or it does not, and no correction applies.
        effect: Mean distance from the threshold, positive for the claim, in the units of the judgement (logarithms for
            ratios); NaN where there is none.
        spread: Standard deviation of those distances over seeds.
        note: What else to know, such as diverged runs.
    """

    estimate: Interval
    quantity: str
    p_for: float
    p_against: float
    exact: bool = False
    effect: float = math.nan
    spread: float = math.nan
    note: str = ""

    @property
    def detectable(self) -> float:
        """Smallest distance from the threshold that so many seeds find with power 0.8; NaN where it has no meaning."""
        return math.nan if math.isnan(self.spread) else detectable(self.spread, self.estimate.n, alpha=2 * ALPHA)

    def more(self, claims: int = 1) -> int | None:
        """Further seeds that find an effect as large as the one seen with power 0.8; None where that cannot be said.

        Args:
            claims: Claims of the study that chance plays a part in: the level is divided among them.
        """
        if math.isnan(self.spread):
            return None
        try:
            needed = seeds_needed(self.effect, self.spread, alpha=2 * ALPHA / claims)
        except UserError:  # the effect seen is all but zero
            return None
        return max(needed - self.estimate.n, 1)

    def _repr_html_(self) -> str:
        """As a notebook shows it."""
        one = self.estimate
        rows = [
            ("uncertainty", rich.interval(one.low, one.high)),
            ("seeds or units", one.n),
            ("p, if the claim just fails", rich.number(self.p_for)),
            ("p, if it just holds", rich.number(self.p_against)),
        ]
        return rich.table(f"{self.quantity}: {rich.number(one.value)}", rows, [self.note] if self.note else [])

    def noted(self, note: str) -> Finding:
        """The same with a note added."""
        return replace(self, note="; ".join(filter(None, (self.note, note))))


def verdicts(found: Mapping[str, Finding | None]) -> dict[str, Verdict]:
    """The verdict on every claim of a study, Holm-corrected over those in which chance plays a part.

    Args:
        found: Claims' findings; None for those not tested.
    """
    random = [name for name, finding in found.items() if finding is not None and not finding.exact]
    pro = dict(zip(random, holm([_of(found[name]).p_for for name in random]), strict=True))
    contra = dict(zip(random, holm([_of(found[name]).p_against for name in random]), strict=True))
    result: dict[str, Verdict] = {}
    for name, finding in found.items():
        if finding is None:
            result[name] = "not tested"
        elif pro.get(name, finding.p_for) <= ALPHA:
            result[name] = "reproduced"
        elif contra.get(name, finding.p_against) <= ALPHA:
            result[name] = "contradicted"
        else:
            result[name] = "undecided"
    return result


def _of(finding: Finding | None) -> Finding:
    assert finding is not None
    return finding


def average(
    numbers: Values, quantity: str, *, above: float | None = None, below: float | None = None, log: bool = False
) -> Finding:
    """Judge that the mean over seeds lies above or below a threshold.

    Args:
        numbers: One a run.
        quantity: What they are.
        above: The claim's threshold from below.
        below: The claim's threshold from above; give one of the two.
        log: Judge the geometric mean.

    Raises:
        UserError: Not exactly one threshold, or fewer than two runs.
    """
    x = np.log(positive(numbers)) if log else finite(numbers)
    level, sign = _threshold(above, below)
    if log:
        level = math.log(level)
    shown = (geometric_mean if log else mean)(numbers)
    return _student(sign * (x - level), shown, quantity)


def paired_ratio(
    treated: Values, control: Values, quantity: str, *, above: float | None = None, below: float | None = None
) -> Finding:
    """Judge that treated over control, paired by seed, lies above or below a threshold, on the log scale."""
    a, b = positive(treated), positive(control)
    if len(a) != len(b):
        raise UserError(f"Expected pairs of runs, got {len(a)} and {len(b)}; pair them by seed.")
    return average(a / b if len(a) else a, quantity, above=above, below=below, log=True)


def paired_difference(
    treated: Values, control: Values, quantity: str, *, above: float | None = None, below: float | None = None
) -> Finding:
    """Judge that treated less control, paired by seed, lies above or below a threshold."""
    a, b = finite(treated), finite(control)
    if len(a) != len(b):
        raise UserError(f"Expected pairs of runs, got {len(a)} and {len(b)}; pair them by seed.")
    return average(a - b, quantity, above=above, below=below)


def steadier(treated: Values, control: Values, quantity: str) -> Finding:
    """Distances of numbers from their own arm's median, paired: below 0 where treated runs differ less from each other.

    Source: Brown and Forsythe 1974, whose distances these are; two arms' levels do not enter.
    """
    a, b = (np.abs(arm - np.median(arm)) for arm in (finite(treated), finite(control)))
    return paired_difference(a, b, quantity, below=0.0)


def within(numbers: Values, quantity: str, low: float, high: float, *, log: bool = False) -> Finding:
    """Judge that the mean lies between two thresholds: two one-sided tests for it, the nearer end against it."""
    lower, upper = average(numbers, quantity, above=low, log=log), average(numbers, quantity, below=high, log=log)
    nearer = lower if lower.p_for > upper.p_for else upper
    against = min(1.0, 2 * min(lower.p_against, upper.p_against))
    return replace(nearer, p_for=max(lower.p_for, upper.p_for), p_against=against)


def exactly(errors: Values, quantity: str, *, tolerance: float) -> Finding:
    """Judge a deterministic claim: the largest error is at most the tolerance."""
    worst, n = float(finite(errors).max()), len(finite(errors))
    wrong = float(worst > tolerance)
    return Finding(Interval(worst, math.nan, math.nan, n), quantity, wrong, 1.0 - wrong, exact=True)


def share(hits: int, runs: int, quantity: str, *, above: float | None = None, below: float | None = None) -> Finding:
    """Judge that runs do something more, or less, often than a threshold: exact binomial tests, Clopper and Pearson.

    Raises:
        UserError: No runs.
    """
    level, sign = _threshold(above, below)
    if not 0 <= hits <= runs or runs < 1:
        raise UserError(f"Expected between 0 and {runs} of {runs} runs, got {hits}; count again.")
    more_often = float(stats.binomtest(hits, runs, level, "greater").pvalue)
    less_often = float(stats.binomtest(hits, runs, level, "less").pvalue)
    ends = stats.binomtest(hits, runs).proportion_ci(0.95)
    p_for, p_against = (more_often, less_often) if sign > 0 else (less_often, more_often)
    estimate = Interval(hits / runs, float(ends.low), float(ends.high), runs)
    return Finding(estimate, quantity, p_for, p_against, note=f"{hits} of {runs} runs")


def worse(treated: Values, control: Values, quantity: str, *, above: float = 0.5) -> Finding:
    """Judge how often the treated arm ends with the larger number than its partner: exact binomial test over pairs.

    For measures of which small is good. A diverged run counts as infinity, worse than any that ended, so that
    divergence is judged and not left out. Pairs that are equal, two diverged runs among them, say nothing: they are
    left out and counted in the note.

    Args:
        treated: One number a pair, or infinity.
        control: Its partner's.
        quantity: What the share is.
        above: The claim's threshold from below.

    Raises:
        UserError: Other counts of the two, a NaN, or no pair that says anything.
    """
    a, b = np.asarray(treated, dtype=float), np.asarray(control, dtype=float)
    if a.shape != b.shape or np.isnan(a).any() or np.isnan(b).any():
        raise UserError(f"Expected pairs of numbers or infinities, got {len(a)} and {len(b)}; pair them by seed.")
    ties = int((a == b).sum())
    if ties == len(a):
        raise UserError(f"Expected pairs that differ, got {ties} ties, diverged pairs among them; nothing can be told.")
    found = share(int((a > b).sum()), len(a) - ties, quantity, above=above)
    return found.noted(f"{ties} ties left out" if ties else "")


def shares(treated: tuple[int, int], control: tuple[int, int], quantity: str, *, more: bool = True) -> Finding:
    """Judge that one arm's runs do something more (or less) often than the other's: Fisher's exact test.

    Args:
        treated: Hits and runs.
        control: Hits and runs.
        quantity: What is counted.
        more: Whether the claim is that the treated arm does it more often.
    """
    (a, n), (b, m) = treated, control
    table = [[a, n - a], [b, m - b]]
    greater = float(stats.fisher_exact(table, "greater").pvalue)
    less = float(stats.fisher_exact(table, "less").pvalue)
    gap = a / n - b / m
    half = 1.96 * math.sqrt((a / n) * (1 - a / n) / n + (b / m) * (1 - b / m) / m + 1 / (4 * n * m))
    estimate = Interval(gap, max(-1.0, gap - half), min(1.0, gap + half), min(n, m))
    p_for, p_against = (greater, less) if more else (less, greater)
    return Finding(estimate, quantity, p_for, p_against, note=f"{a} of {n} against {b} of {m} runs")


def correlation(x: Values, y: Values, quantity: str, *, above: float = 0.0) -> Finding:
    """Judge that the rank correlation of independent runs lies above a threshold (Fisher's z)."""
    found = spearman(x, y)
    deviation = math.sqrt((1 + found.value**2 / 2) / max(found.n - 3, 1))
    r = min(max(found.value, -0.999999), 0.999999)
    z = (math.atanh(r) - math.atanh(above)) / deviation
    return Finding(found, quantity, float(stats.norm.sf(z)), float(stats.norm.cdf(z)))


def _threshold(above: float | None, below: float | None) -> tuple[float, int]:
    if above is not None and below is None:
        return above, 1
    if below is not None and above is None:
        return below, -1
    raise UserError(f"Expected one threshold, above or below, got {above} and {below}; give one.")


def _student(margin: np.ndarray, shown: Interval, quantity: str) -> Finding:
    """From margins, positive where a run speaks for the claim."""
    n = len(margin)
    if n < 2:
        raise UserError(f"A judgement over seeds needs two runs at least, got {n}; give more seeds.")
    centre, spread = float(margin.mean()), float(margin.std(ddof=1))
    if spread == 0:  # all runs agree to the last bit
        p_for = 0.5 if centre == 0 else float(centre < 0)
        return Finding(shown, quantity, p_for, 1 - p_for)
    t = centre / (spread / math.sqrt(n))
    p_for = float(stats.t.sf(t, n - 1))
    return Finding(shown, quantity, p_for, 1 - p_for, effect=centre, spread=spread)
