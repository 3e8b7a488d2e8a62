"""Inner products of all pairs of two sets, a strip of the matrix at a time."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

ENTRIES = 6_000_000  # of the matrix held at a time: 46 MiB, more than the 32 MiB that malloc keeps when they are freed
WHOLE = 1 << 24  # of a symmetric matrix computed at once, by half the work: 128 MiB


def product_strips(x: Tensor, y: Tensor) -> Iterator[tuple[int, Tensor]]:
    """Yield the first row and the inner products [rows, m] of strips of x [n, d] with y [m, d], to be overwritten.

    Args:
        x: float64 on the CPU.
        y: float64 on the CPU; where it is ``x`` itself and not too long, all comes at once, of which half is computed.
    """
    if x is y and len(x) ** 2 <= WHOLE:
        whole = x.numpy()
        yield 0, torch.from_numpy(whole @ whole.T)  # NumPy takes the symmetric product
        return
    height = max(1, ENTRIES // len(y))
    for start in range(0, len(x), height):
        yield start, x[start : start + height] @ y.T


def squared_norms(x: Tensor) -> Tensor:
    """Return the squared lengths [n] of rows [n, d]."""
    return torch.linalg.vecdot(x, x)
