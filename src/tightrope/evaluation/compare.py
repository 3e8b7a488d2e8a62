"""Measure one set of samples against another: anybody's images, whatever made them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tightrope._plumbing.checks import check_seed
from tightrope._plumbing.errors import UserError, UserTypeError
from tightrope.evaluation.expectation import expected
from tightrope.evaluation.features.network import FeatureNetwork, check_features, pixels, random_convolutions
from tightrope.evaluation.gather import Reference
from tightrope.evaluation.plan import Material, make_plan
from tightrope.evaluation.samples import Samples
from tightrope.evaluation.task import Stored, Task, run
from tightrope.metrics.result import Measurement


def compare(
    real: Samples,
    fake: Samples,
    *,
    training: Samples | None = None,
    n: int | None = None,
    seed: int = 0,
    features: FeatureNetwork | None = None,
    metrics: Sequence[str] | None = None,
    cache: Path | None = None,
    progress: bool = False,
) -> list[Measurement]:
    """Measure samples against real ones.

    Images and signals are measured in the features of random convolutions unless a network is given, vectors by
    themselves. With ``training`` each value carries as its floor the same metric with those samples in the place of
    the generated ones, at the same sizes; without it, that of one half of the real samples against the other, and a
    note says so. Both sets are read in portions; only features are held.

    Args:
        real: Reference samples.
        fake: Generated samples of the same kind and shape.
        training: What the generator has seen: other real samples, for the floor and for memorisation.
        n: At most so many samples of each set; 10,000 if not given (2,000 points of at most 16 dimensions).
        seed: Seed of the chosen subsets.
        features: Feature network; by default chosen as said above.
        metrics: Names out of `METRICS`, or ``prdc`` for four of them; by default distance, kernel distance and those
            four, or the exact 1-Wasserstein distance for vectors of at most 16 dimensions.
        cache: Folder for features and floors; by default ``$TIGHTROPE_CACHE`` or the user's cache folder.
        progress: Say on stderr how far it has come.

    Returns:
        One measurement for each metric, in the order asked for.

    Raises:
        UserError: The sets do not fit together, a metric does not suit them, or there are too few samples.
    """
    task = _task(real, fake, training, n=n, seed=seed, features=features, metrics=metrics, cache=cache)
    return run(task, progress=progress)


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
    """About how many seconds `compare` would take with the same arguments, as `expected_seconds` does.

    Raises:
        UserError: `compare` would refuse these arguments.
    """
    return expected(_task(real, fake, training, n=n, seed=seed, features=features, metrics=metrics, cache=cache))


def _task(
    real: Samples,
    fake: Samples,
    training: Samples | None,
    *,
    n: int | None,
    seed: int,
    features: FeatureNetwork | None,
    metrics: Sequence[str] | None,
    cache: Path | None,
) -> Task:
    """What `compare` will do, or its refusal."""
    for given in (real, fake, *([] if training is None else [training])):
        if not isinstance(given, Samples):
            raise UserTypeError(
                f"Expected Samples, got a {type(given).__name__}; open a folder or file with evaluation.open_samples."
            )
    check_features(features)
    check_seed(seed)
    for other, word in ((fake, "generated"), (training, "training")):
        if other is not None and (other.kind, other.shape) != (real.kind, real.shape):
            raise UserError(
                f"Real and {word} samples must be of one kind and size, but {real.name} holds {described(real)} and "
                f"{other.name} {described(other)}; "
                + (
                    "bring them to one size, or give a resolution to scale both."
                    if "images" == real.kind == other.kind
                    else "give two sources of one kind."
                )
            )
    if features is None:
        features = pixels(real.shape) if real.kind == "vectors" else random_convolutions(real.shape)
        head = False
    else:
        head = features.head is not None
    material = Material(
        name=real.name,
        kind=real.kind,
        shape=real.shape,
        head=head,
        mixture=False,
        real=len(real),
        training=None if training is None else len(training),
        fake=len(fake),
        how="give the training samples (--training)",
    )
    plan = make_plan(material, n=n, metrics=metrics)
    return Task(plan, Reference(real, training, real.decoding), Stored(fake), features, seed, cache)


def described(samples: Samples) -> str:
    """Return kind and size of samples in words, such as ``images of 32x32 in colour``."""
    if samples.kind == "images":
        channels, height, width = samples.shape
        return f"images of {width}x{height} in {'colour' if channels == 3 else 'grey'}"
    return f"{samples.kind} of shape {samples.shape}"
