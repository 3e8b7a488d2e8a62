"""Rules for functions that move, copy or pool entries: convolutions, pooling, resampling, padding and indexing."""

from __future__ import annotations

import math
from typing import Any

import torch

from tightrope.critics._call import Call, NoBoundError, Rule, broadcast
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


def interpolated(call: Call) -> float:
    """Nearest-neighbour enlargement by whole factors."""
    x, bound = call.alone
    if call.option("mode", 3, "nearest") != "nearest":
        raise NoBoundError("only nearest-neighbour interpolation is understood")
    factor = call.option("scale_factor", 2)
    factors = factor if isinstance(factor, (tuple, list)) else [1 if factor is None else factor]
    if any(float(f) % 1 for f in factors) or any(
        a % b for a, b in zip(call.result.shape[2:], x.shape[2:], strict=True)
    ):
        raise NoBoundError("interpolation by an uneven factor is not understood")
    return broadcast(x, call.result) * bound


def padded(call: Call) -> float:
    """Padding with a constant; a negative one crops."""
    if call.option("mode", 2, "constant") != "constant":
        raise NoBoundError("padding by copies outside a convolution layer is not understood")
    return call.alone[1]


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
