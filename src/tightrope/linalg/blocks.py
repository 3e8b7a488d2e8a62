"""Block-diagonal matrices ``[groups, m, n]``: products, power steps, the exact top singular pair."""

from __future__ import annotations

import torch
from torch import Tensor


def unit(x: Tensor, eps: float = 1e-12) -> Tensor:
    """``x / (||x|| + eps)`` over all elements: the official code's guard against a zero vector."""
    length: Tensor = torch.linalg.vector_norm(x)
    return x / (length + eps)


def block_matvec(M: Tensor, v: Tensor) -> Tensor:
    """Block-diagonal matrix times vector: ``M [groups, m, n]``, ``v [groups * n]`` gives ``[groups * m]``."""
    if M.shape[0] == 1:
        return torch.mv(M[0], v)
    return torch.bmm(M, v.reshape(M.shape[0], M.shape[2], 1)).reshape(-1)


def block_rmatvec(M: Tensor, u: Tensor) -> Tensor:
    """Transposed block-diagonal matrix times vector: ``u [groups * m]`` gives ``[groups * n]``."""
    return block_matvec(M.mT, u)


def block_add_outer(M: Tensor, u: Tensor, v: Tensor, beta: float = 1.0, alpha: float = 1.0) -> Tensor:
    """``beta M + alpha u v^T`` in blocks, new: ``M [groups, m, n]``, ``u [groups * m]``, ``v [groups * n]``."""
    if M.shape[0] == 1:
        return torch.addr(M[0], u, v, beta=beta, alpha=alpha)[None]
    groups, m, n = M.shape
    return torch.baddbmm(M, u.reshape(groups, m, 1), v.reshape(groups, 1, n), beta=beta, alpha=alpha)


def top_singular_pair(M: Tensor) -> tuple[Tensor, Tensor]:
    """Left and right singular vectors of the largest singular value of a block-diagonal matrix, not differentiable.

    Exact: the Gram matrix of the smaller side is formed and decomposed in float64.

    Args:
        M: Blocks ``[groups, m, n]``.

    Returns:
        ``u [groups * m]`` and ``v [groups * n]`` of unit length with ``u^T M v = sigma``, non-zero in one block only.
    """
    A = M.detach().double()
    wide = A.shape[1] <= A.shape[2]
    values, vectors = torch.linalg.eigh(A @ A.mT if wide else A.mT @ A)
    winner = torch.zeros_like(values[:, -1]).scatter_(0, values[:, -1].argmax(0, keepdim=True), 1.0)
    top = (vectors[:, :, -1] * winner[:, None]).reshape(-1)
    if wide:
        return top.to(M.dtype), unit(block_rmatvec(A, top)).to(M.dtype)
    return unit(block_matvec(A, top)).to(M.dtype), top.to(M.dtype)
