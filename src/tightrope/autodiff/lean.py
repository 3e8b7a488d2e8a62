"""Convolutions, ReLUs and average pools whose second derivative sends no zeros back through a penalty's forward.

Torch's derivative of a derivative answers the input of such a layer with a tensor of zeros, not with nothing, and a
gradient penalty's backward carries the zeros through the whole forward of its points: 58 convolutions on a ResNet where
40 are needed. The functions here have the same values and the same derivatives of every order; what does not depend on
the input has no way back to it. Every other layer, smooth activations above all, is torch's own.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode, _get_current_function_mode_stack

from tightrope._plumbing.walk import modules_in
from tightrope.autodiff.convolution import Sizes, convolution
from tightrope.autodiff.guard import in_functional_transform
from tightrope.autodiff.view import modules_of

_saved_hooks = getattr(torch._C._autograd, "_top_saved_tensors_default_hooks", None)
"""Absent in old torch (2.6 among them), which therefore keeps its own functions: the same numbers, more slowly."""

_Answer = Callable[..., "Tensor | None"]

LEAST_PRODUCTS = 50_000_000
"""A convolution of fewer products is torch's own: two Python functions cost more than the zeros that they save."""
LEAST_ELEMENTS = 400_000
"""So is a ReLU or pool of smaller maps. Both from R1 on critics of 2 to 25 convolutions, one thread of a CPU."""


class _Kinked(torch.autograd.Function):
    """ReLU (slope 0) and leaky ReLU; saves what torch's saves, so that the same may be changed in place."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, slope: float, inplace: bool) -> Tensor:
        ctx.set_materialize_grads(False)
        out = F.leaky_relu(x, slope, inplace) if slope else F.relu(x, inplace)
        if inplace:
            ctx.mark_dirty(x)
        ctx.slope, ctx.by_result = slope, inplace or not slope
        ctx.save_for_backward(out if ctx.by_result else x)
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, None, None]:
        (gradient,) = gradients
        if gradient is None:
            return None, None, None
        at = ctx.saved_tensors[0].detach()
        if ctx.slope:
            return torch.ops.aten.leaky_relu_backward(gradient, at, ctx.slope, ctx.by_result), None, None
        return torch.ops.aten.threshold_backward(gradient, at, 0), None, None


class _AveragePool(torch.autograd.Function):
    """``avg_pool2d``."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, *settings: Any) -> Tensor:
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(x)
        ctx.settings = settings
        out: Tensor = torch.ops.aten.avg_pool2d(x, *settings)
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        nothing = (None,) * len(ctx.settings)
        if gradient is None:
            return None, *nothing
        (x,) = ctx.saved_tensors
        return torch.ops.aten.avg_pool2d_backward(gradient, x.detach(), *ctx.settings), *nothing


def _relu(x: Tensor, inplace: bool = False) -> Tensor | None:
    return _kinked(x, 0.0, inplace)


def _relu_(x: Tensor) -> Tensor | None:
    return _kinked(x, 0.0, True)


def _leaky_relu(x: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor | None:
    return _kinked(x, float(negative_slope), inplace) if negative_slope > 0 else None


def _kinked(x: Tensor, slope: float, inplace: bool) -> Tensor | None:
    if x.numel() < LEAST_ELEMENTS or (inplace and (x.is_leaf or x._is_view())):
        return None
    out: Tensor = _Kinked.apply(x, slope, inplace)
    return out


def kinked(x: Tensor, slope: float = 0.0) -> Tensor:
    """ReLU, or leaky ReLU of a positive ``slope``, whose second derivative sends no zeros back."""
    out: Tensor = _Kinked.apply(x, slope, False)
    return out


def _avg_pool2d(
    x: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor | None:
    kernel = _each(kernel_size, 2)
    steps = kernel if stride is None or stride == () or stride == [] else _each(stride, 2)
    settings = (kernel, steps, _each(padding, 2), ceil_mode, count_include_pad, divisor_override)
    return None if x.numel() < LEAST_ELEMENTS else _AveragePool.apply(x, *settings)


def _convolver(n: int) -> _Answer:
    def convolve(
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> Tensor | None:
        if x.dim() != n + 2 or isinstance(padding, str) or _is_small(x, weight, _each(stride, n)):
            return None
        stride, padding, dilation = _each(stride, n), _each(padding, n), _each(dilation, n)
        return convolution(x, weight, bias, stride, padding, dilation, False, (0,) * n, groups)

    return convolve


def _transposer(n: int) -> _Answer:
    def transpose(
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        dilation: Any = 1,
    ) -> Tensor | None:
        if x.dim() != n + 2 or _is_small(x, weight, ()):
            return None
        stride, padding, dilation = _each(stride, n), _each(padding, n), _each(dilation, n)
        return convolution(x, weight, bias, stride, padding, dilation, True, _each(output_padding, n), groups)

    return transpose


def _is_small(x: Tensor, weight: Tensor, stride: Sizes) -> bool:
    """Whether a convolution, or a transposed one without its stride, is too little work for a Python function."""
    return x.numel() * weight.numel() < LEAST_PRODUCTS * x.shape[1] * math.prod(stride)


def _each(value: Any, n: int) -> Sizes:
    values = (value,) if isinstance(value, int) else tuple(value)
    return values * n if len(values) == 1 else values


_CONVOLUTIONS: tuple[Any, ...] = (torch.conv1d, torch.conv2d, torch.conv3d)
_TRANSPOSED: tuple[Any, ...] = (torch.conv_transpose1d, torch.conv_transpose2d, torch.conv_transpose3d)

_OWN: dict[Any, _Answer] = {
    **{F.relu: _relu, torch.relu: _relu, Tensor.relu: _relu, torch.relu_: _relu_, Tensor.relu_: _relu_},
    **{F.leaky_relu: _leaky_relu, F.avg_pool2d: _avg_pool2d},
    **{function: _convolver(n) for n, function in enumerate(_CONVOLUTIONS, 1)},
    **{function: _transposer(n) for n, function in enumerate(_TRANSPOSED, 1)},
}


class _Lean(TorchFunctionMode):
    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        own = _OWN.get(function)
        kwargs = kwargs or {}
        if own is not None and _fit(*args, **kwargs):
            found = own(*args, **kwargs)
            if found is not None:
                return found
        return function(*args, **kwargs)


def _fit(x: Any = None, weight: Any = None, *_: Any, **named: Any) -> bool:
    """Whether a gradient will be taken by ordinary reverse mode, of ordinary tensors."""
    if type(x) is not Tensor or not x.is_floating_point() or "input" in named or not torch.is_grad_enabled():
        return False
    if isinstance(weight, Tensor) and type(weight) not in (Tensor, nn.Parameter):
        return False
    if forward_ad._current_level >= 0 or in_functional_transform():
        return False
    # an activation checkpoint calls its part again in the backward, outside of this mode
    return _saved_hooks is not None and _saved_hooks(True) is None


def lean_derivatives(*networks: object) -> AbstractContextManager[Any]:
    """Let forwards of convolutional networks in the block use the functions of this module; of others nothing.

    A small network without convolutions would lose more by the detour than it gains.

    Args:
        *networks: What is called in the block, modules or functions that hold some.
    """
    if in_functional_transform() or any(isinstance(mode, _Lean) for mode in _get_current_function_mode_stack()):
        return nullcontext()
    return _Lean() if any(map(_is_convolutional, modules_of(*networks))) else nullcontext()


def _is_convolutional(network: nn.Module) -> bool:
    found = _CONVOLUTIONAL.get(network)
    if found is None:
        found = any(isinstance(module, nn.modules.conv._ConvNd) for module in modules_in(network))
        _CONVOLUTIONAL[network] = found
    return found


_CONVOLUTIONAL: WeakKeyDictionary[nn.Module, bool] = WeakKeyDictionary()
