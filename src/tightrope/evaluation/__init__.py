"""Evaluation: what is measured against what, by which protocol: plan, gather, evaluate, compare, with floors."""

from __future__ import annotations

from tightrope._plumbing.door import keep_door
from tightrope.evaluation.compare import compare, expected_seconds_of_comparison
from tightrope.evaluation.evaluate import evaluate, expected_seconds
from tightrope.evaluation.measures import GROUPS, MEASURES, METRICS, Measure
from tightrope.evaluation.samples import Samples
from tightrope.evaluation.sources import open_features, open_pair, open_samples
from tightrope.evaluation.task import Sample

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

keep_door(__name__, __all__)
