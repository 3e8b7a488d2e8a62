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

    def top(self) -> tuple[TopPair, Tensor]:
        """The largest Ritz value with its vectors, and where another run had best start."""
        values, residuals, U, V = self.ritz()
        # equal parts of the leading Ritz vectors: whichever of a cluster is the largest is in there
        return TopPair(values[0], U[0], V[0], float(residuals[0])), V[: min(4, len(V))].sum(0)

    def density(self) -> tuple[Tensor, Tensor]:
        """Singular values and their masses ``[k]`` as the start weighs them, ascending, masses of sum 1."""
        _, values, right = torch.linalg.svd(self.B, full_matrices=False)
        return values.flip(0), right[:, 0].square().flip(0)


def bidiagonalise(apply: Vector, adjoint: Vector, start: Tensor, steps: int) -> Bidiagonal:
    """Golub-Kahan bidiagonalisation from ``start [inputs]``, at most ``steps`` rounds, stopping when exhausted."""
    V, U = _Basis(start / torch.linalg.vector_norm(start), steps), None
    diagonal: list[Tensor] = []
    above: list[Tensor] = []
    beta = torch.zeros((), dtype=start.dtype, device=start.device)
    scale = 0.0
    for k in range(steps):
        u = apply(V.rows[k])
        u = u if U is None else U.orthogonalise(u)
        alpha = torch.linalg.vector_norm(u)
        scale = max(scale, float(alpha))
        if float(alpha) <= 1e-14 * scale or not scale:
            beta = torch.zeros_like(beta)
            break
        U = _Basis(u / alpha, steps) if U is None else U.append(u / alpha)
        diagonal.append(alpha)
        w = V.orthogonalise(adjoint(U.rows[k]))
        beta = torch.linalg.vector_norm(w)
        scale = max(scale, float(beta))
        if float(beta) <= 1e-14 * scale:
            beta = torch.zeros_like(beta)
            break
        if k + 1 < steps:
            V.append(w / beta)
            above.append(beta)
    if U is None:  # the start lies in the kernel
        zero = start.new_zeros(1, 1)
        return Bidiagonal(zero, V.rows[:1], zero, 0.0)
    B = start.new_zeros(len(U), len(V))  # one column more than rows where the outputs ran out first
    B[range(len(U)), range(len(U))] = torch.stack(diagonal)
    if above:
        B[range(len(above)), range(1, len(above) + 1)] = torch.stack(above)
    return Bidiagonal(U.rows[: len(U)], V.rows[: len(V)], B, float(beta))


class _Basis:
    """Orthonormal rows in room for ``most`` of them."""

    def __init__(self, first: Tensor, most: int) -> None:
        self.rows, self._count = first.new_empty(most, len(first)), 0
        self.append(first)

    def __len__(self) -> int:
        return self._count

    def append(self, row: Tensor) -> _Basis:
        self.rows[self._count] = row
        self._count += 1
        return self

    def orthogonalise(self, x: Tensor) -> Tensor:
        Q = self.rows[: self._count]
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
    most: float = math.inf,
    begun: Bidiagonal | None = None,
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
        most: Start no run once so many rounds are done.
        begun: A first run that has been made.
    """
    best: TopPair | None = None
    v = start_vector(inputs, like) if begun is None else begun.V[0]
    done = 0
    for run in range(restarts):
        if best is not None and done >= most:
            break
        rounds = min(steps * 2 ** min(run, 2), inputs)
        found = begun if begun is not None and not run else bidiagonalise(apply, adjoint, v, rounds)
        best, v = found.top()
        done += len(found.U)
        if best.residual <= tolerance * float(best.sigma) or float(best.sigma) >= enough:
            break
    assert best is not None
    return best


def start_vector(inputs: int, like: Tensor, seed: int = 0) -> Tensor:
    """A pseudo-random vector ``[inputs]`` that is the same on every call."""
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(inputs, generator=rng, dtype=torch.float64).to(like)


def spectral_density(
    apply: Vector, adjoint: Vector, inputs: int, begun: Bidiagonal, *, most: int = 8, enough: int = 2**13
) -> tuple[Tensor, Tensor]:
    """Stochastic Lanczos quadrature of the distribution of singular values on the input side.

    A mean over the distribution is off by about ``sqrt(2 / (probes * inputs))`` of the root mean square.

    Args:
        apply: ``x [inputs] -> [outputs]``.
        adjoint: Its transpose.
        inputs: Dimension of the input space.
        begun: A run from a random start, the first probe.
        most: Probes at most.
        enough: ``probes * inputs`` at which no further probe is taken.

    Returns:
        Nodes ``[k]`` ascending and weights of the same shape that sum to 1: a mass at each node.
    """
    found, rounds = [begun.density()], min(40, inputs)
    while len(found) < min(most, math.ceil(enough / inputs)):
        start = start_vector(inputs, begun.V, len(found))
        found.append(bidiagonalise(apply, adjoint, start, rounds).density())
    sigma, order = torch.cat([nodes for nodes, _ in found]).sort()
    return sigma, torch.cat([masses for _, masses in found])[order] / len(found)
