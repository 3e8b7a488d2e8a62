"""The polar factor, directly and by Bjorck's iteration: the nearest matrix with an orthonormal smaller side."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tightrope.linalg.precision import full_precision

_ILL = 1e4  # above this condition number the Gram matrix is abandoned for the matrix itself
_WELL = 30.0  # below it, products with the inverse root keep float32 accuracy in float32
_NEAR = 4.0  # below it, so does the Gram matrix itself


def _gram_spectrum(W: Tensor) -> tuple[Tensor, Tensor, float]:
    """Singular values and left singular vectors of wide ``W`` from its Gram matrix, float64, and the condition."""
    values, U = torch.linalg.eigh((W @ W.mT).double())
    s = values.clamp(min=0).sqrt()
    return s, U, float((s[..., -1] / s[..., 0]).amax())


def _polar_parts(W: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """For wide ``W = H Q``: ``Q`` as ``W`` is, and in float64 the spectrum of ``H``, its eigenvectors, its inverse."""
    s, U, condition = _gram_spectrum(W)
    if not condition < _NEAR and W.dtype != torch.float64:
        s, U, condition = _gram_spectrum(W.double())
    if not condition < _ILL:  # also when singular, or not finite
        U, s, Vh = torch.linalg.svd(W.double(), full_matrices=False)
        s = s.clamp(min=torch.finfo(W.dtype).eps * s.amax().clamp(min=1e-30))
        return (U @ Vh).to(W.dtype), s, U, (U / s[..., None, :]) @ U.mT
    inverse = (U / s[..., None, :]) @ U.mT
    Q = inverse.to(W.dtype) @ W if condition < _WELL else (inverse @ W.double()).to(W.dtype)
    return Q, s, U, inverse


def _polar_gradient(G: Tensor, Q: Tensor, s: Tensor, U: Tensor, inverse: Tensor) -> Tensor:
    """``X Q + H^-1 G (I - Q^T Q)``, where ``X`` is skew and solves ``H X + X H = G Q^T - Q G^T``."""
    dtype = Q.dtype
    if not can_look() or not bool(s.amax() / s.amin() < _WELL):
        Q, G = Q.double(), G.double()
    s, U, inverse = s.to(Q.dtype), U.to(Q.dtype), inverse.to(Q.dtype)
    A = G @ Q.mT
    inner = U.mT @ (A - A.mT) @ U / (s[..., :, None] + s[..., None, :])
    mixed = U @ inner @ U.mT - inverse @ A
    result = mixed @ Q
    result = result.baddbmm_(inverse, G) if result.dim() == 3 else result.add_(inverse @ G)
    return result.to(dtype)


class _Polar(torch.autograd.Function):
    """Polar factor of a wide matrix with its exact adjoint, free of divisions by gaps between singular values."""

    @staticmethod
    def forward(W: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return _polar_parts(W)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        ctx.mark_non_differentiable(*output[1:])
        ctx.save_for_backward(inputs[0], *output)

    @staticmethod
    def backward(ctx: Any, G: Tensor, *_: Any) -> Tensor:
        W, Q, s, U, inverse = ctx.saved_tensors
        if torch.is_grad_enabled():  # a second derivative may follow: the iteration has them all
            pulled: Tensor = torch.func.vjp(lambda A: _iterate(A, 40)[0].to(A.dtype), W)[1](G)[0]
            return pulled
        with full_precision(G.device.type):
            return _polar_gradient(G, Q, s, U, inverse)

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

    Example:
        >>> from tightrope import linalg
        >>> Q = linalg.polar(torch.tensor([[0.0, 2.0], [3.0, 0.0], [0.0, 0.0]]))
        >>> torch.allclose(Q, torch.tensor([[0.0, 1.0], [1.0, 0.0], [0.0, 0.0]]), atol=1e-6)
        True
    """
    if W.shape[-2] > W.shape[-1]:
        return polar(W.mT).mT
    Q: Tensor = torch.ops.tightrope.polar(W)[0] if torch.compiler.is_compiling() else _Polar.apply(W)[0]
    return Q


# The compiler cannot trace a branch on the condition number; to it the polar factor is one opaque operator.
@torch.library.custom_op("tightrope::polar", mutates_args=())
def _polar_operator(W: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return _polar_parts(W)


@torch.library.custom_op("tightrope::polar_gradient", mutates_args=())
def _polar_gradient_operator(G: Tensor, Q: Tensor, s: Tensor, U: Tensor, inverse: Tensor) -> Tensor:
    return _polar_gradient(G, Q, s, U, inverse)


@_polar_operator.register_fake
def _(W: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    small = W.new_empty((*W.shape[:-2], W.shape[-2], W.shape[-2]), dtype=torch.float64)
    return W.new_empty(W.shape), small[..., 0], small, torch.empty_like(small)


@_polar_gradient_operator.register_fake
def _(G: Tensor, Q: Tensor, s: Tensor, U: Tensor, inverse: Tensor) -> Tensor:
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

    Example:
        >>> from tightrope import linalg
        >>> W = torch.randn(5, 3)
        >>> torch.allclose(linalg.bjorck(W), linalg.polar(W), atol=1e-5)
        True
    """
    if W.shape[-2] > W.shape[-1]:
        return bjorck(W.mT, iterations).mT
    A, identity = _iterate(W, iterations)
    if can_look() and not bool((A.detach() @ A.detach().mT - identity).abs().max() <= 1e-7):
        return polar(W)
    return A.to(W.dtype)


def _iterate(W: Tensor, iterations: int) -> tuple[Tensor, Tensor]:
    """Bjorck's iteration on a wide matrix, in float64, and the identity of its smaller side."""
    A = W.double()
    gram = A @ A.mT
    bound = gram.detach().abs().sum(-1).amax(-1)[..., None, None].clamp(min=1e-300)
    identity = torch.eye(gram.shape[-1], dtype=A.dtype, device=A.device)
    G, Z = gram / bound, identity / bound.sqrt()
    for _ in range(iterations):
        step = 1.5 * identity - 0.5 * G
        G, Z = step @ G @ step, step @ Z
        if can_look():
            if bool((G.detach() - identity).abs().max() < 1e-14):
                break
        else:  # further rounds change nothing, but would crawl through denormal numbers
            G = torch.where(G.abs() < 1e-30, torch.zeros_like(G), G)
    return Z @ A, identity


def can_look() -> bool:
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

    Example:
        >>> from tightrope import linalg
        >>> W = linalg.clamp_singular_values(torch.diag(torch.tensor([3.0, 1.0, 0.1])), 0.5, 2.0)
        >>> torch.allclose(torch.linalg.svdvals(W), torch.tensor([2.0, 1.0, 0.5]))
        True
    """
    if W.shape[-2] > W.shape[-1]:
        return clamp_singular_values(W.mT, low, high).mT
    Q, s, U, _ = _polar_parts(W.detach())
    middle = (U * s.clamp(low, high)[..., None, :]) @ U.mT
    return (middle @ Q.double()).to(W.dtype)
