"""How good the samples are: distances to held-out data, each value with its protocol, its floor and its uncertainty."""

from __future__ import annotations

from tightrope.metrics.compare import compare
from tightrope.metrics.dino import dinov2
from tightrope.metrics.evaluation import Sample, evaluate
from tightrope.metrics.expectation import expected_seconds, expected_seconds_of_comparison
from tightrope.metrics.features import FeatureNetwork, from_module, pixels, projections, random_convolutions
from tightrope.metrics.frechet import Frechet, frechet_distance, frechet_from_statistics, frechet_parts
from tightrope.metrics.inception import inception
from tightrope.metrics.kernel import block_kernel_distance, kernel_distance
from tightrope.metrics.measures import GROUPS, MEASURES, METRICS, Measure
from tightrope.metrics.modes import Coverage, class_coverage, class_histogram, mode_coverage
from tightrope.metrics.named import FEATURES, named_features
from tightrope.metrics.neighbours import (
    Memorisation,
    NeighbourScores,
    memorisation,
    nearest,
    precision_recall_density_coverage,
)
from tightrope.metrics.pretrained import cifar_resnet, mobilenet_v2
from tightrope.metrics.result import Estimate, Measurement, Protocol
from tightrope.metrics.samples import Samples
from tightrope.metrics.score import classifier_score, split_classifier_score
from tightrope.metrics.small_classifier import classifier
from tightrope.metrics.statistics import FeatureStatistics
from tightrope.metrics.transport import sliced_wasserstein, wasserstein1, weighted_wasserstein1
from tightrope.metrics.uncertainty import frechet_bootstrap, frechet_extrapolated

__all__ = [
    "FEATURES",
    "GROUPS",
    "MEASURES",
    "METRICS",
    "Coverage",
    "Estimate",
    "FeatureNetwork",
    "FeatureStatistics",
    "Frechet",
    "Measure",
    "Measurement",
    "Memorisation",
    "NeighbourScores",
    "Protocol",
    "Sample",
    "Samples",
    "block_kernel_distance",
    "cifar_resnet",
    "class_coverage",
    "class_histogram",
    "classifier",
    "classifier_score",
    "compare",
    "dinov2",
    "evaluate",
    "expected_seconds",
    "expected_seconds_of_comparison",
    "frechet_bootstrap",
    "frechet_distance",
    "frechet_extrapolated",
    "frechet_from_statistics",
    "frechet_parts",
    "from_module",
    "inception",
    "kernel_distance",
    "memorisation",
    "mobilenet_v2",
    "mode_coverage",
    "named_features",
    "nearest",
    "pixels",
    "precision_recall_density_coverage",
    "projections",
    "random_convolutions",
    "sliced_wasserstein",
    "split_classifier_score",
    "wasserstein1",
    "weighted_wasserstein1",
]
