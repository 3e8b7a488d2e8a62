"""Measure a generator against held-out data with the metrics that suit the kind of data."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tightrope._plumbing.checks import check_seed
from tightrope._plumbing.errors import UserTypeError
from tightrope.data.dataset import Dataset
from tightrope.evaluation.expectation import expected
from tightrope.evaluation.features.network import FeatureNetwork, check_features, pixels, random_convolutions
from tightrope.evaluation.gather import Reference
from tightrope.evaluation.plan import Material, make_plan
from tightrope.evaluation.samples import Samples
from tightrope.evaluation.task import Generated, Learnt, Sample, Task, run
from tightrope.metrics.result import Measurement


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
            The samples have another shape than the data, or hold NaN or infinity.

    Example:
        >>> from tightrope import data, evaluation
        >>> train, test = (data.open_data("digits", split=split) for split in ("train", "test"))
        >>> sample = lambda n, seed: torch.rand(n, 1, 8, 8, generator=torch.Generator().manual_seed(seed)) * 2 - 1
        >>> network = evaluation.open_features("random", (1, 8, 8))
        >>> found = evaluation.evaluate(sample, train, test, n=50, features=network, metrics=["kernel"])
        >>> [(one.name, one.value > one.floor) for one in found]
        [('kernel', True)]
    """
    task = _task(sample, train, test, n=n, seed=seed, features=features, metrics=metrics, cache=cache)
    return run(task, progress=progress)


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
    """About how many seconds `evaluate` would take with the same arguments, to within a factor of three or so.

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
    return expected(_task(sample, train, test, n=n, seed=seed, features=features, metrics=metrics, cache=cache))


def _task(
    sample: Sample,
    train: Dataset,
    test: Dataset,
    *,
    n: int | None,
    seed: int,
    features: FeatureNetwork | None,
    metrics: Sequence[str] | None,
    cache: Path | None,
) -> Task:
    """What `evaluate` will do, or its refusal."""
    for name, given in (("train", train), ("test", test)):
        if not isinstance(given, Dataset):
            raise UserTypeError(f"Expected {name} as a Dataset, got a {type(given).__name__}; use data.open_data.")
    _check_sample(sample)
    check_features(features)
    check_seed(seed)
    choice = _choice(train, test, features)
    material = Material(
        name=train.name,
        kind=train.kind,
        shape=train.shape,
        head=isinstance(choice, Learnt) if features is None else features.head is not None,
        mixture=train.mixture is not None,
        real=len(test),
        training=len(train),
        fake=None,
    )
    if features is not None and metrics is None and material.few:
        metrics = ("frechet", "classes") if material.head else ("frechet",)
    reference = Reference(
        real=Samples((test,), test.split),
        training=Samples((train,), train.split),
        preprocessing="rounded to 8 bits" if train.kind == "images" else "",
        classes=train.classes,
        mixture=train.mixture,
    )
    plan = make_plan(material, n=n, metrics=metrics)
    return Task(plan, reference, Generated(sample, train), choice, seed, cache)


def _check_sample(sample: Any) -> None:
    """Refuse what cannot be called with a number of samples and a seed."""
    try:
        inspect.signature(getattr(sample, "forward", sample)).bind(1, 0)
    except TypeError as problem:
        raise UserTypeError(
            f"Expected sample as a function (count, seed) -> samples, got a {type(sample).__name__} ({problem}); wrap "
            "the generator in one."
        ) from problem
    except ValueError:  # a builtin, which does not tell
        return


def _choice(train: Dataset, test: Dataset, features: FeatureNetwork | None) -> FeatureNetwork | Learnt:
    """The given network, or the one that suits the data."""
    if features is not None:
        return features
    if train.kind == "vectors":
        return pixels(train.shape)
    if train.labels is not None and len(train.classes) > 1:
        return Learnt(train, test)
    return random_convolutions(train.shape)
