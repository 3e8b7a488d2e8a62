"""The operator norm alone, of any size of layer, between two bounds that are both proven."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tightrope._plumbing.checks import check_number, check_weight
from tightrope.layers.kernel import effective_weight
from tightrope.layers.linear_map import LinearMap, linear_map, padding_gain
from tightrope.linalg import krylov
from tightrope.spectra.layer import is_block_circulant, kernel_repeats, one_line, patch_matrix
from tightrope.spectra.torus import torus_norm

_SMALL = 2**21  # entries of a dense matrix that is decomposed rather than iterated on
_EXPENSIVE = 4e11  # multiplications of a torus bound that is not worth it


@dataclass(frozen=True)
class OperatorNorm:
    """Largest singular value of a linear map.

    Attributes:
        value: Best estimate; attained by some input, so never above the truth but for rounding.
        lower: Proven lower bound.
        upper: Proven upper bound.
        residual: ``||A^T u - value * v||`` of the singular vectors found: the error of ``value`` is of the order of its
            square over the gap, usually far smaller than ``upper - lower``; 0 where the value is exact.
        way: ``"kernel"``, ``"fft"`` or ``"matrix"`` (exact up to rounding) or ``"lanczos"``.
    """

    value: float
    lower: float
    upper: float
    residual: float
    way: str


@torch.no_grad()
def operator_norm(layer: nn.Module, input_shape: tuple[int, ...], *, tolerance: float = 1e-5) -> OperatorNorm:
    """Largest singular value of the layer on inputs of one shape, with proven bounds on both sides.

    Args:
        layer: Linear, Conv, ConvTranspose or Embedding; constrained or not. Nothing of it changes.
        input_shape: Shape of its input without the batch.
        tolerance: Residual, relative to the value, at which the iteration stops; or the distance to the upper bound.

    Raises:
        UserTypeError: The module is no such layer.
        UserError: ``input_shape`` does not fit the layer, or its weight is complex, empty or not finite.

    Upper bounds for what cannot be decomposed: a zero-padded convolution is a block of the same convolution wrapped
    around a torus too large for the wrap to matter, whose norm a Fourier transform gives; and a convolution is at most
    its kernel norm times the root of the number of patches a cell lies in. Copying paddings multiply by their own norm.

    Example:
        >>> from tightrope import spectra
        >>> layer = nn.Conv2d(1, 1, 3, padding=1, bias=False)
        >>> _ = layer.weight.data.fill_(1 / 3)
        >>> found = spectra.operator_norm(layer, (1, 8, 8))
        >>> found.lower <= found.value <= found.upper, round(found.value, 2)
        (True, 2.76)
    """
    check_number("tolerance", tolerance, 1e-5)
    of, weight = linear_map(layer, input_shape), effective_weight(layer).detach()
    check_weight(weight)
    return map_norm(of, weight, tolerance)


@torch.no_grad()
def map_norm(of: LinearMap, weight: Tensor, tolerance: float = 1e-5) -> OperatorNorm:
    """:func:`operator_norm` of a geometry with a weight, without a layer."""
    of, weight, _ = one_line(of, weight if weight.dtype == torch.float64 else weight.float())
    slack = 1 + 10 * torch.finfo(weight.dtype).eps * math.sqrt(min(of.inputs, of.outputs))
    exact = _exact(of, weight)
    if exact is not None:
        value, way = exact
        return OperatorNorm(value, value / slack, value * slack, 0.0, way)
    upper = upper_bound(of, weight)
    found = krylov.top_pair(
        lambda x: of.apply(weight, x.reshape(1, *of.input_shape)).reshape(-1),
        lambda y: of.adjoint(weight, y.reshape(1, *of.output_shape)).reshape(-1),
        of.inputs,
        like=weight,
        tolerance=tolerance,
        restarts=8,
        enough=(1 - tolerance) * upper,
    )
    value = float(found.sigma)
    upper = max(upper * slack, value)
    return OperatorNorm(value, value / slack, upper, found.residual, "lanczos")


@torch.no_grad()
def map_upper(of: LinearMap, weight: Tensor) -> float:
    """The upper end of :func:`map_norm` alone, which needs no iteration: exact where that is cheap, else proven."""
    of, weight, _ = one_line(of, weight if weight.dtype == torch.float64 else weight.float())
    slack = 1 + 10 * torch.finfo(weight.dtype).eps * math.sqrt(min(of.inputs, of.outputs))
    exact = _exact(of, weight)
    return slack * (upper_bound(of, weight) if exact is None else exact[0])


def _exact(of: LinearMap, weight: Tensor) -> tuple[float, str] | None:
    if kernel_repeats(of):
        return float(torch.linalg.matrix_norm(patch_matrix(of, weight), 2).max()), "kernel"
    if is_block_circulant(of):
        return torus_norm(of, weight, of.input_shape[1:]), "fft"
    if of.inputs * of.outputs // of.groups**2 <= _SMALL:
        one = of.one_group()
        blocks = weight.reshape(of.groups, *one.weight_shape)
        return max(float(torch.linalg.matrix_norm(one.matrix(block), 2)) for block in blocks), "matrix"
    return None


def upper_bound(of: LinearMap, weight: Tensor) -> float:
    """Proven upper bound on the operator norm of a convolution: the better of torus and patch count."""
    of = _adjoint(of) if of.kind == "transposed" else of
    overlap = math.prod(_overlap(k, s, d) for k, s, d in zip(of.kernel, of.stride, of.dilation, strict=True))
    bound = math.sqrt(overlap) * float(torch.linalg.matrix_norm(patch_matrix(of, weight), 2).max())
    sizes = torus(of)
    rows, columns = of.weight_shape[0] // of.groups, of.weight_shape[1] * math.prod(of.stride)
    work = of.groups * math.prod(sizes) / math.prod(of.stride) * rows * columns * min(rows, columns) * 4
    if work <= _EXPENSIVE:
        bound = min(bound, torus_norm(of, weight, sizes))
    return padding_gain(of, of.input_shape) * bound


def _overlap(k: int, s: int, d: int) -> int:
    """In how many patches a cell of one axis lies at most: taps whose offsets agree modulo the stride."""
    counts = [0] * s
    for tap in range(k):
        counts[tap * d % s] += 1
    return max(counts)


def torus(of: LinearMap) -> tuple[int, ...]:
    """Smallest torus, in multiples of the stride, on which the padded convolution never meets its own wrap."""
    sizes = []
    for n, out, k, s, d, (before, after) in zip(
        of.input_shape[1:], of.output_shape[1:], of.kernel, of.stride, of.dilation, of.padding, strict=True
    ):
        if of.padding_mode == "zeros":
            reach = max(n + before, (out - 1) * s + d * (k - 1) - before + 1)
        else:
            reach = n + before + after
        sizes.append(-(-reach // s) * s)
    return tuple(sizes)


def _adjoint(of: LinearMap) -> LinearMap:
    """The convolution whose transpose this transposed convolution is."""
    return LinearMap(
        "convolution", of.output_shape, of.input_shape, of.weight_shape, of.stride, of.padding, of.dilation,
        tuple(0 for _ in of.stride), "zeros", of.groups,
    )  # fmt: skip
