from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tightrope.metrics import sliced_wasserstein, transport, wasserstein1, weighted_wasserstein1


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def slow_wasserstein1(x: Tensor, y: Tensor, p: Tensor | None = None, q: Tensor | None = None) -> float:
    """The linear programme over transport plans, for any sizes."""
    from scipy.optimize import linprog

    n, m = len(x), len(y)
    p, q = (torch.full((k,), 1 / k, dtype=torch.float64) if w is None else w / w.sum() for k, w in ((n, p), (m, q)))
    cost = (x[:, None] - y[None]).square().sum(-1).sqrt().numpy()
    rows, columns = np.kron(np.eye(n), np.ones((1, m))), np.kron(np.ones((1, n)), np.eye(m))
    marginals = torch.cat([p, q]).numpy()
    return float(linprog(cost.ravel(), A_eq=np.vstack([rows, columns]), b_eq=marginals).fun)


def test_equal_sizes_against_all_permutations():
    x, y = normal(6, 2), 1 + normal(6, 2, seed=1)
    distances = (x[:, None] - y[None]).norm(dim=-1)
    best = min(float(distances[range(6), list(order)].mean()) for order in itertools.permutations(range(6)))
    assert wasserstein1(x, y) == pytest.approx(best, rel=1e-14)


@pytest.mark.parametrize(
    ("n", "m", "d"), [(7, 7, 3), (4, 6, 2), (3, 12, 2), (5, 7, 1), (9, 9, 1), (1, 5, 2), (4, 6, 1)]
)
def test_any_sizes_against_the_linear_programme(n, m, d):
    x, y = normal(n, d), 0.5 + normal(m, d, seed=1)
    assert wasserstein1(x, y) == pytest.approx(slow_wasserstein1(x, y), rel=1e-9)
    assert wasserstein1(y, x) == pytest.approx(wasserstein1(x, y), rel=1e-12)


@settings(max_examples=30, deadline=None)
@given(n=st.integers(1, 30), m=st.integers(1, 30), seed=st.integers(0, 1000))
def test_one_dimension_agrees_with_scipy(n, m, seed):
    from scipy.stats import wasserstein_distance

    x, y = normal(n, 1, seed=seed), 0.5 * normal(m, 1, seed=seed + 1).round(decimals=1)
    assert wasserstein1(x, y) == pytest.approx(wasserstein_distance(x[:, 0], y[:, 0]), rel=1e-10, abs=1e-12)


def test_a_translation_costs_its_length():
    x = normal(50, 3)
    shift = torch.tensor([0.3, -0.4, 1.2], dtype=torch.float64)
    assert wasserstein1(x, x + shift) == pytest.approx(1.3, rel=1e-12)
    assert wasserstein1(x, x[torch.randperm(50, generator=torch.Generator().manual_seed(0))]) == 0.0


def test_tiny_distances_far_from_the_origin_are_kept():
    x = 1e3 + normal(20, 2)
    assert wasserstein1(x, x + 1e-9) == pytest.approx(math.sqrt(2) * 1e-9, rel=1e-3)


def test_sizes_without_a_small_common_multiple_are_refused():
    with pytest.raises(ValueError, match=r"assignment of 9900 copies.*take 99 points"):
        wasserstein1(normal(100, 2), normal(99, 2))
    assert wasserstein1(normal(1000, 1), normal(999, 1)) < 0.2


def test_lost_modes_and_noise_increase_the_distance():
    centres = torch.tensor([[2.0, 0], [0, 2], [-2, 0], [0, -2]], dtype=torch.float64)
    real, fresh = (centres[torch.arange(200) % 4] + 0.1 * normal(200, 2, seed=s) for s in (1, 2))
    one = centres[torch.zeros(200, dtype=torch.int64)] + 0.1 * normal(200, 2, seed=2)
    floor = wasserstein1(real, fresh)
    assert floor < 0.1
    assert floor < wasserstein1(real, fresh + 0.3 * normal(200, 2, seed=3)) < wasserstein1(real, one)
    assert wasserstein1(real, one) > 1.5


def test_sliced_against_a_dense_average_over_angles():
    x, y = normal(40, 2), 0.5 + 1.5 * normal(30, 2, seed=1)
    angles = torch.arange(2000, dtype=torch.float64) * math.pi / 2000
    directions = torch.stack([angles.cos(), angles.sin()], dim=1)
    exact = np.mean([wasserstein1((x @ v)[:, None], (y @ v)[:, None]) for v in directions])
    value = sliced_wasserstein(x, y, projections=4000, rng=torch.Generator().manual_seed(0))
    assert value == pytest.approx(exact, rel=0.03)
    assert value <= wasserstein1(x.repeat(3, 1), y.repeat(4, 1))


def test_sliced_order_two_of_a_translation():
    """Along v a shift s costs (s.v)^2, whose mean over the sphere is |s|^2 / d."""
    x, shift = normal(20, 3), torch.tensor([3.0, 0.0, 4.0], dtype=torch.float64)
    rng = torch.Generator().manual_seed(0)
    value = sliced_wasserstein(x, x + shift, projections=20000, order=2, rng=rng)
    assert value == pytest.approx(5 / math.sqrt(3), rel=0.02)


def test_sliced_uses_the_given_generator_only():
    x, y = normal(10, 3), normal(12, 3, seed=1)
    before = torch.get_rng_state()
    values = [sliced_wasserstein(x, y, projections=5, rng=torch.Generator().manual_seed(s)) for s in (0, 0, 1)]
    assert values[0] == values[1] != values[2]
    assert torch.equal(before, torch.get_rng_state())


def test_refusals():
    with pytest.raises(ValueError, match="order"):
        sliced_wasserstein(normal(3, 2), normal(3, 2), order=3)
    with pytest.raises(ValueError, match="projection"):
        sliced_wasserstein(normal(3, 2), normal(3, 2), projections=0)
    with pytest.raises(ValueError, match="dimension"):
        wasserstein1(normal(3, 2), normal(3, 3))
    with pytest.raises(ValueError, match="finite"):
        wasserstein1(normal(3, 2), normal(3, 2) / 0)


@pytest.mark.parametrize(("n", "m", "d"), [(5, 7, 2), (6, 6, 3), (8, 5, 1), (1, 4, 1)])
def test_weights_against_the_linear_programme(n, m, d):
    x, y = normal(n, d), 0.5 + normal(m, d, seed=1)
    p, q = torch.arange(1.0, n + 1).double(), 3 * normal(m, seed=2).abs()
    expected = slow_wasserstein1(x, y, p, q)
    assert weighted_wasserstein1(x, y, p, q) == pytest.approx(expected, rel=1e-8)
    ones = torch.ones(n), torch.ones(m)
    assert weighted_wasserstein1(x, y, *ones) == pytest.approx(slow_wasserstein1(x, y), rel=1e-8)


def test_a_weight_of_zero_leaves_a_point_out():
    x, y = normal(4, 2), normal(5, 2, seed=1)
    weights = torch.tensor([1.0, 1.0, 0.0, 1.0])
    expected = weighted_wasserstein1(x[[0, 1, 3]], y, torch.ones(3), torch.ones(5))
    assert weighted_wasserstein1(x, y, weights, torch.ones(5)) == pytest.approx(expected, rel=1e-8)


def test_weights_are_checked():
    x, y = normal(4, 2), normal(5, 2, seed=1)
    for bad in (torch.ones(3), -torch.ones(4), torch.zeros(4), torch.ones(4) / 0):
        with pytest.raises(ValueError, match="weights of x must be 4 finite numbers"):
            weighted_wasserstein1(x, y, bad, torch.ones(5))


def test_large_weighted_problems_ask_for_pot(monkeypatch):
    import builtins

    genuine = builtins.__import__

    def without_pot(name, *arguments, **keywords):
        if name == "ot":
            raise ImportError(name)
        return genuine(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", without_pot)
    monkeypatch.setattr(transport, "MAX_PLAN", 10)
    with pytest.raises(ImportError, match=r"POT.*tightrope\[ot\]"):
        weighted_wasserstein1(normal(4, 2), normal(5, 2), torch.ones(4), torch.ones(5))


def slow_between_quantiles(a: list[float], b: list[float], order: int) -> float:
    """Mean of |a_i - b_j|^order over the lcm(n, m) equal pieces of (0, 1), each with its two quantiles."""
    a, b = sorted(a), sorted(b)
    pieces = math.lcm(len(a), len(b))
    gaps = [abs(a[k * len(a) // pieces] - b[k * len(b) // pieces]) ** order for k in range(pieces)]
    return math.fsum(gaps) / pieces


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize(("n", "m"), [(1, 5), (4, 6), (7, 5), (6, 6), (9, 3)])
def test_sliced_of_any_sizes_against_slow_quantiles(n, m, order):
    """In one dimension every direction is +1 or -1, so that nothing but the quantiles counts."""
    x, y = normal(n, 1), 0.4 + 2 * normal(m, 1, seed=1)
    expected = slow_between_quantiles(x[:, 0].tolist(), y[:, 0].tolist(), order) ** (1 / order)
    assert sliced_wasserstein(x, y, projections=3, order=order) == pytest.approx(expected, rel=1e-13)
    assert sliced_wasserstein(y, x, projections=3, order=order) == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize("order", [1, 2])
def test_sliced_in_several_dimensions_against_slow_quantiles(order):
    x, y = normal(5, 3), 0.4 + 2 * normal(7, 3, seed=1)
    value = sliced_wasserstein(x, y, projections=20, order=order, rng=torch.Generator().manual_seed(3))
    directions = torch.randn(20, 3, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    costs = [
        slow_between_quantiles((x @ v).tolist(), (y @ v).tolist(), order) / float(v.norm()) ** order for v in directions
    ]
    assert value == pytest.approx((math.fsum(costs) / 20) ** (1 / order), rel=1e-12)
