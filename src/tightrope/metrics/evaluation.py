"""Measure a generator against held-out data with the metrics that suit the kind of data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from tightrope._errors import UserError
from tightrope.metrics.features import BATCH, FeatureNetwork, pixels, random_convolutions
from tightrope.metrics.measures import LOW_DIMENSION, METRICS, POINT_METRICS, Sets, measure
from tightrope.metrics.result import Measurement
from tightrope.metrics.small_classifier import classifier

if TYPE_CHECKING:
    from tightrope.data import Dataset

Sample = Callable[[int, int], Tensor]
"""A generator as metrics see it: ``sample(n, seed)`` returns n samples in training scale [n, *shape]."""

MAX_SAMPLES = 10_000
MAX_POINTS = 2_000


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
    samples in place of the generated ones.

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
    names = _names(train, features) if metrics is None else tuple(metrics)
    _check(names, train, features, n)
    on_points = POINT_METRICS.intersection(names)
    limit = MAX_POINTS if on_points else MAX_SAMPLES
    count = min(len(train), limit) if n is None else n
    networks = {False: _network(train, test, features, cache)} if len(on_points) < len(set(names)) else {}
    if on_points:
        networks[True] = pixels(train.shape)
    sets = _gather(networks, sample, train, test, count, min(len(test), limit), seed)
    return [measure(name, sets[name in POINT_METRICS], train) for name in names]


def _gather(
    networks: dict[bool, FeatureNetwork],
    sample: Sample,
    train: Dataset,
    test: Dataset,
    n_fake: int,
    n_real: int,
    seed: int,
) -> dict[bool, Sets]:
    """Return, for each network, the features of the same reference, generated and training samples."""
    rng = torch.Generator().manual_seed(seed)
    real_rows = torch.randperm(len(test), generator=rng)[:n_real]
    control_rows = torch.randperm(len(train), generator=rng)[:n_fake] if n_fake <= len(train) else None
    fakes: dict[bool, list[Tensor]] = {key: [] for key in networks}
    for x in _chunks(sample, train, n_fake, seed):
        for key, network in networks.items():
            fakes[key].append(network(x))
    return {
        key: Sets(
            real=_features(network, test, real_rows),
            fake=torch.cat(fakes[key]),
            control=None if control_rows is None else _features(network, train, control_rows),
            network=network,
            rounded=train.kind == "images",
            split=test.split,
            seed=seed,
        )
        for key, network in networks.items()
    }


def _features(network: FeatureNetwork, data: Dataset, rows: Tensor) -> Tensor:
    return torch.cat([network(data.batch(part).x) for part in rows.split(BATCH)])


def _names(train: Dataset, features: FeatureNetwork | None) -> tuple[str, ...]:
    if features is None and _few(train):
        return ("wasserstein1", "modes", "high_quality") if train.mixture is not None else ("wasserstein1",)
    has_head = train.labels is not None if features is None else features.head is not None
    return ("frechet", "classes") if has_head and train.kind != "vectors" else ("frechet",)


def _check(names: tuple[str, ...], train: Dataset, features: FeatureNetwork | None, n: int | None) -> None:
    for name in names:
        if name not in METRICS:
            raise UserError(f"A metric must be one of {', '.join(METRICS)}, but {name!r} was asked for; choose again.")
        if name == "wasserstein1" and not _few(train):
            raise UserError(
                f"The exact Wasserstein distance needs vectors of at most {LOW_DIMENSION} dimensions, but "
                f"{train.name} has samples of shape {train.shape}; measure frechet instead."
            )
        if name in ("modes", "high_quality") and train.mixture is None:
            raise UserError(f"{name} needs data with known modes, but {train.name} has none; leave it out.")
        if name == "classes" and train.labels is None and (features is None or features.head is None):
            raise UserError(f"classes needs labelled data, but {train.name} has no labels; leave it out.")
    if n is not None and n < 2:
        raise UserError(f"At least 2 generated samples are needed, but n is {n}; some thousands are usual.")


def _few(data: Dataset) -> bool:
    return data.kind == "vectors" and len(data.shape) == 1 and data.shape[0] <= LOW_DIMENSION


def _network(train: Dataset, test: Dataset, features: FeatureNetwork | None, cache: Path | None) -> FeatureNetwork:
    if features is not None:
        return features
    if train.kind == "vectors":
        return pixels(train.shape)
    if train.labels is not None and len(train.classes) > 1:
        return classifier(train, test, cache=cache)
    return random_convolutions(train.shape)


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
