"""Rules for functions that move, copy or pool entries: convolutions, pooling, resampling, padding and indexing."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.nn import functional

from tightrope.critics._call import Call, NoBoundError, Rule
from tightrope.layers.linear_map import LinearMap
from tightrope.spectra.operator import map_upper


def convolved(axes: int) -> Rule:
    """A convolution called as a function, with a weight that does not depend on the input."""

    def rule(call: Call) -> float:
        x, bound = call.alone
        weight = call.option("weight", 1).detach()
        padding = call.option("padding", 4, 0)
        if isinstance(padding, str):
            raise NoBoundError("a convolution called as a function with padding by name is not understood")
        if x.dim() != axes + 2:
            raise NoBoundError("a convolution of a sample without a batch axis is not understood")
        stride, dilation = (_tuple(call.option(n, p, 1), axes) for n, p in (("stride", 3), ("dilation", 5)))
        cells = tuple((p, p) for p in _tuple(padding, axes))
        shapes = tuple(x.shape[1:]), tuple(call.result.shape[1:]), tuple(weight.shape)
        groups = int(call.option("groups", 6, 1))
        of = LinearMap("convolution", *shapes, stride, cells, dilation, (0,) * axes, "zeros", groups)
        return map_upper(of, weight) * bound

    return rule


def _tuple(value: Any, axes: int) -> tuple[int, ...]:
    if isinstance(value, int):
        return (value,) * axes
    numbers = tuple(int(v) for v in value)
    return numbers * axes if len(numbers) == 1 else numbers


def pooled(axes: int, mean: bool) -> Rule:
    """Windows overlap ``ceil(k / s)`` times per axis; a mean of ``n`` shrinks by ``sqrt(n)``, a maximum does not."""

    def rule(call: Call) -> float:
        _, bound = call.alone
        k = _tuple(call.option("kernel_size", 1), axes)
        stride = call.option("stride", 2)
        s = _tuple(stride, axes) if stride else k
        if mean and call.option("divisor_override", 6):
            raise NoBoundError("average pooling with divisor_override is not understood")
        if mean and any(_tuple(call.option("padding", 3, 0), axes)) and not call.option("count_include_pad", 5, True):
            raise NoBoundError("average pooling that counts padded windows differently is not understood")
        if (mean and call.option("ceil_mode", 4, False)) or (
            not mean and _tuple(call.option("dilation", 4, 1), 1) != (1,)
        ):
            raise NoBoundError("pooling with ceil_mode or dilation is not understood")
        overlap = math.prod(-(-a // b) for a, b in zip(k, s, strict=True))
        return math.sqrt(overlap / math.prod(k) if mean else overlap) * bound

    return rule


def adaptive(axes: int) -> Rule:
    """Adaptive average pooling into windows of one size that do not overlap."""

    def rule(call: Call) -> float:
        x, bound = call.alone
        before, after = x.shape[-axes:], call.result.shape[-axes:]
        if any(b % a for b, a in zip(before, after, strict=True)):
            raise NoBoundError("adaptive pooling with uneven windows is not understood")
        return bound / math.sqrt(math.prod(before) / math.prod(after))

    return rule


_SEPARABLE = ("nearest", "nearest-exact", "linear", "bilinear", "trilinear", "bicubic")


def interpolated(call: Call) -> float:
    """Resampling that is one matrix per axis: its norm is the product of theirs, the matrices read off unit inputs."""
    x, bound = call.alone
    names = ("size", "scale_factor", "mode", "align_corners", "recompute_scale_factor", "antialias")
    size, factor, mode, *flags = (call.option(name, 1 + k) for k, name in enumerate(names))
    mode = mode or "nearest"
    if mode not in _SEPARABLE:
        raise NoBoundError(f"interpolation of mode {mode} is not understood")
    axes = x.dim() - 2
    sizes, factors = (value if isinstance(value, (tuple, list)) else [value] * axes for value in (size, factor))
    for axis in range(axes):
        n, here = x.shape[2 + axis], [k == axis for k in range(axes)]
        # two cells along the other axes: along one alone, torch 2.13 smooths in the wrong direction
        units = torch.eye(n, dtype=torch.float64).reshape(n, 1, *(n if at else 1 for at in here))
        units = units.expand(n, 1, *(n if at else 2 for at in here)).contiguous()
        to = None if size is None else [s if at else 2 for s, at in zip(sizes, here, strict=True)]
        by = None if factor is None else [f if at else 1.0 for f, at in zip(factors, here, strict=True)]
        wide = functional.interpolate(units, to, by, mode, flags[0], flags[1], bool(flags[2]))
        matrix = wide.movedim(2 + axis, 1).flatten(2)[..., 0]
        bound *= float(torch.linalg.matrix_norm(matrix, 2))
    return bound


def padded(call: Call) -> float:
    """Padding with a constant, or by copies, which is one matrix per axis; a negative one crops."""
    x, bound = call.alone
    mode, pad = call.option("mode", 2, "constant"), call.option("pad", 1)
    if mode == "constant":
        return bound
    for axis, ends in enumerate(zip(pad[::2], pad[1::2], strict=True)):
        units = torch.eye(x.shape[-1 - axis], dtype=torch.float64)[:, None]
        bound *= float(torch.linalg.matrix_norm(functional.pad(units, ends, mode)[:, 0], 2))
    return bound


def selected(call: Call) -> float:
    """Entries picked by constant indices: the root of how often the most picked one occurs.

    The function is called once more on the numbers of the entries, so that every form of index is counted as torch
    understands it.
    """
    x, bound = call.alone
    numbers = torch.arange(x.numel(), device=x.device).reshape(x.shape)
    options = {key: numbers if value is x else value for key, value in call.options.items()}
    arguments = (numbers, *call.arguments[1:]) if call.arguments else ()
    picked = call.function(*arguments, **options)
    if picked.shape != call.result.shape:
        raise NoBoundError("picks another number of entries each time it is called")
    return math.sqrt(int(torch.bincount(picked.reshape(-1)).max())) * bound if picked.numel() else 0.0
