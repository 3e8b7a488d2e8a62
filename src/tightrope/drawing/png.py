"""PNG files in memory, written and read with NumPy and zlib."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def encode_png(array: Array) -> bytes:
    """The bytes of a PNG file showing an array.

    Each row is stored as itself, as differences along it, or as differences from the row above, whichever has the
    smallest sum of magnitudes: enlarged digits then shrink to almost nothing.

    Args:
        array: uint8 ``[h, w]`` (grey) or ``[h, w, 3]`` (red, green, blue).

    Returns:
        A complete file, 8 bits per channel.

    Raises:
        ValueError: for another dtype or shape, or an empty array.
    """
    if array.dtype != np.uint8 or not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 3)) or not array.size:
        raise ValueError(
            f"encode_png expects uint8 [h, w] or [h, w, 3] with at least one pixel, got {array.dtype} "
            f"{list(array.shape)}: convert and reorder the array first"
        )
    height, width = array.shape[:2]
    channels = 1 if array.ndim == 2 else 3
    rows = np.ascontiguousarray(array).reshape(height, width * channels)
    left, above = np.zeros_like(rows), np.zeros_like(rows)
    left[:, channels:] = rows[:, :-channels]
    above[1:] = rows[:-1]
    filtered = np.stack([rows, rows - left, rows - above])  # PNG filter types 0, 1, 2; uint8 arithmetic wraps
    cost = np.abs(filtered.view(np.int8).astype(np.int32)).sum(2)
    best = cost.argmin(0)
    lines = np.concatenate([best[:, None].astype(np.uint8), filtered[best, np.arange(height)]], 1)
    header = struct.pack(">IIBBBBB", width, height, 8, 0 if channels == 1 else 2, 0, 0, 0)
    chunks = _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(lines.tobytes(), 6)) + _chunk(b"IEND", b"")
    return _SIGNATURE + chunks


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def decode_png(content: bytes) -> Array:
    """The picture in a PNG file of the kind `encode_png` writes.

    Args:
        content: all bytes of the file.

    Returns:
        uint8 ``[h, w]`` or ``[h, w, 3]``.

    Raises:
        ValueError: if the bytes are no PNG file, or one that other programs write (palette, transparency, 16 bits,
            interlacing, the two filters that need a loop over pixels).
    """
    try:
        return _decode(content)
    except (struct.error, zlib.error, IndexError) as error:
        raise ValueError(
            f"decode_png expects a whole PNG file, got one that breaks off or is damaged ({error})"
        ) from error


def _decode(content: bytes) -> Array:
    if not content.startswith(_SIGNATURE):
        raise ValueError(f"decode_png expects a PNG file, got bytes that begin with {content[:8]!r}")
    width, height, depth, colour, _, _, interlace = struct.unpack(">IIBBBBB", content[16:29])
    if depth != 8 or colour not in (0, 2) or interlace:
        raise ValueError(
            "decode_png reads 8-bit grey or colour without interlacing, got another kind: open the file with Pillow"
        )
    channels = 1 if colour == 0 else 3
    lines = np.frombuffer(zlib.decompress(_data(content)), np.uint8).reshape(height, 1 + width * channels)
    rows = lines[:, 1:].reshape(height, width, channels).copy()
    for index, kind in enumerate(lines[:, 0]):
        if kind == 1:
            rows[index] = rows[index].cumsum(0, dtype=np.uint8)
        elif kind == 2 and index:
            rows[index] += rows[index - 1]
        elif kind > 2:
            raise ValueError(f"decode_png reads PNG filters 0, 1 and 2, got {kind}: open the file with Pillow")
    return rows[:, :, 0] if channels == 1 else rows


def _data(content: bytes) -> bytes:
    """The compressed rows: the content of all IDAT chunks."""
    parts, place = [], len(_SIGNATURE)
    while place < len(content):
        (length,) = struct.unpack(">I", content[place : place + 4])
        if content[place + 4 : place + 8] == b"IDAT":
            parts.append(content[place + 8 : place + 8 + length])
        place += length + 12
    return b"".join(parts)
