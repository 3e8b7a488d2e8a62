"""Largest and smallest gain of a generator whose latent space is too large for whole Jacobians."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from tightrope._plumbing.checks import check_number, check_rng, check_whole
from tightrope._plumbing.errors import UserError
from tightrope.autodiff.types import Generator
from tightrope.conditioning.jacobian import check_type, evaluated, one_latent, product
from tightrope.linalg import krylov


@dataclass(frozen=True)
class Extremes:
    """Extreme singular values of the Jacobian at one latent, from products with it alone.

    Attributes:
        largest: Largest singular value found; never above the true one but for rounding.
        largest_error: Bound on the distance from ``largest`` to the nearest true singular value.
        smallest: Smallest singular value found; an upper bound only, unless ``trusted``. NaN if none was looked for.
        smallest_error: Its bound, and the disagreement of independent starts, whichever is larger.
        trusted: Whether the smallest value is the smallest as far as the evidence goes: both errors are small against
            it, or the whole space was searched.
        products: Products with the Jacobian or its transpose that were spent.
    """

    largest: float
    largest_error: float
    smallest: float
    smallest_error: float
    trusted: bool
    products: int

    @property
    def log_condition_number(self) -> float:
        """Natural logarithm of the condition number of ``J^T J``; infinite for a dead direction.

        Raises:
            UserError: The smallest value cannot be trusted, so neither can the ratio.
        """
        if not self.trusted:
            raise UserError(
                f"Expected a smallest gain known to a few percent, got {self.smallest:.3g} +- "
                f"{self.smallest_error:.2g} after {self.products} products, an upper bound only; allow more steps or "
                "use conditioning.measure, which decomposes the whole Jacobian."
            )
        return 2 * math.log(self.largest / self.smallest) if self.smallest > 0 else math.inf


def extremes(
    generator: Generator | nn.Module,
    z: Tensor,
    *,
    label: int | None = None,
    method: Literal["krylov", "randomised"] = "krylov",
    steps: int = 60,
    tolerance: float = 0.02,
    dtype: torch.dtype | None = torch.float64,
    rng: torch.Generator | None = None,
) -> Extremes:
    """Extreme singular values of the Jacobian at one latent by Krylov or randomised projection.

    The largest converges in a few steps. The smallest converges last, from above, and a random direction hardly sees
    it: it is trusted only if two independent starts agree and their residuals are small, or if the steps span the
    space. For latents up to a few hundred the whole Jacobian is cheaper and exact, see
    :func:`tightrope.conditioning.measure`.

    Source: Golub and Kahan 1965 (bidiagonalisation, fully reorthogonalised); Halko, Martinsson and Tropp 2011
    (0909.4061), section 5 (randomised range).
    Cost: ``krylov``: ``4 * steps`` products, each a forward or a backward of one sample; ``randomised``:
    ``4 * steps`` in batches, and the largest value only.

    Args:
        generator: Maps ``[n, latent]`` (and labels ``[n]``) to ``[n, *shape]``; evaluated in eval mode, left as found.
        z: One latent ``[latent]`` or ``[1, *latent_shape]``.
        label: Its class.
        method: ``"krylov"``, or ``"randomised"`` for the largest value from one block.
        steps: Rounds per start, or directions in the block.
        tolerance: Relative error up to which the smallest value is trusted.
        dtype: Type the generator is evaluated in; its own if None.
        rng: Source of the starts.

    Raises:
        UserError: ``z`` is not one latent, fewer than two steps, or an unknown method.
    """
    z = one_latent(z)
    check_whole("steps", steps, -(2**63), 60)
    check_number("tolerance", tolerance, 0.02)
    check_rng(rng)
    check_type(dtype)
    if label is not None:
        check_whole("label", label, 0, 0)
    if steps < 2:
        raise UserError(f"Expected two steps at least, got {steps}; a few dozen find the largest value.")
    if method not in ("krylov", "randomised"):
        raise UserError(f"Expected method krylov or randomised, got {method!r}.")
    labels = None if label is None else torch.full((1,), label, device=z.device)
    shape = tuple(z.shape[1:])
    z = (z if dtype is None else z.to(dtype)).flatten(1)
    rng = torch.Generator().manual_seed(0) if rng is None else rng
    steps = min(steps, z.shape[1])
    with evaluated(generator, labels, dtype, shape) as function:
        forward, adjoint = _products(function, z)
        if method == "krylov":
            return _krylov(forward, adjoint, z, steps, tolerance, rng)
        return _randomised(forward, adjoint, z, steps, rng)


Product = Callable[[Tensor], Tensor]


def _products(function: Generator, z: Tensor) -> tuple[Product, Product]:
    """``v [latent] -> J v [outputs]`` and ``u [outputs] -> J^T u [latent]`` at one latent ``z [1, latent]``."""
    push = product(function)
    with torch.enable_grad():
        point = z.clone().requires_grad_()
        output = function(point)

    def forward(v: Tensor) -> Tensor:
        return push(z, v[None]).reshape(-1)

    def adjoint(u: Tensor) -> Tensor:
        (pulled,) = torch.autograd.grad(output, point, u.reshape(output.shape), retain_graph=True)
        return pulled[0]

    return forward, adjoint


def _krylov(
    forward: Product, adjoint: Product, z: Tensor, steps: int, tolerance: float, rng: torch.Generator
) -> Extremes:
    top: list[tuple[float, float]] = []
    bottom: list[tuple[float, float]] = []
    complete, spent = True, 0
    for _ in range(2):
        start = torch.randn(z.shape[1], generator=rng, dtype=torch.float64).to(z)
        found = krylov.bidiagonalise(forward, adjoint, start, steps)
        values, residuals, _, _ = found.ritz()
        spent += 2 * len(found.U)
        top.append((float(values[0]), float(residuals[0])))
        dead = found.B.shape[1] > found.B.shape[0]  # the searched space holds a direction without gain
        bottom.append((0.0, 0.0) if dead else (float(values[-1]), float(residuals[-1])))
        complete = complete and (found.beta == 0 or steps == z.shape[1])
    largest, largest_error = max(top)
    smallest, residual = min(bottom)
    apart = abs(bottom[0][0] - bottom[1][0])
    error = 0.0 if complete else max(residual, apart, max(bottom)[1])
    return Extremes(largest, largest_error, smallest, error, complete or error <= tolerance * smallest, spent)


def _randomised(forward: Product, adjoint: Product, z: Tensor, size: int, rng: torch.Generator) -> Extremes:
    block = torch.randn(size, z.shape[1], generator=rng, dtype=torch.float64).to(z)
    for _ in range(2):  # one round of subspace iteration, then the range itself
        Q, _ = torch.linalg.qr(torch.stack([forward(v) for v in block]).mT)
        block = torch.stack([adjoint(u) for u in Q.mT])
    _, values, right = torch.linalg.svd(block, full_matrices=False)
    image = forward(right[0])
    outside = image - Q @ (Q.mT @ image)
    residual = float(torch.linalg.vector_norm(outside))
    if size == z.shape[1]:  # the block spans latent space
        smallest = float(values[-1])
        return Extremes(float(values[0]), residual, smallest, 0.0, True, 4 * size + 1)
    return Extremes(float(values[0]), residual, math.nan, math.inf, False, 4 * size + 1)
