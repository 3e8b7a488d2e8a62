"""How good the samples are: distances to held-out data, each value with its protocol, its floor and its uncertainty."""

from __future__ import annotations

from tightrope._plumbing.door import keep_door
from tightrope.metrics.frechet import Frechet, frechet_distance, frechet_from_statistics, frechet_parts
from tightrope.metrics.kernel import block_kernel_distance, kernel_distance
from tightrope.metrics.modes import Coverage, class_coverage, class_histogram, mode_coverage
from tightrope.metrics.moments import FeatureStatistics
from tightrope.metrics.neighbours import (
    Memorisation,
    NeighbourScores,
    memorisation,
    nearest,
    precision_recall_density_coverage,
)
from tightrope.metrics.result import Estimate, Measurement, Protocol
from tightrope.metrics.score import classifier_score, split_classifier_score
from tightrope.metrics.transport import sliced_wasserstein, wasserstein1, weighted_wasserstein1
from tightrope.metrics.uncertainty import frechet_bootstrap, frechet_extrapolated

__all__ = [
    "Coverage",
    "Estimate",
    "FeatureStatistics",
    "Frechet",
    "Measurement",
    "Memorisation",
    "NeighbourScores",
    "Protocol",
    "block_kernel_distance",
    "class_coverage",
    "class_histogram",
    "classifier_score",
    "frechet_bootstrap",
    "frechet_distance",
    "frechet_extrapolated",
    "frechet_from_statistics",
    "frechet_parts",
    "kernel_distance",
    "memorisation",
    "mode_coverage",
    "nearest",
    "precision_recall_density_coverage",
    "sliced_wasserstein",
    "split_classifier_score",
    "wasserstein1",
    "weighted_wasserstein1",
]

keep_door(__name__, __all__)
