"""Agreement with the values of torch-fidelity 0.4.0, prdc 0.2 and POT 0.9.7 on a table made by a formula."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tightrope.metrics import (
    frechet_distance,
    kernel_distance,
    precision_recall_density_coverage,
    split_classifier_score,
    wasserstein1,
    weighted_wasserstein1,
)


def table(n: int, phase: float) -> Tensor:
    i, j = torch.arange(n, dtype=torch.float64)[:, None], torch.arange(6, dtype=torch.float64)
    return torch.sin(1.7 * i * (j + 1).sqrt() + phase * (j + 2) + 0.013 * i * i) + 0.3 * phase


REAL, FAKE = table(300, 0.0), table(250, 1.0)


def test_torch_fidelity_frechet_distance():
    assert frechet_distance(REAL, FAKE) == pytest.approx(0.5808699070580143, rel=1e-10)


def test_torch_fidelity_kernel_distance_of_one_block():
    assert kernel_distance(REAL[:250], FAKE).value == pytest.approx(0.31299525136570905, rel=1e-10)


def test_torch_fidelity_score_in_ten_splits():
    score = split_classifier_score(3 * REAL, splits=10)
    assert score.value == pytest.approx(2.0885393158294656, rel=1e-10)
    assert score.standard_error == pytest.approx(0.09139665517298703, rel=1e-10)


def test_prdc():
    scores = precision_recall_density_coverage(REAL, FAKE, k=5)
    assert scores.precision == pytest.approx(0.98, rel=1e-12)
    assert scores.recall == pytest.approx(0.9666666666666667, rel=1e-12)
    assert scores.density == pytest.approx(0.8552, rel=1e-12)
    assert scores.coverage == pytest.approx(0.8866666666666667, rel=1e-12)


def test_pot_exact_distance():
    assert wasserstein1(REAL[:200], FAKE[:200]) == pytest.approx(1.0970523061115354, rel=1e-10)
    weights = torch.arange(1.0, 41.0), torch.arange(30.0, 0.0, -1.0)
    assert weighted_wasserstein1(REAL[:40], FAKE[:30], *weights) == pytest.approx(1.4465871686784377, rel=1e-8)
