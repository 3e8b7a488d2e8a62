"""Whether an array of four axes holds images, on which axis its channels are, and what its numbers mean as bytes.

Bytes are images. Other numbers are, if they are bytes on another scale (0..1, -1..1, 0..255), or if they fill most of
such a scale, so that rounding to 256 levels loses little. Whatever else there is, such as spectrograms in decibels or
heights, keeps its numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tightrope._plumbing.errors import UserError
from tightrope.data.source import Pixels
from tightrope.data.standardise import chunks

__all__ = ["CHANNELS", "MANY", "image_axes", "to_bytes"]

Array = npt.NDArray[Any]

CHANNELS = (1, 3)
WITH_OPACITY = 4
"""Channels of bytes that are red, green, blue and opacity."""

SCALES = ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0))
DARK = 0.25
"""Of the scale of pixels: what reaches no further may have another white, as 4-bit images do."""

FILLED = 0.75
"""Share of a scale that numbers which are no bytes must span to be read as images on it: 192 levels."""

MANY = 16  # channels that data other than images may have
_SLACK = 1e-3  # how far outside its range a rounded float image may reach
_ON_LEVEL = {2: 0.1}  # how far off a level bytes may be, by the bytes of a number: in half precision up to 0.06


def image_axes(array: Array, path: Path, most: int = 0) -> Array:
    """A view ``[n, h, w, c]`` of images with the channels last, first, or not there.

    Args:
        array: of three or four axes.
        path: for messages.
        most: with up to this many channels the shorter end holds them, for data that are no images.

    Raises:
        UserError: if neither end has 1 or 3 channels, or in bytes 4.
    """
    if array.ndim == 3:
        return array[..., None]
    first, last = array.shape[1], array.shape[3]
    if last in CHANNELS or (first not in CHANNELS and last < first and last <= most):
        return array
    if first in CHANNELS or (first < last and first <= most):
        return array.transpose(0, 2, 3, 1)
    if array.dtype == np.uint8 and WITH_OPACITY in (first, last):
        return array if last == WITH_OPACITY else array.transpose(0, 2, 3, 1)
    raise UserError(
        f"Expected images with 1, 3 or, in bytes, 4 channels, [n, h, w, c] or [n, c, h, w], in {path}, got shape "
        f"{[*array.shape]}; reshape other data to signals [n, channels, length] or vectors [n, d]."
    )


def to_bytes(
    data: Sequence[Array], ends: Sequence[tuple[float, float]], declared: tuple[float, float] | None, path: Path
) -> tuple[Callable[[Array], Pixels] | None, list[str]]:
    """How numbers become bytes, decided from the whole file; and the sentence that says so.

    Args:
        data: every split.
        ends: smallest and largest value of each.
        declared: what black and white are, if the file says so.
        path: for messages.

    Returns:
        None instead of a function if the numbers are not to be read as images.

    Raises:
        UserError: if numbers lie outside the declared range, or are all the same, or if the splits alone would be read
            in different ways.
    """
    low, high = min(low for low, _ in ends), max(high for _, high in ends)
    kind = data[0].dtype.kind
    if declared is not None:
        bottom, top = declared
        if low < bottom - _SLACK * (top - bottom) or high > top + _SLACK * (top - bottom):
            raise UserError(
                f"Expected pixels from {bottom:g} to {top:g} in {path}, as its array range says, got {low:.4g} to "
                f"{high:.4g}; correct the range."
            )
        note = f"Pixels were scaled from {bottom:g}..{top:g}, as the array range says, to 0..255 and rounded."
        return _Rescale(bottom, 255.0 / (top - bottom)), [note]
    _check_alike(data, ends, path)
    if kind == "b":
        return lambda values: values.astype(np.uint8) * np.uint8(255), []
    if kind in "iu" and low >= 0 and high <= 255:
        return lambda values: values.astype(np.uint8), _dark(data[0], high)
    if kind in "iu" and low >= 0 and 32_768 <= high <= 65_535:
        note = f"16-bit pixels, up to {high:.0f}, were reduced to 8 bits, the full range 0..65535 to 0..255."
        return lambda values: ((values.astype(np.uint32) + 128) // 257).astype(np.uint8), [note]
    chosen, sure = _scale(data, low, high) if kind == "f" else (None, False)
    if chosen is not None:
        bottom, top = chosen
        note = f"Floating-point pixels were scaled from {bottom:g}..{top:g} to 0..255 and rounded to bytes."
        if not sure or low < high < bottom + DARK * (top - bottom):
            note += (
                f" They are from {low:.4g} to {high:.4g}; if black and white are others, save them as an array range."
            )
        return _Rescale(bottom, 255.0 / (top - bottom)), [note]
    if low == high:
        raise UserError(
            f"Expected pixels within 0..1, -1..1 or 0..255 in {path}, got {low:.4g} to {high:.4g}; rescale the images."
        )
    return None, [
        f"Numbers from {low:.4g} to {high:.4g} fill none of 0..1, -1..1 and 0..255 and are kept as numbers, not read "
        "as images; if they are images, save them as bytes, or with an array range that says what black and white are."
    ]


def _dark(data: Array, high: float) -> list[str]:
    """What is to be said of whole numbers that are read as bytes, though another white is likely."""
    if high <= 1:
        return ["Pixels are whole numbers up to 1, read as nearly black of 0..255; save masks as booleans."]
    if high < 255 * DARK or (data.dtype == np.int8 and high > 0):
        other = "if white is another number, save black and white as an array range"
        return [f"Pixels are whole numbers up to {high:.0f}, read as dark ones of 0..255; {other}."]
    return []


def _check_alike(data: Sequence[Array], ends: Sequence[tuple[float, float]], path: Path) -> None:
    """Refuse splits of which one alone would be read in another way than the other."""
    if len({array.dtype for array in data}) > 1 or data[0].dtype.kind == "f":
        ways = [_way(array, *end) for array, end in zip(data, ends, strict=True)]
        if len({way for way in ways if way}) > 1:
            raise UserError(
                f"Expected training and test images on one scale in {path}, got {' and '.join(ways)}; save them alike, "
                "or with an array range that says what black and white are."
            )


def _way(array: Array, low: float, high: float) -> str:
    """How images of one split alone would be read, in words; empty if their scale is not to be told."""
    kind = array.dtype.kind
    if kind == "f":
        scale, _ = _scale([array], low, high)
        return "" if scale is None else f"floating-point numbers of {scale[0]:g}..{scale[1]:g}"
    return "booleans" if kind == "b" else f"whole numbers of {8 if low >= 0 and high <= 255 else 16} bits"


def _scale(data: Sequence[Array], low: float, high: float) -> tuple[tuple[float, float] | None, bool]:
    """The scale that floating-point images are on, if they are, and whether they are whole levels of it."""
    scales = [(bottom, top) for bottom, top in SCALES if low >= bottom - _SLACK and high <= top + _SLACK]
    fine = [(b, t) for b, t in scales if low == high or (high - low) * 255 > t - b]  # more than one level is there
    if (exact := next((scale for scale in fine if _are_bytes(data, *scale)), None)) is not None:
        return exact, True
    return next((scale for scale in scales if high - low >= FILLED * (scale[1] - scale[0])), None), False


def _are_bytes(data: Sequence[Array], bottom: float, top: float) -> bool:
    """Whether all numbers are whole levels of a scale of 256."""
    allowed = _ON_LEVEL.get(data[0].dtype.itemsize, 0.01)
    for array in data:
        for _, chunk in chunks(array, None):
            level = (chunk.astype(np.float64) - bottom) * (255 / (top - bottom))
            if (np.abs(level - np.rint(level)) > allowed).any():
                return False
    return True


class _Rescale:
    """Numbers of a known range to bytes."""

    def __init__(self, bottom: float, factor: float) -> None:
        self.bottom, self.factor = bottom, factor

    def __call__(self, values: Array) -> Pixels:
        scaled = (values.astype(np.float64) - self.bottom) * self.factor
        return np.rint(scaled).clip(0, 255).astype(np.uint8)
