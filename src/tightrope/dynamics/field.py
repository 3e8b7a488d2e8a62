r"""The gradient vector field of a game: each player's own descent direction, side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from tightrope._plumbing.errors import UserError
from tightrope.dynamics.players import Losses, Player, all_parameters, flatten


def gradient_field(losses: Losses, players: Sequence[Player], *, create_graph: bool = False) -> Tensor:
    r"""The vector field :math:`v(x) = (-\nabla_{x_i} L_i(x))_i` of simultaneous gradient descent.

    Source: Mescheder et al. 2018 (1801.04406), section 2.

    Args:
        losses: One function per player; the field is of the losses as they are, penalties included.
        players: Modules or sequences of tensors, in the order of the losses; for a GAN (generator, critic).
        create_graph: Keep the graph, so that the field can be differentiated.

    Returns:
        ``[n]``: all players' parameters one after the other; zero for a parameter that its loss does not use.

    Raises:
        UserError: A loss that is not a finite scalar or does not depend on its player.

    Cost: one forward and backward per player.

    Example:
        >>> from tightrope import dynamics
        >>> x, y = (torch.tensor([v], dtype=torch.float64, requires_grad=True) for v in (1.0, 2.0))
        >>> losses = (lambda: (x * y).sum(), lambda: -(x * y).sum())
        >>> dynamics.gradient_field(losses, ([x], [y]))
        tensor([-2.,  1.], dtype=torch.float64)
    """
    parts = all_parameters(losses, players)
    return flatten([g for i, p in enumerate(parts) for g in descent(losses[i], p, i, create_graph=create_graph)])


def descent(
    loss: Callable[[], Tensor], parameters: Sequence[Tensor], player: int = 0, *, create_graph: bool = False
) -> list[Tensor]:
    """Minus one player's gradient, a tensor per parameter; ``player`` is the number that errors name."""
    value: object = loss()
    if not isinstance(value, Tensor):
        raise UserError(
            f"Expected the loss of player {player} to return a tensor, got {type(value).__name__}; do not call .item() "
            "on it."
        )
    if value.numel() != 1:
        raise UserError(
            f"Expected a scalar loss of player {player}, got shape {tuple(value.shape)}; return a mean over the batch."
        )
    if not bool(torch.isfinite(value.detach()).all()):
        raise UserError(
            f"The loss of player {player} is {float(value.detach())}: expected a finite number; look at the weights "
            "and inputs before analysing the game."
        )
    found: Sequence[Tensor | None] = [None]
    if value.requires_grad:
        found = torch.autograd.grad(value.reshape(()), list(parameters), create_graph=create_graph, allow_unused=True)
    if all(g is None for g in found):
        raise UserError(
            f"The loss of player {player} does not depend on that player's parameters: expected a differentiable "
            "function of them; check the order of losses and players and that nothing is detached or under no_grad."
        )
    found = [g if g is None or g.layout == torch.strided else g.to_dense() for g in found]
    own = [torch.zeros_like(p) if g is None else -g for p, g in zip(parameters, found, strict=True)]
    if not all(bool(torch.isfinite(g.detach()).all()) for g in own):
        raise UserError(
            f"The gradient of player {player} is not finite although its loss is {float(value.detach()):.4g}: expected "
            "a differentiable point; move the parameters a little or use a loss that is smooth here."
        )
    return own
