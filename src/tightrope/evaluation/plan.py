"""What a measurement will do, decided before anything is computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Literal

from tightrope._plumbing.errors import UserError, UserTypeError
from tightrope.evaluation.measures import GROUPS, LOW_DIMENSION, MEASURES, expanded
from tightrope.evaluation.sets import PUBLISHED

MAX_SAMPLES = 10_000
MAX_POINTS = 2_000
MAX_TRAINING = 50_000


@dataclass(frozen=True)
class Material:
    """What there is to measure with.

    Attributes:
        name: Name of the reference data.
        kind: ``images``, ``signals`` or ``vectors``.
        shape: Shape of one sample.
        head: The feature network gives class scores.
        mixture: The modes are known.
        real: Number of reference samples.
        training: Number of training samples, or None without any.
        fake: Number of generated samples, or None where a generator makes as many as are asked for.
        how: How to give training samples, as the end of a sentence.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    head: bool
    mixture: bool
    real: int
    training: int | None
    fake: int | None
    how: str = "give training samples"

    @property
    def few(self) -> bool:
        """Whether samples are vectors of so few dimensions that points themselves can be compared."""
        return self.kind == "vectors" and len(self.shape) == 1 and self.shape[0] <= LOW_DIMENSION


@dataclass(frozen=True)
class Plan:
    """What a measurement will do.

    Attributes:
        names: Metrics in order.
        n_real: Number of reference samples.
        n_fake: Number of generated samples.
        control: Where floors come from: ``training`` samples in the place of generated ones, one of two ``halves`` of
            the reference samples, or nowhere.
        n_training: Number of training samples searched for copies.
    """

    names: tuple[str, ...]
    n_real: int
    n_fake: int
    control: Literal["training", "halves", ""]
    n_training: int

    @property
    def n_control(self) -> int:
        """Number of samples in the place of generated ones."""
        return {"training": self.n_fake, "halves": min(self.n_fake, self.n_real // 2), "": 0}[self.control]

    def on(self, what: str) -> tuple[str, ...]:
        """Return the metrics that work on ``features``, ``points`` or ``projections``."""
        return tuple(name for name in self.names if MEASURES[name].on == what)


def make_plan(material: Material, *, n: int | None, metrics: Sequence[str] | None) -> Plan:
    """Return what a measurement will do.

    Args:
        material: What there is to measure with.
        n: Number of generated samples; by default as many as there are, up to 10,000 (2,000 points).
        metrics: Names out of `MEASURES` or `GROUPS`; by default those that suit the data.

    Raises:
        UserError: A metric is unknown or does not suit the data, or there are too few samples.
    """
    if metrics is not None and (
        isinstance(metrics, str) or not all(isinstance(m, str) for m in metrics) or not metrics
    ):
        raise UserTypeError(f"Expected metrics as a list of names, got {metrics!r}; leave it out for those that suit.")
    if n is not None and (not isinstance(n, Integral) or isinstance(n, bool)):
        raise UserTypeError(f"Expected n as a whole number of samples, got {n!r}; some thousands are usual.")
    names = _suitable(material) if metrics is None else expanded(tuple(name.strip() for name in metrics))
    for name in names:
        _check_name(name, material)
    limit = MAX_POINTS if "wasserstein1" in names else MAX_SAMPLES
    available = material.fake if material.fake is not None else (material.training or 0)
    n_fake = min(available, limit) if n is None else n
    if material.fake is not None and n_fake > material.fake:
        raise UserError(f"n asks for {n_fake:,} generated samples, but there are {material.fake:,}; give a smaller n.")
    # A generator is asked for its samples; of two given sets, n bounds both.
    n_real = min(material.real, limit if material.fake is None else max(limit, n or 0))
    _check_counts(names, n_real, n_fake, n)
    searched = any(MEASURES[name].needs == "training" for name in names)
    return Plan(
        names=names,
        n_real=n_real,
        n_fake=n_fake,
        control=_control(names, material.training, n_real, n_fake),
        n_training=min(material.training or 0, MAX_TRAINING) if searched else 0,
    )


def _suitable(material: Material) -> tuple[str, ...]:
    if material.few:
        return ("wasserstein1", "modes", "high_quality") if material.mixture else ("wasserstein1",)
    if material.fake is None:
        return ("frechet", "classes") if material.head else ("frechet",)
    return ("frechet", "kernel", *GROUPS["prdc"])


def _control(
    names: tuple[str, ...], training: int | None, n_real: int, n_fake: int
) -> Literal["training", "halves", ""]:
    if training is not None:
        return "training" if n_fake <= training else ""
    return "halves" if min(n_fake, n_real // 2) >= max(MEASURES[name].least for name in names) else ""


def _check_name(name: str, material: Material) -> None:
    if name in PUBLISHED.values():
        (plain,) = (key for key, value in PUBLISHED.items() if value == name)
        raise UserError(
            f"{name} is the name of {plain} in the features of one Inception network, so ask for {plain} with "
            "features=inception(path), or --features inception:FILE."
        )
    if name not in MEASURES:
        known = ", ".join((*MEASURES, *GROUPS))
        raise UserError(f"A metric must be one of {known}, but {name!r} was asked for; choose again.")
    needs = MEASURES[name].needs
    if name == "wasserstein1" and not material.few:
        raise UserError(
            f"The exact Wasserstein distance needs vectors of at most {LOW_DIMENSION} dimensions, but "
            f"{material.name} has samples of shape {material.shape}; measure sliced_wasserstein or frechet instead."
        )
    if needs == "mixture" and not material.mixture:
        raise UserError(f"{name} needs data with known modes, but {material.name} has none; leave it out.")
    if needs == "head" and not material.head:
        raise UserError(
            f"{name} needs features with class scores, and the classifier behind them images or signals with labels, "
            f"but {material.name} has none; leave it out or choose such features."
        )
    if needs == "training" and material.training is None:
        raise UserError(f"{name} compares with the training set, but there is none; {material.how} or leave it out.")


def _check_counts(names: tuple[str, ...], n_real: int, n_fake: int, n: int | None) -> None:
    if n is not None and n < 2:
        raise UserError(f"At least 2 generated samples are needed, but n is {n}; some thousands are usual.")
    name = max(names, key=lambda name: MEASURES[name].least)
    least = MEASURES[name].least
    if min(n_real, n_fake) < least:
        raise UserError(
            f"{name} needs at least {least} samples of each set, but there are {n_real} real and {n_fake} generated "
            "ones; some thousands are usual."
        )
