"""A convolution whose backward computes what is asked for and nothing else.

A Python autograd function sees which of its inputs *can* have a gradient, not which of them the ``inputs`` of
``autograd.grad`` ask for, and would compute every weight gradient of a penalty's inner gradient to throw it away.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

Sizes = tuple[int, ...]

NARROWEST = 8


def convolution(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sizes,
    padding: Sizes,
    dilation: Sizes,
    transposed: bool,
    extra: Sizes,
    groups: int,
) -> Tensor:
    """A convolution in any number of dimensions, or a transposed one, with autocast's casts.

    Values and derivatives of every order are torch's, up to rounding. The derivative by the input keeps no way back to
    the input, on which it does not depend. On the CPU in bf16 the weight gradient of maps narrower than
    :data:`NARROWEST` is :func:`weight_gradient`.

    Args:
        x: Input ``[batch, c_in, *sizes]``.
        weight: Kernel ``[c_out, c_in / groups, *kernel]``, of a transposed one ``[c_in, c_out / groups, *kernel]``.
        bias: ``[c_out]`` or None.
        stride: One number per dimension, as all that follows.
        padding: Zeros on each side.
        dilation: Distance of the kernel's points.
        transposed: Whether it is a transposed one.
        extra: Output padding of a transposed one.
        groups: Number of groups.
    """
    out: Tensor = _Convolution.apply(*_cast(x, weight, bias), stride, padding, dilation, transposed, extra, groups)
    return out


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, *settings: Any) -> Tensor:
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(x, weight)
        ctx.settings = settings
        out: Tensor = torch.ops.aten.convolution(x, weight, bias, *settings)
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        found: list[Tensor | None] = [None] * (3 + len(ctx.settings))
        if gradient is not None:
            x, weight = ctx.saved_tensors
            wanted = wanted_by_engine(ctx)
            if not torch.is_grad_enabled() and not (wanted[1] and _unfolds(x, gradient, weight, *ctx.settings)):
                of_bias = [gradient.shape[1]] if wanted[2] else None
                backward = torch.ops.aten.convolution_backward
                found[:3] = backward(gradient, x, weight, of_bias, *ctx.settings, wanted)  # at once, as torch has it
                return tuple(found)
            if wanted[0]:
                found[0] = _by_input(x, gradient, weight, *ctx.settings)
            if wanted[1]:
                found[1] = _by_weight(x, gradient, weight, *ctx.settings)
            if wanted[2]:
                found[2] = gradient.sum([d for d in range(gradient.dim()) if d != 1])
        return tuple(found)


def wanted_by_engine(ctx: Any) -> list[bool]:
    """Of a Function's inputs x, weight and bias, whether the backward that runs now has a use for the gradient."""
    found = [False, False, False]
    for index, (node, _) in enumerate(ctx.next_functions):  # a bias that is None has no place among them
        try:
            found[index] = node is not None and torch._C._will_engine_execute_node(node)
        except RuntimeError:  # a leaf whose gradient is handed out
            found[index] = True
    return found


def _by_input(
    x: Tensor,
    gradient: Tensor,
    weight: Tensor,
    stride: Sizes,
    padding: Sizes,
    dilation: Sizes,
    transposed: bool,
    _: Sizes,
    groups: int,
) -> Tensor:
    """The convolution that this one transposes, or is transposed by."""
    extra = (0,) * len(stride)
    if not transposed:  # what a transposed one must add so that it gives back the input's size
        extra = tuple(
            x.shape[2 + i]
            - ((gradient.shape[2 + i] - 1) * stride[i] - 2 * padding[i] + dilation[i] * (weight.shape[2 + i] - 1) + 1)
            for i in range(len(stride))
        )
    out: Tensor = _Convolution.apply(gradient, weight, None, stride, padding, dilation, not transposed, extra, groups)
    return out


def _by_weight(x: Tensor, gradient: Tensor, weight: Tensor, *settings: Any) -> Tensor:
    if _unfolds(x, gradient, weight, *settings):
        stride, padding, _, transposed, *_ = settings
        large, small = (gradient, x) if transposed else (x, gradient)
        return weight_gradient(large, small, weight.shape[2:], stride, padding)
    found: Tensor = torch.ops.aten.convolution_backward(gradient, x, weight, None, *settings, [False, True, False])[1]
    return found


def _unfolds(x: Tensor, gradient: Tensor, weight: Tensor, *settings: Any) -> bool:
    """Whether the weight gradient is the product of :func:`weight_gradient`."""
    if x.dtype != torch.bfloat16 or x.device.type != "cpu" or weight.dim() != 4:
        return False
    _, _, dilation, transposed, _, groups = settings
    return groups == 1 and (x if transposed else gradient).shape[3] < NARROWEST and max(dilation) == 1


def weight_gradient(x: Tensor, gradient: Tensor, kernel: Sizes, stride: Sizes, padding: Sizes) -> Tensor:
    """Gradient of a convolution's weight as one matrix product of unfolded patches.

    oneDNN's AMX kernel is slow on small maps: batch 64, one thread, bf16, 128 to 256 channels by a strided 4x4 kernel
    onto 4x4 maps 26 ms, this 5; 256 channels by 3x3 on 4x4 maps 21, this 5. From 8 pixels on it is the faster one.

    Args:
        x: Input ``[batch, c_in, height, width]``.
        gradient: Gradient of the output ``[batch, c_out, rows, columns]``.
        kernel: Height and width of the kernel.
        stride: Of the convolution.
        padding: Zeros on each side.

    Returns:
        Gradient ``[c_out, c_in, *kernel]`` in channels-last memory.
    """
    rows, columns = gradient.shape[2], gradient.shape[3]
    padded = pad(x, (padding[1], padding[1], padding[0], padding[0])).permute(0, 2, 3, 1)
    patches = padded.unfold(1, kernel[0], stride[0]).unfold(2, kernel[1], stride[1])[:, :rows, :columns]
    matrix = patches.permute(0, 1, 2, 4, 5, 3).reshape(-1, kernel[0] * kernel[1] * x.shape[1])
    flat = gradient.permute(0, 2, 3, 1).reshape(-1, gradient.shape[1])
    return (flat.mT @ matrix).unflatten(1, (*kernel, x.shape[1])).permute(0, 3, 1, 2)


def _cast(x: Tensor, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
    """What autocast does for a convolution: a Function's inputs are not cast by it."""
    if not torch.is_autocast_enabled(x.device.type) or x.dtype == torch.float64:
        return x, weight, bias
    dtype = torch.get_autocast_dtype(x.device.type)
    return x.to(dtype), weight.to(dtype), None if bias is None else bias.to(dtype)
