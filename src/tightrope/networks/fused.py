"""Convolutions next to a halving or doubling of the map, as one strided convolution with the same parameters.

A 3x3 convolution followed by 2x2 average pooling is a 4x4 convolution of stride 2 whose kernel is the 3x3 one averaged
over its four positions: 16 products per pooled pixel where 36 are needed. Upsampling followed by a 3x3 convolution is a
transposed 4x4 convolution likewise. The module stays what it is, and whatever inspects it finds it: where something
listens to the layer (a hook, a forward of its own, a subclass), the two steps are done one by one.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules import module as hooks

TRANSPOSED = (torch.float32,)
"""Precisions in which upsampling and convolving is faster as a transposed convolution; in bf16 it is slower."""


def halved(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """``avg_pool2d(conv(x), 2)`` for x ``[batch, channels, height, width]``; a 1x1 convolution comes after the pool."""
    if x.shape[2] % 2 or x.shape[3] % 2 or not _unobserved(conv):
        return F.avg_pool2d(conv(x), 2)
    if _is(conv, 1, 0):
        return conv(F.avg_pool2d(x, 2))
    if _is(conv, 3, 1):
        return F.conv2d(x, F.avg_pool2d(F.pad(conv.weight, (1, 1, 1, 1)), 2, 1), conv.bias, 2, 1)
    return F.avg_pool2d(conv(x), 2)


def doubled(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """``conv(upsample(x))`` for x ``[batch, channels, height, width]``; a 1x1 convolution comes before it."""
    if not _unobserved(conv):
        return conv(upsample(x))
    if _is(conv, 1, 0):
        return upsample(conv(x))
    if _is(conv, 3, 1) and x.dtype in TRANSPOSED and not torch.is_autocast_enabled(x.device.type):
        turned = conv.weight.transpose(0, 1).flip(2, 3)
        kernel = 4 * F.avg_pool2d(F.pad(turned, (1, 1, 1, 1)), 2, 1)
        return F.conv_transpose2d(x, kernel, conv.bias, 2, 1)
    return conv(upsample(x))


def upsample(x: Tensor) -> Tensor:
    """Double height and width by repeating pixels."""
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


def _is(conv: nn.Conv2d, kernel: int, padding: int) -> bool:
    """Whether it is a plain convolution of stride 1 with this kernel and padding."""
    return (
        conv.kernel_size == (kernel, kernel)
        and conv.padding == (padding, padding)
        and (conv.stride, conv.dilation, conv.groups, conv.padding_mode) == ((1, 1), (1, 1), 1, "zeros")
    )


def _unobserved(conv: nn.Module) -> bool:
    """Whether calling the layer does nothing but convolve with its weight and bias."""
    if type(conv).forward is not nn.Conv2d.forward or "forward" in vars(conv):
        return False
    own = conv._forward_hooks or conv._forward_pre_hooks or conv._backward_hooks or conv._backward_pre_hooks
    everywhere = (
        hooks._global_forward_hooks
        or hooks._global_forward_pre_hooks
        or hooks._global_backward_hooks
        or hooks._global_backward_pre_hooks
    )
    return not (own or everywhere)
