from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tightrope.metrics import FeatureStatistics, frechet_distance, frechet_from_statistics, frechet_parts


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def slow_frechet(real: Tensor, fake: Tensor) -> float:
    """The textbook formula by the eigenvalues of the non-symmetric product of covariances."""
    a, b = real.numpy(), fake.numpy()
    s, t = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = np.sqrt(np.maximum(np.linalg.eigvals(s @ t).real, 0)).sum()
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(s) + np.trace(t) - 2 * root)


@pytest.mark.parametrize(("n", "m", "d"), [(60, 50, 4), (400, 300, 24), (300, 40, 24)])
def test_agrees_with_the_textbook_formula(n, m, d):
    mixing = normal(d, d, seed=3)
    real, fake = normal(n, d) @ mixing, 0.3 + 1.5 * normal(m, d, seed=1)
    expected = slow_frechet(real, fake)
    result = frechet_parts(real, fake)
    assert result.value == pytest.approx(expected, rel=1e-9)
    assert result.value == result.mean_term + result.covariance_term
    assert result.mean_term == pytest.approx(float((real.mean(0) - fake.mean(0)).square().sum()), rel=1e-12)
    assert not result.rank_deficient
    from_statistics = frechet_from_statistics(FeatureStatistics.of(real), FeatureStatistics.of(fake))
    assert from_statistics.value == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("n", "m", "d"), [(10, 15, 40), (10, 300, 40), (300, 10, 40), (40, 40, 40), (41, 40, 40)])
def test_fewer_samples_than_dimensions_is_exact(n, m, d):
    """The trace of the root is the nuclear norm of A B^T; the textbook formula agrees to the digits it has left."""
    real, fake = normal(n, d), 0.3 + 1.5 * normal(m, d, seed=1)
    a, b = (x - x.mean(0) for x in (real, fake))
    root = np.linalg.svd((a @ b.T).numpy(), compute_uv=False).sum() / math.sqrt((n - 1) * (m - 1))
    expected = float((real.mean(0) - fake.mean(0)).square().sum() + real.var(0).sum() + fake.var(0).sum()) - 2 * root
    result = frechet_parts(real, fake)
    assert result.rank_deficient
    assert result.value == pytest.approx(expected, rel=1e-12)
    assert slow_frechet(real, fake) == pytest.approx(expected, rel=1e-6)
    statistics = frechet_from_statistics(FeatureStatistics.of(real), FeatureStatistics.of(fake))
    assert statistics.rank_deficient
    assert statistics.value == pytest.approx(expected, rel=1e-10)


def test_diagonal_closed_form():
    """Exact covariances: points +-sqrt(n-1) e_i / sqrt 2 ... give diag(s^2) with mean shift known."""
    d, shift = 3, torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    scales = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64), torch.tensor([3.0, 0.1, 2.0], dtype=torch.float64)
    base = torch.cat([torch.eye(d, dtype=torch.float64), -torch.eye(d, dtype=torch.float64)])
    base = base * math.sqrt((2 * d - 1) / 2)
    expected = float(shift.square().sum() + (scales[0] - scales[1]).square().sum())
    assert frechet_distance(base * scales[0], base * scales[1] + shift) == pytest.approx(expected, rel=1e-12)


def test_collapsed_features_give_the_exact_finite_value():
    real = 2.0 * normal(200, 12)
    point = normal(1, 12, seed=5)
    collapsed = point.expand(100, 12)
    expected = float((real.mean(0) - point[0]).square().sum() + real.var(0).sum())
    for result in (
        frechet_parts(real, collapsed),
        frechet_parts(collapsed, real),
        frechet_from_statistics(FeatureStatistics.of(real), FeatureStatistics.of(collapsed)),
    ):
        assert result.rank_deficient
        assert result.value == pytest.approx(expected, rel=1e-12)
    both = frechet_parts(collapsed, collapsed + 1.0)
    assert both.value == pytest.approx(12.0, rel=1e-12)


def test_dead_and_duplicated_features():
    real, fake = normal(200, 8), 0.5 + 2 * normal(150, 8, seed=1)
    expected = slow_frechet(real, fake)
    dead_real = torch.cat([real, torch.full((200, 3), 7.0, dtype=torch.float64)], dim=1)
    dead_fake = torch.cat([fake, torch.full((150, 3), 6.0, dtype=torch.float64)], dim=1)
    dead = frechet_parts(dead_real, dead_fake)
    assert dead.rank_deficient
    assert dead.value == pytest.approx(expected + 3.0, rel=1e-12)
    # Doubling every feature doubles the squared distance.
    doubled = frechet_parts(torch.cat([real, real], dim=1), torch.cat([fake, fake], dim=1))
    assert doubled.rank_deficient
    assert doubled.value == pytest.approx(2 * expected, rel=1e-10)


@pytest.mark.parametrize("n", [20, 300])
def test_zero_for_equal_sets_and_symmetric(n):
    real, fake = normal(n, 32) * torch.logspace(0, -3, 32, dtype=torch.float64), normal(n, 32, seed=1)
    scale = float(real.var(0).sum())
    assert 0 <= frechet_distance(real, real) <= 1e-8 * scale
    assert frechet_distance(real, fake) == pytest.approx(frechet_distance(fake, real), rel=1e-10)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**31), scale=st.floats(0.01, 100), d=st.integers(1, 8))
def test_scales_as_a_square_and_ignores_rotation_and_translation(seed, scale, d):
    real, fake = normal(30, d, seed=seed), 1 + 2 * normal(25, d, seed=seed + 1)
    rotation = torch.linalg.qr(normal(d, d, seed=seed + 2)).Q
    value = frechet_distance(real, fake)
    assert frechet_distance(scale * real, scale * fake) == pytest.approx(scale**2 * value, rel=1e-8)
    assert frechet_distance(real @ rotation + 5, fake @ rotation + 5) == pytest.approx(value, rel=1e-8)


def test_single_precision_features_are_measured_in_double():
    real, fake = (1000 + normal(500, 6)).float(), (1000.1 + normal(500, 6, seed=1)).float()
    assert frechet_distance(real, fake) == pytest.approx(slow_frechet(real.double(), fake.double()), rel=1e-8)


def test_moves_the_right_way_under_noise_shift_and_lost_modes():
    centres = 4 * normal(5, 6, seed=9)
    real, fresh = (centres[torch.arange(600) % 5] + normal(600, 6, seed=seed) for seed in (1, 2))
    floor = frechet_distance(real, fresh)
    noise = [frechet_distance(real, fresh + s * normal(600, 6, seed=3)) for s in (0.5, 1.0, 2.0)]
    assert floor < noise[0] < noise[1] < noise[2]
    kept = [frechet_distance(real, fresh[torch.arange(600) % 5 < modes]) for modes in (5, 4, 2, 1)]
    assert kept == sorted(kept)
    assert kept[0] == pytest.approx(floor)


def test_statistics_do_not_depend_on_batches_or_order():
    features = 1e4 + normal(1000, 7) * torch.logspace(0, -2, 7, dtype=torch.float64)
    whole = FeatureStatistics.of(features)
    order = torch.randperm(1000, generator=torch.Generator().manual_seed(0))
    streamed = FeatureStatistics.empty(7)
    for batch in features[order].split(33):
        streamed = streamed.update(batch)
    halves = FeatureStatistics.of(features[:1]).merge(FeatureStatistics.of(features[1:]))
    reference = torch.from_numpy(np.cov(features.numpy(), rowvar=False))
    for statistics in (whole, streamed, halves):
        assert statistics.count == 1000
        torch.testing.assert_close(statistics.mean, features.mean(0), rtol=1e-13, atol=0)
        torch.testing.assert_close(statistics.covariance, reference, rtol=1e-9, atol=1e-12)
    other = FeatureStatistics.of(1e4 + normal(500, 7, seed=1))
    values = [frechet_from_statistics(s, other).value for s in (whole, streamed, halves)]
    assert max(values) - min(values) <= 1e-9


def test_merging_nothing_changes_nothing():
    some = FeatureStatistics.of(normal(5, 3))
    for merged in (some.merge(FeatureStatistics.empty(3)), FeatureStatistics.empty(3).merge(some)):
        assert merged.count == 5
        torch.testing.assert_close(merged.mean, some.mean)
        torch.testing.assert_close(merged.scatter, some.scatter)
    assert FeatureStatistics.empty(3).merge(FeatureStatistics.empty(3)).count == 0


def test_refusals_say_what_to_do():
    good = normal(10, 3)
    broken = good.clone()
    broken[4, 1] = math.nan
    with pytest.raises(ValueError, match=r"fake features must be finite, but 1 of 10 rows .*row 4"):
        frechet_distance(good, broken)
    with pytest.raises(ValueError, match="dimension"):
        frechet_distance(good, normal(10, 4))
    with pytest.raises(ValueError, match=r"shape \[n, d\].*flatten"):
        frechet_distance(good, normal(10, 1, 3))
    with pytest.raises(ValueError, match="At least 2 real"):
        frechet_distance(good[:1], good)
    with pytest.raises(ValueError, match="at least 2 samples"):
        FeatureStatistics.of(good[:1]).covariance
    with pytest.raises(ValueError, match="dimension"):
        FeatureStatistics.of(good).merge(FeatureStatistics.of(normal(4, 5)))
    with pytest.raises(ValueError, match="same dimension"):
        frechet_from_statistics(FeatureStatistics.of(good), FeatureStatistics.of(normal(4, 5)))
    infinite = FeatureStatistics(10, torch.full((3,), math.inf, dtype=torch.float64), torch.eye(3).double())
    with pytest.raises(ValueError, match="NaN or infinity"):
        frechet_from_statistics(FeatureStatistics.of(good), infinite)
