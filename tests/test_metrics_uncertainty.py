from __future__ import annotations

from statistics import fmean, stdev

import pytest
import torch
from torch import Tensor

from tightrope.metrics import frechet_bootstrap, frechet_distance, frechet_extrapolated


def draw(n: int, d: int, rng: torch.Generator) -> Tensor:
    return torch.randn(n, d, generator=rng, dtype=torch.float64)


def test_extrapolation_removes_nine_tenths_of_the_bias():
    """40 pairs of sets of 160 samples in 8 dimensions; the true distance is d (0.5^2 + 0.2^2)."""
    rng, d = torch.Generator().manual_seed(0), 8
    true = d * (0.5**2 + 0.2**2)
    pairs = [(draw(160, d, rng), 0.5 + 1.2 * draw(160, d, rng)) for _ in range(40)]
    bias = sum(frechet_distance(*pair) for pair in pairs) / 40 - true
    left = sum(frechet_extrapolated(*pair, rng=rng).value for pair in pairs) / 40 - true
    assert bias > 0.3
    assert abs(left) < 0.25 * bias  # a tenth, and three standard errors of the mean of 40 pairs


def test_bootstrap_error_is_the_spread_over_new_samples():
    """Spread over 60 new sets against the mean error of ten: right within a third, real set fixed or new."""
    rng, d, n = torch.Generator().manual_seed(0), 5, 300
    real = draw(n, d, rng)
    fakes = [0.5 + 1.2 * draw(n, d, rng) for _ in range(60)]
    fixed = torch.tensor([frechet_distance(real, fake) for fake in fakes]).std()
    both = torch.tensor([frechet_distance(draw(n, d, rng), fake) for fake in fakes]).std()
    assert both > fixed
    for resample_real, spread in ((False, fixed), (True, both)):
        errors = [
            frechet_bootstrap(real, fake, resamples=40, resample_real=resample_real, rng=rng).standard_error
            for fake in fakes[:10]
        ]
        assert float(torch.tensor(errors).mean() / spread) == pytest.approx(1.1, abs=0.3)


def test_the_value_is_the_distance_and_the_generator_decides_the_error():
    rng = torch.Generator().manual_seed(0)
    real, fake = draw(50, 3, rng), 1 + draw(40, 3, rng)
    results = [
        frechet_bootstrap(real, fake, resamples=5, rng=torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)
    ]
    assert results[0].value == frechet_distance(real, fake)
    assert results[0] == results[1]
    assert results[0].standard_error != results[2].standard_error
    assert results[0].interval[0] < results[0].value < results[0].interval[1]


def test_collapsed_samples_have_no_spread():
    rng = torch.Generator().manual_seed(0)
    real = draw(50, 3, rng)
    result = frechet_bootstrap(real, torch.ones(20, 3), resamples=5, rng=rng)
    assert result.standard_error == pytest.approx(0.0, abs=1e-12)


def test_refusals():
    rng = torch.Generator().manual_seed(0)
    x = draw(20, 8, rng)
    with pytest.raises(ValueError, match=r"8 dimensions needs at least 19 samples.*18 generated"):
        frechet_extrapolated(x, x[:18])
    with pytest.raises(ValueError, match="2 repeats"):
        frechet_extrapolated(x, x, repeats=1)
    with pytest.raises(ValueError, match="resamples"):
        frechet_bootstrap(x, x, resamples=1)


def test_the_error_of_an_extrapolation_is_that_of_a_mean_over_halvings():
    rng, again = torch.Generator().manual_seed(5), torch.Generator().manual_seed(5)
    sets = draw(60, 2, torch.Generator().manual_seed(0)), draw(70, 2, torch.Generator().manual_seed(1)) + 1
    found = frechet_extrapolated(*sets, repeats=3, rng=rng)
    halves = []
    for _ in range(3):
        (a, b), (c, d) = (v[torch.randperm(len(v), generator=again)].tensor_split(2) for v in sets)
        halves.append((frechet_distance(a, c) + frechet_distance(b, d)) / 2)
    assert found.standard_error == pytest.approx(stdev(halves) / 3**0.5, rel=1e-12)
    assert found.value == pytest.approx(2 * frechet_distance(*sets) - fmean(halves), rel=1e-12)
