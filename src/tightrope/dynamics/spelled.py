"""Operations that torch cannot differentiate once more, spelled out in ones that it can."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
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


def _group_norm(
    x: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5, *_: Any
) -> Tensor:
    parts = x.reshape(x.shape[0], num_groups, -1)
    variance, mean = torch.var_mean(parts, dim=-1, correction=0, keepdim=True)
    normal = ((parts - mean) * torch.rsqrt(variance + eps)).reshape(x.shape)
    channels = (1, -1, *(1 for _ in x.shape[2:]))
    if weight is not None:
        normal = normal * weight.reshape(channels)
    return normal if bias is None else normal + bias.reshape(channels)


def weight_norm(v: Tensor, g: Tensor, dim: int = 0) -> Tensor:
    """What ``torch._weight_norm`` computes, with the second derivative that torch's own gets wrong on the CPU."""
    axes = [axis for axis in range(v.dim()) if axis != dim]
    return v * (g / torch.linalg.vector_norm(v, dim=axes, keepdim=True))


SPELLED: dict[Callable[..., Any], Callable[..., Tensor]] = {
    functional.silu: _silu,
    functional.mish: _mish,
    functional.group_norm: _group_norm,
    torch.group_norm: _group_norm,
    torch._weight_norm: weight_norm,
}
"""What stands in for which function while derivatives are pushed forward."""
