"""Each metric by name, from gathered features to a measurement with its protocol and floor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from tightrope._plumbing.errors import UserError
from tightrope.evaluation.features.inception import is_reference
from tightrope.evaluation.sets import Sets
from tightrope.metrics.frechet import frechet_distance, frechet_parts
from tightrope.metrics.kernel import kernel_distance
from tightrope.metrics.modes import Coverage, class_coverage, class_histogram, mode_coverage
from tightrope.metrics.neighbours import memorisation
from tightrope.metrics.result import Estimate, Measurement
from tightrope.metrics.score import classifier_score, split_classifier_score
from tightrope.metrics.transport import sliced_from_projections, wasserstein1
from tightrope.metrics.uncertainty import extrapolation_least, frechet_bootstrap, frechet_extrapolated

LOW_DIMENSION = 16
"""Most dimensions for which the exact Wasserstein distance says something with some thousand points."""

BOOTSTRAP_WORK = 5e8  # samples times squared dimensions up to which a Frechet distance gets its interval
RESAMPLES, HALVINGS, SPLITS, K = 50, 4, 10, 5


@dataclass(frozen=True)
class Measure:
    """A metric of `evaluate` and `compare`.

    Attributes:
        summary: A line for a list.
        compute: The measurement, given the sets.
        on: What the sets hold: ``features`` of a network, the ``points`` themselves, or their random ``projections``.
        needs: What it cannot do without: ``""``, a ``head`` (class scores), a ``mixture`` or ``training`` samples.
        least: Fewest samples of each set.
    """

    summary: str
    compute: Callable[[Sets], Measurement]
    on: Literal["features", "points", "projections"] = "features"
    needs: Literal["", "head", "mixture", "training"] = ""
    least: int = 2


def measure(name: str, sets: Sets) -> Measurement:
    """Return one metric of `MEASURES`.

    Args:
        name: Name of the metric.
        sets: What its `Measure.on` says.
    """
    return MEASURES[name].compute(sets)


def expanded(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return names with each group of `GROUPS` replaced by its members, each name once."""
    return tuple(dict.fromkeys(member for name in names for member in GROUPS.get(name, (name,))))


def _frechet(sets: Sets) -> Measurement:
    dimension, least = sets.network.dimension, min(len(sets.real), len(sets.fake))
    found, notes = frechet_parts(sets.real, sets.fake), []
    if least <= dimension:
        notes.append(
            f"{least} samples in {dimension} dimensions give a singular covariance, which biases the value upwards; "
            "compare it with its floor."
        )
    elif found.rank_deficient:
        notes.append("A covariance is singular: some features do not vary, or not independently; the value is exact.")
    if sets.network.accuracy is not None:
        notes.append(f"The classifier's accuracy on held-out data is {sets.network.accuracy:.3f}.")
    interval = None
    if (len(sets.real) + len(sets.fake)) * dimension**2 <= BOOTSTRAP_WORK:
        estimate = frechet_bootstrap(sets.real, sets.fake, resamples=RESAMPLES, rng=sets.rng())
        interval = (max(0.0, estimate.interval[0]), estimate.interval[1])
    floor = sets.floor("frechet", frechet_distance)
    return sets.measurement("frechet", found.value, interval=interval, floor=floor, notes=tuple(notes))


def _frechet_extrapolated(sets: Sets) -> Measurement:
    estimate = frechet_extrapolated(sets.real, sets.fake, repeats=HALVINGS, rng=sets.rng())

    def control_value(real: Tensor, fake: Tensor) -> float:
        return frechet_extrapolated(real, fake, repeats=HALVINGS, rng=sets.rng()).value

    control = sets.control
    enough = control is not None and min(len(control.real), len(control.fake)) >= extrapolation_least(sets.real)
    floor = sets.floor("frechet_extrapolated", control_value) if enough else None
    note = f"The choice of halves alone gives it a standard error of {estimate.standard_error:.2g}."
    return sets.measurement("frechet_extrapolated", estimate.value, floor=floor, notes=(note,))


def _classes(sets: Sets) -> Measurement:
    real = class_histogram(sets.network.logits(sets.real))
    coverage = class_coverage(class_histogram(sets.network.logits(sets.fake)), real)
    notes = [f"KL divergence of the classes from the real samples': {coverage.divergence:.3f} nats."]
    if coverage.missing:
        known = len(sets.classes) == len(coverage.reached)
        names = [sets.classes[index] if known else str(index) for index in coverage.missing]
        notes.append(f"Missing: {', '.join(names)}.")

    def control_count(reference: Tensor, control: Tensor) -> float:
        expected, reached = (class_histogram(sets.network.logits(features)) for features in (reference, control))
        return class_coverage(reached, expected).covered

    floor = sets.floor("classes", control_count)
    return sets.measurement("classes", float(coverage.covered), floor=floor, notes=tuple(notes))


def _wasserstein1(sets: Sets) -> Measurement:
    def distance(real: Tensor, fake: Tensor) -> float:
        least = min(len(real), len(fake))
        return wasserstein1(real[:least], fake[:least])

    value, floor, size = distance(sets.real, sets.fake), sets.floor("wasserstein1", distance), _least(sets)
    return sets.measurement("wasserstein1", value, n_real=size, n_fake=size, floor=floor)


def _sliced_wasserstein(sets: Sets) -> Measurement:
    value = sliced_from_projections(sets.real, sets.fake)
    floor = sets.floor("sliced_wasserstein", sliced_from_projections)
    return sets.measurement("sliced_wasserstein", value, floor=floor)


def _mode_coverages(sets: Sets) -> tuple[Coverage, Coverage | None]:
    """Of the generated samples and of the control; the modes are known, so that no real sample takes part."""
    mixture = sets.mixture
    if mixture is None:
        raise UserError(f"Modes can be counted where they are known, but {sets.data} has none; leave them out.")
    control = None if sets.control is None else mode_coverage(sets.control.fake, mixture.means, mixture.std)
    return mode_coverage(sets.fake, mixture.means, mixture.std), control


def _modes(sets: Sets) -> Measurement:
    fake, control = _mode_coverages(sets)
    note = f"KL divergence of the histogram of modes from uniform: {fake.divergence:.3f} nats."
    floor = None if control is None else float(control.covered)
    return sets.measurement("modes", float(fake.covered), n_real=0, floor=floor, notes=(note,))


def _high_quality(sets: Sets) -> Measurement:
    fake, control = _mode_coverages(sets)
    floor = None if control is None else control.high_quality
    return sets.measurement("high_quality", fake.high_quality, n_real=0, floor=floor)


def _mode_divergence(sets: Sets) -> Measurement:
    fake, control = _mode_coverages(sets)
    floor = None if control is None else control.divergence
    return sets.measurement("mode_divergence", fake.divergence, n_real=0, floor=floor)


def _class_divergence(sets: Sets) -> Measurement:
    def divergence(real: Tensor, fake: Tensor) -> float:
        expected, found = (class_histogram(sets.network.logits(features)) for features in (real, fake))
        return class_coverage(found, expected).divergence

    floor = sets.floor("class_divergence", divergence)
    return sets.measurement("class_divergence", divergence(sets.real, sets.fake), floor=floor)


def _kernel(sets: Sets) -> Measurement:
    estimate = kernel_distance(sets.real, sets.fake)
    floor = sets.floor("kernel", lambda real, control: kernel_distance(real, control).value)
    return sets.measurement("kernel", estimate.value, interval=estimate.interval, floor=floor)


def _neighbours(name: str) -> Callable[[Sets], Measurement]:
    def compute(sets: Sets) -> Measurement:
        floor = sets.floor(name, lambda *_: float(getattr(sets.control_neighbours, name)))
        value = float(getattr(sets.neighbours, name))
        return sets.measurement(name, value, floor=floor, notes=(f"{K} nearest neighbours.",))

    return compute


def _classifier_score(sets: Sets) -> Measurement:
    published = is_reference(sets.network)

    def score(features: Tensor) -> Estimate:
        logits = sets.network.logits(features)
        if not published:
            return classifier_score(logits)
        return split_classifier_score(logits, splits=min(SPLITS, len(logits)))

    estimate = score(sets.fake)
    floor = sets.floor("classifier_score", lambda _, control: score(control).value)
    if published:
        note = f"Mean of {SPLITS} splits, whose standard deviation is {estimate.standard_error:.3g}."
        return sets.measurement("classifier_score", estimate.value, n_real=0, floor=floor, notes=(note,))
    return sets.measurement("classifier_score", estimate.value, n_real=0, interval=estimate.interval, floor=floor)


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


def _least(sets: Sets) -> int:
    return min(len(sets.real), len(sets.fake))


MEASURES: dict[str, Measure] = {
    "frechet": Measure("Frechet distance of features to the reference set; lower is better", _frechet),
    "frechet_extrapolated": Measure(
        "Frechet distance extrapolated to infinitely many samples; lower is better", _frechet_extrapolated
    ),
    "kernel": Measure(
        "unbiased squared MMD of features with a cubic kernel; lower is better, 0 at equality", _kernel, least=3
    ),
    "precision": Measure(
        "share of samples near real ones in feature space (fidelity)", _neighbours("precision"), least=K + 1
    ),
    "recall": Measure(
        "share of real samples near generated ones in feature space (diversity)", _neighbours("recall"), least=K + 1
    ),
    "density": Measure(
        "mean number of real neighbourhoods that hold a sample, over k (fidelity, 1 at equality)",
        _neighbours("density"),
        least=K + 1,
    ),
    "coverage": Measure(
        "share of real neighbourhoods that hold a sample (diversity)", _neighbours("coverage"), least=K + 1
    ),
    "classes": Measure("classes that the samples reach, by a classifier of the data's labels", _classes, needs="head"),
    "class_divergence": Measure(
        "KL divergence in nats of the classes of samples from those of real ones; lower is better",
        _class_divergence,
        needs="head",
    ),
    "classifier_score": Measure(
        "exp of the mean KL divergence of class predictions from their average; higher is better",
        _classifier_score,
        needs="head",
    ),
    "memorisation": Measure(
        "probability that a sample lies nearer to the training set than held-out data; 0.5 without copying",
        _memorisation,
        needs="training",
    ),
    "held_out_gap": Measure(
        "Frechet distance to held-out data less that to as much training data; 0 without overfitting",
        _held_out_gap,
        needs="training",
    ),
    "wasserstein1": Measure(
        "exact 1-Wasserstein distance to real points, for vectors of few dimensions; lower is better",
        _wasserstein1,
        on="points",
    ),
    "sliced_wasserstein": Measure(
        "1-Wasserstein distance averaged over random directions of sample space; lower is better",
        _sliced_wasserstein,
        on="projections",
    ),
    "modes": Measure(
        "modes of a known mixture that the samples reach within three standard deviations",
        _modes,
        on="points",
        needs="mixture",
    ),
    "high_quality": Measure(
        "share of samples within three standard deviations of a mode of a known mixture",
        _high_quality,
        on="points",
        needs="mixture",
    ),
    "mode_divergence": Measure(
        "KL divergence in nats of the histogram of modes from the uniform one; lower is better",
        _mode_divergence,
        on="points",
        needs="mixture",
    ),
}
"""Every metric by name; one more is one more entry."""

METRICS: dict[str, str] = {name: one.summary for name, one in MEASURES.items()}
"""Name of every metric, with a line for a list."""

GROUPS: dict[str, tuple[str, ...]] = {"prdc": ("precision", "recall", "density", "coverage")}
"""Names that stand for several metrics."""
