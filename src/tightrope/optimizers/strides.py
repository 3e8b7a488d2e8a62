"""Gradients laid out as their parameters are, which fused optimisers require."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor


def match_strides_(parameters: Iterable[Tensor]) -> None:
    """Give each gradient the memory layout of its parameter, in place; a sparse one becomes dense.

    Fused optimisers on the CPU silently compute wrong updates when the two differ (pytorch issue 106951; seen in torch
    2.13 with gradients assigned by hand). Gradients of an ordinary backward match already and are not copied.
    """
    for p in parameters:
        gradient = p.grad
        if gradient is not None and gradient.layout != torch.strided:
            p.grad = gradient = gradient.to_dense()
        if gradient is not None and gradient.stride() != p.stride():
            p.grad = torch.empty_like(p).copy_(gradient)


def match_state_(optimizer: torch.optim.Optimizer) -> None:
    """Give what an optimiser remembers of each parameter the parameter's memory layout, in place.

    A state that was saved by a run in another layout would meet fused updates as such gradients do.
    """
    for p, remembered in optimizer.state.items():
        for name, value in remembered.items():
            if isinstance(value, Tensor) and value.shape == p.shape and value.stride() != p.stride():
                remembered[name] = torch.empty_like(p, dtype=value.dtype).copy_(value)
