"""NumPy files of any content: images, signals ``[n, channels, length]`` and vectors ``[n, d]``.

What the numbers are is decided by shape and type: four axes, or three of bytes, are images; three of other numbers are
signals; two are vectors. Images become bytes; signals and vectors stay as they are and are standardised when they are
used, with a mean and standard deviation per channel or column that are fitted on the training split alone.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from tightrope._plumbing.errors import UserError
from tightrope.data.dataset import Dataset
from tightrope.data.labels import encode
from tightrope.data.pixels import image_axes, to_bytes
from tightrope.data.source import ImageSource, Pixels, Request, identity
from tightrope.data.splits import Rows, check_size
from tightrope.data.standardise import Array, Numbers, finite_range, standardised

__all__ = ["DATA_KEYS", "LABEL_KEYS", "open_arrays"]

DATA_KEYS = ("x", "images", "data", "arr_0")
"""What the data may be called in an ``.npz``; also ``x_train`` and ``x_test``, or ``train_x`` and ``test_x``."""

LABEL_KEYS = ("y", "labels")
"""What the labels may be called."""


@dataclass(frozen=True, eq=False)
class _Arrays:
    """Data and labels per split; all under ``train`` if there is no test split."""

    data: dict[str, Array]
    labels: dict[str, Array]


def open_arrays(path: Path, request: Request) -> ImageSource | Dataset:
    """A ``.npy`` or ``.npz`` file; images are left to be stored like those of any other source.

    Raises:
        UserError: on broken files, objects (which would need unpickling), names that are not understood, shapes and
            types that are not numbers per sample, NaN or infinity.
    """
    arrays = _read(path)
    for array in arrays.data.values():
        _check(array, path)
    side = "train" if "test" not in arrays.data else request.split
    mine = arrays.data[side]
    check_size(len(mine), str(path))
    labels, classes, notes = _labels(arrays, side, path)
    if mine.ndim == 4 or (mine.ndim == 3 and mine.dtype == np.uint8):
        return _images(path, arrays.data, side, labels, classes, notes)
    kind: Literal["signals", "vectors"] = "signals" if mine.ndim == 3 else "vectors"
    if request.resolution is not None or request.channels is not None:
        raise UserError(f"Resolution and channels are for images, but {path} holds {kind}; leave them out.")
    if mine.ndim == 3 and mine.shape[1] == mine.shape[2]:
        notes.append(f"Read as signals of {mine.shape[1]} channels; save grey images as [n, height, width, 1].")
    data = {name: array[:, None] if array.ndim == 1 else array for name, array in arrays.data.items()}
    return standardised(Numbers(path, kind, data, labels, classes, tuple(notes)), request)


def _read(path: Path) -> _Arrays:
    try:
        with path.open("rb") as file:  # NumPy leaves the file open when it fails
            if file.read(2) == b"PK":
                file.seek(0)
                return _named(np.load(file, allow_pickle=False), path)
        return _Arrays({"train": np.load(path, mmap_mode="r", allow_pickle=False)}, {})
    except UserError:
        raise
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        if "pickle" in str(error) or "Python objects" in str(error):
            raise UserError(
                f"Expected arrays of numbers in {path}, got Python objects, which would have to be unpickled and can "
                "run code; save them again with a number type, such as array.astype('float32')."
            ) from error
        raise UserError(f"Expected a NumPy file, but {path} is damaged ({error}); save it again.") from error


def _named(loaded: Any, path: Path) -> _Arrays:
    """Pick data and labels out of an ``.npz`` by their names, upper or lower case."""
    names = {name.lower(): name for name in reversed(loaded.files)}

    def find(stems: tuple[str, ...], side: str) -> Array | None:
        forms = [form for stem in stems for form in ((f"{stem}_{side}", f"{side}_{stem}") if side else (stem,))]
        return next((loaded[names[form]] for form in forms if form in names), None)

    for sides in ({"train": "train", "test": "test"}, {"train": ""}):
        data = {split: found for split, side in sides.items() if (found := find(DATA_KEYS, side)) is not None}
        if len(data) == len(sides):
            labels = {split: found for split, side in sides.items() if (found := find(LABEL_KEYS, side)) is not None}
            return _Arrays(data, labels)
    rest = [name for name in loaded.files if name.lower() not in LABEL_KEYS]
    if len(rest) == 1:
        label = find(LABEL_KEYS, "")
        return _Arrays({"train": loaded[rest[0]]}, {} if label is None else {"train": label})
    raise UserError(
        f"Expected an array named {', '.join(DATA_KEYS[:-1])} or {DATA_KEYS[-1]}, or x_train and x_test, in {path}, "
        f"got {', '.join(loaded.files) or 'no arrays'}; rename the one that holds the data."
    )


def _check(array: Array, path: Path) -> None:
    if array.dtype.kind not in "biuf":
        raise UserError(f"Expected real numbers in {path}, got {array.dtype}; save complex ones as two channels.")
    if not 1 <= array.ndim <= 4 or 0 in array.shape[1:]:
        raise UserError(
            f"Expected images [n, h, w, c], signals [n, channels, length] or vectors [n, d] in {path}, got shape "
            f"{list(array.shape)}; reshape the array."
        )


def _labels(arrays: _Arrays, side: str, path: Path) -> tuple[Rows | None, tuple[str, ...], list[str]]:
    if side not in arrays.labels:
        return None, (), []
    mine, data = arrays.labels[side], arrays.data[side]
    if mine.ndim == 0 or len(mine) != len(data):
        raise UserError(
            f"Expected one label per sample in {path}, got {len(data):,} samples and labels {list(mine.shape)}; "
            "save them with equal length."
        )
    encoded = encode([mine, *arrays.labels.values()])
    if isinstance(encoded, str):
        return None, (), [f"The label array is not used: {encoded}."]
    return encoded[0][0], encoded[1], []


def _images(
    path: Path, data: dict[str, Array], side: str, labels: Rows | None, classes: tuple[str, ...], notes: list[str]
) -> ImageSource:
    array = image_axes(data[side], path)
    convert, said = to_bytes([finite_range(values, path) for values in data.values()], array.dtype, path)

    def pixels(row: int) -> Pixels:
        return convert(array[row])

    def read(rows: Rows) -> Iterator[tuple[str, Callable[[], bytes | Pixels]]]:
        for row in rows.tolist():
            yield f"{path.name} row {row}", partial(pixels, row)

    return ImageSource(
        name=path.stem,
        identity=f"{identity([path])} {side}",
        count=len(array),
        read=read,
        labels=labels,
        classes=classes,
        whole="test" not in data,
        encoded=False,
        notes=(*notes, *said),
    )
