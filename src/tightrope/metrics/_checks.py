"""The checks that every metric makes on the features it is given."""

from __future__ import annotations

import math
from numbers import Integral
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tightrope._plumbing.errors import UserError, UserTypeError

Array: TypeAlias = Tensor | NDArray[Any]
"""A tensor on any device or a NumPy array, of real numbers of any type."""


def as_float64(values: Array, name: str) -> Tensor:
    """Return real numbers as a detached float64 tensor on the CPU; masked entries become NaN.

    Raises:
        UserError: The entries are no real numbers.
    """
    if isinstance(values, Tensor):
        if not (values.is_complex() or values.is_meta):
            return values.detach().to("cpu").to(torch.float64)
    elif isinstance(values, np.ndarray) and values.dtype.kind in "biuf":
        known = np.ma.filled(np.ma.array(values, dtype=np.float64), np.nan)
        return torch.from_numpy(np.array(known, order="C"))  # a copy: the original may be read-only or reversed
    kind = getattr(values, "dtype", type(values).__name__)
    raise UserError(f"The {name} must be a tensor or array of real numbers, but it is of {kind}; convert it first.")


def as_features(values: Array, name: str, *, least: int = 1) -> Tensor:
    """Return features as a detached float64 matrix on the CPU.

    Args:
        values: Features [n, d] of any real dtype and device.
        name: What to call them in an error, e.g. ``"real"``.
        least: Smallest n that the metric is defined for.

    Raises:
        UserError: The entries are no real numbers, the shape is not [n, d], there are fewer than ``least`` rows, or an
            entry is not finite.
    """
    matrix = as_float64(values, f"{name} features")
    if matrix.ndim != 2 or matrix.shape[1] == 0:
        raise UserError(
            f"The {name} features must have shape [n, d], but they have shape {tuple(matrix.shape)}; "
            "flatten each sample or pass them through a feature network first."
        )
    if len(matrix) < least:
        raise UserError(f"At least {least} {name} samples are needed, but there are {len(matrix)}; draw more samples.")
    if math.isfinite(float(matrix.sum())):  # one pass; only the sum of huge numbers needs the second look
        return matrix
    bad = ~torch.isfinite(matrix).all(dim=1)
    if bool(bad.any()):
        first = int(bad.nonzero()[0])
        raise UserError(
            f"The {name} features must be finite, but {int(bad.sum())} of {len(matrix)} rows hold NaN or infinity "
            f"(first: row {first}); look at those samples before measuring."
        )
    return matrix


def as_pair(real: Array, fake: Array, *, least: int = 1) -> tuple[Tensor, Tensor]:
    """Return real [n, d] and fake [m, d] as `as_features` does, refusing different d."""
    a, b = as_features(real, "real", least=least), as_features(fake, "fake", least=least)
    if a.shape[1] != b.shape[1]:
        raise UserError(
            f"Real and fake features must have the same dimension, but real has {a.shape[1]} and fake {b.shape[1]}; "
            "use one feature network for both."
        )
    return a, b


def check_count(name: str, value: Any) -> None:
    """Refuse what is no whole number; how large it must be is each metric's own affair.

    Raises:
        UserTypeError: It is none.
    """
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise UserTypeError(f"The number {name} must be whole, but it is {value!r}; leave it out for the default.")
