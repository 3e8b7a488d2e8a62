"""Signals and vectors in their own units, with the offset and scale that bring them to mean 0 and deviation 1."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from tightrope._plumbing.cache import cache_folder
from tightrope._plumbing.errors import UserError
from tightrope.data.cache import cached, fits_in_memory, require_room, synced
from tightrope.data.dataset import Dataset, fingerprint
from tightrope.data.npy import Array
from tightrope.data.source import Request, identity
from tightrope.data.splits import Rows, held_out, limited

__all__ = ["Numbers", "chunks", "finite_range", "fit_scale", "standardised"]

CHUNK_BYTES = 1 << 24  # read at a time, as float64
_SMALLEST = float(np.finfo(np.float32).tiny)  # a smaller scale is 0 in 32-bit numbers, or leaves no digits
_FAR = 1e5  # an offset this many times the scale leaves fewer than two decimal digits in 32-bit numbers


@dataclass(frozen=True, eq=False)
class Numbers:
    """Signals ``[n, channels, length]`` or vectors ``[n, d]`` of a file.

    Attributes:
        path: the file.
        kind: which of the two.
        data: per split; all under ``train`` if there is no test split.
        labels: int64 ``[n]`` of the split that is opened, or None.
        classes: class names.
        notes: sentences for the user.
    """

    path: Path
    kind: Literal["signals", "vectors"]
    data: dict[str, Array]
    labels: Rows | None
    classes: tuple[str, ...]
    notes: tuple[str, ...]


def standardised(numbers: Numbers, request: Request) -> Dataset:
    """One split, with offset and scale fitted on the training split.

    Raises:
        UserError: on NaN or infinity in any split, or splits of different shape.
    """
    path, data = numbers.path, numbers.data
    mine = data.get(request.split, data["train"])
    count = len(mine) // 10 if request.split not in data else len(mine)
    size = 4 * min(count, request.limit or count) * math.prod(mine.shape[1:])
    require_room(size, cache_folder(request.cache), f"numbers of {path}")
    for array in data.values():
        finite_range(array, path)
        if array.shape[1:] != data["train"].shape[1:]:
            raise UserError(
                f"Expected training and test samples of one shape in {path}, got {list(data['train'].shape[1:])} and "
                f"{list(array.shape[1:])}; save them alike."
            )
    notes = list(numbers.notes)
    if whole := "test" not in data:
        array, count = data["train"], len(data["train"])
        fitted = held_out(count, "train")[0]
        rows, note = held_out(count, request.split)
        notes.append(note)
    else:
        array, fitted = data[request.split], None
        rows = np.arange(len(array), dtype=np.int64)
    fit = fit_range if data["train"].ndim == 4 else fit_scale
    offset, scale, said = fit(data["train"], fitted)
    rows = limited(rows, request.limit)
    values = _table(array, rows, numbers, f"{request.split} {whole} {request.limit}", request.cache)
    labels = None if numbers.labels is None else torch.from_numpy(numbers.labels[rows])
    recipe = f"standardised by {offset.numpy().tobytes().hex()} {scale.numpy().tobytes().hex()}"
    return Dataset(
        name=path.stem,
        source=request.source,
        split=request.split,
        kind=numbers.kind,
        values=values,
        labels=labels,
        classes=numbers.classes,
        fingerprint=fingerprint(values, labels, recipe),
        offset=offset,
        scale=scale,
        notes=(*notes, *said),
    )


def fit_scale(array: Array, rows: Rows | None = None) -> tuple[Tensor, Tensor, list[str]]:
    """Mean and standard deviation per column or channel, in two passes of float64.

    Args:
        array: ``[n, d]`` or ``[n, channels, length]``.
        rows: the rows to fit on; None for all.

    Returns:
        float32 ``[d]`` or ``[channels, 1]``, twice, and notes. A constant feature has scale 1, so it is kept as 0.
    """
    axes, shape = (0, *range(2, array.ndim)), (-1, *[1] * (array.ndim - 2))
    count = (len(array) if rows is None else len(rows)) * int(np.prod(array.shape[2:]))
    low, high, total = np.inf, -np.inf, np.zeros(array.shape[1])
    for _, chunk in chunks(array, rows):
        low, high = np.minimum(low, chunk.min(axis=axes)), np.maximum(high, chunk.max(axis=axes))
        total += chunk.sum(axis=axes, dtype=np.float64)
    mean, square = total / count, np.zeros(array.shape[1])
    for _, chunk in chunks(array, rows):
        square += np.square(chunk - mean.reshape(shape)).sum(axis=axes)
    deviation = np.sqrt(square / count)
    constant = (low == high) | (deviation < _SMALLEST)
    deviation = np.where(constant, 1.0, deviation)
    mean = np.where(constant, low, mean)
    notes = []
    if constant.any():
        notes.append(f"{int(constant.sum())} of {len(mean)} features are constant; they are kept, with scale 1.")
    if (far := ~constant & (np.abs(mean) > _FAR * deviation)).any():
        notes.append(
            f"Feature {int(np.argmax(far))} varies too little for 32-bit numbers; subtract a constant from it."
        )
    offset, scale = (torch.from_numpy(fitted.reshape(shape).astype(np.float32)) for fitted in (mean, deviation))
    return offset, scale, notes


def fit_range(array: Array, rows: Rows | None = None) -> tuple[Tensor, Tensor, list[str]]:
    """Offset and scale per channel that bring the smallest value to -1 and the largest to 1, as networks end in tanh.

    Args:
        array: ``[n, channels, height, width]``.
        rows: the rows to fit on; None for all.

    Returns:
        float32 ``[channels, 1, 1]``, twice, and notes. A constant channel has scale 1, so it is kept as 0.
    """
    low, high = np.full(array.shape[1], np.inf), np.full(array.shape[1], -np.inf)
    for _, chunk in chunks(array, rows):
        low, high = np.minimum(low, chunk.min(axis=(0, 2, 3))), np.maximum(high, chunk.max(axis=(0, 2, 3)))
    middle, half = low / 2 + high / 2, high / 2 - low / 2
    constant = half < _SMALLEST
    notes = [f"{int(constant.sum())} of {len(half)} channels are constant; they are kept."] if constant.any() else []
    half = np.where(constant, 1.0, half)
    offset, scale = (torch.from_numpy(fitted.reshape(-1, 1, 1).astype(np.float32)) for fitted in (middle, half))
    return offset, scale, [*notes, "Every channel is scaled by its range in the training split to -1..1."]


def finite_range(array: Array, path: Path) -> tuple[float, float]:
    """Smallest and largest value of ``[n, ...]``.

    Raises:
        UserError: naming row and column of the first NaN, infinity, or number too large for 32 bits.
    """
    low, high = np.inf, -np.inf
    for start, chunk in chunks(array, None):
        with np.errstate(over="ignore"):
            bad = ~np.isfinite(chunk.astype(np.float32))
        if bad.any():
            where = (np.argwhere(bad)[0] + [start, *[0] * (chunk.ndim - 1)]).tolist()
            place = ", ".join(f"{axis} {at}" for axis, at in zip(_axes(array), where, strict=True))
            raise UserError(
                f"Expected finite 32-bit numbers in {path}, got {array[tuple(where)]} in {place}; "
                "remove or repair that sample."
            )
        low, high = min(low, float(chunk.min())), max(high, float(chunk.max()))
    return low, high


def _axes(array: Array) -> tuple[str, ...]:
    """What the axes of an array are called in a message."""
    return {2: ("row", "column"), 3: ("row", "channel", "position")}.get(
        array.ndim, ("image", "axis 1", "axis 2", "axis 3")
    )


def _table(array: Array, rows: Rows, numbers: Numbers, choices: str, cache: Path | None) -> Tensor:
    """The rows as float32, in memory or, if that is too much for it, in the cache."""
    shape = (len(rows), *array.shape[1:])
    if fits_in_memory(4 * int(np.prod(shape, dtype=np.int64))):
        values, filled = np.empty(shape, dtype=np.float32), 0
        for _, chunk in chunks(array, rows):
            values[filled : filled + len(chunk)] = chunk
            filled += len(chunk)
        return torch.from_numpy(values)

    def build(folder: Path) -> dict[str, Any]:
        with synced(folder / "values.bin") as file:
            for _, chunk in chunks(array, rows):
                file.write(np.ascontiguousarray(chunk, dtype=np.float32).data)
        return {"shape": shape, "dtype": "float32"}

    key = json.dumps([identity([numbers.path]), "float32", choices])
    return cached(cache_folder(cache), key, build).values


def chunks(array: Array, rows: Rows | None) -> Iterator[tuple[int, Array]]:
    """Pieces of some rows of an array (None: all), each with the position where it starts."""
    count = len(array) if rows is None else len(rows)
    step = max(1, CHUNK_BYTES // max(1, 8 * int(np.prod(array.shape[1:], dtype=np.int64))))
    for start in range(0, count, step):
        yield start, array[start : start + step] if rows is None else array[rows[start : start + step]]
