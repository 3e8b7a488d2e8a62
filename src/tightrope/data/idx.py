"""The idx files of MNIST and the sets made in its image, plain or gzipped.

**Source** LeCun, Cortes and Burges: magic number 0, 0, type, number of dimensions, then the sizes as big-endian 32-bit
integers, then the values.
"""

from __future__ import annotations

import gzip
import math
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tightrope._plumbing.errors import UserError
from tightrope.data.files import damaged, is_file, require_memory
from tightrope.data.labels import encode
from tightrope.data.source import ImageSource, identity, pixel_reader
from tightrope.data.splits import Rows

__all__ = ["idx_prefix", "open_idx", "read_idx"]

_NAME = re.compile(r"(?P<set>.*?)(?P<split>train|t10k|test)-(?P<part>images|labels)[-.]idx\d-ubyte(\.gz)?")
_TURNED = "EMNIST files hold every image with rows and columns exchanged; they are used as they are."
_BYTES = 0x08  # the type code of unsigned bytes


def idx_prefix(name: str) -> str | None:
    """What stands before ``train-`` or ``t10k-`` in the name of an idx file (nothing for MNIST); None for others."""
    match = _NAME.fullmatch(name)
    return match["set"] if match else None


def open_idx(folder: Path, prefix: str, split: str) -> ImageSource:
    """One split of the idx files of a folder that start with a prefix.

    Raises:
        UserError: if there are no images among them, a file is broken, or images and labels do not match.
    """
    found: dict[tuple[str, str], Path] = {}
    for file in sorted(folder.iterdir(), reverse=True):  # the unpacked file comes after its .gz and counts
        match = _NAME.fullmatch(file.name)
        if match and match["set"] == prefix and is_file(file):
            found["train" if match["split"] == "train" else "test", match["part"]] = file
    sides = [side for side in ("train", "test") if (side, "images") in found]
    if not sides:
        raise UserError(f"Expected a file train-images-idx3-ubyte in {folder}, got labels only; add the images.")
    side = split if len(sides) == 2 else sides[0]
    file = found[side, "images"]
    images = read_idx(file)
    if images.ndim != 3:
        raise UserError(f"Expected images [n, height, width] in {file}, got shape {[*images.shape]}; check the file.")
    labels: Rows | None = None
    classes: tuple[str, ...] = ()
    paths = [file]
    if (side, "labels") in found:
        paths.append(found[side, "labels"])
        other = [found[key] for key in (("train", "labels"), ("test", "labels")) if key in found]
        labels, classes = _numbered([read_idx(path) for path in (paths[1], *other)])
        if labels.ndim != 1 or len(labels) != len(images):
            raise UserError(
                f"Expected one label for each of {len(images):,} images of {file}, got {len(labels):,} in {paths[1]}; "
                "check the files."
            )
    return ImageSource(
        name=prefix.rstrip("-_") or (folder.resolve().parent if folder.name == "raw" else folder.resolve()).name,
        identity=identity(paths),
        count=len(images),
        read=pixel_reader(images[..., None], file.name),
        labels=labels,
        classes=classes,
        whole=len(sides) == 1,
        encoded=False,
        notes=(_TURNED,) if prefix.startswith("emnist") else (),
    )


def read_idx(path: Path) -> npt.NDArray[np.uint8]:
    """The array of an idx file of bytes, plain or ``.gz``.

    Raises:
        UserError: on a wrong magic number, another type than bytes, or missing bytes.
    """
    zipped = path.suffix == ".gz"
    kind = "gzip" if zipped else "idx"
    with (
        damaged(f"Expected a {kind} file, but {path} is damaged; download it again."),
        gzip.open(path) if zipped else path.open("rb") as file,
    ):
        start = file.read(4)
        if len(start) < 4 or start[:2] != b"\0\0" or start[2] != _BYTES or not 1 <= start[3] <= 4:
            raise UserError(
                f"Expected an idx file of bytes, which starts with 00 00 08 and the dimensions, but {path} starts "
                f"with {start.hex(' ') or 'nothing'}; check that it is the right file."
            )
        header = file.read(4 * start[3])
        if len(header) < 4 * start[3]:
            got = 4 + len(header)
            raise UserError(f"Expected a header of {4 + 4 * start[3]} bytes in {path}, got {got}; download it again.")
        shape = tuple(int(size) for size in np.frombuffer(header, dtype=">u4"))
        expected = math.prod(shape)
        require_memory(expected, path)
        size = 4 + len(header)
        if not zipped and path.stat().st_size != size + expected:
            there = path.stat().st_size
            raise UserError(f"Expected {size + expected:,} bytes in {path}, got {there:,}; download it again.")
        data = file.read(expected)
        if len(data) < expected or file.read(1):
            many = f"{size + len(data):,}" if len(data) < expected else "more"
            raise UserError(f"Expected {size + expected:,} bytes in {path}, got {many}; download it again.")
    return np.frombuffer(data, dtype=np.uint8).reshape(shape)


def _numbered(parts: Sequence[npt.NDArray[np.uint8]]) -> tuple[Rows, tuple[str, ...]]:
    """Labels of the first part, numbered over all."""
    encoded = encode(parts)
    if isinstance(encoded, str):  # more classes than samples to speak of: keep the numbers
        return parts[0].astype(np.int64), tuple(str(number) for number in range(256))
    return encoded[0][0], encoded[1]
