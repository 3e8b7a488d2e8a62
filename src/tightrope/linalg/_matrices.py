"""What every function of a matrix does first and asks last: its kind, its orientation, derivatives to come."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import torch
from torch import Tensor
from torch.autograd import forward_ad

from tightrope._plumbing.errors import UserError

_HALF = (torch.float16, torch.bfloat16)


def oriented(function: Callable[[Tensor], Tensor], W: Tensor, *, tall: bool = False) -> Tensor:
    """``function`` of a wide (or ``tall``) matrix for any ``W [..., m, n]``; half precision is computed in float32.

    A matrix without entries, or without storage (the meta device), is returned as it is.

    Raises:
        UserError: ``W`` is no real floating-point matrix.
    """
    if W.dim() < 2 or not W.is_floating_point():
        raise UserError(
            f"expected real floating-point matrices [..., m, n], got {W.dtype} of shape {list(W.shape)}; "
            "a complex matrix is a real one of twice the size, [[Re, -Im], [Im, Re]]"
        )
    if W.numel() == 0 or W.is_meta:
        return W.clone()
    if W.dtype in _HALF:
        return oriented(function, W.float(), tall=tall).to(W.dtype)
    turn = W.shape[-2] < W.shape[-1] if tall else W.shape[-2] > W.shape[-1]
    return function(W.mT).mT if turn else function(W)


def derivatives_may_follow() -> bool:
    """Whether what a backward pass computes now may be differentiated again, in reverse or in forward mode."""
    transformed = torch._C._functorch.maybe_current_level() is not None
    return torch.is_grad_enabled() or transformed or forward_ad._current_level >= 0


NONE_UNDER_VMAP = torch.__version__ >= "2.8"
"""Whether a backward under ``vmap`` may be handed None for a gradient that is none; torch 2.6 fails on it."""


def bind_at_once(function: type[torch.autograd.Function]) -> None:
    """Let torch, which binds a Function's arguments at every call, find the signature without deriving it anew."""
    vars(function.forward)["__signature__"] = inspect.signature(function.forward)
