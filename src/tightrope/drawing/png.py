"""PNG files in memory, written by Pillow."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tightrope._plumbing.errors import UserError


def encode_png(array: NDArray[Any]) -> bytes:
    """The bytes of a PNG file showing an array.

    Args:
        array: uint8 ``[h, w]`` (grey), ``[h, w, 3]`` (red, green, blue) or ``[h, w, 4]`` (with opacity).

    Returns:
        A complete file, 8 bits per channel.

    Raises:
        UserError: for another dtype or shape, or an empty array.
    """
    if (
        array.dtype != np.uint8
        or not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4)))
        or not array.size
    ):
        raise UserError(
            f"encode_png expects uint8 [h, w], [h, w, 3] or [h, w, 4] with at least one pixel, got {array.dtype} "
            f"{list(array.shape)}: convert and reorder the array first"
        )
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(array)).save(buffer, "PNG")
    return buffer.getvalue()
