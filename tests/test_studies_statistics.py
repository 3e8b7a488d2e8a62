"""Statistics over seeds: values against SciPy and hand calculation, coverage and levels by simulation."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from tightrope._plumbing.errors import UserError
from tightrope.studies import statistics as over_seeds

A = [1.92, 2.31, 1.78, 2.05, 2.6, 1.99]
B = [1.41, 1.95, 1.62, 1.33, 2.2, 1.71]


def close(found, low, high):
    assert (found.low, found.high) == (pytest.approx(low, rel=1e-9), pytest.approx(high, rel=1e-9))


def test_means_and_differences_are_students():
    t = stats.ttest_rel(A, B).confidence_interval(0.9)
    close(over_seeds.difference(A, B, level=0.9), t.low, t.high)
    t = stats.ttest_ind(A, B, equal_var=False).confidence_interval()
    close(over_seeds.difference(A, B, paired=False), t.low, t.high)
    t = stats.ttest_rel(np.log(A), np.log(B)).confidence_interval()
    close(over_seeds.ratio(A, B), math.exp(t.low), math.exp(t.high))
    assert over_seeds.geometric_mean([1.0, 4.0]).value == pytest.approx(2.0)
    assert over_seeds.mean(A).n == 6 and over_seeds.mean(A).excludes(1.0) and not over_seeds.mean(A).excludes(2.0)


def test_runs_of_a_cluster_count_as_one():
    cells = ["a", "a", "b", "b", "c", "c"]
    found = over_seeds.mean(A, clusters=cells)
    whole = over_seeds.mean([np.mean(A[i : i + 2]) for i in (0, 2, 4)])
    assert found == whole and found.n == 3
    copied = over_seeds.mean(A * 10, clusters=list(range(6)) * 10)
    assert copied.low == pytest.approx(over_seeds.mean(A).low), "more copies of the same runs are no more evidence"


def test_one_run_has_no_interval():
    found = over_seeds.mean([3.0])
    assert found.value == 3.0 and math.isnan(found.low) and not found.excludes(100.0)


def test_variance_ratio_of_scaled_arms_and_its_direction():
    found = over_seeds.variance_ratio([3 * v for v in A], A)
    assert found.value == pytest.approx(9.0) and found.low < 9 < found.high
    assert over_seeds.variance_ratio(A, [3 * v for v in A]).value == pytest.approx(1 / 9)


def test_a_correlation_between_setups_is_not_one_within_them():
    rng = np.random.default_rng(0)
    cells = np.repeat(np.arange(8), 5)
    inside = rng.normal(size=40)
    x, y = 10.0 * cells + inside, -10.0 * cells + inside
    between, within = (f(x, y, list(cells)) for f in (over_seeds.correlation_between, over_seeds.correlation_within))
    assert (between.value, between.n) == (-1.0, 8) and -1.0 == between.low < between.high < -0.7
    assert within.value == pytest.approx(1.0) and 0.7 < within.low < within.high == 1.0
    r = stats.spearmanr(A, B).statistic
    found = over_seeds.spearman(A, B)
    half = 1.959963985 * math.sqrt((1 + r * r / 2) / 3)
    close(found, math.tanh(math.atanh(r) - half), math.tanh(math.atanh(r) + half))


def test_bootstrap_agrees_with_scipys_and_draws_clusters_whole():
    rng = np.random.default_rng(1)
    x = rng.gamma(2.0, size=40)
    found = over_seeds.bootstrap(lambda rows: float(np.mean(rows)), x, resamples=9999)
    theirs = stats.bootstrap((x,), np.mean, method="BCa", n_resamples=9999, rng=rng).confidence_interval
    assert found.low == pytest.approx(theirs.low, abs=0.03) and found.high == pytest.approx(theirs.high, abs=0.03)
    shared = np.repeat(x[:10], 20)
    whole = over_seeds.bootstrap(lambda rows: float(np.mean(rows)), shared, clusters=list(np.repeat(np.arange(10), 20)))
    free = over_seeds.bootstrap(lambda rows: float(np.mean(rows)), shared)
    assert whole.n == 10 and whole.high - whole.low > 3 * (free.high - free.low)


def test_permutations_are_all_tried_where_there_are_few():
    d = np.array(A) - np.array(B)
    by_hand = np.mean([abs(np.dot(s, d)) >= abs(d.sum()) - 1e-12 for s in itertools.product((1, -1), repeat=6)])
    assert over_seeds.permutation_test(A, B) == by_hand == 2 / 64
    theirs = stats.permutation_test((A, B), lambda a, b: np.mean(a) - np.mean(b), vectorized=False, n_resamples=np.inf)
    assert over_seeds.permutation_test(A, B, paired=False) == pytest.approx(theirs.pvalue)
    assert over_seeds.permutation_test([0.0, 1.0, 2.0], [0.0, 1.0, 2.0]) == 1.0
    many = np.random.default_rng(0).normal(size=40)
    assert 0 < over_seeds.permutation_test(many + 3, many * 0) < 0.001, "never zero"


def test_holm_by_hand():
    assert over_seeds.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert over_seeds.holm([0.9, 0.8]) == [1.0, 1.0]


def test_probability_of_improvement_counts_ties_half():
    assert over_seeds.probability_of_improvement([1.0, 2.0], [2.0, 3.0]) == 0.875
    assert over_seeds.probability_of_improvement([1.0, 2.0], [2.0, 3.0], lower_is_better=False) == 0.125


def test_equivalence_needs_the_whole_interval_inside():
    gap = over_seeds.Interval(0.1, -0.2, 0.4, 5)
    assert (
        over_seeds.equivalent(gap, 0.5) and not over_seeds.equivalent(gap, 0.3) and not over_seeds.equivalent(gap, 0.1)
    )
    assert not over_seeds.equivalent(over_seeds.mean([0.0]), 1.0), "no interval shows nothing"


def test_detectable_effect_and_seeds_needed_are_each_others_inverse():
    # Tables of Cohen 1988: 34 pairs find half a standard deviation at a power of 0.8; 80 % of simulated tests do.
    assert over_seeds.seeds_needed(0.5, 1.0) == 34
    assert over_seeds.detectable(2.0, 34) == pytest.approx(1.0, rel=0.02)
    effect = over_seeds.detectable(1.0, 8)
    rng = np.random.default_rng(3)
    hits = stats.ttest_1samp(rng.normal(effect, 1.0, (20_000, 8)), 0.0, axis=1).pvalue < 0.05
    assert hits.mean() == pytest.approx(0.8, abs=0.01)
    assert over_seeds.detectable(1.0, 1) == math.inf
    with pytest.raises(UserError, match="more than"):
        over_seeds.seeds_needed(1e-6, 1.0)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: over_seeds.mean([1.0, math.nan]), "count diverged runs"),
        (lambda: over_seeds.geometric_mean([1.0, 0.0]), "positive"),
        (lambda: over_seeds.difference(A, B[:3]), "as many runs"),
        (lambda: over_seeds.difference(A, B, paired=False, clusters=list("aabbcc")), "pair the arms"),
        (lambda: over_seeds.mean(A, clusters=["a"]), "a cluster for each"),
        (lambda: over_seeds.variance_ratio([1.0, 1.0, 1.0], A), "three different values"),
        (lambda: over_seeds.spearman(A, [1.0] * 6), "not all equal"),
        (lambda: over_seeds.correlation_within(A, B, [0, 1, 2, 3, 4, 5]), "more seeds a setup"),
    ],
)
def test_what_cannot_be_said_is_refused(call, sentence):
    with pytest.raises(UserError, match=sentence):
        call()


def coverage(interval, draw, truth, repeats=1500, seed=0):
    rng = np.random.default_rng(seed)
    return sum(not interval(*draw(rng)).excludes(truth) for _ in range(repeats)) / repeats


@pytest.mark.parametrize("n", [5, 10, 30])
def test_intervals_cover_what_they_promise(n):
    """Of 1,500 intervals of 95 %, 93 to 97 % hold the truth; the simulation's own error is 0.6 %."""
    bounds = (0.93, 0.97)

    def normal(rng):
        return (rng.normal(1.0, 2.0, n),)

    def skewed(rng):
        return (np.exp(rng.normal(0.3, 0.6, n)),)

    def unequal(rng):
        return rng.normal(1.0, 2.0, n), rng.normal(0.0, 1.0, n)

    def clustered(rng):
        return (np.repeat(rng.normal(1.0, 1.0, n), 4) + rng.normal(0.0, 0.5, 4 * n),)

    cells = list(np.repeat(np.arange(n), 4))
    assert bounds[0] < coverage(over_seeds.mean, normal, 1.0) < bounds[1]
    assert bounds[0] < coverage(over_seeds.geometric_mean, skewed, math.exp(0.3)) < bounds[1]
    assert bounds[0] < coverage(lambda a, b: over_seeds.difference(a, b, paired=False), unequal, 1.0) < 0.975
    assert bounds[0] < coverage(lambda x: over_seeds.mean(x, clusters=cells), clustered, 1.0) < bounds[1]
    assert coverage(over_seeds.mean, clustered, 1.0) < 0.8, "as if the runs of a cell were independent"
    assert bounds[0] < coverage(over_seeds.variance_ratio, unequal, 4.0, repeats=600) < 0.985


@pytest.mark.parametrize("n", [6, 12])
def test_tests_hold_their_level(n):
    rng = np.random.default_rng(5)
    p = [
        over_seeds.permutation_test(rng.exponential(size=n), rng.exponential(size=n), resamples=400) for _ in range(800)
    ]
    assert np.mean(np.array(p) <= 0.05) <= 0.065
    families = [over_seeds.holm(list(rng.uniform(size=6))) for _ in range(2000)]
    assert np.mean([min(family) <= 0.05 for family in families]) == pytest.approx(0.05, abs=0.012)
