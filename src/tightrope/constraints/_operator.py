"""Convolutions that are orthogonal as linear maps, as a product of factors that each are.

On an unbounded grid these maps are orthogonal (isometries, or their adjoints where outputs are fewer):

- a matrix ``R`` of orthonormal rows or columns from disjoint patches, ``stride`` cells long on each axis, to outputs;
- ``P + (I - P) shift`` on channels, with an orthogonal projector ``P = U U^T``, shifting one axis by one cell: what is
  in the range of ``P`` stays, the rest moves, so lengths are kept.

A kernel of any size is such a product: ``R`` alone covers ``stride`` taps, each factor before it adds one tap, each
factor behind it ``stride`` taps. Circular padding of a size that the stride divides wraps the grid and keeps all of it
orthogonal; cropping to a finite grid with zero padding is a compression, whose singular values can only shrink.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from tightrope import linalg
from tightrope._plumbing.errors import UserError
from tightrope.layers.kernel import TRANSPOSED
from tightrope.layers.linear_map import padding_cells, padding_gain, ring_fits
from tightrope.linalg.precision import full_precision

TOLERANCE = 0.03  # orthogonality of what Cayley's transform gives in half precision


@dataclass(frozen=True)
class Geometry:
    """A convolution's kernel, seen from its larger grid to its smaller: for a transposed layer, its adjoint.

    Attributes:
        groups: Diagonal blocks.
        rows: Channels per group on the coarse side.
        columns: Channels per group on the fine side.
        kernel: Taps per axis.
        base: Taps per axis that the patch matrix covers.
        fine: One-tap factors per axis on the fine side.
        coarse: Factors of ``stride`` taps per axis on the coarse side.
        stride: Per axis.
        gain: Norm of the padding, which divides the weight.
        orthogonal: Whether all singular values are 1, not only at most 1.
    """

    groups: int
    rows: int
    columns: int
    kernel: tuple[int, ...]
    base: tuple[int, ...]
    fine: tuple[int, ...]
    coarse: tuple[int, ...]
    stride: tuple[int, ...]
    gain: float
    orthogonal: bool


def geometry(name: str, layer: Any, input_shape: tuple[int, ...] | None) -> Geometry | None:
    """How to build an orthogonal convolution for ``layer``, called ``name``; None if it is a matrix.

    Raises:
        UserError: A stride above 1 shares a factor with its dilation, so that patches would overlap; or it meets
            circular padding and the input size, which it must divide, is unknown.
    """
    if isinstance(layer, (nn.Linear, nn.Embedding)):
        return None
    for s, d, k in zip(layer.stride, layer.dilation, layer.kernel_size, strict=True):
        if k > 1 and math.gcd(s, d) > 1:
            raise UserError(
                f"expected stride and dilation without a common factor, got {s} and {d}; name the layer in `skip`"
            )
    if input_shape is None and not isinstance(layer, TRANSPOSED) and any(_wraps(*axis) for axis in _axes(layer)):
        raise UserError(
            f"expected input_shape for layer {name!r}, whose circular padding with stride {tuple(layer.stride)} is "
            "orthogonal only where the stride divides the size, got None; pass the network's input without the batch"
        )
    groups, kernel, stride = layer.groups, tuple(layer.kernel_size), tuple(layer.stride)
    transposed = isinstance(layer, TRANSPOSED)
    outer, inner = (layer.in_channels, layer.out_channels) if transposed else (layer.out_channels, layer.in_channels)
    rows, columns = outer // groups, inner // groups
    base = tuple(min(k, s) for k, s in zip(kernel, stride, strict=True))
    behind = rows >= columns
    extra = [k - b for k, b in zip(kernel, base, strict=True)]
    coarse = tuple(e // s if behind and rows > 1 else 0 for e, s in zip(extra, stride, strict=True))
    fine = tuple(e - s * q if columns > 1 else 0 for e, s, q in zip(extra, stride, coarse, strict=True))
    gain = 1.0 if transposed else padding_gain(layer, input_shape)
    wide = rows <= columns * math.prod(base)
    whole = _outputs_apart(layer, input_shape) if wide else _inputs_whole(layer, input_shape)
    return Geometry(groups, rows, columns, kernel, base, fine, coarse, stride, gain, whole)


def _axes(layer: Any) -> Iterator[tuple[int, int, int, int, bool]]:
    """Kernel, stride, dilation, added cells and whether they are the opposite edge's, per axis."""
    circular = layer.padding_mode == "circular"
    for k, s, d, p in zip(layer.kernel_size, layer.stride, layer.dilation, padding_cells(layer), strict=True):
        yield k, s, d, sum(p), circular


def _wraps(k: int, s: int, d: int, added: int, circular: bool) -> bool:
    """Whether padding closes the axis to a ring exactly if the stride, above 1, divides its size."""
    return circular and added > 0 and s > 1 and ring_fits(k, s, d, added)


def _sizes(layer: Any, input_shape: tuple[int, ...] | None) -> tuple[int | None, ...]:
    return tuple(input_shape[1:]) if input_shape is not None else (None,) * len(layer.kernel_size)


def _ring(axis: tuple[int, int, int, int, bool], n: int | None) -> bool:
    """Whether an axis of ``n`` cells is a ring of which every cell lies in as many patches as any other."""
    k, s, d, added, circular = axis
    return circular and ring_fits(k, s, d, added) and (s == 1 or (n is not None and n % s == 0))


def _outputs_apart(layer: Any, input_shape: tuple[int, ...] | None) -> bool:
    """Whether outputs stay orthonormal: on each axis a ring, or whole patches without a common cell."""
    pairs = zip(_axes(layer), _sizes(layer, input_shape), strict=True)
    if isinstance(layer, TRANSPOSED):
        return all(k <= s and added == 0 for (k, s, _, added, _), _ in pairs)
    return all((k <= s and added == 0) or _ring((k, s, d, added, c), n) for (k, s, d, added, c), n in pairs)


def _inputs_whole(layer: Any, input_shape: tuple[int, ...] | None) -> bool:
    """Whether inputs stay orthonormal: on each axis a ring or patches end to end, and no cell between them."""
    pairs = zip(_axes(layer), _sizes(layer, input_shape), strict=True)
    if isinstance(layer, TRANSPOSED):
        return not any(layer.output_padding) and all(k == s and d == 1 and p == 0 for (k, s, d, p, _), _ in pairs)
    for axis, n in pairs:
        k, s, d, added, _ = axis
        tiled = k == s and (d == 1 or k == 1) and added == 0 and (s == 1 or (n is not None and n % s == 0))
        if not tiled and not (k >= s and _ring(axis, n)):
            return False
    return True


class OrthogonalConvolution(nn.Module):
    """Parametrisation of a convolution's weight by the raw factors ``R`` and ``U`` of an orthogonal map."""

    def __init__(self, weight: Tensor, of: Geometry, by: str, bound: float, rng: torch.Generator | None) -> None:
        super().__init__()
        self.of, self.by, self.bound = of, by, bound
        device = rng.device if rng is not None else weight.device
        self._start: tuple[Tensor, ...] | None = tuple(
            torch.randn(count, of.groups, channels, channels // 2, generator=rng, device=device).to(weight)
            for count, channels in ((sum(of.fine), of.columns), (sum(of.coarse), of.rows))
            if count
        )

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, ...]:
        """Raw factors to start from: ``R`` from the first taps of the weight, random projectors."""
        if self._start is None:
            raise RuntimeError(
                "expected no assignment to an orthogonal convolution, got one; call constraints.remove first"
            )
        taps = weight.detach().reshape(self.of.groups, self.of.rows, self.of.columns, *self.of.kernel)
        for axis, size in enumerate(self.of.base):
            taps = taps.narrow(3 + axis, 0, size)
        start = (taps.reshape(self.of.groups, self.of.rows, -1), *self._start)
        self._start = None
        if self.by != "cayley":
            return tuple(linalg.polar(x).contiguous() for x in start)
        for x in start:
            require_cayley(x)
        return tuple(x.clone(memory_format=torch.contiguous_format) for x in start)

    def forward(self, R: Tensor, *projectors: Tensor) -> Tensor:
        """Weight ``[groups * rows, columns, *kernel]``."""
        of, orthogonalise = self.of, linalg.ORTHOGONALISERS[self.by]
        with full_precision(R.device.type):
            K = orthogonalise(R).reshape(of.groups, of.rows, of.columns, *of.base)
            bases = [orthogonalise(U) for U in projectors]
            if any(of.fine):
                K = _factors(K.transpose(1, 2), bases.pop(0), of.fine, (1,) * len(of.kernel)).transpose(1, 2)
            if any(of.coarse):
                K = _factors(K, bases.pop(0), of.coarse, of.stride)
            missing = [k - size for k, size in zip(of.kernel, K.shape[3:], strict=True)]
            K = functional.pad(K, [cells for m in reversed(missing) for cells in (m // 2, m - m // 2)])
            return ((self.bound / of.gain) * K.reshape(of.groups * of.rows, of.columns, *of.kernel)).contiguous()

    def extra_repr(self) -> str:
        """What was achieved, for ``print(network)``."""
        what = "orthogonal as an operator" if self.of.orthogonal else "1-Lipschitz as an operator, orthogonal inside"
        return f"{what}, by {self.by}, bound {self.bound:g}"


def require_cayley(matrix: Tensor) -> None:
    """Refuse a raw matrix that is too large for Cayley's transform, whose linear system then loses all digits.

    Raises:
        UserError: It is.
    """
    if matrix.is_meta:
        return
    Q = linalg.cayley(matrix).double()
    small = Q.mT @ Q if Q.shape[-2] >= Q.shape[-1] else Q @ Q.mT
    if not bool((small - torch.eye(small.shape[-1], device=small.device)).abs().max() <= TOLERANCE):
        raise UserError(
            "expected a raw weight of ordinary size for by='cayley', got entries up to "
            f"{float(matrix.detach().abs().max()):.1e}; scale it down or use by='polar'"
        )


def _factors(K: Tensor, U: Tensor, counts: tuple[int, ...], taps: tuple[int, ...]) -> Tensor:
    """Multiply ``K [groups, channels, other, *kernel]`` by ``P + (I - P) shift`` from the left, axes in turn."""
    turns = [axis for turn in range(max(counts)) for axis, count in enumerate(counts) if turn < count]
    for axis, basis in zip(turns, U, strict=True):
        flat = K.flatten(2)
        stays = (basis @ (basis.mT @ flat)).reshape(K.shape)
        K = _pad_axis(stays, axis, 0, taps[axis]) + _pad_axis(K - stays, axis, taps[axis], 0)
    return K


def _pad_axis(K: Tensor, axis: int, before: int, after: int) -> Tensor:
    pads = [0, 0] * (K.dim() - 4 - axis) + [before, after]
    return functional.pad(K, pads)
