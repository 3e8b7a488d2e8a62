"""What nearest neighbours tell: fidelity and diversity, and whether training samples were copied."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tightrope._plumbing.errors import UserError
from tightrope.metrics._checks import Array, as_pair, check_count
from tightrope.metrics._products import product_strips, squared_norms


@dataclass(frozen=True)
class NeighbourScores:
    """Fidelity and diversity by balls around samples.

    Attributes:
        precision: Share of generated samples inside the union of balls around real ones (fidelity).
        recall: Share of real samples inside the union of balls around generated ones (diversity).
        density: Mean number of real balls that hold a generated sample, divided by k (fidelity, may exceed 1).
        coverage: Share of real balls that hold a generated sample (diversity).
    """

    precision: float
    recall: float
    density: float
    coverage: float


@dataclass(frozen=True, eq=False)
class Memorisation:
    """How much closer generated samples are to the training set than new real samples are.

    Attributes:
        probability: Probability that a generated sample lies nearer to its nearest training sample than a held-out one
            does to its own; 0.5 without copying, 1.0 for copies.
        standard_error: Its standard error under the hypothesis of no difference.
        copies: Number of generated samples that equal a training sample (distance zero in features).
        nearest: Index of the training sample nearest to each generated one [m].
        distance: Distance to it [m].
    """

    probability: float
    standard_error: float
    copies: int
    nearest: Tensor
    distance: Tensor


def precision_recall_density_coverage(real: Array, fake: Array, *, k: int = 5) -> NeighbourScores:
    """Return precision, recall, density and coverage.

    The ball around a sample reaches to its k-th nearest neighbour in its own set and includes its surface.

    Args:
        real: Features [n, d], n > k.
        fake: Features [m, d], m > k.
        k: Number of neighbours. Kynkäänniemi et al. use 3 for precision and recall, Naeem et al. 5 for all four.

    Raises:
        UserError: Shapes do not fit, an entry is not finite, or a set has at most k samples.

    **Source** ipr (Kynkäänniemi et al. 2019), eqs. 1-2; prdc (Naeem et al. 2020), eqs. 3 and 5.
    **Claim** For two sets from one continuous distribution the expected density is 1 and the expected coverage is
    ``1 - prod_{j<k} (n - 1 - j) / (n + m - 1 - j)``, for any n, m and dimension.
    **Cost** (n + m)^2 d multiplications; up to 128 MiB of the distance matrix.

    Example:
        >>> from tightrope import metrics
        >>> real = torch.randn(200, 2)
        >>> found = metrics.precision_recall_density_coverage(real, 0.1 * torch.randn(200, 2))  # good but all alike
        >>> found.precision > 0.9, found.recall < 0.1
        (True, True)
    """
    check_count("k", k)
    if k < 1:
        raise UserError(f"The number k of neighbours must be at least 1, but it is {k}; 5 is usual.")
    x, y = _centred(real, fake, k + 1)
    radius_x, radius_y = (_knn_squared(v, k).numpy() for v in (x, y))
    in_real, recalled, covered = (np.zeros(len(v), dtype=bool) for v in (y, x, x))
    hits = 0
    for start, squared in _strips(y, x):
        rows = slice(start, start + len(squared))
        inside = squared.numpy() <= radius_x
        counts = np.count_nonzero(inside, axis=1)
        in_real[rows], hits = counts > 0, hits + int(counts.sum())
        covered |= inside.any(axis=0)
        recalled |= (squared.numpy() <= radius_y[rows, None]).any(axis=0)
    return NeighbourScores(
        precision=float(in_real.mean()),
        recall=float(recalled.mean()),
        density=hits / (k * len(y)),
        coverage=float(covered.mean()),
    )


def nearest(queries: Array, references: Array) -> tuple[Tensor, Tensor]:
    """Return the distance of each query to its nearest reference [n] and the index of that reference [n].

    Args:
        queries: Features [n, d].
        references: Features [m, d].

    Raises:
        UserError: Shapes do not fit, or an entry is not finite.
    """
    x, y = _centred(queries, references, 1)
    best = [squared.min(dim=1) for _, squared in _strips(x, y)]
    squared, index = torch.cat([b.values for b in best]), torch.cat([b.indices for b in best])
    # A copy is at distance zero exactly, not at the root of a rounding error.
    return squared.masked_fill(squared <= _noise(x) + _noise(y)[index], 0.0).sqrt(), index


def memorisation(train: Array, fake: Array, test: Array) -> Memorisation:
    """Compare the distances to the training set of generated samples and of held-out ones.

    Args:
        train: Features of training samples [n, d], all that the generator has seen.
        fake: Features of generated samples [m, d].
        test: Features of held-out real samples [t, d].

    Raises:
        UserError: Shapes do not fit, or an entry is not finite.

    **Source** ct (Meehan et al. 2020), section 3, on the whole space as one cell.
    **Departures** The Mann-Whitney statistic is given as a probability instead of a z score, and ties count half.
    """
    distance, index = nearest(fake, train)
    held_out, _ = nearest(test, train)
    m, t = len(distance), len(held_out)
    ordered = held_out.sort().values
    # For each generated sample, the held-out ones that lie farther, and half of those just as far.
    above = t - torch.searchsorted(ordered, distance, right=True)
    not_below = t - torch.searchsorted(ordered, distance)
    probability = float((above + not_below).double().mean()) / (2 * t)
    error = math.sqrt((m + t + 1) / (12 * m * t))
    return Memorisation(probability, error, int((distance == 0).sum()), index, distance)


def _centred(first: Array, second: Array, least: int) -> tuple[Tensor, Tensor]:
    """Return both float64 sets shifted by one vector, so that squared distances lose as few digits as possible."""
    x, y = as_pair(first, second, least=least)
    middle = (x.mean(dim=0) + y.mean(dim=0)) / 2
    return x - middle, y - middle


def _strips(x: Tensor, y: Tensor) -> Iterator[tuple[int, Tensor]]:
    """Yield the first row and the squared distances [rows, m] of strips of the distance matrix of [n, d] and [m, d].

    They carry the rounding error of a difference of squares, `_noise` of both rows, and may lie that far below zero.
    """
    x_norms = squared_norms(x)
    y_norms = x_norms if y is x else squared_norms(y)
    for start, products in product_strips(x, y):
        yield start, products.mul_(-2).add_(y_norms).add_(x_norms[start : start + len(products), None])


def _noise(x: Tensor) -> Tensor:
    """Return how far rounding may move the squared distances of each row [n] of [n, d]."""
    return 4 * torch.finfo(x.dtype).eps * math.sqrt(x.shape[1]) * squared_norms(x)


def _knn_squared(x: Tensor, k: int) -> Tensor:
    """Return the squared distance [n] of each row to its k-th nearest other row, and the rounding error on top.

    Without that, a ball would not surely include its surface: duplicates (radius zero), or the neighbour itself.
    """
    radii = 2 * _noise(x)
    for start, squared in _strips(x, x):
        squared.numpy().partition(k, axis=1)
        radii[start : start + len(squared)] += squared[:, k]
    return radii
