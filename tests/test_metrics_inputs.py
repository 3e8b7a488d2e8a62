"""Metrics take what features come as: tensors and NumPy arrays of every real type, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from tightrope import metrics

METRICS: dict[str, Callable[[Any, Any], Any]] = {
    "frechet_distance": metrics.frechet_distance,
    "frechet_parts": metrics.frechet_parts,
    "frechet_bootstrap": lambda x, y: metrics.frechet_bootstrap(x, y, resamples=3, rng=rng()),
    "frechet_extrapolated": lambda x, y: metrics.frechet_extrapolated(x, y, rng=rng()),
    "frechet_from_statistics": lambda x, y: metrics.frechet_from_statistics(
        metrics.FeatureStatistics.of(x), metrics.FeatureStatistics.empty(3).update(y)
    ),
    "kernel_distance": metrics.kernel_distance,
    "block_kernel_distance": lambda x, y: metrics.block_kernel_distance(x, y, blocks=3, size=5, rng=rng()),
    "prdc": metrics.precision_recall_density_coverage,
    "nearest": lambda x, y: tuple(v.tolist() for v in metrics.nearest(x, y)),
    "memorisation": lambda x, y: metrics.memorisation(x, y, y).probability,
    "wasserstein1": metrics.wasserstein1,
    "weighted_wasserstein1": lambda x, y: metrics.weighted_wasserstein1(x, y, x[:, 0] ** 2, y[:, 0] ** 2),
    "sliced_wasserstein": lambda x, y: metrics.sliced_wasserstein(x, y, projections=4, rng=rng()),
    "classifier_score": lambda x, y: metrics.classifier_score(x),
    "split_classifier_score": lambda x, y: metrics.split_classifier_score(y, splits=3),
    "mode_coverage": lambda x, y: metrics.mode_coverage(x, y, std=1.0),
    "class_histogram": lambda x, y: metrics.class_histogram(x).tolist(),
    "class_coverage": lambda x, y: metrics.class_coverage(x[:, 0] ** 2, y[:, 0] ** 2),
}


def rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def whole() -> tuple[torch.Tensor, torch.Tensor]:
    """Small whole numbers, which every type here holds exactly."""
    return tuple(torch.randint(-6, 7, (20, 3), generator=torch.Generator().manual_seed(s)).double() for s in (0, 1))


@pytest.mark.parametrize("name", METRICS)
def test_every_type_of_number_gives_the_same_value(name):
    x, y = whole()
    expected = METRICS[name](x, y)
    for dtype in (torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int16, torch.int8):
        assert METRICS[name](x.to(dtype), y.to(dtype)) == expected, dtype
    for kind in (np.float64, np.float32, np.float16, np.int64, np.int8, ">f4"):
        assert METRICS[name](x.numpy().astype(kind), y.numpy().astype(kind)) == expected, kind
    assert METRICS[name](x.numpy(), y) == expected


def test_arrays_are_left_alone_and_may_be_read_only_or_reversed():
    x, y = (v.numpy() for v in whole())
    expected, before = metrics.wasserstein1(x, y), x.copy()
    x.flags.writeable = False
    assert metrics.wasserstein1(x[::-1], y) == pytest.approx(expected, rel=1e-14)
    assert np.array_equal(x, before)


@pytest.mark.parametrize("name", METRICS)
def test_what_is_no_real_number_is_refused(name):
    x, y = whole()
    for bad in (x.to(torch.complex64), x.numpy().astype(complex), x.numpy().astype(object)):
        with pytest.raises(ValueError, match="real numbers"):
            METRICS[name](y, bad) if name == "split_classifier_score" else METRICS[name](bad, y)
    with pytest.raises(ValueError, match=r"must be a tensor or array of real numbers, but it is of list; convert"):
        metrics.kernel_distance(x.tolist(), y)


def test_masked_entries_are_missing_not_zero():
    x, y = (v.numpy() for v in whole())
    hidden = np.ma.array(x, mask=np.zeros_like(x, dtype=bool))
    hidden[3, 1] = np.ma.masked
    with pytest.raises(ValueError, match="row 3"):
        metrics.frechet_distance(hidden, y)
