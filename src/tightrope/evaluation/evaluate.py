"""Measure a generator against held-out data with the metrics that suit the kind of data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from tightrope._plumbing.progress import Progress
from tightrope.evaluation.features.classifier import classifier
from tightrope.evaluation.features.network import BATCH, FeatureNetwork, pixels, random_convolutions
from tightrope.evaluation.gather import Networks, Reference, measured, networks_for
from tightrope.evaluation.plan import Material, Plan, make_plan
from tightrope.evaluation.samples import Samples
from tightrope.metrics.result import Measurement

if TYPE_CHECKING:
    from tightrope.data import Dataset

Sample = Callable[[int, int], Tensor]
"""A generator as metrics see it: ``sample(n, seed)`` returns n samples in training scale [n, *shape]."""


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
    progress: bool = False,
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
        metrics: Names out of `METRICS`, or ``prdc`` for four of them; by default chosen as said above.
        cache: Folder for cached weights, features of real samples and floors; by default ``$TIGHTROPE_CACHE`` or the
            user's cache folder.
        progress: Say on stderr how far it has come.

    Returns:
        One measurement for each metric, in the order asked for.

    Raises:
        UserError: A metric is unknown or does not suit the data, or n is too small.
        ValueError: The samples have another shape than the data, or hold NaN or infinity.
    """
    plan = plan_evaluation(train, test, n=n, features=features, metrics=metrics)
    report = Progress(show=progress)
    network = feature_network(train, test, features, cache, report) if plan.on("features") else None
    networks = networks_for(plan, train.shape, network, seed)
    fakes = _fakes(networks, sample, train, plan.n_fake, seed, report)
    return measured(networks, fakes, plan, reference_of(train, test), seed, cache, report)


def plan_evaluation(
    train: Dataset, test: Dataset, *, n: int | None, features: FeatureNetwork | None, metrics: Sequence[str] | None
) -> Plan:
    """Return what `evaluate` will do with the same arguments, or refuse as it does."""
    labelled = train.kind != "vectors" and train.labels is not None and len(train.classes) > 1
    material = Material(
        name=train.name,
        kind=train.kind,
        shape=train.shape,
        head=labelled if features is None else features.head is not None,
        mixture=train.mixture is not None,
        real=len(test),
        training=len(train),
        fake=None,
    )
    if features is not None and metrics is None and material.few:
        metrics = ("frechet", "classes") if material.head else ("frechet",)
    return make_plan(material, n=n, metrics=metrics)


def reference_of(train: Dataset, test: Dataset) -> Reference:
    """Return what `evaluate` measures against."""
    return Reference(
        real=Samples((test,), test.split),
        training=Samples((train,), train.split),
        preprocessing="rounded to 8 bits" if train.kind == "images" else "",
        classes=train.classes,
        mixture=train.mixture,
    )


def feature_network(
    train: Dataset,
    test: Dataset,
    features: FeatureNetwork | None,
    cache: Path | None,
    progress: Progress | None = None,
) -> FeatureNetwork:
    """Return the given network, or the one that suits the data."""
    if features is not None:
        return features
    if train.kind == "vectors":
        return pixels(train.shape)
    if train.labels is not None and len(train.classes) > 1:
        return classifier(train, test, cache=cache, progress=progress)
    return random_convolutions(train.shape)


def _fakes(
    networks: Networks, sample: Sample, train: Dataset, n: int, seed: int, progress: Progress
) -> dict[str, Tensor]:
    """Return the features of generated samples for each network; the samples themselves are held 256 at a time."""
    parts: dict[str, list[Tensor]] = {what: [] for what in networks}
    progress.stage("generated samples and their features", n)
    for x in _chunks(sample, train, n, seed):
        for what, network in networks.items():
            parts[what].append(network(x))
        progress.advance(len(x))
    return {what: torch.cat(found) for what, found in parts.items()}


def portions(n: int, seed: int) -> Iterator[tuple[int, int]]:
    """Yield the number (at most 256) and the seed of the samples that `evaluate` asks for, call by call."""
    seeds = np.random.SeedSequence(seed).generate_state(-(-n // BATCH))
    for index, start in enumerate(range(0, n, BATCH)):
        yield min(BATCH, n - start), int(seeds[index])


def _chunks(sample: Sample, train: Dataset, n: int, seed: int) -> Iterator[Tensor]:
    """Yield generated samples [<=256, *shape] until there are n, images rounded to 8 bits as stored ones are."""
    for count, own in portions(n, seed):
        x = sample(count, own).detach().to("cpu", torch.float32)
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
