"""Each metric by name, from gathered features to a measurement with its protocol and floor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from tightrope.metrics.features import FeatureNetwork
from tightrope.metrics.frechet import frechet_parts
from tightrope.metrics.modes import Coverage, class_coverage, class_histogram, mode_coverage
from tightrope.metrics.result import Measurement, Protocol
from tightrope.metrics.transport import wasserstein1

if TYPE_CHECKING:
    from tightrope.data import Dataset

METRICS: dict[str, str] = {
    "frechet": "Frechet distance of features to the test set; lower is better",
    "classes": "classes that the samples reach, by a classifier of the data's labels",
    "wasserstein1": "exact 1-Wasserstein distance to test points, for vectors of few dimensions; lower is better",
    "modes": "modes of a known mixture that the samples reach within three standard deviations",
    "high_quality": "share of samples within three standard deviations of a mode of a known mixture",
}
"""Name of every metric of `evaluate`, with a line for a list."""

POINT_METRICS = frozenset({"wasserstein1", "modes", "high_quality"})
"""Metrics of the samples themselves; the others work on features."""

LOW_DIMENSION = 16
"""Most dimensions for which the exact Wasserstein distance says something with some thousand points."""


@dataclass(frozen=True, eq=False)
class Sets:
    """The sets that a metric works on, as features of one network.

    Attributes:
        real: Reference samples [n_real, d].
        fake: Generated samples [n_fake, d].
        control: Real training samples [n_fake, d] in the place of generated ones, for the floor, or None.
        network: The network.
        rounded: Generated samples were rounded to 8 bits.
        split: Split of the reference samples.
        seed: Seed of samples and subsets.
    """

    real: Tensor
    fake: Tensor
    control: Tensor | None
    network: FeatureNetwork
    rounded: bool
    split: str
    seed: int

    def protocol(self, metric: str, n_real: int, n_fake: int) -> Protocol:
        """Return the protocol of a metric of so many of these samples."""
        preprocessing = ("rounded to 8 bits, " if self.rounded else "") + self.network.preprocessing
        return Protocol(metric, self.network.label, preprocessing, n_real, n_fake, self.split, self.seed)


def measure(name: str, sets: Sets, train: Dataset) -> Measurement:
    """Return one metric of `METRICS`.

    Args:
        name: Name of the metric.
        sets: Features; for `POINT_METRICS` the samples themselves.
        train: Training split, for names of classes and the known mixture.
    """
    return _MEASURES[name](sets, train)


def _frechet(sets: Sets, train: Dataset) -> Measurement:
    result = frechet_parts(sets.real, sets.fake)
    n_real, n_fake, notes = len(sets.real), len(sets.fake), []
    if min(n_real, n_fake) <= sets.network.dimension:
        notes.append(
            f"{min(n_real, n_fake)} samples in {sets.network.dimension} dimensions give a singular covariance, which "
            "biases the value upwards; compare it with its floor."
        )
    if sets.network.accuracy is not None:
        notes.append(f"The classifier's accuracy on held-out data is {sets.network.accuracy:.3f}.")
    floor = None if sets.control is None else frechet_parts(sets.real, sets.control).value
    return Measurement(
        "frechet", result.value, sets.protocol("frechet", n_real, n_fake), floor=floor, notes=tuple(notes)
    )


def _classes(sets: Sets, train: Dataset) -> Measurement:
    real = class_histogram(sets.network.logits(sets.real))
    coverage = class_coverage(class_histogram(sets.network.logits(sets.fake)), real)
    notes = [f"KL divergence of the classes from the test set's: {coverage.divergence:.3f} nats."]
    if coverage.missing:
        known = len(train.classes) == len(coverage.reached)
        names = [train.classes[index] if known else str(index) for index in coverage.missing]
        notes.append(f"Missing: {', '.join(names)}.")
    floor = None
    if sets.control is not None:
        floor = float(class_coverage(class_histogram(sets.network.logits(sets.control)), real).covered)
    protocol = sets.protocol("classes", len(sets.real), len(sets.fake))
    return Measurement("classes", float(coverage.covered), protocol, floor=floor, notes=tuple(notes))


def _wasserstein1(sets: Sets, train: Dataset) -> Measurement:
    size = min(len(sets.real), len(sets.fake))
    value = wasserstein1(sets.real[:size], sets.fake[:size])
    floor = None if sets.control is None else wasserstein1(sets.real[:size], sets.control[:size])
    return Measurement("wasserstein1", value, sets.protocol("wasserstein1", size, size), floor=floor)


def _modes(sets: Sets, train: Dataset) -> Measurement:
    coverage = _mode_coverage(sets.fake, train)
    floor = None if sets.control is None else float(_mode_coverage(sets.control, train).covered)
    notes = (f"KL divergence of the histogram of modes from uniform: {coverage.divergence:.3f} nats.",)
    return Measurement("modes", float(coverage.covered), _mode_protocol("modes", sets), floor=floor, notes=notes)


def _high_quality(sets: Sets, train: Dataset) -> Measurement:
    value = _mode_coverage(sets.fake, train).high_quality
    floor = None if sets.control is None else _mode_coverage(sets.control, train).high_quality
    return Measurement("high_quality", value, _mode_protocol("high_quality", sets), floor=floor)


def _mode_coverage(samples: Tensor, train: Dataset) -> Coverage:
    if train.mixture is None:
        raise ValueError(f"Mode coverage needs data with known modes, but {train.name} has none; leave it out.")
    return mode_coverage(samples, train.mixture.means, train.mixture.std)


def _mode_protocol(name: str, sets: Sets) -> Protocol:
    return sets.protocol(name, 0, len(sets.fake))  # the modes are known, no real sample takes part


_MEASURES: dict[str, Callable[[Sets, Dataset], Measurement]] = {
    "frechet": _frechet,
    "classes": _classes,
    "wasserstein1": _wasserstein1,
    "modes": _modes,
    "high_quality": _high_quality,
}
