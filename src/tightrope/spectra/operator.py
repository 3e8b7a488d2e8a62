"""The operator norm alone, of any size of layer, between two bounds that are both proven."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tightrope._plumbing.checks import check_number
from tightrope.layers.linear_map import LinearMap, padding_gain
from tightrope.linalg import krylov
from tightrope.spectra.kernel import values_of
from tightrope.spectra.layer import (
    PATIENCE,
    dense_matrices,
    is_block_circulant,
    kernel_repeats,
    map_of,
    one_line,
    patch_matrix,
    round_work,
    vector_functions,
)
from tightrope.spectra.torus import sample, torus_bound, torus_norm

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
    return map_norm(*map_of(layer, input_shape), tolerance)


@torch.no_grad()
def map_norm(
    of: LinearMap, weight: Tensor, tolerance: float | None = 1e-5, begun: krylov.Bidiagonal | None = None
) -> OperatorNorm:
    """:func:`operator_norm` of a geometry with a weight, without a layer.

    Args:
        of: The geometry.
        weight: Its weight.
        tolerance: See :func:`operator_norm`; None for one run, more only where they are cheap, and an upper bound up to
            0.2 % above the best one where that is expensive.
        begun: A first run of the iteration, where there was one.
    """
    of, weight, slack = _prepared(of, weight)
    exact = _exact(of, weight) if begun is None else None
    if exact is not None:
        value, way = exact
        return OperatorNorm(value, value / slack, value * slack, 0.0, way)
    hurried = tolerance is None and _torus_work(_wide(of)) > PATIENCE
    upper = math.inf if hurried else upper_bound(of, weight)
    goal = 1e-5 if tolerance is None else tolerance
    found = krylov.top_pair(
        *vector_functions(of, weight),
        of.inputs,
        like=weight,
        tolerance=goal,
        restarts=8,
        enough=(1 - goal) * upper,
        most=PATIENCE / round_work(of) if tolerance is None else math.inf,
        begun=begun,
    )
    value = float(found.sigma)
    if hurried:
        upper = upper_bound(of, weight, near=1.002 * value)
    upper = max(upper * slack, value)
    return OperatorNorm(value, value / slack, upper, found.residual, "lanczos")


@torch.no_grad()
def map_upper(of: LinearMap, weight: Tensor) -> float:
    """The upper end of :func:`map_norm` alone, which needs no iteration: exact where that is cheap, else proven."""
    of, weight, slack = _prepared(of, weight)
    exact = _exact(of, weight)
    return slack * (upper_bound(of, weight) if exact is None else exact[0])


def _prepared(of: LinearMap, weight: Tensor) -> tuple[LinearMap, Tensor, float]:
    """Without idle axes, and one more than the share by which rounding may be off."""
    of, weight, _ = one_line(of, weight if weight.dtype == torch.float64 else weight.float())
    return of, weight, 1 + 10 * torch.finfo(weight.dtype).eps * math.sqrt(min(of.inputs, of.outputs))


def _exact(of: LinearMap, weight: Tensor) -> tuple[float, str] | None:
    if kernel_repeats(of):
        return float(values_of(patch_matrix(of, weight)).max()), "kernel"
    if is_block_circulant(of):
        return torus_norm(of, weight, of.input_shape[1:]), "fft"
    if of.inputs * of.outputs // of.groups**2 <= _SMALL:
        return max(float(values_of(matrix)[0]) for matrix in dense_matrices(of, weight)), "matrix"
    return None


def upper_bound(of: LinearMap, weight: Tensor, near: float = 0.0) -> float:
    """Proven upper bound on the operator norm of a convolution: the better of torus and patch count.

    Args:
        of: A convolution or its transpose.
        weight: Its weight.
        near: A guess of the bound, see :func:`~tightrope.spectra.torus.torus_bound`.
    """
    of = _wide(of)
    overlap = math.prod(_overlap(k, s, d) for k, s, d in zip(of.kernel, of.stride, of.dilation, strict=True))
    bound = math.sqrt(overlap) * float(values_of(patch_matrix(of, weight)).max())
    gain = padding_gain(of, of.input_shape)
    if _torus_work(of) <= _EXPENSIVE:
        bound = min(bound, torus_bound(of, weight, torus(of), near / gain))
    return gain * bound


def _wide(of: LinearMap) -> LinearMap:
    """The map, or the convolution whose transpose it is."""
    return _adjoint(of) if of.kind == "transposed" else of


def _torus_work(of: LinearMap) -> float:
    """Multiplications of a torus bound."""
    rows, columns = of.weight_shape[0] // of.groups, of.weight_shape[1] * math.prod(of.stride)
    return 4.0 * of.groups * math.prod(sample(of, torus(of))[0]) * rows * columns * min(rows, columns)


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
