r"""The Jacobian of the gradient vector field, dense: for games of up to some thousand parameters."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tightrope.dynamics.field import descent
from tightrope.dynamics.players import Losses, Player, all_parameters, flatten, repeatable, unflatten
from tightrope.dynamics.smooth import check_differentiable
from tightrope.dynamics.tangents import push_forward


def field_jacobian(
    losses: Losses,
    players: Sequence[Player],
    *,
    generators: Sequence[torch.Generator] = (),
    check: bool = True,
) -> Tensor:
    """The Jacobian of :func:`gradient_field`, one column per parameter.

    Training by small simultaneous steps contracts near an equilibrium if all eigenvalues have a negative real part.
    What is differentiated is the gradient as the program computes it: a ``detach`` that keeps the critic's gradient
    out of the generator does not hide the critic's dependence on the generator.

    Source: Mescheder et al. 2018 (1801.04406), section 2 and appendix A.

    Args:
        losses: One function per player.
        players: Modules or sequences of tensors, in the order of the losses.
        generators: Random-number generators that the losses draw from; every evaluation starts them from where they
            are now. Torch's global ones are always included.
        check: Test that the field is differentiable here, for four more gradients.

    Returns:
        ``[n, n]``; entry ``(i, j)`` is the derivative of component ``i`` of the field by parameter ``j``.

    Raises:
        ValueError: Not a game, not finite, or not differentiable at this point.

    Cost: ``n`` evaluations at two to three times a gradient.
    """
    parts = all_parameters(losses, players)
    tensors = [p for part in parts for p in part]
    if check:
        check_differentiable(losses, players, generators=generators)

    def field() -> list[Tensor]:
        return [g for i, part in enumerate(parts) for g in descent(losses[i], part, i)]

    n = sum(p.numel() for p in tensors)
    columns = []
    with repeatable(players, generators) as rewind:
        for j in range(n):
            rewind()
            basis = torch.zeros(n, dtype=tensors[0].dtype, device=tensors[0].device)
            basis[j] = 1.0
            columns.append(flatten(push_forward(field, tensors, unflatten(basis, tensors))))
    J = torch.stack(columns, dim=1)
    if not bool(torch.isfinite(J).all()):
        raise ValueError(
            "The derivative of the game's gradient is not finite here: expected a twice differentiable point; move the "
            "parameters a little away from the kink."
        )
    return J
