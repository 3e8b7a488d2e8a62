"""Operations that torch cannot differentiate once more, spelled out in ones that it can."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel


@contextmanager
def differentiable_kernels() -> Iterator[None]:
    """Attention by its formula, compiled modules as they were written: fused kernels have no second derivative."""
    with ExitStack() as stack:
        stack.enter_context(sdpa_kernel(SDPBackend.MATH))
        if "torch._dynamo" in sys.modules:  # otherwise nothing is compiled, and its import takes seconds
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        yield


def _silu(x: Tensor, inplace: bool = False) -> Tensor:
    before = x.clone() if inplace else x
    value = before * torch.sigmoid(before)
    return x.copy_(value) if inplace else value


def _mish(x: Tensor, inplace: bool = False) -> Tensor:
    before = x.clone() if inplace else x
    value = before * torch.tanh(functional.softplus(before))
    return x.copy_(value) if inplace else value


def _normalised(x: Tensor, axes: Sequence[int], eps: float) -> Tensor:
    variance, mean = torch.var_mean(x, dim=tuple(axes), correction=0, keepdim=True)
    return (x - mean) * torch.rsqrt(variance + eps)


def _group_norm(
    x: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5, *_: Any
) -> Tensor:
    normal = _normalised(x.reshape(x.shape[0], num_groups, -1), [2], eps).reshape(x.shape)
    channels = (1, -1, *(1 for _ in x.shape[2:]))
    if weight is not None:
        normal = normal * weight.reshape(channels)
    return normal if bias is None else normal + bias.reshape(channels)


# The derivative of layer, instance and batch normalisation that torch gets wrong is the third: a penalty on gradients,
# its gradient, and the derivative of that.


def _layer_norm(
    x: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    *_: Any,
) -> Tensor:
    normal = _normalised(x, range(x.dim() - len(normalized_shape), x.dim()), eps)
    normal = normal if weight is None else normal * weight
    return normal if bias is None else normal + bias


def _by_channels(own: Callable[..., Tensor], first: int) -> Callable[..., Tensor]:
    """Normalisation over the batch and over space (``first`` 0), or over space alone (2)."""

    def norm(
        x: Tensor,
        running_mean: Tensor | None = None,
        running_var: Tensor | None = None,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        training: bool = first > 0,
        momentum: float = 0.1,
        eps: float = 1e-5,
        *,
        use_input_stats: bool | None = None,  # what instance normalisation calls ``training``
    ) -> Tensor:
        training = training if use_input_stats is None else use_input_stats
        if not training:
            return own(x, running_mean, running_var, weight, bias, training, momentum, eps)
        if running_mean is not None:
            with torch.no_grad():
                own(x.detach(), running_mean, running_var, None, None, training, momentum, eps)
        axes = [axis for axis in range(first, x.dim()) if axis != 1]
        normal = _normalised(x, axes, eps)
        channels = (1, -1, *(1 for _ in x.shape[2:]))
        normal = normal if weight is None else normal * weight.reshape(channels)
        return normal if bias is None else normal + bias.reshape(channels)

    return norm


def weight_norm(v: Tensor, g: Tensor, dim: int = 0) -> Tensor:
    """What ``torch._weight_norm`` computes, with the second derivative that torch's own gets wrong on the CPU."""
    axes = [axis for axis in range(v.dim()) if axis != dim]
    return v * (g / torch.linalg.vector_norm(v, dim=axes, keepdim=True))


MENDED: dict[Callable[..., Any], Callable[..., Tensor]] = {
    functional.layer_norm: _layer_norm,
    torch.layer_norm: _layer_norm,
    functional.instance_norm: _by_channels(functional.instance_norm, 2),
    functional.batch_norm: _by_channels(functional.batch_norm, 0),
    torch._weight_norm: weight_norm,
}
"""What stands in for functions whose higher derivatives torch gets wrong in reverse mode too."""

SPELLED: dict[Callable[..., Any], Callable[..., Tensor]] = MENDED | {
    functional.silu: _silu,
    functional.mish: _mish,
    functional.group_norm: _group_norm,
    torch.group_norm: _group_norm,
}
"""What stands in for which function while derivatives are pushed forward."""
