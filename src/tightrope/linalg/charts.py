"""Two other ways to an orthonormal smaller side: Gram-Schmidt and the Cayley transform."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tightrope.linalg.polar import can_look
from tightrope.linalg.precision import full_precision


def qr(W: Tensor) -> Tensor:
    """Q factor of the smaller side with positive diagonal of R: Gram-Schmidt on columns (rows, if wide).

    By the Cholesky factor of the float64 Gram matrix; by Householder reflections in float64 where the condition number
    exceeds about 1e3, so that condition 1e5 costs no digits of float32 either.

    Args:
        W: ``[..., m, n]`` of full rank.

    Example:
        >>> from tightrope import linalg
        >>> Q = linalg.qr(torch.tensor([[2.0, 1.0], [0.0, -3.0]]))
        >>> torch.allclose(Q, torch.tensor([[1.0, 0.0], [0.0, -1.0]]), atol=1e-6)  # R has a positive diagonal
        True
    """
    if W.shape[-2] < W.shape[-1]:
        return qr(W.mT).mT
    if torch.compiler.is_compiling():
        return _householder(W)
    found = _CholeskyQR.apply(W)
    if can_look() and not bool(found[2]):
        return _householder(W)
    Q: Tensor = found[0]
    return Q


def _householder(W: Tensor) -> Tensor:
    Q, R = torch.linalg.qr(W.double())
    sign = torch.diagonal(R.detach(), dim1=-2, dim2=-1).sign()
    return (Q * torch.where(sign == 0, torch.ones_like(sign), sign)[..., None, :]).to(W.dtype)


class _CholeskyQR(torch.autograd.Function):
    """``W = Q R`` from ``W^T W = R^T R``: ``Q``, ``R^{-1}`` in float64, and whether the condition number allowed it."""

    @staticmethod
    def forward(W: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        A = W.double()
        L, info = torch.linalg.cholesky_ex(A.mT @ A)
        identity = torch.eye(L.shape[-1], dtype=L.dtype, device=L.device)
        inverse = torch.linalg.solve_triangular(L.mT, identity, upper=True)
        # ||R||_F ||R^-1||_F / n: at least 1, and at least about the condition number over the root of n
        spread = torch.linalg.matrix_norm(L) * torch.linalg.matrix_norm(inverse) / L.shape[-1]
        good = (spread < 1e3 / L.shape[-1] ** 0.5).all() & (info == 0).all()
        exact = W.dtype == torch.float64 or not bool((spread < 2).all())
        Q = (A @ inverse).to(W.dtype) if exact else W @ inverse.to(W.dtype)
        return Q, inverse, good

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        ctx.mark_non_differentiable(*output[1:])
        ctx.save_for_backward(inputs[0], *output[:2])

    @staticmethod
    def backward(ctx: Any, G: Tensor, *_: Any) -> Tensor:
        W, Q, inverse = ctx.saved_tensors
        if torch.is_grad_enabled():  # a second derivative may follow
            pulled: Tensor = torch.func.vjp(_householder, W)[1](G)[0]
            return pulled
        with full_precision(G.device.type):
            # (G - Q copyltu(G^T Q)) R^-T, where copyltu mirrors the lower triangle upwards
            inverse = inverse.to(Q.dtype)
            M = G.mT @ Q
            M = M.tril() + M.tril(-1).mT
            mixed = M @ inverse.mT
            result = G @ inverse.mT
            return result.baddbmm_(Q, mixed, alpha=-1) if result.dim() == 3 else result.sub_(Q @ mixed)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None], W: Tensor) -> tuple[tuple[Tensor, ...], tuple[int | None, ...]]:
        assert in_dims[0] is not None
        Q, inverse, good = _CholeskyQR.apply(W.movedim(in_dims[0], 0))
        if not bool(good):
            Q = _householder(W.movedim(in_dims[0], 0).detach())
        return (Q, inverse, good), (0, 0, None)


def cayley(W: Tensor) -> Tensor:
    """Cayley transform of ``A = U - U^T + V^T V`` for ``W = [U; V]`` with square ``U``; smooth, exact for every ``W``.

    ``Q = [(I + A)^{-1} (I - A); -2 V (I + A)^{-1}]``, solved in float64 on the smaller side.

    Args:
        W: ``[..., m, n]``.

    **Source**: Trockman and Kolter (arXiv 2104.07167), eq. 5-6 for rectangular matrices.

    Example:
        >>> from tightrope import linalg
        >>> Q = linalg.cayley(torch.randn(5, 3))
        >>> torch.allclose(Q.mT @ Q, torch.eye(3), atol=1e-5)
        True
    """
    if W.shape[-2] < W.shape[-1]:
        return cayley(W.mT).mT
    n = W.shape[-1]
    U, V = W[..., :n, :].double(), W[..., n:, :].double()
    A = U - U.mT + V.mT @ V
    identity = torch.eye(n, dtype=A.dtype, device=A.device)
    inverse = torch.linalg.inv(identity + A)
    return torch.cat([inverse @ (identity - A), -2 * (V @ inverse)], dim=-2).to(W.dtype)


def cayley_inverse(Q: Tensor) -> Tensor:
    """Raw matrix that :func:`cayley` maps to ``Q``, whose square block must not have the eigenvalue -1.

    Args:
        Q: ``[..., m, n]`` with orthonormal smaller side.
    """
    if Q.shape[-2] < Q.shape[-1]:
        return cayley_inverse(Q.mT).mT
    n = Q.shape[-1]
    top, rest = Q[..., :n, :].double(), Q[..., n:, :].double()
    identity = torch.eye(n, dtype=top.dtype, device=Q.device)
    A = 2 * torch.linalg.inv(identity + top) - identity
    V = -0.5 * rest @ (identity + A)
    return torch.cat([0.25 * (A - A.mT), V], dim=-2).to(Q.dtype)
