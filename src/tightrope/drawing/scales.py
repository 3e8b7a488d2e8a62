"""Axes: where a value lies between the ends of an axis, and which round values to write beside it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tightrope.drawing.numbers import MINUS, number, scientific

Kind = Literal["linear", "log", "asinh"]
_FAR = 1e100  # what lies beyond, or nearer to zero than its inverse, is drawn there: products stay finite


@dataclass(frozen=True)
class Scale:
    """A vertical axis.

    Attributes:
        low: value at the lower end; above zero on a logarithmic axis.
        high: value at the upper end.
        kind: ``"linear"``, ``"log"``, or ``"asinh"``: linear for values much smaller than ``width``, logarithmic for
            much larger ones, both signs, so that one spike does not flatten the rest of a curve.
        width: where an asinh axis bends.
    """

    low: float
    high: float
    kind: Kind = "linear"
    width: float = 1.0

    def place(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Values as shares of the axis, 0 at ``low`` and 1 at ``high``."""
        ends = self._bend(np.asarray([self.low, self.high], np.float64))
        placed: NDArray[np.float64] = (self._bend(bounded(values)) - ends[0]) / (ends[1] - ends[0])
        return placed

    def _bend(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        if self.kind == "log":
            return np.asarray(np.log10(np.maximum(values, 1 / _FAR)))
        if self.kind == "asinh":
            return np.asarray(np.arcsinh(values / self.width))
        return values

    def ticks(self) -> list[tuple[float, str]]:
        """Round values on the axis with the text to write beside each."""
        if self.kind == "log":
            return _log_ticks(self.low, self.high)
        if self.kind == "asinh":
            return self._bent_ticks()
        return linear_ticks(self.low, self.high)

    def _bent_ticks(self) -> list[tuple[float, str]]:
        first, last = math.ceil(math.log10(self.width)), math.floor(math.log10(max(abs(self.low), abs(self.high))))
        tens = [10.0**power for power in range(first, last + 1)]
        levels = sorted([0.0, *tens, *(-ten for ten in tens)])
        chosen: list[float] = []
        inside = [level for level in levels if self.low <= level <= self.high]
        for level in sorted(inside, key=lambda level: (level != 0, -abs(level))):  # zero first, then from outside in
            place = float(self.place(np.asarray(level)))
            if all(abs(place - float(self.place(np.asarray(other)))) > 0.12 for other in chosen):
                chosen.append(level)
        return [(level, _power(level)) for level in sorted(chosen)]


def bounded(values: NDArray[Any]) -> NDArray[np.float64]:
    """Values brought into the range in which axes can be computed."""
    near = np.clip(np.asarray(values, np.float64), -_FAR, _FAR)
    return np.where(np.abs(near) < 1 / _FAR, 0.0, near)


def choose_scale(values: NDArray[np.float64], *, log: bool = False) -> Scale:
    """The axis on which some values are easiest to read.

    Args:
        values: float64 ``[n]``, at least one, finite.
        log: whether a logarithmic axis suits the quantity; it is used if the values span more than a factor of 20.

    Returns:
        A logarithmic axis where asked for; an asinh axis when a few values reach 30 times farther than the middle
        nine tenths; else a linear one, from zero if the values are close to it.
    """
    values = bounded(values)
    positive = values[values > 0]
    if log and len(positive) and positive.max() > 20 * positive.min():
        return Scale(float(positive.min()) / 1.15, float(positive.max()) * 1.15, "log")
    low, high = float(values.min()), float(values.max())
    inner = np.quantile(values, [0.05, 0.95])
    if len(values) >= 20 and high - low > 30 * max(float(inner[1] - inner[0]), 1e-12 * max(abs(low), abs(high))):
        width = float(np.quantile(np.abs(values), 0.5)) or (high - low) / 1e4
        bend = [math.asinh(low / width), math.asinh(high / width)]
        margin = 0.04 * (bend[1] - bend[0])
        return Scale(width * math.sinh(bend[0] - margin), width * math.sinh(bend[1] + margin), "asinh", width)
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        room = 0.5 * abs(high) or 1.0
        return Scale(low - room, high + room)
    if 0 < low < 0.5 * high:
        low = 0.0
    if 0.5 * low < high < 0:
        high = 0.0
    margin = 0.05 * (high - low)
    return Scale(low - margin if low else 0.0, high + margin if high else 0.0)


def linear_ticks(low: float, high: float, most: int = 5) -> list[tuple[float, str]]:
    """At most ``most + 1`` multiples of 1, 2 or 5 times a power of ten within a range, with their texts."""
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    largest = max(abs(first), abs(last)) * step
    if largest >= 1e5 or largest < 1e-3:
        return [(index * step, scientific(index * step) if index else "0") for index in range(first, last + 1)]
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    texts = [f"{i * step:,.{decimals}f}".replace("-", MINUS) if i else "0" for i in range(first, last + 1)]
    return [(i * step, text) for i, text in zip(range(first, last + 1), texts, strict=True)]


def _log_ticks(low: float, high: float) -> list[tuple[float, str]]:
    first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
    stride = max(1, math.ceil((last - first) / 5))
    levels = [10.0**power for power in range(first, last + 1) if power % stride == 0]
    if last - first < 2:
        levels = [f * 10.0**power for power in range(first - 1, last + 1) for f in (1, 2, 5)]
    return [(level, _power(level)) for level in levels if low <= level <= high]


def _power(level: float) -> str:
    return number(level) if 1e-3 <= abs(level) < 1e5 or level == 0 else scientific(level)
