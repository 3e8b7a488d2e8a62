"""How long an evaluation will take, said before it starts."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from tightrope.metrics.evaluation import Plan, Sample, features_key, make_plan, sets_key
from tightrope.metrics.features import BATCH, FeatureNetwork, pixels, random_convolutions
from tightrope.metrics.measures import BOOTSTRAP_WORK, HEAD_METRICS, POINT_METRICS, RESAMPLES, floor_key
from tightrope.metrics.references import reference_path
from tightrope.metrics.small_classifier import classifier_path, training_steps, untrained_classifier
from tightrope.metrics.transport import wasserstein1

if TYPE_CHECKING:
    from tightrope.data import Dataset

NEIGHBOUR_METRICS = frozenset({"precision", "recall", "density", "coverage"})
TRAINING_STEP = 1.5  # one training step on 128 samples, in forward passes of 256


def expected_seconds(
    sample: Sample,
    train: Dataset,
    test: Dataset,
    *,
    n: int | None = None,
    seed: int = 0,
    features: FeatureNetwork | None = None,
    metrics: Sequence[str] | None = None,
    cache: Path | None = None,
) -> float:
    """Return about how many seconds `evaluate` would take with the same arguments, to within a factor of three or so.

    One small batch is generated and passed through the network, one matrix product and one small assignment are
    timed, and the counts of operations do the rest. What the cache already holds costs nothing.

    Args:
        sample: As in `evaluate`; it is called once, for at most 64 samples.
        train: As in `evaluate`.
        test: As in `evaluate`.
        n: As in `evaluate`.
        seed: As in `evaluate`.
        features: As in `evaluate`.
        metrics: As in `evaluate`.
        cache: As in `evaluate`.

    Raises:
        UserError: `evaluate` would refuse these arguments.
    """
    plan = make_plan(train, test, n=n, features=features, metrics=metrics)
    count = min(64, plan.n_fake)
    seconds = _timed(sample, count, seed) * plan.n_fake / count
    if not POINT_METRICS.issuperset(plan.names):
        network, training = _network(train, test, features, cache)
        batch = train.batch(torch.arange(1)).x.expand(network.batch, *train.shape)
        network(batch)  # the first pass of a network is slower than the others
        forward = _timed(network, batch) / network.batch
        fresh = _fresh_samples(plan, network, train, test, seed, cache, known=training == 0)
        seconds += forward * (plan.n_fake + fresh + training)
        seconds += _operations(plan, network.dimension) / _speed()
    if "wasserstein1" in plan.names:
        floor = floor_key("wasserstein1", sets_key(pixels(train.shape), plan, train, test, seed))
        runs = 1 + (plan.control and not reference_path(floor, cache).exists())
        points = torch.rand(2, 300, 2, generator=torch.Generator().manual_seed(0))
        wasserstein1(*points)  # the first call imports SciPy
        seconds += runs * _timed(wasserstein1, *points) * (min(plan.n_real, plan.n_fake) / 300) ** 2.5
    return seconds


def _network(
    train: Dataset, test: Dataset, features: FeatureNetwork | None, cache: Path | None
) -> tuple[FeatureNetwork, float]:
    """Return a network as fast as the one that `evaluate` would use, and its training in samples passed through."""
    if features is not None:
        return features, 0.0
    if train.kind == "vectors":
        return pixels(train.shape), 0.0
    if train.labels is None or len(train.classes) < 2:
        return random_convolutions(train.shape), 0.0
    trained = classifier_path(train, test, cache).exists()
    return untrained_classifier(train), 0.0 if trained else training_steps(len(train)) * TRAINING_STEP * BATCH


def _fresh_samples(
    plan: Plan, network: FeatureNetwork, train: Dataset, test: Dataset, seed: int, cache: Path | None, *, known: bool
) -> int:
    """Return how many real samples still have to pass through the network."""
    wanted = [(test, plan.n_real), (train, plan.n_training)]
    if plan.control:
        wanted.append((train, plan.n_fake))
    fresh = 0
    for data, count in wanted:
        path = reference_path(features_key(network, data, count, seed), cache)
        fresh += 0 if known and path.exists() else count
    return fresh


def _operations(plan: Plan, d: int) -> float:
    """Return about how many multiplications and additions the metrics of features need."""
    n, m, sides = plan.n_real, plan.n_fake, 1 + plan.control
    frechet = 2 * (n + m) * d**2 + 40 * d**3
    pairs = 2 * (n**2 + m**2 + n * m) * (d + 20)
    total = 0.0
    if "frechet" in plan.names:
        total += sides * frechet + (RESAMPLES * frechet if (n + m) * d**2 <= BOOTSTRAP_WORK else 0)
    total += 2 * frechet * ("held_out_gap" in plan.names)
    total += sides * pairs * ("kernel" in plan.names)
    named = len(NEIGHBOUR_METRICS.intersection(plan.names))
    total += pairs * (min(named, 1) + plan.control * named)
    total += 2 * (n + m) * plan.n_training * (d + 20) * ("memorisation" in plan.names)
    return total + 1e4 * (n + m) * bool(HEAD_METRICS.intersection(plan.names))


def _speed() -> float:
    """Return operations per second of a product of float64 matrices."""
    matrix = torch.rand(384, 384, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    _timed(torch.mm, matrix, matrix)
    return 2 * 384**3 / _timed(torch.mm, matrix, matrix)


def _timed(function: Callable[..., Any], *arguments: Any) -> float:
    start = time.perf_counter()
    function(*arguments)
    return max(time.perf_counter() - start, 1e-9)
