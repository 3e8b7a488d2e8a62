"""Dense linear algebra of the constraints: power steps, the top singular pair, and four orthogonalisers.

Matrices are ``[..., m, n]``; nothing here knows about layers. An orthogonaliser returns ``Q`` of the same shape whose
smaller side is orthonormal: ``Q^T Q = I`` for tall matrices, ``Q Q^T = I`` for wide ones. They work in float64 inside
wherever single precision would lose digits, and return the dtype they were given.

- :func:`polar`: the nearest orthogonal matrix, ``W (W^T W)^{-1/2}``.
- :func:`bjorck`: the same matrix by the iteration ``A <- A (3 I - A^T A) / 2``.
- :func:`qr`: Gram-Schmidt, the Q factor with positive diagonal of R.
- :func:`cayley`: a smooth chart of the orthogonal matrices, exact for every raw matrix.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from tightrope._plumbing.door import keep_door
from tightrope.linalg.blocks import block_add_outer, block_matvec, block_rmatvec, top_singular_pair
from tightrope.linalg.charts import cayley, cayley_inverse, qr
from tightrope.linalg.polar import bjorck, bjorck_step, clamp_singular_values, polar

ORTHOGONALISERS: dict[str, Callable[[Tensor], Tensor]] = {"bjorck": bjorck, "cayley": cayley, "polar": polar, "qr": qr}
"""The four, by the names that ``constraints.orthogonal(network, by=...)`` takes."""

__all__ = [
    "ORTHOGONALISERS",
    "bjorck",
    "bjorck_step",
    "block_add_outer",
    "block_matvec",
    "block_rmatvec",
    "cayley",
    "cayley_inverse",
    "clamp_singular_values",
    "polar",
    "qr",
    "top_singular_pair",
]

keep_door(__name__, __all__)
