"""Activation functions for critics, among them the sorting ones that keep the gradient's norm."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

from tightrope._plumbing.checks import check_whole
from tightrope._plumbing.errors import UserError

Activation = Literal["relu", "leaky_relu", "groupsort", "maxmin"]

GROUP_SIZE = 4


class GroupSort(nn.Module):
    """Sort the features within groups of neighbours, in ascending order.

    The Jacobian is a permutation matrix everywhere, also at ties: the layer is 1-Lipschitz in every p-norm and keeps
    the norm of the gradient that passes back through it, where ReLU loses the part that falls on inactive units.

    **Source**: Anil, Lucas, Grosse 2019 (1811.05381).

    **Cost**: a sort of ``group_size`` numbers per group.

    Args:
        group_size: Features per group; must divide the number of features.

    Raises:
        UserError: ``group_size`` is below 2.

    Example:
        >>> from tightrope.networks import GroupSort
        >>> GroupSort(2)(torch.tensor([[3.0, 1.0, 2.0, 5.0]]))
        tensor([[1., 3., 2., 5.]])
    """

    lipschitz = 1.0

    def __init__(self, group_size: int = GROUP_SIZE) -> None:
        super().__init__()
        check_whole("group_size", group_size, 0, GROUP_SIZE)
        if group_size < 2:
            raise UserError(
                f"group_size must be at least 2, got {group_size}: 2 is MaxMin, all features is a full sort."
            )
        self.group_size = group_size

    def forward(self, x: Tensor) -> Tensor:
        """Sort x ``[batch, features, ...]`` along axis 1 within groups."""
        groups = _groups(x, self.group_size)
        return groups.sort(dim=2).values.flatten(1, 2)

    def extra_repr(self) -> str:
        """The group size, for ``print(network)``."""
        return f"group_size={self.group_size}"


class MaxMin(nn.Module):
    """Replace each pair of neighbouring features by its minimum and its maximum: ``GroupSort(2)`` without a sort.

    **Source**: Anil, Lucas, Grosse 2019 (1811.05381); there called MaxMin, with the maximum first.

    Example:
        >>> from tightrope.networks import MaxMin
        >>> MaxMin()(torch.tensor([[3.0, 1.0, 2.0, 5.0]]))
        tensor([[1., 3., 2., 5.]])
    """

    lipschitz = 1.0

    def forward(self, x: Tensor) -> Tensor:
        """Order the pairs along axis 1 of x ``[batch, features, ...]``."""
        first, second = _groups(x, 2).unbind(2)
        swap = first > second  # a choice, not torch.maximum, which splits the gradient of equal values in halves
        low, high = torch.where(swap, second, first), torch.where(swap, first, second)
        return torch.stack((low, high), dim=2).flatten(1, 2)


def _groups(x: Tensor, size: int) -> Tensor:
    """View x ``[batch, features, ...]`` as ``[batch, features / size, size, ...]``."""
    _require_groups(x.shape[1], size)
    return x.unflatten(1, (x.shape[1] // size, size))


def _require_groups(features: int, size: int) -> None:
    """Refuse a number of features that does not divide into groups."""
    if features % size:
        raise UserError(
            f"sorting in groups of {size} needs a number of features divisible by {size}, got {features}: "
            "change the width or the group size."
        )


def make_activation(name: Activation, slope: float, features: int) -> nn.Module:
    """The activation of that name.

    Args:
        name: One of ``Activation``.
        slope: Negative slope of leaky ReLU; means nothing to the others.
        features: Number of features it is for, so that sorting ones can refuse it before training starts.

    Raises:
        UserError: For an unknown name, or a number of features that cannot be sorted in groups.
    """
    match name:
        case "relu":
            return nn.ReLU()
        case "leaky_relu":
            return nn.LeakyReLU(slope)
        case "groupsort":
            _require_groups(features, GROUP_SIZE)
            return GroupSort()
        case "maxmin":
            _require_groups(features, 2)
            return MaxMin()
    raise UserError(f"activation must be relu, leaky_relu, groupsort or maxmin, got {name!r}.")


def gain(name: Activation, slope: float = 0.2) -> float:
    """Factor on the standard deviation of the next layer that keeps the size of the signal (He initialisation)."""
    match name:
        case "relu":
            return math.sqrt(2.0)
        case "leaky_relu":
            return math.sqrt(2.0 / (1.0 + slope**2))
    return 1.0
