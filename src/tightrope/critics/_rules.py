"""How much each torch function can stretch the distance between two inputs, at the shapes it is called with.

A rule takes the call (arguments, result) and the bounds of its tensor arguments, and returns a bound of the result:
``L`` such that ``||result(x) - result(y)|| <= L ||x - y||``. A function that is not here has no known bound.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from tightrope.critics._call import Call, NoBoundError, Rule, broadcast
from tightrope.critics._spatial import adaptive, convolved, interpolated, padded, pooled, selected


def rule_of(function: Any) -> Rule | None:
    """The rule of a function of ``torch``, ``torch.Tensor`` or ``torch.nn.functional``.

    The function itself has to be the one of that name there: another namespace may use a name for something else.
    """
    name = getattr(function, "__name__", "")
    known = any(getattr(home, name, None) == function for home in (torch, Tensor, functional))
    return _UNBOUNDED.get(name, RULES.get(name) if known else None)


def _times(factor: float) -> Rule:
    """Entry by entry, or a rearrangement, with a factor that no argument changes."""

    def rule(call: Call) -> float:
        x, bound = call.alone
        spread = broadcast(x, call.result) if isinstance(call.result, Tensor) else 1.0  # clamp spreads to its limits
        return factor * bound * spread

    return rule


def _viewed(call: Call) -> float:
    if any(isinstance(a, torch.dtype) for a in (*call.arguments[1:], *call.options.values())):
        raise NoBoundError("reads the memory of a signal as another type")
    return _times(1.0)(call)


def _shaped_like(call: Call) -> float:
    """Only the form of the second argument counts, whether it depends on the input or not."""
    x, bound = call.source
    return bound * broadcast(x, call.result)


def _sum_of(call: Call) -> float:
    if len(call.arguments) > 2:
        raise NoBoundError("with a factor between its operands is not understood")
    scale = abs(float(call.options.get("alpha", 1)))
    plain = call.first is call.source[0]  # the first operand is not multiplied by alpha
    return sum(
        (1.0 if plain and i == 0 else scale) * bound * broadcast(x, call.result)
        for i, (x, bound) in enumerate(call.bounds)
    )


def _joined(call: Call) -> float:
    return math.sqrt(sum((bound * broadcast(x, call.result)) ** 2 for x, bound in call.bounds))


def _stacked(call: Call) -> float:
    return math.sqrt(sum(bound**2 for _, bound in call.bounds))


def _constant_operand(call: Call) -> Tensor:
    """The other operand of a product or quotient, which must not depend on the input."""
    x, _ = call.source
    others = [a for a in (*call.arguments, *call.options.values()) if a is not x]
    if len(call.bounds) > 1 or len(others) != 1:
        raise NoBoundError("a product or quotient of signals is not Lipschitz")
    return torch.as_tensor(others[0]).detach().double()


def _scaled(call: Call) -> float:
    x, bound = call.source
    by = _constant_operand(call)
    return float(by.abs().max()) * bound * broadcast(x, call.result) if by.numel() else 0.0


def _divided(call: Call) -> float:
    x, bound = call.source
    by = _constant_operand(call)
    if call.first is not x:
        raise NoBoundError("division by a signal is not Lipschitz")
    smallest = float(by.abs().min())
    if not smallest:
        raise NoBoundError("division by zero has no bound")
    return bound * broadcast(x, call.result) / smallest


def _multiplied(call: Call) -> float:
    x, bound = call.source
    matrix = _constant_operand(call)
    if matrix.dim() != 2 or x.dim() < 2:
        raise NoBoundError("only a product with one constant matrix is understood")
    return float(torch.linalg.matrix_norm(matrix, 2)) * bound


def _reduced(power: float) -> Rule:
    """Sum (1/2) or mean (-1/2) of ``n`` numbers: ``n`` to that power."""

    def rule(call: Call) -> float:
        x, bound = call.alone
        return float((x.numel() / max(call.result.numel(), 1)) ** power) * bound

    return rule


def _leaky(call: Call) -> float:
    return max(1.0, abs(float(call.option("negative_slope", 1, 0.01)))) * call.alone[1]


def _prelu(call: Call) -> float:
    return max(1.0, float(call.option("weight", 1).abs().max())) * call.alone[1]


def _elu(call: Call) -> float:
    if len(call.arguments) > 3 or {"scale", "input_scale"} & call.options.keys():
        raise NoBoundError("with scales of its own is not understood")
    return max(1.0, abs(float(call.option("alpha", 1, 1.0)))) * call.alone[1]


def _celu(call: Call) -> float:
    if not float(call.option("alpha", 1, 1.0)) > 0:
        raise NoBoundError("with an alpha that is not positive grows without bound")
    return call.alone[1]


def _softplus(call: Call) -> float:
    if not float(call.option("threshold", 2, 20.0)) >= 20:
        raise NoBoundError("jumps at a threshold below 20")
    return call.alone[1]


def _dropout(call: Call) -> float:
    if call.option("training", 2, True):
        raise NoBoundError("dropout in training mode is random")
    return call.alone[1]


def _linear(call: Call) -> float:
    _, bound = call.alone
    return float(torch.linalg.matrix_norm(call.option("weight", 1).detach().double(), 2)) * bound


def _batch_normed(call: Call) -> float:
    if call.function is not functional.batch_norm:
        raise NoBoundError("only torch.nn.functional.batch_norm and the layers are understood")
    if call.option("training", 5, False):
        raise NoBoundError("batch normalisation in training mode mixes samples and has no bound")
    variance, weight = call.option("running_var", 2), call.option("weight", 3)
    gain = (variance.double() + float(call.option("eps", 7, 1e-5))).rsqrt()
    gain = gain if weight is None else gain * weight.double().abs()
    return float(gain.max()) * call.alone[1]


def _unbounded(why: str) -> Rule:
    def rule(_: Call) -> float:
        raise NoBoundError(why)

    return rule


SHAPED = ("view_as", "reshape_as", "expand_as", "type_as", "to")
"""Functions of one tensor and of the form of another one."""

ADDING = ("add_", "sub_", "__iadd__", "__isub__")
"""In-place functions whose rule holds too where only what is added depends on the input."""

_NORMALISED = "divides by the input's own deviation, which may be arbitrarily small, so no bound exists"

_KEEPING = (
    "relu relu_ relu6 hardtanh tanh tanh_ softsign abs clamp clamp_min clamp_max softmax sin cos neg __neg__ "
    "tanhshrink softshrink "
    "reshape flatten unflatten unsqueeze squeeze permute transpose swapaxes movedim contiguous clone detach "
    "float double chunk split unbind narrow select flip roll ravel sort topk msort pixel_shuffle pixel_unshuffle "
    "channel_shuffle t adjoint real requires_grad_ amax amin"
)
_BY_FACTOR = {
    "sigmoid": 0.25, "gelu": 1.13, "silu": 1.1, "mish": 1.1, "selu": 1.7581, "hardsigmoid": 1 / 6,
    "hardswish": 1.5,
}  # fmt: skip

_UNBOUNDED: dict[str, Rule] = {
    **dict.fromkeys(("layer_norm", "group_norm", "instance_norm", "rms_norm", "normalize"), _unbounded(_NORMALISED)),
    "scaled_dot_product_attention": _unbounded("dot-product attention is not Lipschitz"),
    **dict.fromkeys(("pow", "__pow__", "square", "exp", "bmm", "einsum"), _unbounded("grows faster than its input")),
    **dict.fromkeys(("sqrt", "log", "rsqrt", "reciprocal"), _unbounded("is arbitrarily steep near zero")),
    "where": _unbounded("chooses by a condition, which may jump"),
}

RULES: dict[str, Rule] = {
    **{name: _times(1.0) for name in _KEEPING.split()},
    **{name: _times(factor) for name, factor in _BY_FACTOR.items()},
    **dict.fromkeys(SHAPED, _shaped_like),
    **dict.fromkeys(["add", "sub", "__add__", "__radd__", "__sub__", "__rsub__"], _sum_of),
    **dict.fromkeys(ADDING, _sum_of),
    **dict.fromkeys(["mul", "__mul__", "__rmul__", "mul_", "__imul__"], _scaled),
    **dict.fromkeys(["div", "__truediv__", "true_divide", "div_", "__itruediv__"], _divided),
    **dict.fromkeys(["cat", "concat", "concatenate", "stack", "hstack", "vstack"], _stacked),
    **dict.fromkeys(["matmul", "__matmul__", "__rmatmul__", "mm"], _multiplied),
    **{f"conv{axes}d": convolved(axes) for axes in (1, 2, 3)},
    **dict.fromkeys(("maximum", "minimum"), _joined),
    **dict.fromkeys(("expand", "repeat", "tile", "broadcast_to"), _reduced(-0.5)),
    **dict.fromkeys(
        ("__getitem__", "repeat_interleave", "index_select", "gather", "take", "take_along_dim"), selected
    ),
    "view": _viewed,
    "sum": _reduced(0.5),
    "mean": _reduced(-0.5),
    "leaky_relu": _leaky, "leaky_relu_": _leaky, "prelu": _prelu, "elu": _elu, "elu_": _elu, "celu": _celu,
    "softplus": _softplus,
    "dropout": _dropout, "dropout2d": _dropout, "feature_dropout": _dropout,
    **{f"avg_pool{axes}d": pooled(axes, mean=True) for axes in (1, 2, 3)},
    **{f"max_pool{axes}d": pooled(axes, mean=False) for axes in (1, 2, 3)},
    **{f"adaptive_avg_pool{axes}d": adaptive(axes) for axes in (1, 2, 3)},
    "interpolate": interpolated, "pad": padded,
    "linear": _linear, "batch_norm": _batch_normed,
}  # fmt: skip
"""Function name to rule; ask :func:`rule_of`, which checks more than the name."""
