"""The path angle: how the gradient field is turned against the straight line between two points of training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tightrope._plumbing.checks import check_number, check_samples, check_whole
from tightrope._plumbing.errors import UserError
from tightrope.dynamics.field import gradient_field
from tightrope.dynamics.players import Losses, Player, all_players, flatten, repeatable, write_


@dataclass(frozen=True)
class PathAngle:
    """The field along a straight line.

    Attributes:
        positions: ``[m]``: 0 at the first point, 1 at the second.
        cosines: ``[m]``: of the angle between the field and the line's direction. A sign change with a flat passage
            means attraction; a bump around the second point means rotation.
        norms: ``[m]``: length of the field.
    """

    positions: Tensor
    cosines: Tensor
    norms: Tensor


def path_angle(
    losses: Losses,
    players: Sequence[Player],
    start: Tensor,
    end: Tensor,
    *,
    points: int = 41,
    beyond: float = 0.5,
    generators: Sequence[torch.Generator] = (),
) -> PathAngle:
    """Cosine between the gradient field and the line from ``start`` to ``end``, along that line.

    Source: Berard et al. 2020 (1906.04848), section 4.

    Args:
        losses: One function per player.
        players: Modules or sequences of tensors.
        start: All players' parameters ``[n]`` at the earlier point, in the order of ``gradient_field``.
        end: The same at the later point.
        points: How many positions.
        beyond: How far to go on behind ``end``, as a share of the line.
        generators: Random-number generators that the losses draw from.

    Raises:
        UserError: The two points are one, or have another size than the game.

    Cost: ``points`` gradients; everything is left as found.

    Example:
        >>> from tightrope import dynamics
        >>> x = torch.zeros(2, dtype=torch.float64, requires_grad=True)
        >>> start, end = torch.tensor([1.0, 0.0]).double(), torch.tensor([0.5, 0.0]).double()
        >>> angle = dynamics.path_angle((lambda: x.square().sum(),), ([x],), start, end, points=3)
        >>> angle.cosines  # the field of a bowl points along the way to its middle
        tensor([1., 1., 1.])
    """
    tensors = all_players(players)
    check_whole("points", points, 2, 41)
    check_number("beyond", beyond, 0.5)
    for point in (start, end):
        check_samples(point, "a point of all parameters", shape="[parameters]")
    found = flatten([p.detach() for p in tensors]).clone()
    if start.shape != found.shape or end.shape != found.shape:
        raise UserError(
            f"Expected two points of {found.numel()} parameters, got {tuple(start.shape)} and {tuple(end.shape)}; "
            "flatten all players' parameters in order."
        )
    line = (end - start).to(found)
    length = torch.linalg.vector_norm(line)
    if not float(length) > 0:
        raise UserError("Expected two different points, got the same twice; take checkpoints further apart.")
    positions = torch.linspace(0, 1 + beyond, points, dtype=torch.float64)
    cosines, norms = [], []
    with repeatable(players, generators) as rewind:
        try:
            for position in positions:
                write_(tensors, start.to(found) + float(position) * line)
                rewind()
                v = gradient_field(losses, players).detach()
                size = torch.linalg.vector_norm(v)
                norms.append(float(size))
                cosines.append(float((v @ line) / (size * length)) if float(size) > 0 else 0.0)
        finally:
            write_(tensors, found)
    return PathAngle(positions, torch.tensor(cosines), torch.tensor(norms))
