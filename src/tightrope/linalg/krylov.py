"""Golub-Kahan-Lanczos bidiagonalisation: extreme singular values of maps too large to write down.

A map is two functions, ``apply`` and ``adjoint``, on flat vectors. All vectors are kept and reorthogonalised twice, so
that Ritz values do not repeat and their residuals can be trusted.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Vector = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Bidiagonal:
    """``A V_k = U_k B_k`` with orthonormal columns, ``A^T U_k = V_k B_k^T + beta_k v_{k+1} e_k^T``.

    Attributes:
        U: ``[k, outputs]``, one vector per row.
        V: ``[k, inputs]``, or one row more.
        B: ``[k, k]`` upper bidiagonal, or ``[k, k + 1]`` if the outputs are exhausted.
        beta: Length of what is left over; zero if the space is exhausted.
    """

    U: Tensor
    V: Tensor
    B: Tensor
    beta: float

    def ritz(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Ritz values descending ``[k]``, residuals ``||A^T u - sigma v||`` ``[k]``, vectors ``u`` and ``v`` by row."""
        left, values, right = torch.linalg.svd(self.B, full_matrices=False)
        residuals = self.beta * left[-1].abs()
        return values, residuals, left.mT @ self.U, right @ self.V


def bidiagonalise(apply: Vector, adjoint: Vector, start: Tensor, steps: int) -> Bidiagonal:
    """Golub-Kahan bidiagonalisation from ``start [inputs]``, at most ``steps`` rounds, stopping when exhausted."""
    v = start / torch.linalg.vector_norm(start)
    V: list[Tensor] = [v]
    U: list[Tensor] = []
    diagonal: list[Tensor] = []
    above: list[Tensor] = []
    beta = torch.zeros((), dtype=start.dtype, device=start.device)
    scale = 0.0
    for k in range(steps):
        u = _orthogonalise(apply(V[k]), U)
        alpha = torch.linalg.vector_norm(u)
        scale = max(scale, float(alpha))
        if float(alpha) <= 1e-14 * scale or not scale:
            beta = torch.zeros_like(beta)
            break
        U.append(u / alpha)
        diagonal.append(alpha)
        w = _orthogonalise(adjoint(U[k]), V)
        beta = torch.linalg.vector_norm(w)
        scale = max(scale, float(beta))
        if float(beta) <= 1e-14 * scale:
            beta = torch.zeros_like(beta)
            break
        if k + 1 < steps:
            V.append(w / beta)
            above.append(beta)
    return _assemble(U, V, diagonal, above, float(beta), start)


def _assemble(
    U: list[Tensor], V: list[Tensor], diagonal: list[Tensor], above: list[Tensor], beta: float, start: Tensor
) -> Bidiagonal:
    if not U:  # the start lies in the kernel
        zero = start.new_zeros(1, 1)
        return Bidiagonal(zero, V[0][None], zero, 0.0)
    B = start.new_zeros(len(U), len(V))  # one column more than rows where the outputs ran out first
    B[range(len(U)), range(len(U))] = torch.stack(diagonal)
    if above:
        B[range(len(above)), range(1, len(above) + 1)] = torch.stack(above)
    return Bidiagonal(torch.stack(U), torch.stack(V), B, beta)


def _orthogonalise(x: Tensor, basis: list[Tensor]) -> Tensor:
    if basis:
        Q = torch.stack(basis)
        for _ in range(2):
            x = x - Q.mT @ (Q @ x)
    return x


@dataclass(frozen=True)
class TopPair:
    """Largest singular value found, with unit vectors ``u [outputs]``, ``v [inputs]`` and ``||A^T u - sigma v||``."""

    sigma: Tensor
    u: Tensor
    v: Tensor
    residual: float


def top_pair(
    apply: Vector,
    adjoint: Vector,
    inputs: int,
    *,
    like: Tensor,
    tolerance: float = 1e-10,
    restarts: int = 12,
    steps: int = 40,
    enough: float = math.inf,
) -> TopPair:
    """Largest singular value with its vectors, by restarted bidiagonalisation from a fixed pseudo-random start.

    ``sigma = ||A v||`` is attained, hence never above the truth but for rounding; the error below it is quadratic in
    the residual. The global random state is not touched.

    Args:
        apply: ``x [inputs] -> [outputs]``.
        adjoint: Its transpose.
        inputs: Dimension of the input space.
        like: Tensor whose dtype and device are used.
        tolerance: Stop when the residual is below ``tolerance * sigma``.
        restarts: At most so many restarts from the best vector.
        steps: Bidiagonalisation rounds of the first run; the second and later ones take twice and four times as many.
        enough: Stop as well once ``sigma`` has reached this.
    """
    rng = torch.Generator().manual_seed(0)
    v = torch.randn(inputs, generator=rng, dtype=torch.float64).to(like)
    best: TopPair | None = None
    for run in range(restarts):
        rounds = min(steps * 2 ** min(run, 2), inputs)
        values, residuals, U, V = bidiagonalise(apply, adjoint, v, rounds).ritz()
        best = TopPair(values[0], U[0], V[0], float(residuals[0]))
        if best.residual <= tolerance * float(best.sigma) or float(best.sigma) >= enough:
            break
        # equal parts of the leading Ritz vectors: whichever of a cluster is the largest is in there
        v = V[: min(4, len(V))].sum(0)
    assert best is not None
    return best


def spectral_density(
    apply: Vector, adjoint: Vector, inputs: int, *, like: Tensor, probes: int = 8, steps: int = 40
) -> tuple[Tensor, Tensor]:
    """Stochastic Lanczos quadrature of the distribution of singular values on the input side.

    Args:
        apply: ``x [inputs] -> [outputs]``.
        adjoint: Its transpose.
        inputs: Dimension of the input space.
        like: Tensor whose dtype and device are used.
        probes: Random starts averaged.
        steps: Rounds per start.

    Returns:
        Nodes ``[probes * steps]`` ascending and weights of the same shape that sum to 1: a mass at each node.
    """
    rng = torch.Generator().manual_seed(1)
    nodes, weights = [], []
    for _ in range(probes):
        start = torch.randn(inputs, generator=rng, dtype=torch.float64).to(like)
        B = bidiagonalise(apply, adjoint, start, min(steps, inputs)).B
        _, values, right = torch.linalg.svd(B, full_matrices=False)
        nodes.append(values)
        weights.append(right[:, 0].square() / probes)
    sigma, order = torch.cat(nodes).sort()
    return sigma, torch.cat(weights)[order]
