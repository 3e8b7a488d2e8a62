"""How good the samples are: distances to held-out data, each value with its protocol, its floor and its uncertainty."""

from __future__ import annotations

from tightrope.metrics.evaluation import Sample, evaluate
from tightrope.metrics.features import FeatureNetwork, from_module, pixels, random_convolutions
from tightrope.metrics.frechet import Frechet, frechet_distance, frechet_from_statistics, frechet_parts
from tightrope.metrics.measures import METRICS
from tightrope.metrics.modes import Coverage, class_coverage, class_histogram, mode_coverage
from tightrope.metrics.result import Measurement, Protocol
from tightrope.metrics.small_classifier import classifier
from tightrope.metrics.statistics import FeatureStatistics
from tightrope.metrics.transport import sliced_wasserstein, wasserstein1

__all__ = [
    "METRICS",
    "Coverage",
    "FeatureNetwork",
    "FeatureStatistics",
    "Frechet",
    "Measurement",
    "Protocol",
    "Sample",
    "class_coverage",
    "class_histogram",
    "classifier",
    "evaluate",
    "frechet_distance",
    "frechet_from_statistics",
    "frechet_parts",
    "from_module",
    "mode_coverage",
    "pixels",
    "random_convolutions",
    "sliced_wasserstein",
    "wasserstein1",
]
