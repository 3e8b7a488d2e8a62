"""The Lyapunov equation ``H X + X H = S``, which derivatives of roots of matrices solve."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

_ROUNDS = 60  # enough for condition number 1e10


def lyapunov(H: Tensor, S: Tensor) -> Tensor:
    """``X`` with ``H X + X H = S`` for symmetric positive ``H``, float64; differentiable any number of times.

    By the spectrum of ``H``, without divisions by its gaps. Eigenvalues are taken to be at least ``eps`` times the
    largest, so that a singular ``H`` gives large numbers, no infinite ones.
    """
    X: Tensor = _Lyapunov.apply(H, S)
    return X


class _Lyapunov(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(H: Tensor, S: Tensor) -> Tensor:
        s, U = torch.linalg.eigh(H)
        s = floored(s)
        return U @ (U.mT @ S @ U / (s[..., :, None] + s[..., None, :])) @ U.mT

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(inputs[0], output)
        ctx.save_for_forward(inputs[0], output)

    @staticmethod
    def backward(ctx: Any, G: Tensor) -> tuple[Tensor, Tensor]:
        H, X = ctx.saved_tensors
        Y = lyapunov(H, G)
        return -(Y @ X.mT + X.mT @ Y), Y

    @staticmethod
    def jvp(ctx: Any, tangent_H: Tensor, tangent_S: Tensor) -> Tensor:
        H, X = ctx.saved_tensors
        return lyapunov(H, tangent_S - tangent_H @ X - X @ tangent_H)


def floored(s: Tensor, eps: float = torch.finfo(torch.float64).eps) -> Tensor:
    """Singular values ``[..., n]`` of at least ``eps`` times the largest of their matrix, and never zero."""
    return torch.maximum(s, eps * s.amax(-1, keepdim=True).clamp(min=1e-280))


def skew_lyapunov(H: Tensor, S: Tensor) -> Tensor:
    """``X`` of :func:`lyapunov` for skew ``S``, by products alone where few suffice; not differentiable.

    Newton's iteration for the sign of ``[[H, S], [0, -H]]``, which is ``[[I, 2 X], [0, -I]]``.
    """
    if H.shape[-1] == 1:
        return torch.zeros_like(S)
    bound = H.abs().sum(-1).amax(-1)[..., None, None]
    identity = torch.eye(H.shape[-1], dtype=H.dtype, device=H.device)
    B, C = H / bound, S / bound
    for _ in range(_ROUNDS):
        gap = float((B - identity).abs().max())
        if gap < 1e-14:
            return 0.5 * C
        BC = B @ C
        turned = B @ BC
        C = 0.5 * (BC @ B - turned + turned.mT) + 1.5 * C
        if gap < 1e-8:  # convergence is quadratic
            return 0.5 * C
        B = 1.5 * B - 0.5 * (B @ (B @ B))
    return lyapunov(H, S)
