"""What the file formats hand over: a list of images that can be read one by one, and what was asked for."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from tightrope.data.splits import Rows

__all__ = ["ImageSource", "Pixels", "Reader", "Request", "identity", "pixel_reader"]

Pixels: TypeAlias = npt.NDArray[np.uint8]
Reader: TypeAlias = Callable[[Rows], Iterator[tuple[str, Callable[[], "bytes | Pixels"]]]]
"""Rows in ascending order -> for each its name and a function that returns an encoded file or pixels ``[h, w, c]``.

The functions are called from several threads, in any order."""


@dataclass(frozen=True)
class Request:
    """One call of ``open_data``, its arguments checked."""

    source: str
    split: str = "train"
    resolution: int | None = None
    channels: int | None = None
    skip_broken: bool = False
    cache: Path | None = None
    limit: int | None = None
    progress: bool = True


@dataclass(frozen=True, eq=False)
class ImageSource:
    """Images that were found but not decoded.

    Attributes:
        name: short name of the set.
        identity: text that changes when the content may have changed.
        count: number of images.
        read: gives the images of some rows.
        labels: int64 ``[count]``, or None.
        classes: class names in label order; empty without labels.
        whole: True if this is all there is, so that a test split has to be held out of it; False if the rows are the
            split that was asked for.
        encoded: True if images are files to decode, False if they are pixels already.
        notes: sentences for the user.
    """

    name: str
    identity: str
    count: int
    read: Reader
    labels: Rows | None = None
    classes: tuple[str, ...] = ()
    whole: bool = False
    encoded: bool = True
    notes: tuple[str, ...] = ()


def pixel_reader(pixels: Pixels, name: str) -> Reader:
    """A reader of images ``[n, h, w, c]`` that are decoded already."""

    def read(rows: Rows) -> Iterator[tuple[str, Callable[[], bytes | Pixels]]]:
        for row in rows.tolist():
            yield f"{name} row {row}", partial(pixels.__getitem__, row)

    return read


def identity(paths: Iterable[Path]) -> str:
    """Digest of the files' full paths, sizes and times of change, which stands for their content.

    Reading terabytes to name a cache entry would cost more than decoding them again; a file that was replaced, even by
    one of the same size with an old date, has a new time of change.
    """
    digest = hashlib.sha256()
    for path in paths:
        try:
            stat = path.stat()
            state = f"{stat.st_size}|{stat.st_mtime_ns}|{stat.st_ctime_ns}"
        except OSError as error:  # a link that leads nowhere: a file that cannot be read, to be named later
            state = f"error {error.errno}"
        digest.update(os.fsencode(os.path.realpath(path)) + f"|{state}\n".encode())
    return digest.hexdigest()
