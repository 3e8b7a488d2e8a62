"""Dense linear algebra of the constraints: power steps, the top singular pair, and four orthogonalisers.

Matrices are ``[..., m, n]``; nothing here knows about layers. An orthogonaliser returns ``Q`` of the same shape whose
smaller side is orthonormal: ``Q^T Q = I`` for tall matrices, ``Q Q^T = I`` for wide ones. They work in float64 inside
wherever single precision would lose digits, and return the dtype they were given.

- :func:`polar`: the nearest orthogonal matrix, ``W (W^T W)^{-1/2}``.
- :func:`bjorck`: the same matrix by the iteration ``A <- A (3 I - A^T A) / 2``.
- :func:`qr`: Gram-Schmidt, the Q factor with positive diagonal of R.
- :func:`cayley`: a smooth chart of the orthogonal matrices, exact for every raw matrix.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

_ILL = 1e4  # above this condition number the Gram matrix is abandoned for the matrix itself
_WELL = 30.0  # below it, products with the inverse root keep float32 accuracy in float32


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


def block_add_outer(M: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """``M + u v^T`` within the blocks: ``M [groups, m, n]``, ``u [groups * m]``, ``v [groups * n]``; a new tensor."""
    if M.shape[0] == 1:
        return torch.addr(M[0], u, v)[None]
    groups, m, n = M.shape
    return torch.baddbmm(M, u.reshape(groups, m, 1), v.reshape(groups, 1, n))


def power_step(M: Tensor, u: Tensor, eps: float = 1e-12) -> tuple[Tensor, Tensor]:
    """One power-iteration round ``v <- unit(M^T u)``, ``u <- unit(M v)`` on blocks ``[groups, m, n]``; ``(u, v)``."""
    v = unit(block_rmatvec(M, u), eps)
    return unit(block_matvec(M, v), eps), v


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


def _polar_parts(W: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """For tall ``W = Q H``: ``Q`` as ``W`` is, and in float64 the spectrum of ``H``, its eigenvectors, its inverse."""
    A = W.double()
    values, V = torch.linalg.eigh(A.mT @ A)
    s = values.clamp(min=0).sqrt()
    condition = (s[..., -1] / s[..., 0]).amax()
    if not bool(condition < _ILL):  # also when singular, or not finite
        U, s, Vh = torch.linalg.svd(A, full_matrices=False)
        s, V = s.clamp(min=torch.finfo(W.dtype).eps * s.amax().clamp(min=1e-30)), Vh.mT
        return (U @ Vh).to(W.dtype), s, V, (V / s[..., None, :]) @ V.mT
    inverse = (V / s[..., None, :]) @ V.mT
    Q = W @ inverse.to(W.dtype) if bool(condition < _WELL) else (A @ inverse).to(W.dtype)
    return Q, s, V, inverse


def _polar_gradient(G: Tensor, Q: Tensor, s: Tensor, V: Tensor, inverse: Tensor) -> Tensor:
    """``Q X + (I - Q Q^T) G H^-1``, where ``X`` is skew and solves ``H X + X H = Q^T G - G^T Q``."""
    dtype = Q.dtype
    if not _can_look() or not bool(s.amax() / s.amin() < _WELL):
        Q, G = Q.double(), G.double()
    A = (Q.mT @ G).double()
    inner = V.mT @ (A - A.mT) @ V / (s[..., :, None] + s[..., None, :])
    mixed = V @ inner @ V.mT - A @ inverse
    return (Q @ mixed.to(Q.dtype)).add_(G @ inverse.to(Q.dtype)).to(dtype)


class _Polar(torch.autograd.Function):
    """Polar factor of a tall matrix with its exact adjoint, free of divisions by gaps between singular values."""

    @staticmethod
    def forward(W: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return _polar_parts(W)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        ctx.mark_non_differentiable(*output[1:])
        ctx.save_for_backward(inputs[0], *output)

    @staticmethod
    def backward(ctx: Any, G: Tensor, *_: Any) -> Tensor:
        W, Q, s, V, inverse = ctx.saved_tensors
        if torch.is_grad_enabled():  # a second derivative may follow: the iteration has them all
            pulled: Tensor = torch.func.vjp(lambda A: _iterate(A, 40)[0].to(A.dtype), W)[1](G)[0]
            return pulled
        with torch.autocast(G.device.type, enabled=False):
            return _polar_gradient(G, Q, s, V, inverse)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None], W: Tensor) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
        assert in_dims[0] is not None
        return _Polar.apply(W.movedim(in_dims[0], 0)), (0, 0, 0, 0)


def polar(W: Tensor) -> Tensor:
    """Nearest matrix with orthonormal smaller side in Frobenius norm: ``U V^T`` of ``W = U S V^T``.

    By the float64 Gram matrix; by a float64 SVD once the condition number exceeds 1e4, where that loses digits.
    Any rank: a rank-deficient matrix gets some completion. The gradient is exact; under ``create_graph`` and inside
    ``torch.func`` transforms it is that of :func:`bjorck`, which can be differentiated again.

    Args:
        W: ``[..., m, n]``.
    """
    if W.shape[-2] < W.shape[-1]:
        return polar(W.mT).mT
    Q: Tensor = torch.ops.tightrope.polar(W)[0] if torch.compiler.is_compiling() else _Polar.apply(W)[0]
    return Q


# The compiler cannot trace a branch on the condition number; to it the polar factor is one opaque operator.
@torch.library.custom_op("tightrope::polar", mutates_args=())
def _polar_operator(W: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return _polar_parts(W)


@torch.library.custom_op("tightrope::polar_gradient", mutates_args=())
def _polar_gradient_operator(G: Tensor, Q: Tensor, s: Tensor, V: Tensor, inverse: Tensor) -> Tensor:
    return _polar_gradient(G, Q, s, V, inverse)


@_polar_operator.register_fake
def _(W: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    small = W.new_empty((*W.shape[:-2], W.shape[-1], W.shape[-1]), dtype=torch.float64)
    return W.new_empty(W.shape), small[..., 0], small, torch.empty_like(small)


@_polar_gradient_operator.register_fake
def _(G: Tensor, Q: Tensor, s: Tensor, V: Tensor, inverse: Tensor) -> Tensor:
    return Q.new_empty(Q.shape)


def _polar_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    ctx.save_for_backward(*output)


def _polar_backward(ctx: Any, G: Tensor, *_: Any) -> Tensor:
    gradient: Tensor = torch.ops.tightrope.polar_gradient(G, *ctx.saved_tensors)
    return gradient


_polar_operator.register_autograd(_polar_backward, setup_context=_polar_context)


def bjorck(W: Tensor, iterations: int = 30) -> Tensor:
    """Polar factor by the first-order Bjorck iteration, differentiable to any order through its iterations.

    ``A_0 = W / b`` with a proven bound ``b >= sigma_1``, ``A_{k+1} = A_k (3 I - A_k^T A_k) / 2``; every ``A_k`` is
    ``W`` times a polynomial in the Gram matrix of the smaller side, so the iteration runs on that one, in float64.

    Args:
        W: ``[..., m, n]``.
        iterations: At most so many; 30 suffice for condition number 1e4. Where the result misses orthonormality by more
            than 1e-7, as worse conditioned matrices do, :func:`polar` takes its place.

    **Source**: Bjorck and Bowie 1971; as a parametrisation, Anil, Lucas and Grosse (arXiv 1811.05381), eq. 6.
    **Departures**: scaled by the root of the Gram matrix's largest row sum, not by ``1 / sqrt(m n)``, which needs far
    more iterations.
    """
    if W.shape[-2] < W.shape[-1]:
        return bjorck(W.mT, iterations).mT
    A, identity = _iterate(W, iterations)
    if _can_look() and not bool((A.detach().mT @ A.detach() - identity).abs().max() <= 1e-7):
        return polar(W)
    return A.to(W.dtype)


def _iterate(W: Tensor, iterations: int) -> tuple[Tensor, Tensor]:
    """Bjorck's iteration on a tall matrix, in float64, and the identity of its smaller side."""
    A = W.double()
    gram = A.mT @ A
    bound = gram.detach().abs().sum(-1).amax(-1)[..., None, None].clamp(min=1e-300)
    identity = torch.eye(gram.shape[-1], dtype=A.dtype, device=A.device)
    G, Z = gram / bound, identity / bound.sqrt()
    for _ in range(iterations):
        step = 1.5 * identity - 0.5 * G
        G, Z = step @ G @ step, Z @ step
        if _can_look():
            if bool((G.detach() - identity).abs().max() < 1e-14):
                break
        else:  # further rounds change nothing, but would crawl through denormal numbers
            G = torch.where(G.abs() < 1e-30, torch.zeros_like(G), G)
    return A @ Z, identity


def _can_look() -> bool:
    """Whether Python may branch on a tensor's value here: not while compiling or inside a functorch transform."""
    return not torch.compiler.is_compiling() and torch._C._functorch.maybe_current_level() is None


def bjorck_step(W: Tensor) -> Tensor:
    """One step ``W (3 I - W^T W) / 2`` towards the polar factor, for singular values below ``sqrt(3)``."""
    if W.shape[-2] < W.shape[-1]:
        return bjorck_step(W.mT).mT
    return 1.5 * W - 0.5 * (W @ (W.mT @ W))


def clamp_singular_values(W: Tensor, low: float, high: float) -> Tensor:
    """``U clip(S, low, high) V^T`` for ``W = U S V^T``, ``[..., m, n]``; not differentiable.

    By the float64 Gram matrix of the smaller side, by a float64 SVD above condition number 1e4.
    """
    if W.shape[-2] < W.shape[-1]:
        return clamp_singular_values(W.mT, low, high).mT
    Q, s, V, _ = _polar_parts(W.detach())
    middle = (V * s.clamp(low, high)[..., None, :]) @ V.mT
    return (Q.double() @ middle).to(W.dtype)


def qr(W: Tensor) -> Tensor:
    """Q factor of the smaller side with positive diagonal of R: Gram-Schmidt on columns (rows, if wide).

    By Householder reflections in float64, so that condition 1e5 costs no digits of float32.

    Args:
        W: ``[..., m, n]`` of full rank.
    """
    if W.shape[-2] < W.shape[-1]:
        return qr(W.mT).mT
    Q, R = torch.linalg.qr(W.double())
    sign = torch.diagonal(R.detach(), dim1=-2, dim2=-1).sign()
    return (Q * torch.where(sign == 0, torch.ones_like(sign), sign)[..., None, :]).to(W.dtype)


def cayley(W: Tensor) -> Tensor:
    """Cayley transform of ``A = U - U^T + V^T V`` for ``W = [U; V]`` with square ``U``; smooth, exact for every ``W``.

    ``Q = [(I + A)^{-1} (I - A); -2 V (I + A)^{-1}]``, solved in float64 on the smaller side.

    Args:
        W: ``[..., m, n]``.

    **Source**: Trockman and Kolter (arXiv 2104.07167), eq. 5-6 for rectangular matrices.
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


ORTHOGONALISERS: dict[str, Callable[[Tensor], Tensor]] = {"bjorck": bjorck, "cayley": cayley, "polar": polar, "qr": qr}
"""The four, by the names that ``constraints.orthogonal(network, by=...)`` takes."""
