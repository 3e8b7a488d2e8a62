"""Findings and verdicts: what rows say of a threshold, and how often that is wrong."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from tightrope._plumbing.errors import UserError
from tightrope.studies import augmentation, conditioning_images, published
from tightrope.studies.design import Contrast, Row, pairs, pairs_or_diverged
from tightrope.studies.findings import (
    ALPHA,
    Finding,
    average,
    correlation,
    exactly,
    paired_difference,
    paired_ratio,
    share,
    shares,
    verdicts,
    within,
    worse,
)


def verdict(finding: Finding) -> str:
    return verdicts({"it": finding})["it"]


def test_a_clear_difference_is_reproduced_its_opposite_contradicted_and_a_hint_undecided() -> None:
    low, high = [1.0, 1.1, 0.9, 1.05, 0.95], [2.0, 2.3, 1.7, 2.2, 1.9]
    assert verdict(paired_ratio(low, high, "ratio", below=1.0)) == "reproduced"
    assert verdict(paired_ratio(high, low, "ratio", below=1.0)) == "contradicted"
    assert verdict(paired_difference(low, high, "gap", above=0.0)) == "contradicted"
    hint = average([0.1, 0.5, -0.3, 0.4, 0.2], "gap", above=0.0)
    assert verdict(hint) == "undecided"
    assert hint.more() is not None and hint.more(5) > hint.more() > 0
    assert verdict(average([1.0, 1.0, 1.0], "all at the threshold", above=1.0)) == "undecided"


def test_equivalence_needs_both_ends() -> None:
    assert verdict(within([1.0, 1.02, 0.98, 1.01, 0.99], "ratio", 0.8, 1.25, log=True)) == "reproduced"
    assert verdict(within([2.0, 2.02, 1.98, 2.01, 1.99], "ratio", 0.8, 1.25, log=True)) == "contradicted"
    assert verdict(within([0.4, 2.0, 1.0, 0.7, 1.5], "ratio", 0.8, 1.25, log=True)) == "undecided"


def test_counts_correlations_and_exact_claims() -> None:
    assert verdict(share(0, 20, "collapsed", below=0.5)) == "reproduced"
    assert verdict(share(20, 20, "collapsed", below=0.5)) == "contradicted"
    assert verdict(shares((6, 6), (0, 6), "collapsed")) == "reproduced"
    assert verdict(shares((6, 6), (0, 6), "collapsed", more=False)) == "contradicted"
    x = np.arange(20.0)
    assert verdict(correlation(x, x**2, "rank correlation", above=0.5)) == "reproduced"
    assert verdict(correlation(x, -x, "rank correlation", above=0.5)) == "contradicted"
    assert verdict(exactly([1e-12, 1e-9], "error", tolerance=1e-8)) == "reproduced"
    assert verdict(exactly([1e-12, 1e-7], "error", tolerance=1e-8)) == "contradicted"


@pytest.mark.parametrize("n", [5, 10])
@pytest.mark.parametrize("draw", ["normal", "lognormal"])
def test_a_claim_at_its_threshold_is_rarely_decided(n: int, draw: str) -> None:
    """The rate of either verdict, where the truth is the threshold itself, is at most the level (4,000 studies)."""
    rng, wrong = np.random.default_rng(3), {"reproduced": 0, "contradicted": 0}
    for _ in range(4000):
        x = rng.normal(size=n) if draw == "normal" else np.exp(rng.normal(size=n))
        finding = average(x, "x", above=0.0) if draw == "normal" else average(x, "x", above=1.0, log=True)
        if (found := verdict(finding)) in wrong:
            wrong[found] += 1
    for count in wrong.values():
        assert count / 4000 <= ALPHA + 3 * (ALPHA / 4000) ** 0.5


def test_many_false_claims_of_one_study_seldom_have_one_reproduced() -> None:
    rng = np.random.default_rng(4)
    false = sum(
        "reproduced" in verdicts({str(k): average(rng.normal(size=8), "x", above=0.0) for k in range(12)}).values()
        for _ in range(1500)
    )
    assert false / 1500 <= ALPHA + 3 * (ALPHA / 1500) ** 0.5


def test_a_correction_needs_more_of_each_claim() -> None:
    alone = average([0.9, 1.4, 0.2, 0.7, 1.6, 0.3], "x", above=0.0)
    assert ALPHA / 10 < alone.p_for <= ALPHA and verdict(alone) == "reproduced"
    others = {str(k): replace(alone, p_for=0.4, p_against=0.6) for k in range(9)}
    assert verdicts({"it": alone, **others})["it"] == "undecided"


def test_diverged_runs_are_left_out_of_both_arms_and_pairs_go_by_seed() -> None:
    fast, slow = {"arm": "fast", "rate": 0.5, "steps": 20}, {"arm": "slow", "rate": 0.05, "steps": 20}
    rows = [Row(c, seed, values={"m": seed + (c is slow)}) for c in (slow, fast) for seed in (3, 1, 2)]
    contrast = Contrast({"arm": "fast"}, {"arm": "slow"}, differs=("arm", "rate"))
    assert pairs(rows, "m", contrast) == ([1.0, 2.0, 3.0], [2.0, 3.0, 4.0])
    rows[1] = replace(rows[1], status="diverged", values={})
    assert pairs(rows, "m", contrast) == ([2.0, 3.0], [3.0, 4.0])


def test_a_diverged_run_counts_as_worse_than_any_that_ended():
    arm = {"critic": "clip"}, {"critic": "gp"}
    contrast = Contrast(*arm, ("critic",), alone="no price is meant")

    def row(where: dict[str, str], seed: int, fd: float | None) -> Row:
        status = "diverged" if fd is None else "ok"
        return Row({**where, "steps": 9}, seed, status, {} if fd is None else {"fd": fd})

    clip, gp = [None, None, 3.0, 1.0, None, None], [2.0, 9.0, 2.0, 2.0, None, 1.0]
    rows = [row(where, k, fd) for where, met in zip(arm, (clip, gp), strict=True) for k, fd in enumerate(met)]
    assert pairs(rows, "fd", contrast) == ([3.0, 1.0], [2.0, 2.0])
    both = pairs_or_diverged(rows, "fd", contrast)
    assert both == ([math.inf, math.inf, 3.0, 1.0, math.inf, math.inf], [2.0, 9.0, 2.0, 2.0, math.inf, 1.0])
    found = worse(*both, "share")  # worse in 4 of 5, the pair in which both diverge says nothing
    assert found.estimate.value == 0.8 and found.estimate.n == 5 and "1 ties left out" in found.note
    assert found.p_for == pytest.approx((5 + 1) / 32) and found.p_against == pytest.approx(31 / 32)
    with pytest.raises(UserError, match="diverged pairs among them"):
        worse([math.inf], [math.inf], "share")
    with pytest.raises(UserError, match="numbers or infinities"):
        worse([math.nan, 1.0], [1.0, 2.0], "share")


@pytest.mark.parametrize("n", [5, 10, 16])
def test_the_sign_test_of_diverged_pairs_holds_its_level(n: int):
    """Over all outcomes of fair pairs the verdict is false with probability at most alpha."""
    wrong = 0.0
    for hits in range(n + 1):
        treated = [math.inf] * hits + [0.0] * (n - hits)
        found = worse(treated, [1.0] * n, "share")
        wrong += math.comb(n, hits) / 2**n * (found.p_for <= ALPHA)
    assert wrong <= ALPHA


def of_arms(measure: str, key: str, arms: dict[str, list[float]], **more: object) -> list[Row]:
    return [
        Row({key: arm, "steps": 10, **more}, seed, values={measure: value})
        for arm, numbers in arms.items()
        for seed, value in enumerate(numbers)
    ]


def test_a_second_look_at_augmentation_doubles_the_p_values() -> None:
    few = {"diff": [0.6, 0.7, 0.8, 0.65, 0.75], "none": [1.0, 1.1, 0.9, 1.05, 0.95]}
    many = {arm: 2 * numbers for arm, numbers in few.items()}
    for arms, factor in ((few, 1), (many, 2)):
        plain = paired_ratio(arms["diff"], arms["none"], "distance, diff over none", below=1.0)
        judged = augmentation._distance(of_arms("frechet", "augment", arms, steps=augmentation.SHORT))
        assert judged.p_for == pytest.approx(factor * plain.p_for)
        assert judged.p_against == pytest.approx(min(1.0, factor * plain.p_against))
        assert judged.estimate == plain.estimate


@pytest.mark.parametrize(("clamped", "said"), [(0.1, "reproduced"), (10.0, "contradicted")])
def test_runs_are_steadier_by_their_distance_from_the_median_and_not_by_their_level(clamped: float, said: str) -> None:
    spread = [-1.0, 0.5, -0.25, 0.75, 1.25, -1.5, 2.0, -2.0]
    arms = {"clamped": [50.0 + clamped * one for one in spread], "plain": spread}
    contrast = Contrast({"arm": "clamped"}, {"arm": "plain"}, differs=("arm",))
    for study in (conditioning_images, published):
        assert verdict(study._steadier(contrast)(of_arms("log_fd", "arm", arms))) == said
