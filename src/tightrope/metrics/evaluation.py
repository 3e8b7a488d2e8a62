"""Measure a generator against held-out data with the metrics that suit the kind of data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from tightrope._errors import UserError
from tightrope.metrics.features import BATCH, FeatureNetwork, pixels, random_convolutions
from tightrope.metrics.measures import HEAD_METRICS, LOW_DIMENSION, METRICS, POINT_METRICS, PUBLISHED, Sets, measure
from tightrope.metrics.references import remembered
from tightrope.metrics.result import Measurement
from tightrope.metrics.small_classifier import classifier

if TYPE_CHECKING:
    from tightrope.data import Dataset

Sample = Callable[[int, int], Tensor]
"""A generator as metrics see it: ``sample(n, seed)`` returns n samples in training scale [n, *shape]."""

MAX_SAMPLES = 10_000
MAX_POINTS = 2_000
MAX_TRAINING = 50_000


@dataclass(frozen=True)
class Plan:
    """What an evaluation will do.

    Attributes:
        names: Metrics in order.
        n_real: Number of test samples.
        n_fake: Number of generated samples.
        control: Training samples can stand in for the generated ones, so that there are floors.
        n_training: Number of training samples searched for copies.
    """

    names: tuple[str, ...]
    n_real: int
    n_fake: int
    control: bool
    n_training: int


def evaluate(
    sample: Sample,
    train: Dataset,
    test: Dataset,
    *,
    n: int | None = None,
    seed: int = 0,
    features: FeatureNetwork | None = None,
    metrics: Sequence[str] | None = None,
    cache: Path | None = None,
) -> list[Measurement]:
    """Measure generated samples against the test split.

    Images and signals are measured by the Frechet distance in the features of a classifier of their labels (and by the
    classes that they reach), or of random convolutions without labels. Vectors of at most 16 dimensions are measured
    by the exact 1-Wasserstein distance, and by the modes they reach where the data set knows its modes; longer ones by
    the Frechet distance of the vectors themselves. Each value carries as its floor the same metric with real training
    samples in place of the generated ones. The classifier has learnt from those very samples, so that in its features
    they lie a little farther from the test set than new ones would: its floor is slightly too high.

    Args:
        sample: ``sample(n, seed)`` returns n samples in training scale [n, *shape]. It is called for at most 256 at a
            time, with seeds derived from ``seed``.
        train: Training split; the floor and the classifier come from it.
        test: Test split, the reference.
        n: Number of generated samples. By default as many as the training split can match for the floor, at most
            10,000 (2,000 for vectors of at most 16 dimensions).
        seed: Seed of the samples and of the chosen subsets.
        features: Feature network; by default chosen as said above.
        metrics: Names out of `METRICS`; by default chosen as said above.
        cache: Folder for cached weights; by default ``$TIGHTROPE_CACHE`` or the user's cache folder.

    Returns:
        One measurement for each metric, in the order asked for.

    Raises:
        UserError: A metric is unknown or does not suit the data, or n is too small.
        ValueError: The samples have another shape than the data, or hold NaN or infinity.
    """
    plan = make_plan(train, test, n=n, features=features, metrics=metrics)
    networks = {}
    if not POINT_METRICS.issuperset(plan.names):
        networks[False] = feature_network(train, test, features, cache)
    if not POINT_METRICS.isdisjoint(plan.names):
        networks[True] = pixels(train.shape)
    sets = _gather(networks, plan, sample, train, test, seed, cache)
    return [measure(name, sets[name in POINT_METRICS]) for name in plan.names]


def make_plan(
    train: Dataset, test: Dataset, *, n: int | None, features: FeatureNetwork | None, metrics: Sequence[str] | None
) -> Plan:
    """Return what `evaluate` will do with the same arguments, or refuse as it does."""
    names = _names(train, features) if metrics is None else tuple(metrics)
    _check(names, train, features, n)
    limit = MAX_POINTS if "wasserstein1" in names else MAX_SAMPLES
    n_fake = min(len(train), limit) if n is None else n
    searched = "memorisation" in names or "held_out_gap" in names
    return Plan(
        names=names,
        n_real=min(len(test), limit),
        n_fake=n_fake,
        control=n_fake <= len(train),
        n_training=min(len(train), MAX_TRAINING) if searched else 0,
    )


def feature_network(
    train: Dataset, test: Dataset, features: FeatureNetwork | None, cache: Path | None
) -> FeatureNetwork:
    """Return the given network, or the one that suits the data."""
    if features is not None:
        return features
    if train.kind == "vectors":
        return pixels(train.shape)
    if train.labels is not None and len(train.classes) > 1:
        return classifier(train, test, cache=cache)
    return random_convolutions(train.shape)


def _gather(
    networks: dict[bool, FeatureNetwork],
    plan: Plan,
    sample: Sample,
    train: Dataset,
    test: Dataset,
    seed: int,
    cache: Path | None,
) -> dict[bool, Sets]:
    """Return, for each network, the features of the same reference, generated and training samples."""
    fakes: dict[bool, list[Tensor]] = {key: [] for key in networks}
    for x in _chunks(sample, train, plan.n_fake, seed):
        for key, network in networks.items():
            fakes[key].append(network(x))
    sets = {}
    for key, network in networks.items():
        sets[key] = Sets(
            real=_features(network, test, plan.n_real, seed, cache),
            fake=torch.cat(fakes[key]),
            control=_features(network, train, plan.n_fake, seed, cache) if plan.control else None,
            training=_features(network, train, plan.n_training, seed, cache),
            network=network,
            rounded=train.kind == "images",
            classes=train.classes,
            mixture=train.mixture,
            split=test.split,
            seed=seed,
            key=sets_key(network, plan, train, test, seed),
            cache=cache,
        )
    return sets


def network_key(network: FeatureNetwork) -> str:
    """Return what identifies a network's features in the cache."""
    return f"{network.name} {network.digest} {network.preprocessing}"


def sets_key(network: FeatureNetwork, plan: Plan, train: Dataset, test: Dataset, seed: int) -> str:
    """Return what identifies the real sets of an evaluation in the cache."""
    return (
        f"{network_key(network)} {train.fingerprint} {test.fingerprint} {plan.n_real} {plan.n_fake} "
        f"{plan.n_training} {seed}"
    )


def features_key(network: FeatureNetwork, data: Dataset, count: int, seed: int) -> str:
    """Return what identifies the features of chosen rows of real data in the cache."""
    rows = "all" if count == len(data) else f"{count} of seed {seed}"
    return f"features {network_key(network)} {data.fingerprint} {rows}"


def _features(network: FeatureNetwork, data: Dataset, count: int, seed: int, cache: Path | None) -> Tensor:
    """Return features [count, d] of rows drawn without replacement, so that any first part is a random one too."""
    rng = torch.Generator().manual_seed(0 if count == len(data) else seed)
    rows = torch.randperm(len(data), generator=rng)[:count]

    def compute() -> Tensor:
        parts = [network(data.batch(part).x) for part in rows.split(BATCH)] if count else []
        return torch.cat(parts) if parts else torch.empty(0, network.dimension)

    if network.name in ("identity", "pixels") or count == 0:
        return compute()
    return remembered(features_key(network, data, count, seed), cache, compute)


def _names(train: Dataset, features: FeatureNetwork | None) -> tuple[str, ...]:
    if features is None and _few(train):
        return ("wasserstein1", "modes", "high_quality") if train.mixture is not None else ("wasserstein1",)
    return ("frechet", "classes") if _has_head(train, features) else ("frechet",)


def _check(names: tuple[str, ...], train: Dataset, features: FeatureNetwork | None, n: int | None) -> None:
    for name in names:
        if name in PUBLISHED.values():
            (plain,) = (key for key, value in PUBLISHED.items() if value == name)
            raise UserError(
                f"{name} is the name of {plain} in the features of one Inception network, so ask for {plain} and give "
                "features=inception(path)."
            )
        if name not in METRICS:
            raise UserError(f"A metric must be one of {', '.join(METRICS)}, but {name!r} was asked for; choose again.")
        if name == "wasserstein1" and not _few(train):
            raise UserError(
                f"The exact Wasserstein distance needs vectors of at most {LOW_DIMENSION} dimensions, but "
                f"{train.name} has samples of shape {train.shape}; measure sliced_wasserstein or frechet instead."
            )
        if name in ("modes", "high_quality") and train.mixture is None:
            raise UserError(f"{name} needs data with known modes, but {train.name} has none; leave it out.")
        if name in HEAD_METRICS and not _has_head(train, features):
            raise UserError(f"{name} needs images or signals with labels, but {train.name} has none; leave it out.")
    if n is not None and n < 2:
        raise UserError(f"At least 2 generated samples are needed, but n is {n}; some thousands are usual.")


def _has_head(train: Dataset, features: FeatureNetwork | None) -> bool:
    if features is not None:
        return features.head is not None
    return train.kind != "vectors" and train.labels is not None and len(train.classes) > 1


def _few(data: Dataset) -> bool:
    return data.kind == "vectors" and len(data.shape) == 1 and data.shape[0] <= LOW_DIMENSION


def _chunks(sample: Sample, train: Dataset, n: int, seed: int) -> Iterator[Tensor]:
    """Yield generated samples [<=256, *shape] until there are n, images rounded to 8 bits as stored ones are."""
    seeds = np.random.SeedSequence(seed).generate_state(-(-n // BATCH))
    for index, start in enumerate(range(0, n, BATCH)):
        count = min(BATCH, n - start)
        x = sample(count, int(seeds[index])).detach().to("cpu", torch.float32)
        if x.shape != (count, *train.shape):
            raise ValueError(
                f"The generator must return samples of shape {(count, *train.shape)}, but it returned "
                f"{tuple(x.shape)}; build it for the data's shape."
            )
        bad = int((~torch.isfinite(x).flatten(1).all(dim=1)).sum())
        if bad:
            raise ValueError(
                f"Generated samples must be finite, but {bad} of {count} hold NaN or infinity; the weights have "
                "diverged, so evaluate an earlier checkpoint."
            )
        yield train.to_units(x).to(torch.float32).div(127.5).sub(1.0) if train.kind == "images" else x
