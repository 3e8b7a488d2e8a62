"""A faster weight gradient for convolutions in bf16 on the CPU.

oneDNN's AMX kernel for the weight gradient of a strided 4x4 convolution on small maps is slower in bf16 than in fp32
(29.6 against 24.4 ms for 128 to 256 channels on 8x8 maps, batch 64, one thread; the same gradient as one matrix product
of unfolded patches takes 7.3 ms). Everything else about the convolution stays torch's.
"""

from __future__ import annotations

from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d, pad

from tightrope.autodiff import in_functional_transform

Pair = tuple[int, int]


class _Convolution(torch.autograd.Function):
    """``conv2d`` whose weight gradient is a matrix product; its backward is made of differentiable operations."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, stride: Pair, padding: Pair) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding = stride, padding
        return conv2d(x, weight, bias, stride, padding)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None, None]:
        x, weight = ctx.saved_tensors
        (gradient,) = gradients
        to_x = to_weight = None
        if ctx.needs_input_grad[0]:
            extra = _output_padding(x.shape, gradient.shape, weight.shape, ctx.stride, ctx.padding)
            to_x = conv_transpose2d(gradient, weight, None, ctx.stride, ctx.padding, extra)
        if ctx.needs_input_grad[1]:
            to_weight = weight_gradient(x, gradient, (weight.shape[2], weight.shape[3]), ctx.stride, ctx.padding)
        return to_x, to_weight, gradient.sum((0, 2, 3)) if ctx.needs_input_grad[2] else None, None, None


class _Transposed(torch.autograd.Function):
    """``conv_transpose2d`` likewise: its weight gradient is that of the convolution it transposes."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, stride: Pair, padding: Pair, extra: Pair
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding = stride, padding
        return conv_transpose2d(x, weight, bias, stride, padding, extra)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None, None, None]:
        x, weight = ctx.saved_tensors
        (gradient,) = gradients
        to_x = conv2d(gradient, weight, None, ctx.stride, ctx.padding) if ctx.needs_input_grad[0] else None
        to_weight = None
        if ctx.needs_input_grad[1]:
            to_weight = weight_gradient(gradient, x, (weight.shape[2], weight.shape[3]), ctx.stride, ctx.padding)
        return to_x, to_weight, gradient.sum((0, 2, 3)) if ctx.needs_input_grad[2] else None, None, None, None


def weight_gradient(x: Tensor, gradient: Tensor, kernel: Pair, stride: Pair, padding: Pair) -> Tensor:
    """Gradient of a convolution's weight as one matrix product of unfolded patches.

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


def _output_padding(x: torch.Size, y: torch.Size, weight: torch.Size, stride: Pair, padding: Pair) -> Pair:
    """What ``conv_transpose2d`` must add so that it gives back the input's size."""
    sizes = [x[2 + i] - ((y[2 + i] - 1) * stride[i] - 2 * padding[i] + weight[2 + i]) for i in range(2)]
    return sizes[0], sizes[1]


def use_matrix_weight_gradients_(network: nn.Module) -> nn.Module:
    """Give each plain 2-D convolution of ``network`` the faster weight gradient, in place; returns the network.

    Plain means one group, no dilation and zero padding; other layers are left alone. Values agree with torch's to
    rounding, second derivatives included.
    """
    for layer in network.modules():
        if not isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) or layer.kernel_size == (1, 1):
            continue
        if layer.groups != 1 or layer.dilation != (1, 1) or layer.padding_mode != "zeros":
            continue
        if isinstance(layer.padding, str):
            continue
        forward = _forward if isinstance(layer, nn.Conv2d) else _transposed_forward
        layer.forward = MethodType(forward, layer)  # type: ignore[method-assign]
    return network


def _forward(layer: nn.Conv2d, x: Tensor) -> Tensor:
    if in_functional_transform():  # torch's own convolution has forward-mode derivatives
        return conv2d(*_cast(x, layer.weight, layer.bias), layer.stride, layer.padding)
    out: Tensor = _Convolution.apply(*_cast(x, layer.weight, layer.bias), layer.stride, layer.padding)
    return out


def _transposed_forward(layer: nn.ConvTranspose2d, x: Tensor) -> Tensor:
    extra = layer.output_padding
    if in_functional_transform():
        padding: Any = layer.padding
        return conv_transpose2d(*_cast(x, layer.weight, layer.bias), layer.stride, padding, extra)
    out: Tensor = _Transposed.apply(*_cast(x, layer.weight, layer.bias), layer.stride, layer.padding, extra)
    return out


def _cast(x: Tensor, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
    """What autocast does for a convolution: a Function's inputs are not cast by it."""
    if not torch.is_autocast_enabled(x.device.type):
        return x, weight, bias
    dtype = torch.get_autocast_dtype(x.device.type)
    return x.to(dtype), weight.to(dtype), None if bias is None else bias.to(dtype)
