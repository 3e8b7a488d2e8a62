from __future__ import annotations

import math

import pytest
import torch

from tightrope.metrics import class_coverage, class_histogram, mode_coverage

MEANS = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [10.0, 10.0]])


def test_counts_by_hand():
    samples = torch.tensor([[0.0, 0.29], [0.31, 0.0], [10.0, 0.0], [10.0, 4.0]])
    result = mode_coverage(samples, MEANS, std=0.1)
    assert result.covered == 2
    assert result.missing == (2, 3)
    assert result.counts == (2, 2, 0, 0)
    assert result.high_quality == 0.5
    assert result.divergence == pytest.approx(math.log(2))
    wider = mode_coverage(samples, MEANS, std=0.1, within=4.0)
    assert wider.high_quality == 0.75


def test_a_sample_between_modes_covers_none():
    result = mode_coverage(torch.tensor([[5.0, 5.0], [4.0, 4.0]]), MEANS, std=0.1)
    assert result.covered == 0
    assert result.high_quality == 0.0
    assert sum(result.counts) == 2


def test_the_mixture_itself():
    """8,000 samples: the share of high quality is 1 - exp(-9/2) within four standard errors."""
    rng = torch.Generator().manual_seed(0)
    modes = torch.randint(4, (8000,), generator=rng)
    samples = MEANS[modes] + 0.5 * torch.randn(8000, 2, generator=rng)
    result = mode_coverage(samples, MEANS, std=0.5)
    expected = 1 - math.exp(-4.5)
    assert result.covered == 4
    assert abs(result.high_quality - expected) < 4 * math.sqrt(expected * (1 - expected) / 8000)
    assert result.divergence < 1e-3
    one_lost = mode_coverage(samples[modes < 3], MEANS, std=0.5)
    assert one_lost.covered == 3
    assert one_lost.divergence == pytest.approx(math.log(4 / 3), abs=1e-3)
    blurred = mode_coverage(samples + torch.randn(8000, 2, generator=rng), MEANS, std=0.5)
    assert blurred.high_quality < 0.7


def test_class_histogram_takes_the_largest_score():
    logits = torch.tensor([[0.0, 1.0, 0.0], [5.0, 1.0, 0.0], [0.0, 1.0, 0.5]])
    assert class_histogram(logits).tolist() == [1, 2, 0]


def test_class_coverage_by_hand():
    real = torch.tensor([50, 30, 20])
    result = class_coverage(torch.tensor([98, 2, 0]), real)
    assert result.reached == (True, False, False)
    assert result.divergence == pytest.approx(0.98 * math.log(0.98 / 0.5) + 0.02 * math.log(0.02 / 0.3))
    assert class_coverage(torch.tensor([98, 2, 0]), real, least=0.0).reached == (True, True, False)
    assert class_coverage(torch.tensor([90, 3, 7]), real).covered == 3
    perfect = class_coverage(torch.tensor([5, 3, 2]), real)
    assert perfect.covered == 3
    assert perfect.divergence == 0.0


def test_classes_that_reality_lacks_take_no_part():
    result = class_coverage(torch.tensor([5, 5, 0]), torch.tensor([10, 0, 0]))
    assert result.covered == 3
    assert result.divergence == 0.0
    nothing_in_common = class_coverage(torch.tensor([0, 10, 0]), torch.tensor([5, 0, 15]))
    assert nothing_in_common.divergence == pytest.approx(math.log(4))
    assert nothing_in_common.missing == (0, 2)


def test_refusals():
    with pytest.raises(ValueError, match="positive"):
        mode_coverage(MEANS, MEANS, std=0.0)
    with pytest.raises(ValueError, match="positive"):
        mode_coverage(MEANS, MEANS, std=1.0, within=-1.0)
    with pytest.raises(ValueError, match="dimension"):
        mode_coverage(torch.zeros(3, 5), MEANS, std=1.0)
    with pytest.raises(ValueError, match="finite"):
        mode_coverage(MEANS / 0, MEANS, std=1.0)
    with pytest.raises(ValueError, match="one classifier"):
        class_coverage(torch.zeros(3), torch.zeros(4))
    with pytest.raises(ValueError, match="hold samples"):
        class_coverage(torch.zeros(3), torch.ones(3))
