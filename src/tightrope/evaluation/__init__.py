"""Evaluation: what is measured against what, by which protocol: plan, gather, evaluate, compare, with floors."""

from __future__ import annotations

from tightrope.evaluation.compare import compare
from tightrope.evaluation.evaluate import Sample, evaluate
from tightrope.evaluation.expectation import expected_seconds, expected_seconds_of_comparison
from tightrope.evaluation.measures import GROUPS, MEASURES, METRICS, Measure
from tightrope.evaluation.samples import Samples
from tightrope.evaluation.sources import open_features, open_pair, open_samples

__all__ = [
    "GROUPS",
    "MEASURES",
    "METRICS",
    "Measure",
    "Sample",
    "Samples",
    "compare",
    "evaluate",
    "expected_seconds",
    "expected_seconds_of_comparison",
    "open_features",
    "open_pair",
    "open_samples",
]
