"""Which axis of an array of images holds the channels, and what its numbers mean as bytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tightrope._plumbing.errors import UserError
from tightrope.data.source import Pixels

__all__ = ["image_axes", "to_bytes"]

CHANNELS = (1, 3)
_SLACK = 1e-3  # how far outside its range a rounded float image may reach


def image_axes(array: npt.NDArray[Any], path: Path) -> npt.NDArray[Any]:
    """A view ``[n, h, w, c]`` of images with the channels last, first, or not there.

    Raises:
        UserError: if neither end has 1 or 3 channels.
    """
    if array.ndim == 3:
        return array[..., None]
    if array.shape[3] in CHANNELS:
        return array
    if array.shape[1] in CHANNELS:
        return array.transpose(0, 2, 3, 1)
    raise UserError(
        f"Expected images with 1 or 3 channels, [n, h, w, c] or [n, c, h, w], in {path}, got shape {[*array.shape]}; "
        "reshape other data to signals [n, channels, length] or vectors [n, d]."
    )


def to_bytes(
    ranges: Sequence[tuple[float, float]], dtype: npt.DTypeLike, path: Path
) -> tuple[Callable[[npt.NDArray[Any]], Pixels], list[str]]:
    """How numbers become bytes, decided from the range of the whole file; and the sentence that says so.

    Args:
        ranges: smallest and largest value per split.
        dtype: type of the numbers.
        path: for messages.

    Raises:
        UserError: if the range is none that images usually have.
    """
    low, high = min(low for low, _ in ranges), max(high for _, high in ranges)
    kind = np.dtype(dtype).kind
    if kind == "b":
        return lambda values: values.astype(np.uint8) * np.uint8(255), []
    if kind in "iu" and low >= 0 and high <= 255:
        return lambda values: values.astype(np.uint8), []
    if kind in "iu" and low >= 0 and high <= 65_535:
        note = f"16-bit pixels, up to {high:.0f}, were reduced to 8 bits, the full range 0..65535 to 0..255."
        return lambda values: ((values.astype(np.uint32) + 128) // 257).astype(np.uint8), [note]
    if kind == "f":
        for bottom, top in ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0)):
            if low >= bottom - _SLACK and high <= top + _SLACK:
                note = f"Floating-point pixels were scaled from {bottom:g}..{top:g} to 0..255 and rounded to bytes."
                return _Rescale(bottom, 255.0 / (top - bottom)), [note]
    raise UserError(
        f"Expected pixels within 0..1, -1..1 or 0..255 in {path}, got {low:.4g} to {high:.4g}; rescale the images."
    )


class _Rescale:
    """Floats of a known range to bytes."""

    def __init__(self, bottom: float, factor: float) -> None:
        self.bottom, self.factor = bottom, factor

    def __call__(self, values: npt.NDArray[Any]) -> Pixels:
        scaled = (values.astype(np.float64) - self.bottom) * self.factor
        return np.rint(scaled).clip(0, 255).astype(np.uint8)
