"""The polar factor, directly and by Bjorck's iteration: the nearest matrix with an orthonormal smaller side.

Both have one derivative. With ``W = H Q`` for a wide ``W``, a change ``T`` of ``W`` changes ``Q`` by

    dQ = X Q + H^-1 T (I - Q^T Q),    where X is skew and H X + X H = T Q^T - Q T^T.

``Q`` is the gradient of the nuclear norm, so this map is symmetric: the same formula pulls gradients back. It divides
by sums of singular values, never by their gaps.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tightrope._plumbing.checks import check_number, check_whole
from tightrope._plumbing.errors import UserError
from tightrope.linalg._matrices import bind_at_once, derivatives_may_follow, oriented
from tightrope.linalg.lyapunov import floored, lyapunov, skew_lyapunov
from tightrope.linalg.precision import full_precision

_ILL = 1e4  # above this condition number the Gram matrix is abandoned for the matrix itself
_WELL = 30.0  # below it, products with the inverse root keep float32 accuracy in float32
_NEAR = 4.0  # below it, so does the Gram matrix itself
_LEAST = 1e-30  # below it, entries of a float32 Gram matrix lose digits


def _gram_spectrum(W: Tensor) -> tuple[Tensor, Tensor, float]:
    """Singular values and left singular vectors of wide ``W`` from its Gram matrix, float64, and the condition."""
    try:
        values, U = torch.linalg.eigh((W @ W.mT).double())
    except RuntimeError:  # squares that leave the range
        return W, W, float("inf")
    s = values.clamp(min=0).sqrt()
    seen = values[..., 0] > _LEAST if W.dtype != torch.float64 else values[..., 0] > 0
    return s, U, float(torch.where(seen, s[..., -1] / s[..., 0], torch.inf).amax())


def _polar_parts(W: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """For wide ``W = H Q``: ``Q`` as ``W`` is, and in float64 the spectrum of ``H``, its eigenvectors, its inverse."""
    s, U, condition = _gram_spectrum(W)
    if not condition < _NEAR and W.dtype != torch.float64:
        s, U, condition = _gram_spectrum(W.double())
    if not condition < _ILL:  # also when singular, or not finite
        U, s, Vh = torch.linalg.svd(W.double(), full_matrices=False)
        s = floored(s, torch.finfo(W.dtype).eps)
        return (U @ Vh).to(W.dtype), s, U, (U / s[..., None, :]) @ U.mT
    inverse = (U / s[..., None, :]) @ U.mT
    Q = inverse.to(W.dtype) @ W if condition < _WELL else (inverse @ W.double()).to(W.dtype)
    return Q, s, U, inverse


def _polar_gradient(G: Tensor, Q: Tensor, s: Tensor, U: Tensor, inverse: Tensor) -> Tensor:
    """The derivative at ``G`` from a known spectrum; not differentiable."""
    dtype = Q.dtype
    if not bool(s.amax() / s.amin() < _WELL):
        Q, G = Q.double(), G.double()
    s, U, inverse = s.to(Q.dtype), U.to(Q.dtype), inverse.to(Q.dtype)
    A = G @ Q.mT
    inner = U.mT @ (A - A.mT) @ U / (s[..., :, None] + s[..., None, :])
    return _moved(G, Q, A, U @ inner @ U.mT, inverse).to(dtype)


def _bjorck_parts(W: Tensor, iterations: int) -> tuple[Tensor, Tensor]:
    """``Q`` and ``H^-1`` of a wide float64 ``W = H Q`` by Bjorck's iteration, or directly where that does not end."""
    gram = W @ W.mT
    bound = gram.abs().sum(-1).amax(-1)[..., None, None].clamp(min=1e-300)
    identity = torch.eye(gram.shape[-1], dtype=W.dtype, device=W.device)
    G, Z = gram / bound, identity / bound.sqrt()
    for _ in range(iterations):
        step = 1.5 * identity - 0.5 * G
        G, Z = step @ G @ step, step @ Z
        if bool((G - identity).abs().max() < 1e-14):
            break
    Q = Z @ W
    if bool((Q @ Q.mT - identity).abs().max() <= 1e-7):
        return Q, Z
    Q, _, _, inverse = _polar_parts(W)
    return Q, inverse


def _bjorck_gradient(G: Tensor, W: Tensor, Q: Tensor, inverse: Tensor) -> Tensor:
    """The derivative at ``G`` by products alone; not differentiable."""
    A = G @ Q.mT
    return _moved(G, Q, A, skew_lyapunov(W @ Q.mT, A - A.mT), inverse)


def _moved(G: Tensor, Q: Tensor, A: Tensor, X: Tensor, inverse: Tensor) -> Tensor:
    """``X Q + H^-1 (G - A Q)`` in place of its temporaries."""
    result = (X - inverse @ A) @ Q
    return result.baddbmm_(inverse, G) if result.dim() == 3 else result.add_(inverse @ G)


def _differentiable(W: Tensor, Q: Tensor, T: Tensor) -> Tensor:
    """The derivative along (or of) ``T``, all wide, in operations that can themselves be differentiated."""
    dtype = W.dtype
    if dtype != torch.float64:
        W, T = W.double(), T.double()
        Q = _Polar.apply(W)[0]
    H = W @ Q.mT
    H = 0.5 * (H + H.mT)
    A = T @ Q.mT
    twice = 2 * torch.eye(H.shape[-1], dtype=H.dtype, device=H.device).expand_as(H)
    moved = lyapunov(H, A - A.mT) @ Q + lyapunov(H, twice) @ (T - A @ Q)
    return moved.to(dtype)


class _Polar(torch.autograd.Function):
    """Polar factor of a wide matrix, with what its gradient needs."""

    @staticmethod
    def forward(W: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return _polar_parts(W)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        _keep(ctx, inputs[0], output)

    @staticmethod
    def backward(ctx: Any, G: Tensor, *_: Any) -> Tensor:
        W, Q, s, U, inverse = ctx.saved_tensors
        if derivatives_may_follow():
            return _differentiable(W, Q, G)
        with full_precision(G.device.type):
            return _polar_gradient(G, Q, s, U, inverse)

    @staticmethod
    def jvp(ctx: Any, T: Tensor) -> tuple[Tensor | None, ...]:
        W, Q, *_ = ctx.saved_tensors
        return _differentiable(W, Q, T), None, None, None

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None], W: Tensor) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
        assert in_dims[0] is not None
        return _Polar.apply(W.movedim(in_dims[0], 0)), (0, 0, 0, 0)


class _Bjorck(torch.autograd.Function):
    """The same by Bjorck's iteration, of float64."""

    @staticmethod
    def forward(W: Tensor, iterations: int) -> tuple[Tensor, Tensor]:
        return _bjorck_parts(W, iterations)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        _keep(ctx, inputs[0], output)

    @staticmethod
    def backward(ctx: Any, G: Tensor, *_: Any) -> tuple[Tensor, None]:
        W, Q, inverse = ctx.saved_tensors
        if derivatives_may_follow():
            return _differentiable(W, Q, G), None
        with full_precision(G.device.type):
            return _bjorck_gradient(G, W, Q, inverse), None

    @staticmethod
    def jvp(ctx: Any, T: Tensor, _: None) -> tuple[Tensor | None, ...]:
        W, Q, _inverse = ctx.saved_tensors
        return _differentiable(W, Q, T), None

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[int | None, None], W: Tensor, iterations: int
    ) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
        assert in_dims[0] is not None
        return _Bjorck.apply(W.movedim(in_dims[0], 0), iterations), (0, 0)


bind_at_once(_Polar)
bind_at_once(_Bjorck)


def _keep(ctx: Any, W: Tensor, output: tuple[Tensor, ...]) -> None:
    ctx.mark_non_differentiable(*output[1:])
    ctx.save_for_backward(W, *output)
    ctx.save_for_forward(W, *output)


def polar(W: Tensor) -> Tensor:
    """Nearest matrix with orthonormal smaller side in Frobenius norm: ``U V^T`` of ``W = U S V^T``.

    By the float64 Gram matrix; by a float64 SVD once the condition number exceeds 1e4, where that loses digits.
    Any rank: a rank-deficient matrix gets some completion. Derivatives of every order and in both modes are exact.

    Args:
        W: ``[..., m, n]``.

    Raises:
        UserError: ``W`` is no real floating-point matrix.

    Example:
        >>> from tightrope import linalg
        >>> Q = linalg.polar(torch.tensor([[0.0, 2.0], [3.0, 0.0], [0.0, 0.0]]))
        >>> torch.allclose(Q, torch.tensor([[0.0, 1.0], [1.0, 0.0], [0.0, 0.0]]), atol=1e-6)
        True
    """
    return oriented(_wide_polar, W)


def _wide_polar(W: Tensor) -> Tensor:
    Q: Tensor = torch.ops.tightrope.polar(W)[0] if torch.compiler.is_compiling() else _Polar.apply(W)[0]
    return Q


def bjorck(W: Tensor, iterations: int = 30) -> Tensor:
    """Polar factor by the first-order Bjorck iteration; derivatives of every order and in both modes are exact.

    ``A_0 = W / b`` with a proven bound ``b >= sigma_1``, ``A_{k+1} = A_k (3 I - A_k^T A_k) / 2``; every ``A_k`` is
    ``W`` times a polynomial in the Gram matrix of the smaller side, so the iteration runs on that one, in float64.
    Derivatives are those of the limit, not of the rounds taken: one that starts at an orthogonal matrix ends at once.

    Args:
        W: ``[..., m, n]``.
        iterations: At most so many; 30 suffice for condition number 1e4. Where the result misses orthonormality by more
            than 1e-7, as worse conditioned matrices do, :func:`polar` takes its place.

    Raises:
        UserError: ``W`` is no real floating-point matrix.

    **Source**: Bjorck and Bowie 1971; as a parametrisation, Anil, Lucas and Grosse (arXiv 1811.05381), eq. 6.
    **Departures**: scaled by the root of the Gram matrix's largest row sum, not by ``1 / sqrt(m n)``, which needs far
    more iterations.

    Example:
        >>> from tightrope import linalg
        >>> W = torch.randn(5, 3)
        >>> torch.allclose(linalg.bjorck(W), linalg.polar(W), atol=1e-5)
        True
    """
    check_whole("iterations", iterations, 0, 30)
    iterations = min(iterations, 10_000)  # it ends by itself long before

    def iterate(A: Tensor) -> Tensor:
        exact = A.double()
        compiling = torch.compiler.is_compiling()
        found = torch.ops.tightrope.bjorck(exact, iterations) if compiling else _Bjorck.apply(exact, iterations)
        Q: Tensor = found[0].to(A.dtype)
        return Q

    return oriented(iterate, W)


# The compiler cannot trace a branch on a value; to it each way to the polar factor is one opaque operator.
@torch.library.custom_op("tightrope::polar", mutates_args=())
def _polar_operator(W: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return _polar_parts(W)


@torch.library.custom_op("tightrope::polar_gradient", mutates_args=())
def _polar_gradient_operator(G: Tensor, Q: Tensor, s: Tensor, U: Tensor, inverse: Tensor) -> Tensor:
    return _polar_gradient(G, Q, s, U, inverse)


@torch.library.custom_op("tightrope::bjorck", mutates_args=())
def _bjorck_operator(W: Tensor, iterations: int) -> tuple[Tensor, Tensor]:
    return _bjorck_parts(W, iterations)


@torch.library.custom_op("tightrope::bjorck_gradient", mutates_args=())
def _bjorck_gradient_operator(G: Tensor, W: Tensor, Q: Tensor, inverse: Tensor) -> Tensor:
    return _bjorck_gradient(G, W, Q, inverse)


def _small(W: Tensor) -> Tensor:
    return W.new_empty((*W.shape[:-2], W.shape[-2], W.shape[-2]), dtype=torch.float64)


@_polar_operator.register_fake
def _(W: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return W.new_empty(W.shape), _small(W)[..., 0], _small(W), _small(W)


@_bjorck_operator.register_fake
def _(W: Tensor, iterations: int) -> tuple[Tensor, Tensor]:
    return W.new_empty(W.shape), _small(W)


@_polar_gradient_operator.register_fake
def _(G: Tensor, Q: Tensor, s: Tensor, U: Tensor, inverse: Tensor) -> Tensor:
    return Q.new_empty(Q.shape)


@_bjorck_gradient_operator.register_fake
def _(G: Tensor, W: Tensor, Q: Tensor, inverse: Tensor) -> Tensor:
    return Q.new_empty(Q.shape)


def _polar_backward(ctx: Any, G: Tensor, *_: Any) -> Tensor:
    gradient: Tensor = torch.ops.tightrope.polar_gradient(G, *ctx.saved_tensors)
    return gradient


def _bjorck_backward(ctx: Any, G: Tensor, *_: Any) -> tuple[Tensor, None]:
    return torch.ops.tightrope.bjorck_gradient(G, *ctx.saved_tensors), None


_polar_operator.register_autograd(
    _polar_backward, setup_context=lambda ctx, inputs, output: ctx.save_for_backward(*output)
)
_bjorck_operator.register_autograd(
    _bjorck_backward, setup_context=lambda ctx, inputs, output: ctx.save_for_backward(inputs[0], *output)
)


def bjorck_step(W: Tensor) -> Tensor:
    """One step ``W (3 I - W^T W) / 2`` towards the polar factor, for singular values below ``sqrt(3)``."""
    return oriented(lambda A: 1.5 * A - 0.5 * (A @ (A.mT @ A)), W, tall=True)


def clamp_singular_values(W: Tensor, low: float, high: float) -> Tensor:
    """``U clip(S, low, high) V^T`` for ``W = U S V^T``, ``[..., m, n]``; not differentiable.

    By the float64 Gram matrix of the smaller side, by a float64 SVD above condition number 1e4.

    Raises:
        UserError: ``low`` is above ``high``.

    Example:
        >>> from tightrope import linalg
        >>> W = linalg.clamp_singular_values(torch.diag(torch.tensor([3.0, 1.0, 0.1])), 0.5, 2.0)
        >>> torch.allclose(torch.linalg.svdvals(W), torch.tensor([2.0, 1.0, 0.5]))
        True
    """
    check_number("low", low, 0.5)
    if not low <= high:
        raise UserError(f"Expected low <= high, got {low} and {high}; swap them.")

    def clamp(A: Tensor) -> Tensor:
        Q, s, U, _ = _polar_parts(A)
        middle = (U * s.clamp(low, high)[..., None, :]) @ U.mT
        return (middle @ Q.double()).to(A.dtype)

    return oriented(clamp, W.detach())
