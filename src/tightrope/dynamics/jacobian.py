r"""The Jacobian of the gradient vector field, dense: for games of up to some thousand parameters."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tightrope.dynamics.players import Losses, Player
from tightrope.dynamics.products import field_products
from tightrope.dynamics.smooth import check_differentiable


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
        UserError: Not a game, not finite, or not differentiable at this point.

    Cost: ``n`` products at twice a gradient where reverse mode sees the whole Jacobian, three times otherwise.

    Example:
        >>> from tightrope import dynamics
        >>> x, y = (torch.tensor([v], dtype=torch.float64, requires_grad=True) for v in (1.0, 2.0))
        >>> losses = (lambda: (x * y).sum(), lambda: -(x * y).sum() + y.square().sum())
        >>> dynamics.field_jacobian(losses, ([x], [y]))
        tensor([[ 0., -1.],
                [ 1., -2.]], dtype=torch.float64)
    """
    if check:
        check_differentiable(losses, players, generators=generators)
    with field_products(losses, players, generators=generators) as products:
        return products.dense()
