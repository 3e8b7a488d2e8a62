"""NumPy files of any content: images, signals ``[n, channels, length]`` or ``[n, c, h, w]``, vectors ``[n, d]``.

What the numbers are is decided by shape and type: four axes, or three of bytes, are images if their numbers are pixels;
other numbers on three or four axes are signals; two are vectors. Images become bytes; signals and vectors stay as they
are and are standardised when they are used, with an offset and scale per channel or column that are fitted on the
training split alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from tightrope._plumbing.errors import UserError
from tightrope.data.dataset import Dataset
from tightrope.data.labels import encode
from tightrope.data.npy import Array, array_readers
from tightrope.data.pixels import CHANNELS, MANY, WITH_OPACITY, image_axes, to_bytes
from tightrope.data.source import ImageSource, Pixels, Request, identity
from tightrope.data.splits import Rows, check_size
from tightrope.data.standardise import Numbers, finite_range, standardised

__all__ = ["DATA_KEYS", "LABEL_KEYS", "open_arrays"]

DATA_KEYS = ("x", "images", "data", "arr_0")
"""What the data may be called in an ``.npz``; also ``x_train`` and ``x_test``, or ``train_x`` and ``test_x``."""

LABEL_KEYS = ("y", "labels", "label", "targets", "target")
"""What the labels may be called."""

RANGE_KEY = "range"
"""Two numbers: what black and white are in images that are no bytes."""

_SIDES = {"train": ("train", "training"), "test": ("test", "testing", "eval", "val", "valid", "validation", "dev")}


@dataclass(eq=False)
class _Arrays:
    """Data and labels per split; all under ``train`` if there is no test split."""

    data: dict[str, Array]
    labels: dict[str, Array]
    range: tuple[float, float] | None = None
    notes: list[str] = field(default_factory=list)


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
    labels, classes, said = _labels(arrays, side, path)
    notes = [*arrays.notes, *said]
    if mine.ndim == 4 or (mine.ndim == 3 and (mine.dtype == np.uint8 or arrays.range is not None)):
        convert, said = _reading(arrays, path)
        if convert is not None:
            return _images(path, arrays, side, labels, classes, [*notes, *said], convert)
        arrays.data = {name: image_axes(array, path, MANY).transpose(0, 3, 1, 2) for name, array in arrays.data.items()}
        notes += said
    kind: Literal["signals", "vectors"] = "vectors" if mine.ndim < 3 else "signals"
    if request.resolution is not None or request.channels is not None:
        why = f" ({notes[-1].rstrip('.')})" if mine.ndim == 4 else ""
        raise UserError(f"Resolution and channels are for images, but {path} holds {kind}{why}; leave them out.")
    if mine.ndim == 3 and mine.shape[1] == mine.shape[2]:
        notes.append(f"Read as signals of {mine.shape[1]} channels; save grey images as [n, height, width, 1].")
    data = {name: array[:, None] if array.ndim == 1 else array for name, array in arrays.data.items()}
    return standardised(Numbers(path, kind, data, labels, classes, tuple(notes)), request)


def _reading(arrays: _Arrays, path: Path) -> tuple[Callable[[Array], Pixels] | None, list[str]]:
    """How to make bytes of images, or None for data of four axes that are none; and what to say about it."""
    every = list(arrays.data.values())
    ends = [finite_range(values, path) for values in every]
    if every[0].ndim == 4 and every[0].dtype.kind == "f" and not {every[0].shape[1], every[0].shape[3]} & {*CHANNELS}:
        return None, ["Floating-point data of other than 1 or 3 channels are kept as numbers, not read as images."]
    return to_bytes(every, ends, arrays.range, path)


def _read(path: Path) -> _Arrays:
    """Pick data and labels out of a file by their names, upper or lower case."""
    readers = array_readers(path)
    names = {name.lower(): name for name in reversed(readers)}

    def find(stems: Sequence[str], side: str) -> str | None:
        forms = [f for word in _SIDES[side] for stem in stems for f in (f"{stem}_{word}", f"{word}_{stem}")]
        return next((form for form in forms if form in names), None)

    def plain(stems: Sequence[str]) -> str | None:
        return next((stem for stem in stems if stem in names), None)

    data = {
        "train": find(DATA_KEYS, "train") or plain(DATA_KEYS) or plain(_SIDES["train"]),
        "test": find(DATA_KEYS, "test") or plain(_SIDES["test"]),
    }
    known = {*LABEL_KEYS, RANGE_KEY, *(found for side in _SIDES if (found := find(LABEL_KEYS, side)))}
    rest = [name for name in names if name not in known]
    if data["train"] is None and data["test"] is None and len(rest) == 1:
        data["train"] = rest[0]
    if data["train"] is None:
        raise UserError(
            f"Expected an array named {', '.join(DATA_KEYS[:-1])} or {DATA_KEYS[-1]}, or x_train and x_test, "
            f"in {path}, got {', '.join(readers) or 'no arrays'}; rename the one that holds the data."
        )
    labels = {"train": find(LABEL_KEYS, "train") or plain(LABEL_KEYS), "test": find(LABEL_KEYS, "test")}
    chosen = {side: name for side, name in data.items() if name is not None}
    labels = {side: labels[side] for side in chosen}
    notes = []
    if (test := chosen.get("test")) and "test" not in test.split("_"):
        notes.append(f"The test split is the array {names[test]}.")
    used = {*chosen.values(), *labels.values(), RANGE_KEY}
    if unused := [name for name in readers if name.lower() not in used or name != names[name.lower()]]:
        notes.append(f"Arrays that are not used: {', '.join(sorted(unused)[:6])}.")
    return _Arrays(
        {side: readers[names[name]]() for side, name in chosen.items()},
        {side: readers[names[name]]() for side, name in labels.items() if name is not None},
        _range(readers[names[RANGE_KEY]](), path) if RANGE_KEY in names else None,
        notes,
    )


def _range(array: Array, path: Path) -> tuple[float, float]:
    if array.dtype.kind not in "iuf" or array.shape != (2,) or not (np.isfinite(array).all() and array[0] < array[1]):
        raise UserError(f"Expected two rising numbers in the array range of {path}, got others; save black and white.")
    return float(array[0]), float(array[1])


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
    encoded = encode(list(arrays.labels.values()))
    if isinstance(encoded, str):
        return None, (), [f"The label array is not used: {encoded}."]
    return encoded[0][list(arrays.labels).index(side)], encoded[1], []


def _images(
    path: Path,
    arrays: _Arrays,
    side: str,
    labels: Rows | None,
    classes: tuple[str, ...],
    notes: list[str],
    convert: Callable[[Array], Pixels],
) -> ImageSource:
    images = {name: image_axes(array, path) for name, array in arrays.data.items()}
    array = images[side]
    if array.shape[3] == WITH_OPACITY:
        notes = [*notes, "Arrays of four channels of bytes are read as red, green, blue and opacity."]
    for other in images.values():
        if other.shape[1:] != array.shape[1:]:
            raise UserError(
                f"Expected training and test images of one shape in {path}, got {list(array.shape[1:])} and "
                f"{list(other.shape[1:])}; save them alike."
            )

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
        whole="test" not in arrays.data,
        encoded=False,
        notes=tuple(notes),
    )
