r"""Statistics over seeds: what a handful of runs can say, and what it cannot.

The unit is the run (one seed); runs that share something, a cell of a grid or an initialisation, are a *cluster* and
count as one where the claim is about cells. With five or ten seeds the percentile and BCa bootstraps are too narrow
(95 % intervals of a mean of five normal values cover 82 to 86 %), so the intervals here use Student's distribution on
the scale where the quantity is nearly normal: logarithms for distances, ratios and variances, Fisher's z for
correlations. The bootstrap is there for statistics that have no such form, with clusters resampled whole.
`tests/test_studies_statistics.py` measures coverage and levels by simulation.
"""

from __future__ import annotations

from tightrope._plumbing.door import keep_door
from tightrope.studies.statistics.intervals import (
    Interval,
    correlation_between,
    correlation_within,
    difference,
    geometric_mean,
    mean,
    ratio,
    spearman,
    variance_ratio,
)
from tightrope.studies.statistics.power import detectable, equivalent, holm, probability_of_improvement, seeds_needed
from tightrope.studies.statistics.resampling import bootstrap, permutation_test

__all__ = [
    "Interval",
    "bootstrap",
    "correlation_between",
    "correlation_within",
    "detectable",
    "difference",
    "equivalent",
    "geometric_mean",
    "holm",
    "mean",
    "permutation_test",
    "probability_of_improvement",
    "ratio",
    "seeds_needed",
    "spearman",
    "variance_ratio",
]

keep_door(__name__, __all__)
