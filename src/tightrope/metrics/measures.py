"""Each metric by name, from gathered features to a measurement with its protocol and floor."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tightrope.metrics.features import FeatureNetwork
from tightrope.metrics.frechet import frechet_distance
from tightrope.metrics.inception import is_reference
from tightrope.metrics.kernel import kernel_distance
from tightrope.metrics.modes import class_coverage, class_histogram, mode_coverage
from tightrope.metrics.neighbours import NeighbourScores, memorisation, precision_recall_density_coverage
from tightrope.metrics.references import remembered_number
from tightrope.metrics.result import Measurement, Protocol
from tightrope.metrics.score import classifier_score
from tightrope.metrics.transport import sliced_wasserstein, wasserstein1
from tightrope.metrics.uncertainty import frechet_bootstrap

if TYPE_CHECKING:
    from tightrope.data import Mixture

METRICS: dict[str, str] = {
    "frechet": "Frechet distance of features to the test set; lower is better",
    "classes": "classes that the samples reach, by a classifier of the data's labels",
    "wasserstein1": "exact 1-Wasserstein distance to test points, for vectors of few dimensions; lower is better",
    "modes": "modes of a known mixture that the samples reach within three standard deviations",
    "high_quality": "share of samples within three standard deviations of a mode of a known mixture",
    "sliced_wasserstein": "1-Wasserstein distance averaged over random directions of sample space; lower is better",
    "kernel": "unbiased squared MMD of features with a cubic kernel; lower is better, 0 at equality",
    "precision": "share of samples near real ones in feature space (fidelity)",
    "recall": "share of real samples near generated ones in feature space (diversity)",
    "density": "mean number of real neighbourhoods that hold a sample, over k (fidelity, 1 at equality)",
    "coverage": "share of real neighbourhoods that hold a sample (diversity)",
    "classifier_score": "exp of the mean KL divergence of class predictions from their average; higher is better",
    "memorisation": "probability that a sample lies nearer to the training set than held-out data; 0.5 without copying",
    "held_out_gap": "Frechet distance to test data less that to as much training data; 0 without overfitting",
}
"""Name of every metric of `evaluate`, with a line for a list."""

POINT_METRICS = frozenset({"wasserstein1", "modes", "high_quality", "sliced_wasserstein"})
"""Metrics of the samples themselves; the others work on features."""

HEAD_METRICS = frozenset({"classes", "classifier_score"})
"""Metrics that need class scores."""

PUBLISHED = {"frechet": "fid", "kernel": "kid", "classifier_score": "inception_score"}
"""Names that the literature reserves for the Inception network."""

LOW_DIMENSION = 16
"""Most dimensions for which the exact Wasserstein distance says something with some thousand points."""

BOOTSTRAP_WORK = 5e8  # samples times squared dimensions up to which a Frechet distance gets its interval
RESAMPLES = 50


@dataclass(frozen=True, eq=False)
class Sets:
    """The sets that a metric works on, as features of one network.

    Attributes:
        real: Reference samples [n_real, d].
        fake: Generated samples [n_fake, d].
        control: Real training samples [n_fake, d] in the place of generated ones, for the floor, or None.
        training: Training samples [n, d] that memorisation is looked for in; empty where it is not asked for.
        network: The network.
        rounded: Generated samples were rounded to 8 bits.
        classes: Names of the classes.
        mixture: Known modes, or None.
        split: Split of the reference samples.
        seed: Seed of samples and subsets.
        key: What decides the real sets, for the cache of floors.
        cache: Folder of cached files, or None for the user's.
    """

    real: Tensor
    fake: Tensor
    control: Tensor | None
    training: Tensor
    network: FeatureNetwork
    rounded: bool
    classes: tuple[str, ...]
    mixture: Mixture | None
    split: str
    seed: int
    key: str
    cache: Path | None

    def measurement(
        self,
        metric: str,
        value: float,
        *,
        n_real: int | None = None,
        n_fake: int | None = None,
        interval: tuple[float, float] | None = None,
        floor: float | None = None,
        notes: tuple[str, ...] = (),
    ) -> Measurement:
        """Return a value with the protocol of these sets, of all samples unless said otherwise."""
        name = PUBLISHED.get(metric, metric) if is_reference(self.network) else metric
        protocol = Protocol(
            metric=name,
            features=self.network.label,
            preprocessing=("rounded to 8 bits, " if self.rounded else "") + self.network.preprocessing,
            n_real=len(self.real) if n_real is None else n_real,
            n_fake=len(self.fake) if n_fake is None else n_fake,
            split=self.split,
            seed=self.seed,
        )
        return Measurement(name, value, protocol, interval=interval, floor=floor, notes=notes)

    def floor(self, metric: str, compute: Callable[[Tensor], float]) -> float | None:
        """Return a metric of the control in place of the generated samples, from the cache where it is known."""
        control = self.control
        if control is None:
            return None
        return remembered_number(floor_key(metric, self.key), self.cache, lambda: compute(control))

    @functools.cached_property
    def neighbours(self) -> NeighbourScores:
        """Precision, recall, density and coverage of the generated samples, computed once for all four."""
        return precision_recall_density_coverage(self.real, self.fake)

    def rng(self) -> torch.Generator:
        """Return a new generator for what a metric draws itself."""
        return torch.Generator().manual_seed(self.seed)


def floor_key(metric: str, key: str) -> str:
    """Return what identifies a floor in the cache, given the key of its sets."""
    return f"floor {metric} {key}"


def measure(name: str, sets: Sets) -> Measurement:
    """Return one metric of `METRICS`.

    Args:
        name: Name of the metric.
        sets: Features; for `POINT_METRICS` the samples themselves.
    """
    return _MEASURES[name](sets)


def _frechet(sets: Sets) -> Measurement:
    dimension, least = sets.network.dimension, min(len(sets.real), len(sets.fake))
    notes = []
    if least <= dimension:
        notes.append(
            f"{least} samples in {dimension} dimensions give a singular covariance, which biases the value upwards; "
            "compare it with its floor."
        )
    if sets.network.accuracy is not None:
        notes.append(f"The classifier's accuracy on held-out data is {sets.network.accuracy:.3f}.")
    interval = None
    if (len(sets.real) + len(sets.fake)) * dimension**2 <= BOOTSTRAP_WORK:
        estimate = frechet_bootstrap(sets.real, sets.fake, resamples=RESAMPLES, rng=sets.rng())
        value, interval = estimate.value, (max(0.0, estimate.interval[0]), estimate.interval[1])
    else:
        value = frechet_distance(sets.real, sets.fake)
    floor = sets.floor("frechet", lambda control: frechet_distance(sets.real, control))
    return sets.measurement("frechet", value, interval=interval, floor=floor, notes=tuple(notes))


def _classes(sets: Sets) -> Measurement:
    real = class_histogram(sets.network.logits(sets.real))
    coverage = class_coverage(class_histogram(sets.network.logits(sets.fake)), real)
    notes = [f"KL divergence of the classes from the test set's: {coverage.divergence:.3f} nats."]
    if coverage.missing:
        known = len(sets.classes) == len(coverage.reached)
        names = [sets.classes[index] if known else str(index) for index in coverage.missing]
        notes.append(f"Missing: {', '.join(names)}.")
    floor = sets.floor(
        "classes", lambda control: class_coverage(class_histogram(sets.network.logits(control)), real).covered
    )
    return sets.measurement("classes", float(coverage.covered), floor=floor, notes=tuple(notes))


def _wasserstein1(sets: Sets) -> Measurement:
    size = min(len(sets.real), len(sets.fake))
    value = wasserstein1(sets.real[:size], sets.fake[:size])
    floor = sets.floor("wasserstein1", lambda control: wasserstein1(sets.real[:size], control[:size]))
    return sets.measurement("wasserstein1", value, n_real=size, n_fake=size, floor=floor)


def _sliced_wasserstein(sets: Sets) -> Measurement:
    def distance(samples: Tensor) -> float:
        return sliced_wasserstein(sets.real, samples, rng=sets.rng())

    return sets.measurement("sliced_wasserstein", distance(sets.fake), floor=sets.floor("sliced_wasserstein", distance))


def _modes(name: str, sets: Sets) -> Measurement:
    mixture = sets.mixture
    if mixture is None:
        raise ValueError(f"{name} needs data with known modes, but these have none; leave it out.")
    fake = mode_coverage(sets.fake, mixture.means, mixture.std)
    control = None if sets.control is None else mode_coverage(sets.control, mixture.means, mixture.std)
    # The modes are known, so that no real sample takes part.
    if name == "high_quality":
        floor = None if control is None else control.high_quality
        return sets.measurement(name, fake.high_quality, n_real=0, floor=floor)
    note = f"KL divergence of the histogram of modes from uniform: {fake.divergence:.3f} nats."
    floor = None if control is None else float(control.covered)
    return sets.measurement(name, float(fake.covered), n_real=0, floor=floor, notes=(note,))


def _kernel(sets: Sets) -> Measurement:
    estimate = kernel_distance(sets.real, sets.fake)
    floor = sets.floor("kernel", lambda control: kernel_distance(sets.real, control).value)
    return sets.measurement("kernel", estimate.value, interval=estimate.interval, floor=floor)


def _neighbours(name: str, sets: Sets) -> Measurement:
    def control_score(control: Tensor) -> float:
        return float(getattr(precision_recall_density_coverage(sets.real, control), name))

    value = float(getattr(sets.neighbours, name))
    return sets.measurement(name, value, floor=sets.floor(name, control_score), notes=("5 nearest neighbours.",))


def _classifier_score(sets: Sets) -> Measurement:
    estimate = classifier_score(sets.network.logits(sets.fake))
    floor = sets.floor("classifier_score", lambda control: classifier_score(sets.network.logits(control)).value)
    return sets.measurement("classifier_score", estimate.value, interval=estimate.interval, floor=floor)


def _memorisation(sets: Sets) -> Measurement:
    result = memorisation(sets.training, sets.fake, sets.real)
    note = (
        f"{result.copies} of {len(sets.fake)} samples equal one of {len(sets.training)} training samples; the standard "
        f"error without copying is {result.standard_error:.3f}."
    )
    return sets.measurement("memorisation", result.probability, floor=0.5, notes=(note,))


def _held_out_gap(sets: Sets) -> Measurement:
    size = min(len(sets.real), len(sets.training))
    gap = frechet_distance(sets.real[:size], sets.fake) - frechet_distance(sets.training[:size], sets.fake)
    return sets.measurement("held_out_gap", gap, n_real=size, floor=0.0)


_MEASURES: dict[str, Callable[[Sets], Measurement]] = {
    "frechet": _frechet,
    "classes": _classes,
    "wasserstein1": _wasserstein1,
    "modes": functools.partial(_modes, "modes"),
    "high_quality": functools.partial(_modes, "high_quality"),
    "sliced_wasserstein": _sliced_wasserstein,
    "kernel": _kernel,
    "precision": functools.partial(_neighbours, "precision"),
    "recall": functools.partial(_neighbours, "recall"),
    "density": functools.partial(_neighbours, "density"),
    "coverage": functools.partial(_neighbours, "coverage"),
    "classifier_score": _classifier_score,
    "memorisation": _memorisation,
    "held_out_gap": _held_out_gap,
}
