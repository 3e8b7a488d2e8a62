from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from tightrope.metrics import classifier_score, split_classifier_score


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def slow_score(logits: np.ndarray) -> float:
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    mean = p.mean(0)
    return float(np.exp(np.mean([(row * np.log(row / mean)).sum() for row in p])))


def test_against_the_definition():
    logits = 3 * normal(50, 7)
    assert classifier_score(logits).value == pytest.approx(slow_score(logits.numpy()), rel=1e-12)
    assert classifier_score(logits + 1000).value == pytest.approx(slow_score(logits.numpy()), rel=1e-10)


def test_extremes():
    sure = 1e4 * torch.eye(5, dtype=torch.float64)
    assert classifier_score(sure.repeat(4, 1)).value == pytest.approx(5.0)
    assert classifier_score(sure[:1].repeat(4, 1)).value == pytest.approx(1.0)
    assert classifier_score(torch.zeros(9, 5)).value == pytest.approx(1.0)
    assert classifier_score(sure[:3].repeat(4, 1)).value == pytest.approx(3.0)


def test_splits_are_consecutive_parts():
    logits = 3 * normal(23, 4)
    parts = [logits[0:5], logits[5:11], logits[11:17], logits[17:23]]
    scores = [slow_score(part.numpy()) for part in parts]
    result = split_classifier_score(logits, splits=4)
    assert result.value == pytest.approx(np.mean(scores), rel=1e-12)
    assert result.standard_error == pytest.approx(np.std(scores), rel=1e-10)
    one = split_classifier_score(logits, splits=1)
    assert one.value == pytest.approx(classifier_score(logits).value, rel=1e-12)


def test_the_standard_error_is_the_spread_over_new_samples():
    rng = torch.Generator().manual_seed(0)
    results = [classifier_score(3 * torch.randn(400, 5, generator=rng, dtype=torch.float64)) for _ in range(300)]
    spread = torch.tensor([result.value for result in results]).std()
    error = torch.tensor([result.standard_error for result in results]).mean()
    assert float(error / spread) == pytest.approx(1.0, abs=0.15)


def test_intervals_are_symmetric_and_of_95_per_cent():
    result = classifier_score(3 * normal(50, 7))
    low, high = result.interval
    assert (low + high) / 2 == pytest.approx(result.value)
    assert high - low == pytest.approx(2 * 1.959964 * result.standard_error, rel=1e-6)
    assert math.erf(1.959963984540054 / math.sqrt(2)) == pytest.approx(0.95, rel=1e-12)


def test_refusals():
    with pytest.raises(ValueError, match="splits"):
        split_classifier_score(normal(5, 3), splits=6)
    with pytest.raises(ValueError, match="finite"):
        classifier_score(normal(5, 3) / 0)
