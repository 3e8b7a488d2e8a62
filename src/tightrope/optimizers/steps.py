"""One outer step of a game as it is really taken: in which order the players move, and from which gradients."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from numbers import Integral
from typing import TypeAlias

import torch
from torch import Tensor

from tightrope._plumbing.checks import check_whole
from tightrope._plumbing.door import translating
from tightrope._plumbing.errors import UserError
from tightrope.dynamics.field import descent
from tightrope.dynamics.players import Losses, Player, all_parameters
from tightrope.optimizers.extragradient import Extrapolating, extrapolating
from tightrope.optimizers.strides import match_strides_

Order: TypeAlias = Sequence[tuple[int, ...]]
"""Half-steps of an outer step, one after the other; the players in one tuple move at once, from one point."""

Step: TypeAlias = Callable[[], None]
"""Takes one outer step in place."""

SIMULTANEOUS: Order = ((0, 1),)


def alternating(n_critic: int = 1) -> Order:
    """``n_critic`` steps of the critic (player 1), then one of the generator (player 0).

    Raises:
        UserError: ``n_critic`` is below 1.

    Example:
        >>> from tightrope.optimizers import alternating
        >>> alternating(2)
        ((1,), (1,), (0,))
    """
    if not isinstance(n_critic, Integral) or isinstance(n_critic, bool) or n_critic < 1:
        raise UserError(f"Expected n_critic of at least 1, got {n_critic!r}; use 1 for one critic step per step.")
    return ((1,),) * n_critic + ((0,),)


def outer_step(
    losses: Losses,
    players: Sequence[Player],
    optimizers: Sequence[torch.optim.Optimizer],
    order: Order = ((1,), (0,)),
    *,
    project: Mapping[int, Callable[[], object]] | None = None,
) -> Step:
    """A function that takes one outer step of gradient play, in place.

    Args:
        losses: One function per player.
        players: Modules or sequences of tensors, in the order of the losses.
        optimizers: One per player, over that player's parameters.
        order: Who moves when; :data:`SIMULTANEOUS`, :func:`alternating`, or any sequence of tuples of players.
        project: Called after each update of a player, for example ``{1: lambda: clip_weights_(critic, 1.0)}``.

    Returns:
        The step. Calling it changes parameters and optimiser states.

    Raises:
        UserError: Not one optimiser per player.

    Example:
        >>> from tightrope.optimizers import SIMULTANEOUS, outer_step
        >>> x, y = (torch.ones(1, requires_grad=True) for _ in range(2))
        >>> losses = (lambda: (x * y).sum(), lambda: -(x * y).sum())
        >>> sgd = [torch.optim.SGD([p], lr=0.5) for p in (x, y)]
        >>> outer_step(losses, ([x], [y]), sgd, SIMULTANEOUS)()
        >>> x.item(), y.item()  # both by gradients at one point: x - y/2, y + x/2
        (0.5, 1.5)
    """
    parts = all_parameters(losses, players)
    _one_each(parts, optimizers)
    projections = project or {}

    def step() -> None:
        for moving in order:
            set_gradients_(losses, parts, moving)
            for i in moving:
                optimizers[i].step()
                if i in projections:
                    projections[i]()

    return step


def extragradient_step(
    losses: Losses,
    players: Sequence[Player],
    optimizers: Sequence[torch.optim.Optimizer],
    order: Order = SIMULTANEOUS,
    *,
    extrapolations: int = 1,
) -> Step:
    """A function that takes one outer extragradient step: look ahead, then move by the gradient found there.

    Source: Korpelevich 1976; Gidel et al. 2019 (1802.10551), algorithm 2.

    Args:
        losses: One function per player.
        players: Modules or sequences of tensors.
        optimizers: ``ExtraSGD`` or ``ExtraAdam``, one per player, possibly wrapped (accelerate).
        order: Who moves when; published with both players at once.
        extrapolations: Looks ahead, each from the point where the step began; as their number grows the step tends to
            the implicit (proximal-point) one, provided that the step size times the field's slope is below one.

    Raises:
        UserError: An optimiser that cannot look ahead.

    Example:
        >>> from tightrope.optimizers import ExtraSGD, extragradient_step
        >>> x, y = (torch.ones(1, requires_grad=True) for _ in range(2))
        >>> losses = (lambda: (x * y).sum(), lambda: -(x * y).sum())
        >>> step = extragradient_step(losses, ([x], [y]), [ExtraSGD([x], lr=0.5), ExtraSGD([y], lr=0.5)])
        >>> step()
        >>> x.item(), y.item()  # by the gradient at (0.5, 1.5)
        (0.25, 1.25)
    """
    check_whole("extrapolations", extrapolations, 0, 1)
    parts = all_parameters(losses, players)
    _one_each(parts, optimizers)
    ahead = [_extrapolating(optimizer) for optimizer in optimizers]

    def step() -> None:
        for moving in order:
            for _ in range(extrapolations):
                set_gradients_(losses, parts, moving)
                for i in moving:
                    ahead[i].extrapolate()
            set_gradients_(losses, parts, moving)
            for i in moving:
                optimizers[i].step()
                ahead[i].retreat()  # from a step that a wrapper skipped, as it does while it accumulates gradients

    return step


def in_sequence(*steps: Callable[[], object]) -> Step:
    """One step that takes the given ones in order, for cycles such as lazy regularisation or lookahead."""

    def all_of_them() -> None:
        for step in steps:
            step()

    return all_of_them


def set_gradients_(losses: Losses, parts: Sequence[Sequence[Tensor]], moving: Sequence[int]) -> None:
    """Write the gradients of the players ``moving`` into their parameters, all taken at the present point."""
    with translating():
        found = [[-v for v in descent(losses[i], parts[i], i)] for i in moving]
    for i, gradients in zip(moving, found, strict=True):
        for p, gradient in zip(parts[i], gradients, strict=True):
            p.grad = gradient
        match_strides_(parts[i])


def _one_each(parts: Sequence[object], optimizers: Sequence[object]) -> None:
    if len(parts) != len(optimizers):
        raise UserError(
            f"Expected one optimiser per player, got {len(optimizers)} for {len(parts)} players; pass "
            "(generator_optimizer, critic_optimizer)."
        )


def _extrapolating(optimizer: torch.optim.Optimizer) -> Extrapolating:
    found = extrapolating(optimizer)
    if found is None:
        raise UserError(
            f"Expected optimisers that look ahead, got {type(optimizer).__name__}; use ExtraSGD or ExtraAdam."
        )
    return found
