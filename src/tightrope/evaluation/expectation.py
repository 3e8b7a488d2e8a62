"""How long an evaluation will take, said before it starts."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from tightrope.evaluation.compare import network_of, plan_comparison
from tightrope.evaluation.evaluate import Sample, plan_evaluation, reference_of
from tightrope.evaluation.features.classifier import classifier_path, training_steps, untrained_classifier
from tightrope.evaluation.features.network import BATCH, FeatureNetwork, pixels, random_convolutions
from tightrope.evaluation.gather import Reference, features_key, sets_key
from tightrope.evaluation.measures import BOOTSTRAP_WORK, GROUPS, HALVINGS, MEASURES, RESAMPLES
from tightrope.evaluation.plan import Plan
from tightrope.evaluation.references import reference_path
from tightrope.evaluation.samples import Samples
from tightrope.evaluation.sets import floor_key
from tightrope.metrics.transport import wasserstein1

if TYPE_CHECKING:
    from tightrope.data import Dataset

TRAINING_STEP = 1.5  # one training step on 128 samples, in forward passes of 256
PROBE = 64  # samples made or read to see how long that takes


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
    plan = plan_evaluation(train, test, n=n, features=features, metrics=metrics)
    reference, count = reference_of(train, test), min(PROBE, plan.n_fake)
    seconds = _timed(sample, count, seed) * plan.n_fake / count
    if plan.on("features"):
        network, training = _network(train, test, features, cache)
        known = None if training else cache
        fresh = plan.n_fake + _fresh(plan, network, reference, seed, known, cached=not training)
        forward = _forward(network, train.batch(torch.arange(1)).x)
        seconds += forward * (fresh + training) + _operations(plan, network.dimension) / _speed()
    return seconds + _points(plan, reference, seed, cache)


def expected_seconds_of_comparison(
    real: Samples,
    fake: Samples,
    *,
    training: Samples | None = None,
    n: int | None = None,
    seed: int = 0,
    features: FeatureNetwork | None = None,
    metrics: Sequence[str] | None = None,
    cache: Path | None = None,
) -> float:
    """Return about how many seconds `compare` would take with the same arguments, as `expected_seconds` does.

    Raises:
        UserError: `compare` would refuse these arguments.
    """
    plan = plan_comparison(real, fake, training, n=n, features=features, metrics=metrics)
    reference, seconds = Reference(real, training, real.decoding), 0.0
    if plan.on("features"):
        network = network_of(real, features)
        stored = reference_path(features_key(network, fake, plan.n_fake, seed), cache).exists()
        fresh = _fresh(plan, network, reference, seed, cache, cached=True) + (0 if stored else plan.n_fake)
        seconds += _forward(network, real.batch(torch.arange(1))) * fresh
        seconds += _operations(plan, network.dimension) / _speed()
    return seconds + _points(plan, reference, seed, cache)


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


def _forward(network: FeatureNetwork, one: Tensor) -> float:
    """Return seconds per sample of a network, given one sample [1, *shape]."""
    batch = one.expand(network.batch, *one.shape[1:])
    network(batch)  # the first pass of a network is slower than the others
    return _timed(network, batch) / network.batch


def _fresh(
    plan: Plan, network: FeatureNetwork, reference: Reference, seed: int, cache: Path | None, *, cached: bool
) -> int:
    """Return how many real samples still have to pass through the network."""
    wanted = [(reference.real, plan.n_real)]
    if reference.training is not None:
        wanted.append((reference.training, plan.n_training))
        wanted.append((reference.training, plan.n_fake if plan.control == "training" else 0))
    fresh = 0
    for samples, count in wanted:
        path = reference_path(features_key(network, samples, count, seed), cache)
        fresh += 0 if network.cheap or (cached and path.exists()) else count
    return fresh


def _points(plan: Plan, reference: Reference, seed: int, cache: Path | None) -> float:
    """Return the seconds of the exact assignment."""
    if "wasserstein1" not in plan.names:
        return 0.0
    floor = floor_key("wasserstein1", sets_key(pixels(reference.real.shape), plan, reference, seed))
    runs = 1 + (bool(plan.control) and not reference_path(floor, cache).exists())
    points = torch.rand(2, 300, 2, generator=torch.Generator().manual_seed(0))
    wasserstein1(*points)  # the first call imports SciPy
    return runs * _timed(wasserstein1, *points) * (min(plan.n_real, plan.n_fake) / 300) ** 2.5


def _operations(plan: Plan, d: int) -> float:
    """Return about how many multiplications and additions the metrics of features need."""
    n, m, sides = plan.n_real, plan.n_fake, 1 + bool(plan.control)
    frechet = 2 * (n + m) * d**2 + 40 * d**3
    pairs = 2 * (n**2 + m**2 + n * m) * (d + 20)
    total = 0.0
    if "frechet" in plan.names:
        total += sides * frechet + (RESAMPLES * frechet if (n + m) * d**2 <= BOOTSTRAP_WORK else 0)
    total += 2 * frechet * ("held_out_gap" in plan.names)
    total += sides * (1 + 2 * HALVINGS) * frechet * ("frechet_extrapolated" in plan.names)
    total += sides * pairs * ("kernel" in plan.names)
    total += sides * pairs * bool(set(GROUPS["prdc"]).intersection(plan.names))
    total += 2 * (n + m) * plan.n_training * (d + 20) * ("memorisation" in plan.names)
    return total + 1e4 * (n + m) * any(MEASURES[name].needs == "head" for name in plan.names)


def _speed() -> float:
    """Return operations per second of a product of float64 matrices."""
    matrix = torch.rand(384, 384, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    _timed(torch.mm, matrix, matrix)
    return 2 * 384**3 / _timed(torch.mm, matrix, matrix)


def _timed(function: Callable[..., Any], *arguments: Any) -> float:
    start = time.perf_counter()
    function(*arguments)
    return max(time.perf_counter() - start, 1e-9)
