"""Hyperparameters that change with the number of real images seen: pure functions, so resuming needs no state."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

from tightrope._plumbing.errors import UserError

__all__ = ["Cosine", "Linear", "Value", "ramp", "value_at"]


@dataclass(frozen=True)
class _Ramp:
    start: float
    end: float
    images: int

    def __post_init__(self) -> None:
        if self.images <= 0:
            raise UserError(f"Expected a schedule over a positive number of images, got {self.images}; set its length.")

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


Value: TypeAlias = float | Linear | Cosine
"""A constant or a schedule."""


def value_at(value: Value, images_seen: int) -> float:
    """Value of a constant or a schedule after ``images_seen`` real images.

    Example:
        >>> from tightrope.schedules import Linear, value_at
        >>> value_at(3.0, 500), value_at(Linear(0.0, 1.0, images=1000), 500)
        (3.0, 0.5)
    """
    return float(value) if isinstance(value, int | float) else value(images_seen)


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
    if images is None or images <= 0:
        raise UserError(
            f"A schedule from {start} to {end} needs its length: expected a positive number of images, got {images}; "
            "set schedule_images."
        )
    if shape not in ("linear", "cosine"):
        raise UserError(f"Expected a schedule shape 'linear' or 'cosine', got {shape!r}; choose one of the two.")
    return Linear(start, end, images) if shape == "linear" else Cosine(start, end, images)
