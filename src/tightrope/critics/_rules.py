"""How much each torch function can stretch the distance between two inputs, at the shapes it is called with.

A rule takes the call (arguments, result) and the bounds of its tensor arguments, and returns a bound of the result:
``L`` such that ``||result(x) - result(y)|| <= L ||x - y||``. A function that is not here has no known bound.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tightrope._linear_map import LinearMap
from tightrope.spectra.operator import map_norm


@dataclass(frozen=True)
class Call:
    """One call of a torch function: its arguments, its result, and the bounds of its tracked tensor arguments."""

    arguments: tuple[Any, ...]
    options: dict[str, Any]
    result: Any
    bounds: list[tuple[Tensor, float]]

    @property
    def source(self) -> tuple[Tensor, float]:
        """The first tracked argument with its bound."""
        return self.bounds[0]

    def option(self, name: str, position: int, default: Any = None) -> Any:
        """An argument by name or position."""
        if name in self.options:
            return self.options[name]
        return self.arguments[position] if len(self.arguments) > position else default


Rule = Callable[[Call], float]


class NoBoundError(Exception):
    """The call has no Lipschitz bound; the message says why."""


def _times(factor: float) -> Rule:
    return lambda call: factor * call.source[1]


def _broadcast(x: Tensor, result: Tensor) -> float:
    """Norm of repeating ``x`` to the size of the result."""
    return math.sqrt(max(result.numel() / max(x.numel(), 1), 1.0))


def _sum_of(call: Call) -> float:
    scale = abs(float(call.options.get("alpha", 1)))
    plain = call.arguments[0] is call.source[0]  # the first operand is not multiplied by alpha
    return sum(
        (1.0 if plain and i == 0 else scale) * bound * _broadcast(x, call.result)
        for i, (x, bound) in enumerate(call.bounds)
    )


def _joined(call: Call) -> float:
    return math.sqrt(sum((bound * _broadcast(x, call.result)) ** 2 for x, bound in call.bounds))


def _stacked(call: Call) -> float:
    return math.sqrt(sum(bound**2 for _, bound in call.bounds))


def _constant_operand(call: Call) -> Tensor:
    """The other operand of a product or quotient, which must not depend on the input."""
    x, _ = call.source
    others = [a for a in (*call.arguments[:2], *call.options.values()) if a is not x]
    if len(call.bounds) > 1 or len(others) != 1:
        raise NoBoundError("a product or quotient of signals is not Lipschitz")
    return torch.as_tensor(others[0]).detach().double()


def _scaled(call: Call) -> float:
    x, bound = call.source
    return float(_constant_operand(call).abs().max()) * bound * _broadcast(x, call.result)


def _divided(call: Call) -> float:
    x, bound = call.source
    by = _constant_operand(call)
    if call.arguments[0] is not x:
        raise NoBoundError("division by a signal is not Lipschitz")
    smallest = float(by.abs().min())
    return bound * _broadcast(x, call.result) / smallest if smallest else math.inf


def _multiplied(call: Call) -> float:
    x, bound = call.source
    matrix = _constant_operand(call)
    if matrix.dim() != 2 or x.dim() < 2:
        raise NoBoundError("only a product with one constant matrix is understood")
    return float(torch.linalg.matrix_norm(matrix, 2)) * bound


def _convolved(axes: int) -> Rule:
    """A convolution called as a function, with a weight that does not depend on the input."""

    def rule(call: Call) -> float:
        x, bound = call.source
        weight = call.option("weight", 1).detach()
        if len(call.bounds) > 1 or call.arguments[0] is not x:
            raise NoBoundError("a weight that depends on the input is not understood")
        padding = call.option("padding", 4, 0)
        if isinstance(padding, str):
            raise NoBoundError("a convolution called as a function with padding by name is not understood")
        stride, dilation = (_tuple(call.option(n, p, 1), axes) for n, p in (("stride", 3), ("dilation", 5)))
        cells = tuple((p, p) for p in _tuple(padding, axes))
        shapes = tuple(x.shape[1:]), tuple(call.result.shape[1:]), tuple(weight.shape)
        groups = int(call.option("groups", 6, 1))
        of = LinearMap("convolution", *shapes, stride, cells, dilation, (0,) * axes, "zeros", groups)
        return map_norm(of, weight).upper * bound

    return rule


def _reduced(power: float) -> Rule:
    """Sum (1/2) or mean (-1/2) of ``n`` numbers: ``n`` to that power."""

    def rule(call: Call) -> float:
        x, bound = call.source
        return float((x.numel() / max(call.result.numel(), 1)) ** power) * bound

    return rule


def _leaky(call: Call) -> float:
    return max(1.0, abs(float(call.option("negative_slope", 1, 0.01)))) * call.source[1]


def _prelu(call: Call) -> float:
    if len(call.bounds) > 1:
        raise NoBoundError("prelu with a slope that depends on the input is not Lipschitz")
    return max(1.0, float(call.option("weight", 1).abs().max())) * call.source[1]


def _elu(call: Call) -> float:
    return max(1.0, abs(float(call.option("alpha", 1, 1.0)))) * call.source[1]


def _dropout(call: Call) -> float:
    if call.option("training", 2, True):
        raise NoBoundError("dropout in training mode is random")
    return call.source[1]


def _tuple(value: Any, axes: int) -> tuple[int, ...]:
    if isinstance(value, int):
        return (value,) * axes
    numbers = tuple(int(v) for v in value)
    return numbers * axes if len(numbers) == 1 else numbers


def _pooled(axes: int, mean: bool) -> Rule:
    """Windows overlap ``ceil(k / s)`` times per axis; a mean of ``n`` shrinks by ``sqrt(n)``, a maximum does not."""

    def rule(call: Call) -> float:
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
        return math.sqrt(overlap / math.prod(k) if mean else overlap) * call.source[1]

    return rule


def _adaptive(call: Call) -> float:
    x, bound = call.source
    before, after = x.shape[2:], call.result.shape[2:]
    if any(b % a for b, a in zip(before, after, strict=True)):
        raise NoBoundError("adaptive pooling with uneven windows is not understood")
    return bound / math.sqrt(math.prod(before) / math.prod(after))


def _interpolated(call: Call) -> float:
    x, bound = call.source
    if call.options.get("mode", "nearest") != "nearest":
        raise NoBoundError("only nearest-neighbour interpolation is understood")
    if any(a % b for a, b in zip(call.result.shape[2:], x.shape[2:], strict=True)):
        raise NoBoundError("interpolation by an uneven factor is not understood")
    return _broadcast(x, call.result) * bound


def _padded(call: Call) -> float:
    if call.option("mode", 2, "constant") != "constant":
        raise NoBoundError("padding by copies outside a convolution layer is not understood")
    return call.source[1]


def _indexed(call: Call) -> float:
    index = call.arguments[1]
    parts = index if isinstance(index, tuple) else (index,)
    if any(isinstance(part, (Tensor, list)) for part in parts):
        raise NoBoundError("indexing by a tensor is not understood")
    return call.source[1]


def _linear(call: Call) -> float:
    weight = call.option("weight", 1).detach()
    if len(call.bounds) > 1 or call.arguments[0] is not call.source[0]:
        raise NoBoundError("a weight that depends on the input is not understood")
    return float(torch.linalg.matrix_norm(weight.double(), 2)) * call.source[1]


def _batch_normed(call: Call) -> float:
    if call.option("training", 5, False):
        raise NoBoundError("batch normalisation in training mode mixes samples and has no bound")
    variance, weight = call.option("running_var", 2), call.option("weight", 3)
    gain = (variance.double() + float(call.option("eps", 7, 1e-5))).rsqrt()
    gain = gain if weight is None else gain * weight.double().abs()
    return float(gain.max()) * call.source[1]


def _unbounded(why: str) -> Rule:
    def rule(_: Call) -> float:
        raise NoBoundError(why)

    return rule


_NORMALISED = "divides by the input's own deviation, which may be arbitrarily small, so no bound exists"

_KEEPING = (
    "relu relu_ relu6 hardtanh tanh tanh_ softsign abs clamp clamp_min clamp_max softmax sin cos neg __neg__ "
    "softplus logsigmoid tanhshrink softshrink "
    "reshape view flatten unflatten unsqueeze squeeze permute transpose swapaxes movedim contiguous clone detach to "
    "float double chunk split unbind narrow select flip roll ravel sort topk msort pixel_shuffle pixel_unshuffle "
    "channel_shuffle t adjoint real requires_grad_ type_as values indices view_as reshape_as max_unpool2d amax amin"
)
_BY_FACTOR = {
    "sigmoid": 0.25, "gelu": 1.13, "silu": 1.1, "mish": 1.1, "selu": 1.7581, "hardsigmoid": 1 / 6,
    "hardswish": 1.5, "celu": 1.0,
}  # fmt: skip

RULES: dict[str, Rule] = {
    **{name: _times(1.0) for name in _KEEPING.split()},
    **{name: _times(factor) for name, factor in _BY_FACTOR.items()},
    **dict.fromkeys(["add", "sub", "__add__", "__radd__", "__sub__", "__rsub__"], _sum_of),
    **dict.fromkeys(["add_", "sub_", "__iadd__", "__isub__"], _sum_of),
    **dict.fromkeys(["mul", "__mul__", "__rmul__", "mul_", "__imul__"], _scaled),
    **dict.fromkeys(["div", "__truediv__", "true_divide", "div_", "__itruediv__"], _divided),
    **dict.fromkeys(["cat", "concat", "concatenate", "stack", "hstack", "vstack"], _stacked),
    **dict.fromkeys(["matmul", "__matmul__", "__rmatmul__", "mm"], _multiplied),
    **{f"conv{axes}d": _convolved(axes) for axes in (1, 2, 3)},
    **dict.fromkeys(("maximum", "minimum"), _joined),
    **dict.fromkeys(("expand", "expand_as", "repeat", "tile", "repeat_interleave", "broadcast_to"), _reduced(-0.5)),
    "sum": _reduced(0.5),
    "mean": _reduced(-0.5),
    "leaky_relu": _leaky, "leaky_relu_": _leaky, "prelu": _prelu, "elu": _elu, "elu_": _elu,
    "dropout": _dropout, "dropout2d": _dropout, "feature_dropout": _dropout,
    **{f"avg_pool{axes}d": _pooled(axes, mean=True) for axes in (1, 2, 3)},
    **{f"max_pool{axes}d": _pooled(axes, mean=False) for axes in (1, 2, 3)},
    **{f"adaptive_avg_pool{axes}d": _adaptive for axes in (1, 2, 3)},
    "interpolate": _interpolated, "pad": _padded, "__getitem__": _indexed,
    "linear": _linear, "batch_norm": _batch_normed,
    **dict.fromkeys(("layer_norm", "group_norm", "instance_norm", "rms_norm", "normalize"), _unbounded(_NORMALISED)),
    "scaled_dot_product_attention": _unbounded("dot-product attention is not Lipschitz"),
    **dict.fromkeys(("pow", "__pow__", "square", "exp", "bmm", "einsum"), _unbounded("grows faster than its input")),
    **dict.fromkeys(("sqrt", "log", "rsqrt", "reciprocal"), _unbounded("is arbitrarily steep near zero")),
    "where": _unbounded("chooses by a condition, which may jump"),
}  # fmt: skip
"""Function name to rule."""
