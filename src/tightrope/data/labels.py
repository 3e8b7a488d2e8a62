"""Class labels of any spelling as the numbers 0..k-1 and their names."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tightrope._plumbing.errors import UserError
from tightrope._plumbing.words import nearest
from tightrope.data.splits import Rows

__all__ = ["class_index", "encode", "encode_values", "from_names"]

MANY = 100  # with more different values than this, and more than half as many as samples, they are no classes


_WHOLE = re.compile(r"0|-?[1-9][0-9]{0,17}")
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]*)?([eE][+-]?[0-9]+)?|[+-]?(nan|inf)", re.IGNORECASE)
_LIST = re.compile(r"\[.*\]|\{.*\}", re.DOTALL)


def from_names(names: Sequence[str]) -> tuple[Rows, tuple[str, ...]]:
    """Numbers in the alphabetical order of the names; however their letters are composed, they are the same."""
    names = [unicodedata.normalize("NFC", name) for name in names]
    classes = tuple(sorted(set(names)))
    number = {name: index for index, name in enumerate(classes)}
    return np.array([number[name] for name in names], dtype=np.int64), classes


def class_index(classes: Sequence[str], wanted: str | int) -> int:
    """The number of a class by its name or, if no class is called so, by its number.

    Args:
        classes: class names in label order.
        wanted: such as ``cat``, ``00013`` or ``13``; a class that is called ``13`` comes before class number 13.

    Raises:
        UserError: if it is neither.
    """
    if (name := unicodedata.normalize("NFC", str(wanted))) in classes:
        return list(classes).index(name)
    if re.fullmatch(r"[0-9]{1,9}", str(wanted)) and int(wanted) < len(classes):
        return int(wanted)
    if not classes:
        raise UserError(f"Expected data with classes, got {wanted!r} for data without labels; leave the label out.")
    near = nearest(str(wanted), classes)
    listed = ", ".join(classes[:8]) + (f" and {len(classes) - 8:,} more" if len(classes) > 8 else "")
    raise UserError(
        f"Expected one of the classes {listed}, or a number from 0 to {len(classes) - 1}, got {wanted}; "
        + (f"did you mean {near}?" if near else "choose one of these.")
    )


def encode_values(values: Sequence[Any]) -> tuple[Rows, tuple[str, ...]] | str:
    """Labels as files of text hold them: one numbering for values of one type, as :func:`encode` does.

    Args:
        values: whole numbers, text, true and false, or one-hot lists; text that spells numbers counts as these, and
            text that spells lists as none of these.
    """
    kinds = {type(value) for value in values}
    if kinds == {str} and all(map(_WHOLE.fullmatch, values)):
        values, kinds = [int(value) for value in values], {int}
    elif kinds == {str} and all(map(_NUMBER.fullmatch, values)):
        values, kinds = [float(value) for value in values], {float}
    elif kinds == {str} and all(map(_LIST.fullmatch, values)):
        return "its values are lists that are written as text"
    if kinds == {str}:
        numbers, classes = from_names(values)
        return _refusal(len(classes), len(values)) or (numbers, classes)
    if kinds <= {int, float} and any(abs(value) >= 2**53 for value in values):
        return "it holds numbers that are too large"
    if not (kinds <= {int, float} or kinds == {bool} or kinds == {list}):
        return f"its values are of type {', '.join(sorted(kind.__name__ for kind in kinds))}"
    try:
        encoded = encode([np.array(values)])
    except (ValueError, TypeError):
        return "its rows are neither single values nor one-hot"
    return encoded if isinstance(encoded, str) else (encoded[0][0], encoded[1])


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
        if not ((np.abs(values) < 2**53).all() and (values == np.rint(values)).all()):  # also false for NaN
            return "its values are not whole numbers"
        values = values.astype(np.int64)
    if values.dtype.kind not in "biuSU":
        return f"its values have type {values.dtype}"
    if values.dtype.kind == "U":
        values = np.array([unicodedata.normalize("NFC", value) for value in values.tolist()])
    classes, numbers = np.unique(values, return_inverse=True)
    if refusal := _refusal(len(classes), len(values)):
        return refusal
    ends = np.cumsum([len(part) for part in flat if part is not None])[:-1]
    names = tuple(name.decode(errors="replace") if isinstance(name, bytes) else str(name) for name in classes.tolist())
    return [part.astype(np.int64) for part in np.split(numbers.reshape(-1), ends)], names


def _refusal(classes: int, count: int) -> str:
    return f"it has {classes:,} different values" if classes > max(MANY, count // 2) else ""


def _flat(labels: npt.NDArray[Any]) -> npt.NDArray[Any] | None:
    if labels.ndim == 1:
        return labels
    if labels.ndim == 2 and labels.shape[1] == 1:
        return labels[:, 0]
    if (
        labels.ndim == 2
        and labels.dtype.kind in "biuf"
        and ((labels == 0) | (labels == 1)).all()
        and (labels.sum(axis=1) == 1).all()
    ):
        return np.asarray(labels.argmax(axis=1))
    return None
