"""Class labels of any spelling as the numbers 0..k-1 and their names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tightrope.data.splits import Rows

__all__ = ["encode", "from_names"]

MANY = 100  # with more different values than this, and more than half as many as samples, they are no classes


def from_names(names: Sequence[str]) -> tuple[Rows, tuple[str, ...]]:
    """Numbers in the alphabetical order of the names."""
    classes = tuple(sorted(set(names)))
    number = {name: index for index, name in enumerate(classes)}
    return np.array([number[name] for name in names], dtype=np.int64), classes


def encode(parts: Sequence[npt.NDArray[Any]]) -> tuple[list[Rows], tuple[str, ...]] | str:
    """Labels of one or more splits with one common numbering, in ascending order of the given values.

    Args:
        parts: per split ``[n]``, ``[n, 1]`` or one-hot ``[n, k]``; integers, booleans, text, or floats that are whole
            numbers.

    Returns:
        int64 ``[n]`` per split and the class names, or a few words on why these values are no classes.
    """
    flat = [_flat(np.asarray(part)) for part in parts]
    if any(part is None for part in flat):
        return "its rows are neither single values nor one-hot"
    values = np.concatenate([part for part in flat if part is not None])
    if values.dtype.kind == "f":
        if not (np.isfinite(values).all() and (values == np.rint(values)).all()):
            return "its values are not whole numbers"
        values = values.astype(np.int64)
    if values.dtype.kind not in "biuSU":
        return f"its values have type {values.dtype}"
    classes, numbers = np.unique(values, return_inverse=True)
    if len(classes) > max(MANY, len(values) // 2):
        return f"it has {len(classes):,} different values"
    ends = np.cumsum([len(part) for part in flat if part is not None])[:-1]
    names = tuple(name.decode(errors="replace") if isinstance(name, bytes) else str(name) for name in classes.tolist())
    return [part.astype(np.int64) for part in np.split(numbers.reshape(-1), ends)], names


def _flat(labels: npt.NDArray[Any]) -> npt.NDArray[Any] | None:
    if labels.ndim == 1:
        return labels
    if labels.ndim == 2 and labels.shape[1] == 1:
        return labels[:, 0]
    if labels.ndim == 2 and ((labels == 0) | (labels == 1)).all() and (labels.sum(axis=1) == 1).all():
        return np.asarray(labels.argmax(axis=1))
    return None
