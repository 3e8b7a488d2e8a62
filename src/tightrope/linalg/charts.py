"""Two other ways to an orthonormal smaller side: Gram-Schmidt and the Cayley transform."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tightrope.linalg._matrices import bind_at_once, derivatives_may_follow, oriented
from tightrope.linalg.lyapunov import floored
from tightrope.linalg.precision import full_precision


def qr(W: Tensor) -> Tensor:
    """Q factor of the smaller side with positive diagonal of R: Gram-Schmidt on columns (rows, if wide).

    By the Cholesky factor of the float64 Gram matrix; by Householder reflections in float64 where the condition number
    exceeds about 1e3, so that condition 1e5 costs no digits of float32 either. Derivatives of every order and in both
    modes are exact.

    Args:
        W: ``[..., m, n]`` of full rank.

    Raises:
        UserError: ``W`` is no real floating-point matrix.

    Example:
        >>> from tightrope import linalg
        >>> Q = linalg.qr(torch.tensor([[2.0, 1.0], [0.0, -3.0]]))
        >>> torch.allclose(Q, torch.tensor([[1.0, 0.0], [0.0, -1.0]]), atol=1e-6)  # R has a positive diagonal
        True
    """
    return oriented(_tall_qr, W, tall=True)


def _tall_qr(W: Tensor) -> Tensor:
    Q: Tensor = _householder(W)[0].to(W.dtype) if torch.compiler.is_compiling() else _QR.apply(W)[0]
    return Q


def _householder(W: Tensor) -> tuple[Tensor, Tensor]:
    """``Q`` and ``R`` in float64."""
    Q, R = torch.linalg.qr(W.double())
    sign = torch.diagonal(R.detach(), dim1=-2, dim2=-1).sign()
    sign = torch.where(sign == 0, torch.ones_like(sign), sign)
    return Q * sign[..., None, :], R * sign[..., :, None]


def _qr_parts(W: Tensor) -> tuple[Tensor, Tensor]:
    """``Q`` as tall ``W`` is, and ``R^{-1}`` in the precision that its condition asks for."""
    A = W.double()
    L, info = torch.linalg.cholesky_ex(A.mT @ A)
    identity = torch.eye(L.shape[-1], dtype=L.dtype, device=L.device)
    inverse = torch.linalg.solve_triangular(L.mT, identity, upper=True)
    # ||R||_F ||R^-1||_F / n: at least 1, and at least about the condition number over the root of n
    spread = torch.linalg.matrix_norm(L) * torch.linalg.matrix_norm(inverse) / L.shape[-1]
    if not bool((spread < 1e3 / L.shape[-1] ** 0.5).all() & (info == 0).all()):
        Q, R = _householder(W)
        R.diagonal(dim1=-2, dim2=-1).copy_(floored(R.diagonal(dim1=-2, dim2=-1)))
        return Q.to(W.dtype), torch.linalg.solve_triangular(R, identity.expand_as(R), upper=True)
    exact = W.dtype == torch.float64 or not bool((spread < 2).all())
    narrow = inverse.to(W.dtype)
    return ((A @ inverse).to(W.dtype) if exact else W @ narrow), narrow


class _QR(torch.autograd.Function):
    """``Q`` and ``R^{-1}`` of a tall ``W = Q R`` with positive diagonal of ``R``."""

    @staticmethod
    def forward(W: Tensor) -> tuple[Tensor, Tensor]:
        return _qr_parts(W)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        ctx.mark_non_differentiable(output[1])
        ctx.save_for_backward(inputs[0], *output)
        ctx.save_for_forward(inputs[0], *output)

    @staticmethod
    def backward(ctx: Any, G: Tensor, *_: Any) -> Tensor:
        """``(G - Q copyltu(G^T Q)) R^-T``, where ``copyltu`` mirrors the lower triangle upwards."""
        W, Q, inverse = ctx.saved_tensors
        if derivatives_may_follow():
            W, Q, G = _exact(W, Q, G)
            M = G.mT @ Q
            M = G - Q @ (M.tril() + M.tril(-1).mT)
            pulled: Tensor = torch.linalg.solve_triangular((Q.mT @ W).triu().mT, M, upper=False, left=False)
            return pulled.to(ctx.saved_tensors[0].dtype)
        with full_precision(G.device.type):
            Q, G = Q.to(inverse.dtype), G.to(inverse.dtype)
            M = G.mT @ Q
            mixed = (M.tril() + M.tril(-1).mT) @ inverse.mT
            result = G @ inverse.mT
            result = result.baddbmm_(Q, mixed, alpha=-1) if result.dim() == 3 else result.sub_(Q @ mixed)
            return result.to(W.dtype)

    @staticmethod
    def jvp(ctx: Any, T: Tensor) -> tuple[Tensor, None]:
        W, Q, _ = ctx.saved_tensors
        W, Q, T = _exact(W, Q, T)
        M = torch.linalg.solve_triangular((Q.mT @ W).triu(), T, upper=True, left=False)
        P = Q.mT @ M
        return (M - Q @ (P.triu() + P.tril(-1).mT)).to(ctx.saved_tensors[0].dtype), None

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None], W: Tensor) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
        assert in_dims[0] is not None
        return _QR.apply(W.movedim(in_dims[0], 0)), (0, 0)


bind_at_once(_QR)


def _exact(W: Tensor, Q: Tensor, T: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The same in float64, with a ``Q`` that is exact there."""
    if W.dtype == torch.float64:
        return W, Q, T
    return W.double(), _QR.apply(W.double())[0], T.double()


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
    return oriented(_tall_cayley, W, tall=True)


def _tall_cayley(W: Tensor) -> Tensor:
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
    return oriented(_tall_cayley_inverse, Q, tall=True)


def _tall_cayley_inverse(Q: Tensor) -> Tensor:
    n = Q.shape[-1]
    top, rest = Q[..., :n, :].double(), Q[..., n:, :].double()
    identity = torch.eye(n, dtype=top.dtype, device=Q.device)
    A = 2 * torch.linalg.inv(identity + top) - identity
    V = -0.5 * rest @ (identity + A)
    return torch.cat([0.25 * (A - A.mT), V], dim=-2).to(Q.dtype)
