"""What nearest neighbours tell: fidelity and diversity, and whether training samples were copied."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from tightrope.metrics._checks import as_pair

ENTRIES = 1 << 24  # of a distance matrix held at a time: 128 MiB


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


def precision_recall_density_coverage(real: Tensor, fake: Tensor, *, k: int = 5) -> NeighbourScores:
    """Return precision, recall, density and coverage.

    The ball around a sample reaches to its k-th nearest neighbour in its own set and includes its surface.

    Args:
        real: Features [n, d], n > k.
        fake: Features [m, d], m > k.
        k: Number of neighbours. Kynkäänniemi et al. use 3 for precision and recall, Naeem et al. 5 for all four.

    Raises:
        ValueError: Shapes do not fit, an entry is not finite, or a set has at most k samples.

    **Source** ipr (Kynkäänniemi et al. 2019), eqs. 1-2; prdc (Naeem et al. 2020), eqs. 3 and 5.
    **Claim** For two sets from one continuous distribution the expected density is 1 and the expected coverage is
    ``1 - prod_{j<k} (n - 1 - j) / (n + m - 1 - j)``, for any n, m and dimension.
    **Cost** (n + m)^2 d multiplications; 128 MiB for a strip of the distance matrix.
    """
    x, y = _centred(real, fake, k + 1)
    radius_x, radius_y = (_knn_squared(v, k) for v in (x, y))
    in_real, hits, to_real = torch.zeros(len(y), dtype=torch.bool), 0, torch.full_like(radius_x, math.inf)
    recalled = torch.zeros(len(x), dtype=torch.bool)
    for start, squared in _strips(y, x):
        rows = slice(start, start + len(squared))
        inside = squared <= radius_x
        in_real[rows] = inside.any(dim=1)
        hits += int(inside.sum())
        recalled |= (squared <= radius_y[rows, None]).any(dim=0)
        to_real = torch.minimum(to_real, squared.min(dim=0).values)
    return NeighbourScores(
        precision=_share(in_real),
        recall=_share(recalled),
        density=hits / (k * len(y)),
        coverage=_share(to_real <= radius_x),
    )


def nearest(queries: Tensor, references: Tensor) -> tuple[Tensor, Tensor]:
    """Return the distance of each query to its nearest reference [n] and the index of that reference [n].

    Args:
        queries: Features [n, d].
        references: Features [m, d].

    Raises:
        ValueError: Shapes do not fit, or an entry is not finite.
    """
    x, y = _centred(queries, references, 1)
    best = [squared.min(dim=1) for _, squared in _strips(x, y)]
    return torch.cat([b.values for b in best]).sqrt(), torch.cat([b.indices for b in best])


def memorisation(train: Tensor, fake: Tensor, test: Tensor) -> Memorisation:
    """Compare the distances to the training set of generated samples and of held-out ones.

    Args:
        train: Features of training samples [n, d], all that the generator has seen.
        fake: Features of generated samples [m, d].
        test: Features of held-out real samples [t, d].

    Raises:
        ValueError: Shapes do not fit, or an entry is not finite.

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


def _centred(first: Tensor, second: Tensor, least: int) -> tuple[Tensor, Tensor]:
    """Return both float64 sets shifted by one vector, so that squared distances lose as few digits as possible."""
    x, y = as_pair(first, second, least=least)
    middle = (x.mean(dim=0) + y.mean(dim=0)) / 2
    return x - middle, y - middle


def _strips(x: Tensor, y: Tensor) -> Iterator[tuple[int, Tensor]]:
    """Yield the first row and the squared distances [rows, m] of strips of the distance matrix of [n, d] and [m, d].

    What lies below the rounding error of the subtraction becomes zero, so that copies are found exactly.
    """
    height = max(1, ENTRIES // len(y))
    y_norms, noise = y.square().sum(dim=1), 4 * torch.finfo(x.dtype).eps * math.sqrt(x.shape[1])
    for start in range(0, len(x), height):
        rows = x[start : start + height]
        sums = rows.square().sum(dim=1, keepdim=True) + y_norms
        squared = torch.addmm(sums, rows, y.T, alpha=-2)
        yield start, squared.masked_fill_(squared <= noise * sums, 0.0)


def _knn_squared(x: Tensor, k: int) -> Tensor:
    """Return the squared distance [n] of each row to its k-th nearest other row."""
    return torch.cat([squared.kthvalue(k + 1, dim=1).values for _, squared in _strips(x, x)])


def _share(mask: Tensor) -> float:
    return float(mask.double().mean())
