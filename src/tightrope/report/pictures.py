"""Sample pictures embedded in a page, made smaller where the page would otherwise grow too large."""

from __future__ import annotations

import base64
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tightrope.drawing.png import decode_png, encode_png


@dataclass(frozen=True)
class Picture:
    """A picture ready for an ``img`` element.

    Attributes:
        uri: the whole file as a ``data:`` address.
        width: pixels.
        height: pixels.
        shrunk: whole factor by which it was made smaller, 1 if it is the file itself.
    """

    uri: str
    width: int
    height: int
    shrunk: int = 1


def embed(path: Path, *, most_bytes: int, widest: int | None = None) -> Picture | None:
    """A PNG file for embedding.

    Args:
        path: the file.
        most_bytes: the largest size of file to embed; a larger one is averaged down by whole factors until it fits.
        widest: the largest width in pixels, likewise.

    Returns:
        The picture, or nothing if the file cannot be read, or is too large and of a kind that cannot be made smaller.
    """
    try:
        content = path.read_bytes()
        width, height = _size(content)
    except (OSError, ValueError):
        return None
    if len(content) <= most_bytes and (widest is None or width <= widest):
        return Picture(_uri(content), width, height)
    try:
        pixels = decode_png(content)
    except ValueError:
        return None
    factor = math.ceil(width / widest) if widest else 1
    while factor <= min(width, height):
        smaller = _average(pixels, factor)
        content = encode_png(smaller)
        if len(content) <= most_bytes:
            return Picture(_uri(content), smaller.shape[1], smaller.shape[0], factor)
        factor += 1
    return None


def _average(pixels: NDArray[Any], factor: int) -> NDArray[np.uint8]:
    """A picture with squares of ``factor`` pixels averaged into one; a rest at the right and bottom is cut off."""
    height, width = (side // factor for side in pixels.shape[:2])
    cut = pixels[: height * factor, : width * factor].astype(np.float64)
    blocks = cut.reshape(height, factor, width, factor, -1).mean((1, 3))
    rounded: NDArray[np.uint8] = np.rint(blocks).astype(np.uint8)
    return rounded[:, :, 0] if pixels.ndim == 2 else rounded


def _size(content: bytes) -> tuple[int, int]:
    if content[:8] != b"\x89PNG\r\n\x1a\n" or len(content) < 24:
        raise ValueError("expected a PNG file")
    return int.from_bytes(content[16:20]), int.from_bytes(content[20:24])


def _uri(content: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(content).decode()
