"""Block-diagonal matrices ``[groups, m, n]``: products, power steps, the exact top singular pair."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tightrope._plumbing.checks import short
from tightrope._plumbing.errors import UserError
from tightrope.linalg._matrices import NONE_UNDER_VMAP


def _require(M: Tensor, **vectors: tuple[Tensor, int]) -> None:
    """Refuse what is no row of blocks, and vectors that do not fit them along an axis."""
    if M.dim() != 3 or M.is_complex():
        raise UserError(f"Expected real blocks [groups, m, n], got {short(M)}; one matrix is M[None].")
    for name, (vector, axis) in vectors.items():
        if vector.numel() != M.shape[0] * M.shape[axis] or vector.dtype != M.dtype:
            raise UserError(
                f"Expected {name} with {M.shape[0] * M.shape[axis]} entries for blocks of shape {list(M.shape)} and of "
                f"{M.dtype}, got {short(vector)}; one vector holds the parts of all blocks."
            )


def block_matvec(M: Tensor, v: Tensor) -> Tensor:
    """Block-diagonal matrix times vector: ``M [groups, m, n]``, ``v [groups * n]`` gives ``[groups * m]``.

    Raises:
        UserError: ``M`` holds no blocks, or ``v`` does not fit.
    """
    _require(M, v=(v, 2))
    return matvec(M, v.reshape(-1))


def matvec(M: Tensor, v: Tensor) -> Tensor:
    """:func:`block_matvec` of what is known to fit."""
    if M.shape[0] == 1:
        return torch.mv(M[0], v)
    return torch.bmm(M, v.reshape(M.shape[0], M.shape[2], 1)).reshape(-1)


def block_rmatvec(M: Tensor, u: Tensor) -> Tensor:
    """Transposed block-diagonal matrix times vector: ``u [groups * m]`` gives ``[groups * n]``.

    Raises:
        UserError: ``M`` holds no blocks, or ``u`` does not fit.
    """
    _require(M, u=(u, 1))
    return matvec(M.mT, u.reshape(-1))


def block_add_outer(M: Tensor, u: Tensor, v: Tensor, beta: float = 1.0, alpha: float = 1.0) -> Tensor:
    """``beta M + alpha u v^T`` in blocks, new: ``M [groups, m, n]``, ``u [groups * m]``, ``v [groups * n]``.

    Raises:
        UserError: ``M`` holds no blocks, or a vector does not fit.
    """
    _require(M, u=(u, 1), v=(v, 2))
    return add_outer(M, u.reshape(-1), v.reshape(-1), beta, alpha)


def add_outer(M: Tensor, u: Tensor, v: Tensor, beta: float = 1.0, alpha: float = 1.0) -> Tensor:
    """:func:`block_add_outer` of what is known to fit."""
    if M.shape[0] == 1:
        return torch.addr(M[0], u, v, beta=beta, alpha=alpha)[None]
    groups, m, n = M.shape
    return torch.baddbmm(M, u.reshape(groups, m, 1), v.reshape(groups, 1, n), beta=beta, alpha=alpha)


def top_singular_pair(M: Tensor) -> tuple[Tensor, Tensor]:
    """Left and right singular vectors of the largest singular value of a block-diagonal matrix.

    Exact: the Gram matrix of the smaller side is formed and decomposed in float64. So are the derivatives of every
    order, in both modes, wherever the largest value is single; elsewhere there are none.

    Args:
        M: Blocks ``[groups, m, n]``.

    Returns:
        ``u [groups * m]`` and ``v [groups * n]`` of unit length with ``u^T M v = sigma``, non-zero in one block only.

    Raises:
        UserError: ``M`` holds no blocks of real, finite entries.
    """
    _require(M)
    if M.is_meta:
        return M[:, :, 0].reshape(-1), M[:, 0, :].reshape(-1)
    A = M.double()
    exponent = torch.frexp(A.detach().abs().amax()).exponent
    A = A * torch.ldexp(torch.ones_like(A[0, 0, 0]).detach(), -exponent)  # exact; keeps squares in the range
    if A.shape[1] > A.shape[2]:
        v, u = _top_pair_of_wide(A.mT)
        return u.to(M.dtype), v.to(M.dtype)
    u, v = _top_pair_of_wide(A)
    return u.to(M.dtype), v.to(M.dtype)


def _top_pair_of_wide(A: Tensor) -> tuple[Tensor, Tensor]:
    values, vectors = torch.linalg.eigh(A.detach() @ A.detach().mT)
    index = values[:, -1].argmax(0, keepdim=True)
    winner = (torch.arange(len(values), device=A.device) == index).to(values)
    top = vectors[:, :, -1].index_select(0, index)[0]
    if not torch.compiler.is_compiling():  # which differentiates but once
        top = _TopVector.apply(A.index_select(0, index)[0], top)
    u = (winner[:, None] * top).reshape(-1)
    v = block_rmatvec(A, u)
    return u, v / torch.linalg.vector_norm(v).clamp(min=1e-300)


class _TopVector(torch.autograd.Function):
    """``u``, known to be the top left singular vector of ``A [m, n]``, as the function of ``A`` that it is.

    ``(sigma^2 - A A^T + u u^T) du = (I - u u^T) (dA A^T u + A dA^T u)``.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(A: Tensor, u: Tensor) -> Tensor:
        return u.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.set_materialize_grads(not NONE_UNDER_VMAP)
        ctx.save_for_backward(inputs[0], output)
        ctx.save_for_forward(inputs[0], output)

    @staticmethod
    def backward(ctx: Any, G: Tensor | None) -> tuple[Tensor | None, None]:
        if G is None:
            return None, None
        A, u = ctx.saved_tensors
        y, pulled = _resolved(A, u, G)
        return torch.outer(y, pulled) + torch.outer(u, A.mT @ y), None

    @staticmethod
    def jvp(ctx: Any, T: Tensor, _: Any) -> Tensor:
        A, u = ctx.saved_tensors
        return _resolved(A, u, T @ (A.mT @ u) + A @ (T.mT @ u))[0]


def _resolved(A: Tensor, u: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    """The solution for a right-hand side that is made orthogonal to ``u``, and ``A^T u``."""
    pulled = A.mT @ u
    identity = torch.eye(len(u), dtype=u.dtype, device=u.device)
    K = torch.dot(pulled, pulled) * identity - A @ A.mT + torch.outer(u, u)
    return torch.linalg.solve_ex(K, right - u * torch.dot(u, right))[0], pulled
