"""Measures of a generator itself rather than of its samples, asked for by name beside the metrics."""

from __future__ import annotations

from collections.abc import Callable

from tightrope.metrics import Measurement
from tightrope.runs.conditioning import measurements as conditioning
from tightrope.runs.trained import TrainedGenerator

GENERATOR_MEASURES: dict[str, Callable[[TrainedGenerator, int], list[Measurement]]] = {"conditioning": conditioning}
"""Function from a trained generator and a seed to its measurements, by the name that ``--metrics`` asks for."""
