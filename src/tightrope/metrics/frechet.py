"""The Frechet distance between Gaussians fitted to two sets of features."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from tightrope._plumbing.errors import UserError
from tightrope.metrics._checks import Array, as_pair
from tightrope.metrics.moments import FeatureStatistics


@dataclass(frozen=True)
class Frechet:
    """A Frechet distance with its two parts.

    Attributes:
        value: ``mean_term + covariance_term``.
        mean_term: Squared distance of the means.
        covariance_term: ``Tr(S_r + S_f - 2 (S_r S_f)^(1/2))``.
        rank_deficient: A covariance has less than full rank, from too few samples or from features that do not vary.
            The value is still exact for these samples, but it is biased upwards as an estimate of the distance
            between the distributions.
    """

    value: float
    mean_term: float
    covariance_term: float
    rank_deficient: bool


def frechet_distance(real: Array, fake: Array) -> float:
    """Return the squared 2-Wasserstein distance of the Gaussians fitted to two sets of features.

    Called FID only when the features are those of the Inception network of Heusel et al.; see `frechet_parts` for its
    parts and the flag of rank deficiency.

    Args:
        real: Features [n, d], n >= 2.
        fake: Features [m, d], m >= 2.

    Raises:
        UserError: Shapes do not fit, or an entry is not finite.

    **Source** ttur (Heusel et al. 2017), eq. 6; Dowson and Landau 1982.

    Example:
        >>> from tightrope import metrics
        >>> real = torch.randn(500, 3)
        >>> round(metrics.frechet_distance(real, real + torch.tensor([3.0, 0.0, 4.0])), 3)  # |shift|^2
        25.0
    """
    return frechet_parts(real, fake).value


def frechet_parts(real: Array, fake: Array) -> Frechet:
    """Return the Frechet distance of features with its parts.

    Args:
        real: Features [n, d], n >= 2, any floating dtype; the computation is in float64.
        fake: Features [m, d], m >= 2.

    Raises:
        UserError: Shapes do not fit, or an entry is not finite.

    **Source** ttur (Heusel et al. 2017), eq. 6.
    **Departures** No general matrix square root is taken. With more samples than dimensions the trace of the root is
    the sum of square roots of the eigenvalues of the symmetric ``L^T S_r L``, where ``S_f = L L^T``; otherwise it is
    the nuclear norm of ``A B^T / sqrt((n - 1)(m - 1))`` for the centred features A and B, which needs no covariance
    and is exact where one is singular. Nothing is added to the diagonal, and no imaginary part is thrown away.
    **Claim** Constant or duplicated features give a finite value, equal to the closed form.
    **Cost** Two Cholesky factors and one symmetric eigenproblem of size d, or one singular value problem of size at
    most d.
    """
    a, b = as_pair(real, fake, least=2)
    if min(len(a), len(b)) > a.shape[1]:
        return frechet_from_statistics(FeatureStatistics.of(a), FeatureStatistics.of(b))
    factors = [(x - x.mean(dim=0)) / math.sqrt(len(x) - 1) for x in (a, b)]
    trace_root = _nuclear_norm(*(_at_most_square(factor) for factor in factors))
    traces = sum(float(factor.square().sum()) for factor in factors)
    return _assemble(a.mean(dim=0) - b.mean(dim=0), traces, trace_root, rank_deficient=True)


def frechet_from_statistics(real: FeatureStatistics, fake: FeatureStatistics) -> Frechet:
    """Return the Frechet distance of two sets of which only count, mean and covariance were kept.

    Args:
        real: Statistics of at least 2 samples.
        fake: Statistics of at least 2 samples, of the same dimension.

    Raises:
        UserError: The dimensions differ, there are too few samples, or a number is not finite.
    """
    if real.mean.shape != fake.mean.shape:
        raise UserError(
            f"Real and fake statistics must have the same dimension, but real has {len(real.mean)} and fake "
            f"{len(fake.mean)}; use one feature network for both."
        )
    covariances = [real.covariance, fake.covariance]
    if not all(bool(torch.isfinite(x).all()) for x in (*covariances, real.mean, fake.mean)):
        raise UserError("Statistics must be finite, but they hold NaN or infinity; gather them from finite features.")
    varies = torch.stack([covariance.diagonal() > 0 for covariance in covariances])
    kept = varies.all(dim=0)
    first, second = (covariance[kept][:, kept] for covariance in covariances)
    enough = min(real.count, fake.count) > len(real.mean)
    trace_root, full = _trace_root(first, second) if enough else (_nuclear_norm(_factor(first), _factor(second)), False)
    traces = sum(float(covariance.diagonal().sum()) for covariance in covariances)
    rank_deficient = not full or not bool(varies.all())
    return _assemble(real.mean - fake.mean, traces, trace_root, rank_deficient=rank_deficient)


def _assemble(shift: Tensor, traces: float, trace_root: float, *, rank_deficient: bool) -> Frechet:
    mean_term = float(shift.square().sum())
    covariance_term = max(0.0, traces - 2.0 * trace_root)  # rounding may leave it a little below zero
    return Frechet(mean_term + covariance_term, mean_term, covariance_term, rank_deficient)


def _trace_root(first: Tensor, second: Tensor) -> tuple[float, bool]:
    """Return Tr (S_1 S_2)^(1/2) of two covariances [d, d] and whether both have full rank."""
    lower, full = _cholesky(second)
    if full and _cholesky(first)[1]:
        values = torch.linalg.eigvalsh(lower.T @ first @ lower)
        return float(values.clamp(min=0).sqrt().sum()), True
    return _nuclear_norm(_factor(first), _factor(second)), False


def _cholesky(covariance: Tensor) -> tuple[Tensor, bool]:
    """Return the Cholesky factor of S and whether S is positive definite beyond rounding."""
    lower, info = torch.linalg.cholesky_ex(covariance)
    if int(info) != 0 or len(covariance) == 0:
        return lower, False
    pivots = lower.diagonal().square()
    return lower, bool((pivots > _tolerance(len(pivots)) * covariance.diagonal()).all())


def _factor(covariance: Tensor) -> Tensor:
    """Return R [r, d] with R^T R = S, leaving out the directions without variance."""
    if len(covariance) == 0:
        return covariance
    values, vectors = torch.linalg.eigh(covariance)
    kept = values > _tolerance(len(covariance)) * values[-1]
    return (vectors[:, kept] * values[kept].sqrt()).T


def _tolerance(dimension: int) -> float:
    return dimension * torch.finfo(torch.float64).eps


def _at_most_square(factor: Tensor) -> Tensor:
    """Return at most d rows with the same Gram matrix as a factor [n, d]."""
    n, d = factor.shape
    return factor if n <= d else torch.linalg.qr(factor, mode="r").R


def _nuclear_norm(first: Tensor, second: Tensor) -> float:
    """Return the sum of singular values of first @ second^T."""
    product = first @ second.T
    return float(torch.linalg.svdvals(product).sum()) if product.numel() else 0.0
