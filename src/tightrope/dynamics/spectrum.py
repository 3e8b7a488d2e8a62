"""Leading eigenvalues of a game's Jacobian by Arnoldi iteration, with residuals and, if asked, minibatch noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor

from tightrope._plumbing.checks import check_whole
from tightrope._plumbing.errors import UserError
from tightrope.dynamics.players import Losses, Player, all_parameters
from tightrope.dynamics.products import FieldProducts, field_products
from tightrope.dynamics.smooth import check_differentiable

if TYPE_CHECKING:
    from scipy.sparse.linalg import LinearOperator

DENSE: Final = 256  # parameters up to which the iteration, which may fail, saves nothing worth having

ORDERS: Final = {
    "LM": lambda values: -values.abs(),
    "SM": lambda values: values.abs(),
    "LR": lambda values: -values.real,
    "SR": lambda values: values.real,
    "LI": lambda values: -values.imag.abs(),
    "SI": lambda values: values.imag.abs(),
}


@dataclass(frozen=True)
class Spectrum:
    """Eigenvalues with what is known about their errors.

    Attributes:
        values: complex128 ``[k]``, in the order asked for.
        residuals: ``[k]``: ``|A y - lambda y|`` of the computed unit eigenvectors. The eigenvalues are exact for a
            matrix that differs from the game's by this much; for strongly non-normal games they may be off by more.
        noise: ``[k]``: root mean square distance to the nearest eigenvalue on the other minibatches; None if none
            were given.
        products: Jacobian products that were taken.
        transposed: Whether the products were with the transpose, whose spectrum is the same.
    """

    values: Tensor
    residuals: Tensor
    noise: Tensor | None
    products: int
    transposed: bool

    def __str__(self) -> str:
        lines = [
            f"{complex(v):.6g}   residual {r:.1e}"
            + ("" if self.noise is None else f"   minibatch noise {self.noise[i]:.1e}")
            for i, (v, r) in enumerate(zip(self.values, self.residuals, strict=True))
        ]
        note = "one batch, its noise not measured" if self.noise is None else "noise over the given minibatches"
        return "\n".join([*lines, f"({self.products} products; {note})"])


def eigenvalues(
    losses: Losses,
    players: Sequence[Player],
    *,
    k: int = 6,
    which: str = "LR",
    generators: Sequence[torch.Generator] = (),
    batches: Sequence[Losses] = (),
    tolerance: float | None = None,
    restarts: int = 100,
    subspace: int | None = None,
    check: bool | None = None,
) -> Spectrum:
    """Leading eigenvalues of the Jacobian of the gradient field, for games of any size, by restarted Arnoldi.

    The Jacobian of a game is not symmetric and its eigenvalues are complex: the real part says whether small steps
    contract, the imaginary part how fast the players turn around each other.

    Source: Arnoldi iteration as in ARPACK; the quantity: Mescheder et al. 2018 (1801.04406), section 2.

    Args:
        losses: One function per player, on one fixed batch.
        players: Modules or sequences of tensors, in the order of the losses.
        k: Number of eigenvalues.
        which: ``"LR"`` largest real part (decides about convergence), ``"LM"`` largest modulus (limits the step
            size), ``"LI"`` largest imaginary part (fastest rotation), or ``"SM"``, ``"SR"``, ``"SI"``.
        generators: Random-number generators that the losses draw from.
        batches: Losses of the same players on other minibatches, to measure noise; each costs as much again.
        tolerance: Relative accuracy asked of ARPACK; None for 1e-10 in float64 and 1e-3 in float32.
        restarts: Arnoldi restarts before giving up.
        subspace: Size of the Krylov space; None for ``max(3 k, 20)``, and for no iteration at all up to 256
            parameters, where the whole Jacobian is decomposed. Ties, such as the one real part that all rotations of a
            game may share, need a larger one.
        check: Test first that the field is differentiable here, for six gradients; None for float64 alone, since in
            float32 the test's steps are long enough to cross the kinks of rectifiers near the point.

    Returns:
        The spectrum.

    Raises:
        UserError: Not a game, not finite, not differentiable here, an unknown ``which``, or no convergence.

    Cost: a product per parameter up to 256 of them. Beyond, ``subspace`` products and about half as many per restart;
    then two per pair of eigenvalues for residuals. A product costs about twice a gradient where reverse mode sees the
    whole Jacobian, three times otherwise.

    Example:
        >>> from tightrope import dynamics, penalties, toys
        >>> from tightrope.penalties import Penalty
        >>> toy = toys.dirac_gan(penalties=[Penalty(penalties.r1, {"gamma": 0.6})], theta=0.0, psi=0.0)
        >>> values = dynamics.eigenvalues(toy.losses, toy.players, k=2).values  # -gamma/2 +- sqrt(gamma^2/4 - 1/4)
        >>> [f"{complex(v):.2f}" for v in values]
        ['-0.30+0.40j', '-0.30-0.40j']
    """
    check_whole("k", k, 1, 6)
    if which not in ORDERS:
        raise UserError(f"Expected which out of {', '.join(ORDERS)}, got {which!r}; 'LR' is the default.")
    parts = all_parameters(losses, players)
    double = parts[0][0].dtype == torch.float64
    if double if check is None else check:
        check_differentiable(losses, players, generators=generators, directions=1)
    accuracy = (1e-10 if double else 1e-3) if tolerance is None else tolerance
    with field_products(losses, players, generators=generators) as J:
        if k >= J.size - 1 or (subspace is None and J.size <= DENSE):
            first = _dense(J, k, which)
        else:
            transposed = J.transpose_is_exact()
            operator = J.transposed_operator() if transposed else J.linear_operator()
            values, residuals = arnoldi(operator, k, which, accuracy, restarts, subspace)
            first = Spectrum(values, residuals, None, J.count, transposed)
    if not batches:
        return first
    again = partial(
        eigenvalues,
        k=k,
        which=which,
        tolerance=tolerance,
        restarts=restarts,
        subspace=subspace,
        generators=generators,
        check=False,
    )
    others = [again(other, players) for other in batches]
    gaps = torch.stack([(first.values[:, None] - other.values).abs().min(1).values for other in others])
    count = first.products + sum(other.products for other in others)
    return Spectrum(first.values, first.residuals, gaps.square().mean(0).sqrt(), count, first.transposed)


def arnoldi(
    operator: LinearOperator, k: int, which: str, tolerance: float, restarts: int, subspace: int | None
) -> tuple[Tensor, Tensor]:
    """Eigenvalues of a real operator and the residuals of their unit eigenvectors, ``[k]`` each.

    Raises:
        UserError: ARPACK did not converge.
    """
    from scipy.sparse.linalg import ArpackError, ArpackNoConvergence, eigs

    n = operator.shape[0]
    start = torch.randn(n, generator=torch.Generator().manual_seed(0), dtype=torch.float64).numpy()
    width = min(n, max(3 * k, 20) if subspace is None else subspace)
    try:
        values, vectors = eigs(operator, k=k, which=which, v0=start, ncv=width, maxiter=restarts, tol=tolerance)
    except ArpackNoConvergence as error:
        raise UserError(
            f"The eigenvalues did not converge: expected {k} within {restarts} restarts, got {len(error.eigenvalues)}; "
            "raise restarts or subspace, loosen tolerance, or ask for which='LM', which converges fastest."
        ) from error
    except ArpackError as error:
        raise UserError(
            f"The eigenvalue iteration broke down ({error}): expected a Krylov space of more than one dimension; check "
            "that the game's Jacobian is not zero here, or use field_jacobian for small games."
        ) from error
    found = torch.from_numpy(values).to(torch.complex128)
    order = torch.argsort(ORDERS[which](found), stable=True)
    return found[order], torch.tensor(_residuals(operator, values, vectors), dtype=torch.float64)[order]


def _residuals(operator: LinearOperator, values: Any, vectors: Any) -> list[float]:
    """Of each eigenpair; the conjugate of one that is done costs nothing."""
    import numpy as np

    done: dict[complex, float] = {}
    out = []
    for i, value in enumerate(values):
        conjugate = complex(np.conj(value))
        if conjugate not in done:
            y = vectors[:, i] / np.linalg.norm(vectors[:, i])
            image = operator.matvec(np.ascontiguousarray(y.real))
            if value.imag:
                image = image + 1j * operator.matvec(np.ascontiguousarray(y.imag))
                done[complex(value)] = float(np.linalg.norm(image - value * y))
            out.append(float(np.linalg.norm(image - value * y)))
        else:
            out.append(done[conjugate])
    return out


def _dense(products: FieldProducts, k: int, which: str) -> Spectrum:
    J = products.dense().double().cpu()
    values, vectors = torch.linalg.eig(J)
    order = torch.argsort(ORDERS[which](values), stable=True)[:k]
    residuals = torch.linalg.vector_norm(J.to(vectors) @ vectors - vectors * values, dim=0)
    return Spectrum(values[order], residuals[order], None, products.count, products.transpose_is_exact())
