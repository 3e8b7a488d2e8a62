"""Mean and covariance of features, gathered in one pass and in any order."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tightrope._plumbing.checks import check_whole, short
from tightrope._plumbing.errors import UserError, UserTypeError
from tightrope.metrics._checks import Array, as_features, check_count


@dataclass(frozen=True)
class FeatureStatistics:
    """Count, mean and scatter of feature vectors; two of them merge into the statistics of the union.

    The scatter is the sum of outer products of deviations from the mean, kept in float64 and merged pairwise (the
    update of Chan, Golub and LeVeque), so that neither the batch size nor the order of samples shows in the result
    beyond rounding, and a large mean does not eat the variance.

    Attributes:
        count: Number of samples.
        mean: Mean [d], float64.
        scatter: Sum of outer products [d, d], float64.
    """

    count: int
    mean: Tensor
    scatter: Tensor

    def __post_init__(self) -> None:
        check_count("of samples", self.count)
        for name, held, axes in (("mean", self.mean, 1), ("scatter", self.scatter, 2)):
            if not isinstance(held, Tensor) or held.dim() != axes or not held.is_floating_point():
                raise UserTypeError(
                    f"The {name} must be a tensor in floating point of {axes} axes, but it is {short(held)}; build "
                    "statistics by FeatureStatistics.of(features)."
                )
        if self.count < 0 or self.scatter.shape != (len(self.mean), len(self.mean)):
            raise UserError(
                f"Statistics need a count >= 0, a mean [d] and a scatter [d, d], but they have {self.count}, "
                f"{list(self.mean.shape)} and {list(self.scatter.shape)}; build them by FeatureStatistics.of(features)."
            )
        if bool((self.scatter.diagonal() < 0).any()) or (self.count < 2 and bool(self.scatter.any())):
            raise UserError(
                f"The scatter of {self.count} samples is a sum of squares, zero below 2 samples, but it holds "
                "other numbers; build statistics by FeatureStatistics.of(features)."
            )

    @classmethod
    def empty(cls, dimension: int) -> FeatureStatistics:
        """Return the statistics of no samples at all, to be updated batch by batch."""
        check_whole("dimension", dimension, 1, 2048)
        zeros = torch.zeros(dimension, dtype=torch.float64)
        return cls(0, zeros, torch.zeros(dimension, dimension, dtype=torch.float64))

    @classmethod
    def of(cls, features: Array) -> FeatureStatistics:
        """Return the statistics of features [n, d].

        Raises:
            UserError: The shape is wrong or an entry is not finite.
        """
        matrix = as_features(features, "given")
        mean = matrix.mean(dim=0)
        centred = matrix - mean
        return cls(len(matrix), mean, centred.T @ centred)

    def update(self, features: Array) -> FeatureStatistics:
        """Return the statistics with features [n, d] added."""
        return self.merge(FeatureStatistics.of(features))

    def merge(self, other: FeatureStatistics) -> FeatureStatistics:
        """Return the statistics of both sets of samples together.

        Raises:
            UserError: The dimensions differ.
        """
        if self.mean.shape != other.mean.shape:
            raise UserError(
                f"Only statistics of one dimension can be merged, but these have {len(self.mean)} and "
                f"{len(other.mean)}; use one feature network for both."
            )
        count = self.count + other.count
        if count == 0:
            return self
        shift = other.mean - self.mean
        weight = self.count * other.count / count
        return FeatureStatistics(
            count,
            self.mean + shift * (other.count / count),
            self.scatter + other.scatter + weight * torch.outer(shift, shift),
        )

    @property
    def covariance(self) -> Tensor:
        """Unbiased covariance [d, d].

        Raises:
            UserError: There are fewer than two samples.
        """
        if self.count < 2:
            raise UserError(f"A covariance needs at least 2 samples, but there are {self.count}; draw more samples.")
        return self.scatter / (self.count - 1)
