"""Singular values of a layer as the linear map it is: padding, stride, dilation, groups and input size included.

How they are found depends on the layer, and the answer says which way was taken:

- ``"kernel"``: dense layers and convolutions on disjoint patches repeat the singular values of their kernel matrix;
- ``"fft"``: circular padding whose output has ``size / stride`` cells makes the map block-diagonal in the Fourier
  basis, with blocks ``[outputs, inputs * stride^axes]`` (polyphase form);
- ``"matrix"``: anything else, while one group's dense matrix fits the memory limit;
- ``"lanczos"``: beyond, the largest singular values, each with its residual, and a spectral density.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from tightrope._plumbing.checks import check_weight
from tightrope._plumbing.errors import UserError
from tightrope.layers.kernel import effective_weight
from tightrope.layers.linear_map import LinearMap, linear_map
from tightrope.linalg import krylov
from tightrope.spectra.kernel import values_of

Way = Literal["kernel", "fft", "matrix", "lanczos"]

PATIENCE = 5e9  # multiplications of an iteration that nobody has set a tolerance for


@dataclass(frozen=True)
class Spectrum:
    """Singular values of one linear map.

    Attributes:
        values: Descending. All ``count`` of them if ``complete``, otherwise the largest that converged, where one that
            occurs several times or nearly so may be listed once.
        count: ``min(inputs, outputs)``, the number of singular values.
        way: How they were found.
        complete: Whether ``values`` holds them all.
        error: Bound on the error of each value: rounding if complete, the largest residual otherwise.
        density: For ``"lanczos"``: nodes and masses ``[2, k]`` of a stochastic estimate of the distribution of singular
            values, masses summing to 1; otherwise None.
    """

    values: Tensor
    count: int
    way: Way
    complete: bool
    error: float
    density: Tensor | None = None


@torch.no_grad()
def singular_values(layer: nn.Module, input_shape: tuple[int, ...], *, memory_limit_bytes: int = 2**27) -> Spectrum:
    """All singular values of the layer as a linear map on inputs of one shape, bias left out.

    Args:
        layer: Linear, Conv, ConvTranspose or Embedding; constrained or not. Nothing of it changes.
        input_shape: Shape of its input without the batch; ignored for an Embedding.
        memory_limit_bytes: Largest dense matrix (one group) to form; 128 MiB is 4096 by 4096 in float64. Beyond it only
            extremes and a density come back.

    Returns:
        The spectrum, in float64 for a float64 layer, otherwise float32.

    Raises:
        UserTypeError: The module is no such layer.
        UserError: ``input_shape`` does not fit the layer.

    **Claim**: complete spectra agree with the dense matrix to 1e-8 relative to the largest value, in float64.
    **Cost**: ``"fft"`` decomposes about half the frequencies, since a real kernel's spectrum is symmetric; ``"matrix"``
    grows with the cube of the smaller side.

    Example:
        >>> from tightrope import spectra
        >>> layer = nn.Conv2d(1, 1, 3, padding=1, bias=False)
        >>> _ = layer.weight.data.fill_(1 / 3)  # of norm 1 as a kernel, and of up to 3 as a linear map
        >>> spectrum = spectra.singular_values(layer, (1, 8, 8))
        >>> spectrum.count, round(float(spectrum.values[0]), 2)
        (64, 2.76)
    """
    if memory_limit_bytes < 0:
        raise UserError(f"Expected memory_limit_bytes >= 0, got {memory_limit_bytes}; 2**27 is the default.")
    of, weight = map_of(layer, input_shape)
    return map_spectrum(of, weight, memory_limit_bytes)[0]


def map_of(layer: nn.Module, input_shape: tuple[int, ...]) -> tuple[LinearMap, Tensor]:
    """Geometry and weight that a layer works with, in float32 or float64; both looked at."""
    of, weight = linear_map(layer, input_shape), effective_weight(layer).detach()
    check_weight(weight)
    return of, weight if weight.dtype == torch.float64 else weight.float()


@torch.no_grad()
def map_spectrum(of: LinearMap, weight: Tensor, limit: int) -> tuple[Spectrum, krylov.Bidiagonal | None]:
    """:func:`singular_values` of a geometry with a weight, and the run that found them where there was one."""
    count = min(of.inputs, of.outputs)
    eps = torch.finfo(weight.dtype).eps * math.sqrt(count)
    values, way = _complete(of, weight, limit)
    if values is not None:
        values = _fill(values, count)
        return Spectrum(values, count, way, True, eps * float(values.max())), None
    return _extremes(of, weight, count)


def _complete(of: LinearMap, weight: Tensor, limit: int) -> tuple[Tensor | None, Way]:
    repeats = kernel_repeats(of)
    if repeats:
        values = values_of(patch_matrix(of, weight)).reshape(-1)
        return values.repeat_interleave(repeats), "kernel"
    if is_block_circulant(of):
        return fourier_values(of, weight).reshape(-1), "fft"
    of, weight, repeats = one_line(of, weight)
    inputs, outputs = of.inputs // of.groups, of.outputs // of.groups
    if inputs * outputs * weight.element_size() > limit:
        return None, "lanczos"
    values = torch.cat([values_of(matrix) for matrix in dense_matrices(of, weight)])
    return values.repeat_interleave(repeats), "matrix"


def dense_matrices(of: LinearMap, weight: Tensor) -> Iterator[Tensor]:
    """The matrix ``[outputs, inputs]`` of each group, made from unit vectors of its smaller side."""
    one = of.one_group()
    for block in weight.reshape(of.groups, *one.weight_shape):
        if one.inputs <= one.outputs:
            yield one.matrix(block)
        else:
            basis = torch.eye(one.outputs, dtype=weight.dtype, device=weight.device)
            yield one.adjoint(block, basis.reshape(-1, *one.output_shape)).reshape(one.outputs, one.inputs)


def one_line(of: LinearMap, weight: Tensor) -> tuple[LinearMap, Tensor, int]:
    """The same map without the axes that the kernel does not mix, along which it only repeats itself, and how often.

    One axis stays, of one cell, if the kernel mixes none.
    """
    if of.kind not in ("convolution", "transposed"):
        return of, weight, 1
    axes = zip(of.kernel, of.stride, of.padding, of.output_padding, strict=True)
    kept = [i for i, axis in enumerate(axes) if axis != (1, 1, (0, 0), 0)]
    repeats = math.prod(n for i, n in enumerate(of.input_shape[1:]) if i not in kept)
    if len(kept) == len(of.kernel):
        return of, weight, 1

    def of_kept(values: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(values[i] for i in kept) or (values[0],)

    shapes = [(shape[0], *(of_kept(shape[1:]) if kept else (1,))) for shape in (of.input_shape, of.output_shape)]
    shape = (*of.weight_shape[:2], *of_kept(of.kernel))
    line = replace(
        of,
        input_shape=shapes[0],
        output_shape=shapes[1],
        weight_shape=shape,
        stride=of_kept(of.stride),
        padding=of_kept(of.padding),
        dilation=of_kept(of.dilation),
        output_padding=of_kept(of.output_padding),
    )
    return line, weight.reshape(shape), repeats


def patch_matrix(of: LinearMap, weight: Tensor) -> Tensor:
    """Weight as one matrix per group from a patch of the finer grid to the channels of the coarser."""
    return weight.reshape(of.groups, of.weight_shape[0] // of.groups, -1)


def _fill(values: Tensor, count: int) -> Tensor:
    """Descending, with the zeros of cells that no patch reads, or without values beyond the rank's bound."""
    values = values.sort(descending=True).values
    return torch.cat([values, values.new_zeros(max(count - values.numel(), 0))])[:count]


def kernel_repeats(of: LinearMap) -> int:
    """How often the kernel matrix's singular values occur if patches are disjoint; 0 if they are not."""
    if of.kind == "dense":
        return math.prod(of.input_shape[:-1])
    if of.kind == "lookup":
        return 1
    cells = of.input_shape[1:] if of.kind == "transposed" else of.output_shape[1:]
    axes = zip(of.kernel, of.stride, of.dilation, of.padding, of.output_padding, strict=True)
    if all((k == 1 or (k <= s and d == 1)) and p == (0, 0) and o < s for k, s, d, p, o in axes):
        return math.prod(cells)
    return 0


def is_block_circulant(of: LinearMap) -> bool:
    """Whether shifting the input by the stride shifts the output by one cell, around the edge included."""
    if of.kind != "convolution" or of.padding_mode != "circular":
        return False
    sizes = zip(of.input_shape[1:], of.output_shape[1:], of.stride, strict=True)
    return all(n == out * s for n, out, s in sizes)


def fourier_values(of: LinearMap, weight: Tensor, sizes: tuple[int, ...] | None = None) -> Tensor:
    """Singular values of the convolution wrapped around a torus, ``[groups, frequencies, values]``.

    Args:
        of: A convolution; its padding is ignored, since on a torus it only shifts.
        weight: ``[groups * outputs, inputs, *kernel]``.
        sizes: Cells of the torus per axis, multiples of the stride; the layer's own input size by default.
    """
    sizes = sizes or of.input_shape[1:]
    first, twice = conjugate_pairs(tuple(n // s for n, s in zip(sizes, of.stride, strict=True)))
    values: Tensor = torch.linalg.svdvals(polyphase(of, weight, sizes, first.to(weight.device)))
    return torch.cat([values, values[:, twice.to(weight.device)]], 1)


def conjugate_pairs(sizes: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Of the frequencies with the last axis up to half: one index per conjugate pair, and which stand for two."""
    kept = (*sizes[:-1], sizes[-1] // 2 + 1)
    index = torch.arange(math.prod(kept))
    partner, last = torch.zeros_like(index), torch.zeros_like(index)
    for axis, (n, k) in enumerate(zip(sizes, kept, strict=True)):
        last = index // math.prod(kept[axis + 1 :]) % k
        partner = partner * k + (last if axis == len(sizes) - 1 else -last % n)
    kept_too = 2 * last % sizes[-1] == 0  # on the halved axis only 0 and size / 2 mirror to themselves
    first = index[~kept_too | (index <= partner)]
    return first, (~kept_too | (index != partner))[first]


def polyphase(of: LinearMap, weight: Tensor, sizes: tuple[int, ...], pick: Tensor) -> Tensor:
    """Wrapped convolution in the Fourier basis, blocks ``[groups, frequencies, outputs, inputs * prod(stride)]``.

    Output frequency ``w`` sees the ``prod(stride)`` input frequencies that alias to it. The last axis keeps frequencies
    0 to ``size / 2`` alone, the others being their conjugates; ``pick`` are indices into what is kept.
    """
    coarse = tuple(n // s for n, s in zip(sizes, of.stride, strict=True))
    coordinates = torch.unravel_index(pick.cpu(), (*coarse[:-1], coarse[-1] // 2 + 1))
    turns = torch.zeros(len(pick), 1, 1, dtype=torch.float64)  # [frequencies, aliases, taps]
    for w, c, n, k, s, d in zip(coordinates, coarse, sizes, of.kernel, of.stride, of.dilation, strict=True):
        along = ((w[:, None] + c * torch.arange(s))[..., None] * (torch.arange(k) * d) % n).double() / n
        turns = (turns[:, :, None, :, None] + along[:, None, :, None, :]).flatten(3).flatten(1, 2)
    aliases, taps = turns.shape[1:]
    angle = (2 * math.pi * turns).reshape(-1, taps).to(weight.device)
    K = weight.reshape(of.groups, -1, weight.shape[1], taps).permute(0, 3, 1, 2)  # [groups, taps, outputs, inputs]
    flat = K.flatten(2)
    blocks = torch.complex(angle.cos().to(flat) @ flat, -angle.sin().to(flat) @ flat) / math.sqrt(aliases)
    blocks = blocks.reshape(of.groups, len(pick), aliases, *K.shape[2:])
    return blocks.transpose(2, 3).flatten(3)


def vector_functions(of: LinearMap, weight: Tensor) -> tuple[krylov.Vector, krylov.Vector]:
    """The map and its transpose on flat vectors."""

    def apply(x: Tensor) -> Tensor:
        return of.apply(weight, x.reshape(1, *of.input_shape)).reshape(-1)

    def adjoint(y: Tensor) -> Tensor:
        return of.adjoint(weight, y.reshape(1, *of.output_shape)).reshape(-1)

    return apply, adjoint


def round_work(of: LinearMap) -> float:
    """Multiplications of one round of an iteration, orthogonalisation counted as what its memory traffic costs."""
    cells = math.prod((of.input_shape if of.kind == "transposed" else of.output_shape)[1:])
    return 2.0 * math.prod(of.weight_shape) * cells + 640.0 * (of.inputs + of.outputs)


def _extremes(of: LinearMap, weight: Tensor, count: int) -> tuple[Spectrum, krylov.Bidiagonal]:
    of, weight, _ = one_line(of, weight)
    apply, adjoint = vector_functions(of, weight)
    rounds = 80 if 80 * round_work(of) <= PATIENCE else 40
    start = krylov.start_vector(of.inputs, weight)
    found = krylov.bidiagonalise(apply, adjoint, start, min(rounds, of.inputs, of.outputs))
    ritz, residuals, _, _ = found.ritz()
    converged = int((residuals <= 1e-3 * ritz[0]).int().cumprod(0).sum())
    kept = max(converged, 1)
    density = torch.stack(krylov.spectral_density(apply, adjoint, of.inputs, found))
    return Spectrum(ritz[:kept], count, "lanczos", False, float(residuals[:kept].max()), density), found
