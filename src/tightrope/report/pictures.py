"""Sample pictures embedded in a page, made smaller where the page would otherwise grow too large."""

from __future__ import annotations

import base64
import io
import math
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tightrope._plumbing.errors import UserError
from tightrope.drawing.png import encode_png

if TYPE_CHECKING:
    from PIL.Image import Image


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
        The picture, or nothing if the file is no whole PNG, or cannot be made small enough.
    """
    try:
        content = path.read_bytes()
        picture = _opened(content)
    except (OSError, SyntaxError, ValueError):  # Pillow says SyntaxError of a broken PNG
        return None
    if len(content) <= most_bytes and (widest is None or picture.width <= widest):
        return Picture(_uri(content), picture.width, picture.height)
    factor = math.ceil(picture.width / widest) if widest else 1
    while factor <= min(picture.size):
        width, height = picture.width // factor, picture.height // factor  # a rest at the right and bottom is cut off
        smaller = encode_png(np.asarray(picture.crop((0, 0, width * factor, height * factor)).reduce(factor)))
        if len(smaller) <= most_bytes:
            return Picture(_uri(smaller), width, height, factor)
        factor += 1
    return None


def _opened(content: bytes) -> Image:
    """All pixels of a PNG, grey or coloured, with opacity where it has any.

    Raises:
        UserError: So many that decoding them would be unsafe.
    """
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            with Image.open(io.BytesIO(content), formats=["PNG"]) as file:
                return file.convert({"1": "L", "L": "L", "RGBA": "RGBA"}.get(file.mode, "RGB"))
        except Image.DecompressionBombError as error:
            raise UserError(str(error)) from error


def _uri(content: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(content).decode()
