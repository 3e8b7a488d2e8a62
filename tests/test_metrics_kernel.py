from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from tightrope.metrics import block_kernel_distance, kernel_distance


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def slow_mmd2(x: Tensor, y: Tensor, degree: int = 3, offset: float = 1.0) -> float:
    def k(a, b):
        return (float(a @ b) / len(a) + offset) ** degree

    n, m = len(x), len(y)
    within_x = sum(k(x[i], x[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    within_y = sum(k(y[i], y[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    return within_x + within_y - 2 * sum(k(a, b) for a in x for b in y) / (n * m)


@pytest.mark.parametrize(("n", "m", "d", "degree", "offset"), [(7, 9, 4, 3, 1.0), (6, 5, 2, 2, 0.0), (5, 8, 3, 1, 0.5)])
def test_value_and_jackknife_against_loops(n, m, d, degree, offset):
    x, y = normal(n, d), 0.5 + normal(m, d, seed=1)
    result = kernel_distance(x, y, degree=degree, offset=offset)
    assert result.value == pytest.approx(slow_mmd2(x, y, degree, offset), rel=1e-10)
    without_x = [slow_mmd2(torch.cat([x[:i], x[i + 1 :]]), y, degree, offset) for i in range(n)]
    without_y = [slow_mmd2(x, torch.cat([y[:i], y[i + 1 :]]), degree, offset) for i in range(m)]
    variance = sum((len(v) - 1) * np.var(v) for v in (without_x, without_y))
    assert result.standard_error == pytest.approx(math.sqrt(variance), rel=1e-8)


def test_long_sets_are_summed_in_strips(monkeypatch):
    x, y = normal(50, 3), normal(40, 3, seed=1)
    whole = kernel_distance(x, y)
    monkeypatch.setattr("tightrope.metrics._products.ENTRIES", 200)
    monkeypatch.setattr("tightrope.metrics._products.WHOLE", 0)
    assert kernel_distance(x, y).value == pytest.approx(whole.value, rel=1e-12)


def test_unbiased_with_an_honest_error():
    """600 draws: the mean is the population value within four standard errors; the error is right to a tenth.

    For x ~ N(0, 1) and y ~ N(a, 1) in one dimension, MMD^2 of (1 + xy)^3 is sum_k binom(3, k) (E x^k - E y^k)^2.
    """
    a = 0.5
    moments = [0.0, -a, -(a**2), -(a**3 + 3 * a)]
    expected = sum(math.comb(3, k) * moments[k] ** 2 for k in range(4))
    rng = torch.Generator().manual_seed(0)
    draws = [
        kernel_distance(
            torch.randn(80, 1, generator=rng, dtype=torch.float64),
            a + torch.randn(60, 1, generator=rng, dtype=torch.float64),
        )
        for _ in range(600)
    ]
    values = torch.tensor([draw.value for draw in draws])
    assert abs(values.mean() - expected) < 4 * values.std() / math.sqrt(600)
    errors = torch.tensor([draw.standard_error for draw in draws]).square().mean().sqrt()
    assert float(errors / values.std()) == pytest.approx(1.0, abs=0.15)


def test_zero_in_the_mean_for_one_distribution():
    rng = torch.Generator().manual_seed(0)
    values = torch.tensor(
        [kernel_distance(*torch.randn(2, 30, 4, generator=rng, dtype=torch.float64)).value for _ in range(400)]
    )
    assert abs(values.mean()) < 4 * values.std() / 20
    assert values.min() < 0


def test_blocks():
    x, y = normal(60, 5), 0.5 + normal(50, 5, seed=1)
    whole = block_kernel_distance(x[:50], y, blocks=2, size=50, rng=torch.Generator().manual_seed(0))
    assert whole.value == pytest.approx(kernel_distance(x[:50], y).value, rel=1e-10)
    assert whole.standard_error == pytest.approx(0.0, abs=1e-12)
    rng = torch.Generator().manual_seed(0)
    result = block_kernel_distance(x, y, blocks=300, size=20, rng=rng)
    exact = kernel_distance(x, y)
    assert abs(result.value - exact.value) < 4 * result.standard_error / math.sqrt(300)
    again = block_kernel_distance(x, y, blocks=300, size=20, rng=torch.Generator().manual_seed(0))
    assert again == result


def test_one_block_by_hand():
    """The blocks' values are the unbiased estimate of the drawn rows; their spread is the population's deviation."""
    x, y = normal(9, 3), 1 + normal(8, 3, seed=1)
    rng = torch.Generator().manual_seed(4)
    drawn = [[v[torch.randperm(len(v), generator=rng)[:5]] for v in (x, y)] for _ in range(3)]
    values = [slow_mmd2(a, b) for a, b in drawn]
    result = block_kernel_distance(x, y, blocks=3, size=5, rng=torch.Generator().manual_seed(4))
    assert result.value == pytest.approx(np.mean(values), rel=1e-10)
    assert result.standard_error == pytest.approx(np.std(values), rel=1e-8)


def test_moves_the_right_way():
    real, fresh = normal(300, 6), normal(300, 6, seed=1)
    shifted = [kernel_distance(real, fresh + s).value for s in (0.0, 0.3, 0.6)]
    widened = [kernel_distance(real, fresh * s).value for s in (1.0, 1.5, 2.0)]
    assert shifted == sorted(shifted)
    assert widened == sorted(widened)
    collapsed = kernel_distance(real, fresh[:1].expand(300, 6))
    assert math.isfinite(collapsed.value)
    assert collapsed.value > 0.5


def test_refusals():
    x = normal(10, 3)
    with pytest.raises(ValueError, match="degree"):
        kernel_distance(x, x, degree=0)
    with pytest.raises(ValueError, match="offset"):
        block_kernel_distance(x, x, size=5, offset=-1.0)
    with pytest.raises(ValueError, match="At least 3"):
        kernel_distance(x, x[:2])
    with pytest.raises(ValueError, match="smaller blocks"):
        block_kernel_distance(x, x)


def test_a_kernel_beyond_the_range_of_numbers_is_refused():
    x = normal(10, 3)
    for distance in (kernel_distance, lambda a, b, **more: block_kernel_distance(a, b, size=5, blocks=3, **more)):
        with pytest.raises(ValueError, match="range of float64"):
            distance(x, 1e150 * x)
        with pytest.raises(ValueError, match="range of float64"):
            distance(x, x, offset=1e300)
