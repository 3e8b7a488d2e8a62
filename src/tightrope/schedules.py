"""Hyperparameters that change with the number of real images seen: pure functions, so resuming needs no state."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real
from typing import Any, TypeAlias

from tightrope._plumbing.door import keep_door
from tightrope._plumbing.errors import UserError

__all__ = ["Cosine", "Delayed", "Linear", "Value", "check_value", "extremes", "ramp", "value_at"]


@dataclass(frozen=True)
class _Ramp:
    start: float
    end: float
    images: int

    def __post_init__(self) -> None:
        _check_schedule(self.start, self.end, self.images)

    def _share(self, images_seen: int) -> float:
        """Part of the way that is done, from 0 to 1."""
        return min(max(images_seen / self.images, 0.0), 1.0)


@dataclass(frozen=True)
class Linear(_Ramp):
    """Straight line from ``start`` at 0 images to ``end`` at ``images``, constant after that.

    Example:
        >>> from tightrope.schedules import Linear
        >>> gamma = Linear(10.0, 1.0, images=1000)
        >>> gamma(0), gamma(500), gamma(2000)
        (10.0, 5.5, 1.0)
    """

    def __call__(self, images_seen: int) -> float:
        """Value after ``images_seen`` real images."""
        return self.start + (self.end - self.start) * self._share(images_seen)


@dataclass(frozen=True)
class Cosine(_Ramp):
    """Half a cosine from ``start`` at 0 images to ``end`` at ``images``, flat at both ends, constant after that.

    Example:
        >>> from tightrope.schedules import Cosine
        >>> rate = Cosine(1.0, 0.0, images=1000)
        >>> [round(rate(images), 3) for images in (0, 250, 500, 1000)]
        [1.0, 0.854, 0.5, 0.0]
    """

    def __call__(self, images_seen: int) -> float:
        """Value after ``images_seen`` real images."""
        return self.end + (self.start - self.end) * (1 + math.cos(math.pi * self._share(images_seen))) / 2


def _check_schedule(start: float, end: float, images: int) -> None:
    if not _is_finite(images) or images <= 0:
        raise UserError(f"Expected a schedule over a positive number of images, got {images!r}; set its length.")
    if not (_is_finite(start) and _is_finite(end)):
        raise UserError(f"Expected a schedule between two finite numbers, got {start!r} and {end!r}; give both.")


def _is_finite(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


@dataclass(frozen=True)
class Delayed:
    """Zero before ``images``, then ``value``: the warm-up of a critic, whose word counts once it knows something.

    A schedule in it starts to count at ``images``.

    Example:
        >>> from tightrope.schedules import Delayed, Linear
        >>> weight = Delayed(0.8, images=1000)
        >>> weight(0), weight(999), weight(1000)
        (0.0, 0.0, 0.8)
        >>> Delayed(Linear(0.0, 0.8, images=500), images=1000)(1250)
        0.4

    **Source**: ``adopt_weight`` of Esser et al., "Taming transformers for high-resolution image synthesis", CVPR 2021,
    code; there in steps of the optimiser, where both players' steps are counted.
    """

    value: float | Linear | Cosine
    images: int

    def __post_init__(self) -> None:
        if not _is_finite(self.images) or self.images <= 0:
            raise UserError(f"Expected a delay of a positive number of images, got {self.images!r}; set its length.")
        if not isinstance(self.value, Linear | Cosine) and not _is_finite(self.value):
            raise UserError(f"Expected a finite number, Linear or Cosine to be delayed, got {self.value!r}; pass one.")

    def __call__(self, images_seen: int) -> float:
        """Value after ``images_seen`` real images."""
        return 0.0 if images_seen < self.images else value_at(self.value, images_seen - self.images)


Value: TypeAlias = float | Linear | Cosine | Delayed
"""A constant or a schedule."""


def extremes(value: Value) -> tuple[float, ...]:
    """The numbers between which a value stays: both ends of a schedule, and the zero before a delayed one."""
    if isinstance(value, Delayed):
        return (0.0, *extremes(value.value))
    return (value.start, value.end) if isinstance(value, Linear | Cosine) else (value,)


def check_value(name: str, value: Any, *, least: float = 0.0) -> None:
    """Refuse what is neither a finite number of at least ``least`` nor a schedule between two such.

    A function of images seen is taken at its word.

    Raises:
        UserError: It is something else.
    """
    if callable(value) and not isinstance(value, Linear | Cosine | Delayed | type):
        return
    if not all(_is_finite(end) and end >= least for end in extremes(value)):
        bound = "" if least == -math.inf else f" >= {least:g}"
        raise UserError(f"Expected {name} as a finite number{bound}, or a schedule of such, got {value!r}; set it.")


def value_at(value: Value, images_seen: int) -> float:
    """Value of a constant or a schedule after ``images_seen`` real images.

    Example:
        >>> from tightrope.schedules import Linear, value_at
        >>> value_at(3.0, 500), value_at(Linear(0.0, 1.0, images=1000), 500)
        (3.0, 0.5)
    """
    if isinstance(value, (int, float)) and value == value:  # no NaN
        return float(value)
    if not callable(value):
        check_value("a hyperparameter", value, least=-math.inf)
        return float(value)
    return value(images_seen)


def ramp(start: float, end: float | None, images: int | None, shape: str = "cosine") -> Value:
    """The constant ``start`` if ``end`` is None, otherwise a schedule from ``start`` to ``end`` over ``images``.

    Raises:
        UserError: An end without a length (or the other way round), or an unknown shape.

    Example:
        >>> from tightrope.schedules import ramp
        >>> ramp(10.0, None, None)
        10.0
        >>> ramp(10.0, 1.0, 1000, "linear")
        Linear(start=10.0, end=1.0, images=1000)
    """
    if end is None:
        if images is not None:
            raise UserError(
                f"A schedule over {images} images needs its end: expected a final value beside {start}, got none; give "
                "one or leave out the length."
            )
        return start
    if images is None or (_is_finite(images) and images <= 0):
        raise UserError(
            f"A schedule from {start} to {end} needs its length: expected a positive number of images, got {images}; "
            "set schedule_images."
        )
    if shape not in ("linear", "cosine"):
        raise UserError(f"Expected a schedule shape 'linear' or 'cosine', got {shape!r}; choose one of the two.")
    return Linear(start, end, images) if shape == "linear" else Cosine(start, end, images)


keep_door(__name__, __all__)
