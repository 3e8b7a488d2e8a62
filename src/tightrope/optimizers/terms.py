r"""Corrections of a game that are terms of its losses: consensus optimisation, symplectic adjustment, LEAD.

Each maps losses to losses, so it composes with every step, penalty and analysis here. All three differentiate one
player's gradient by the other player, which a ``detach`` in the critic's loss would hide; they look through it.
What they promise is local: near an equilibrium they turn rotation into contraction.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from tightrope._plumbing.checks import check_number
from tightrope._plumbing.door import translating
from tightrope.dynamics.detached import Attached
from tightrope.dynamics.players import Losses, Player, all_parameters


def consensus(
    losses: Losses, players: Sequence[Player], *, gamma: float = 10.0, stacked: bool = False
) -> tuple[Callable[[], Tensor], ...]:
    r"""Losses :math:`L_i + \gamma/2\,\|v\|^2`, where :math:`v` is the gradient field of all players.

    Source: Mescheder et al. 2017 (1705.10461), eq. 10 and algorithm 2 (gamma 10, RMSProp 1e-4, both players at once).
    Departures: the authors' notebook halves the second term of the correction on the Dirac-GAN; this is its gradient.
    Claim: local. At the Dirac-GAN's equilibrium the eigenvalues are ``-gamma f'(0)^2 +- i f'(0)``; from far away the
    same correction is attracted to points where the gradient is merely flat (gamma 1, rate 0.2, five critic steps,
    start (1, 1): the generator stops near 0.288 while the critic grows without bound).
    Cost: two more backwards of both losses. On minibatches ``|v|^2`` is biased upwards by the gradient's noise.

    Args:
        losses: One function per player.
        players: Modules or sequences of tensors.
        gamma: Weight, with the half.
        stacked: Many games at once: losses give ``[games]`` and parameters are ``[games, *shape]``.

    Example:
        >>> from tightrope import dynamics, optimizers
        >>> x, y = (torch.ones(1, dtype=torch.float64, requires_grad=True) for _ in range(2))
        >>> losses, players = (lambda: (x * y).sum(), lambda: -(x * y).sum()), ([x], [y])
        >>> dynamics.field_jacobian(optimizers.consensus(losses, players, gamma=0.5), players)
        tensor([[-0.5000, -1.0000],
                [ 1.0000, -0.5000]], dtype=torch.float64)
    """
    check_number("gamma", gamma, 10)
    parts = all_parameters(losses, players)

    def corrected(i: int) -> Tensor:
        with Attached():
            values = [loss() for loss in losses]
            square = sum(
                (
                    g.reshape(len(g), -1).square().sum(1) if stacked else g.square().sum()
                    for value, p in zip(values, parts, strict=True)
                    for g in _gradients(value, p, stacked)
                ),
                start=torch.zeros_like(values[i]),
            )
            return values[i] + 0.5 * gamma * square

    return tuple(_bind(corrected, i) for i in range(len(losses)))


def symplectic(
    losses: Losses, players: Sequence[Player], *, weight: float = 1.0, align: bool = False, stacked: bool = False
) -> tuple[Callable[[], Tensor], ...]:
    r"""Losses whose gradients are :math:`\xi + \lambda A^\top \xi`, with the antisymmetric part of the Hessian.

    Source: Balduzzi et al. 2018 (1802.05642), algorithm 1.
    Departures: the sign is fixed by default; ``align`` chooses it as the authors do, with their 0.1.
    Claim: local; on a pure rotation it equals consensus optimisation.
    Cost: about four more backwards of both losses.

    Args:
        losses: One function per player.
        players: Modules or sequences of tensors.
        weight: ``lambda``.
        align: Multiply the weight by the sign that does not repel from stable points.
        stacked: Many games at once: losses give ``[games]`` and parameters are ``[games, *shape]``; each gets its sign.

    Example:
        >>> from tightrope import dynamics, optimizers
        >>> x, y = (torch.ones(1, dtype=torch.float64, requires_grad=True) for _ in range(2))
        >>> losses, players = (lambda: (x * y).sum(), lambda: -(x * y).sum()), ([x], [y])
        >>> dynamics.field_jacobian(optimizers.symplectic(losses, players, weight=0.5), players)
        tensor([[-0.5000, -1.0000],
                [ 1.0000, -0.5000]], dtype=torch.float64)
    """
    check_number("weight", weight, 1, least=-math.inf)
    parts = all_parameters(losses, players)
    everything = [p for part in parts for p in part]

    def corrected(i: int) -> Tensor:
        with Attached():
            values = [loss() for loss in losses]
            xi = [g for value, p in zip(values, parts, strict=True) for g in _gradients(value, p, stacked)]
            half = 0.5 * _dot(xi, xi, stacked)
            still = _constant(xi)
            along = _dot(_gradients(values[i], everything, stacked), still, stacked)
            sign = _aligned(values, parts, everything, xi, half, stacked) if align else 1.0
            return values[i] + 0.5 * weight * sign * (half - along)

    return tuple(_bind(corrected, i) for i in range(len(losses)))


def lead(
    losses: Losses,
    players: Sequence[Player],
    optimizers: Sequence[torch.optim.Optimizer],
    *,
    alpha: float,
) -> tuple[Callable[[], Tensor], ...]:
    r"""Losses :math:`L_i + (\alpha/h_i) \langle \nabla_{-i} L_i, \Delta_{-i} \rangle`, with the others' last move.

    With momentum ``beta`` this is LEAD: ``x' = x + beta dx - h f_x - alpha f_xy dy``.

    Source: Hemmat et al. 2023 (2010.13846), algorithm 1.
    Departures: the last move is read from the optimisers, ``-lr`` times the momentum buffer.
    Claim: local; ``beta 0, alpha h`` is optimistic descent on a bilinear game.
    Cost: one more backward of each loss and its derivative.

    Args:
        losses: One function per player.
        players: Modules or sequences of tensors.
        optimizers: One :class:`~tightrope.optimizers.Momentum` per player, ``momentum`` being LEAD's beta.
        alpha: Weight of the mixed term.
    """
    check_number("alpha", alpha, 0.1, least=-math.inf)
    parts = all_parameters(losses, players)

    def corrected(i: int) -> Tensor:
        with Attached():
            value = losses[i]()
            others = [p for j, part in enumerate(parts) if j != i for p in part]
            moves = [m for j, part in enumerate(parts) if j != i for m in _last_moves(optimizers[j], part)]
            rate = float(optimizers[i].param_groups[0]["lr"])
            return value + alpha / rate * _dot(_gradients(value, others), moves)

    return tuple(_bind(corrected, i) for i in range(len(losses)))


def _bind(function: Callable[[int], Tensor], i: int) -> Callable[[], Tensor]:
    return lambda: function(i)


def _gradients(value: Tensor, parameters: Sequence[Tensor], stacked: bool = False) -> list[Tensor]:
    total = value.sum() if stacked else value.reshape(())
    with translating():
        found = torch.autograd.grad(total, list(parameters), create_graph=True, allow_unused=True)
    return [torch.zeros_like(p) if g is None else g for p, g in zip(parameters, found, strict=True)]


def _dot(a: Sequence[Tensor], b: Sequence[Tensor], stacked: bool = False) -> Tensor:
    if stacked:  # one product per game
        return torch.stack([(x * y).reshape(len(x), -1).sum(1) for x, y in zip(a, b, strict=True)]).sum(0)
    return torch.stack([(x * y).sum() for x, y in zip(a, b, strict=True)]).sum()


def _constant(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Copies without a graph; a `detach` would be looked through by an enclosing correction."""
    with torch.no_grad():
        return [t.clone() for t in tensors]


def _last_moves(optimizer: torch.optim.Optimizer, parameters: Sequence[Tensor]) -> list[Tensor]:
    rates = {p: float(group["lr"]) for group in optimizer.param_groups for p in group["params"]}
    buffers = [optimizer.state[p].get("momentum") for p in parameters]
    return [torch.zeros_like(p) if m is None else -rates[p] * m for p, m in zip(parameters, buffers, strict=True)]


def _aligned(
    values: Sequence[Tensor],
    parts: Sequence[Sequence[Tensor]],
    everything: Sequence[Tensor],
    xi: Sequence[Tensor],
    half: Tensor,
    stacked: bool,
) -> float | Tensor:
    """Sign of ``<xi, H^T xi> <A^T xi, H^T xi> / n + 0.1``."""
    transposed, still = _constant(_gradients(half, everything, stacked)), _constant(xi)
    forward: list[Tensor] = []
    for value, part in zip(values, parts, strict=True):
        forward += _constant(_gradients(_dot(_gradients(value, everything, stacked), still), part))
    adjusted = [0.5 * (t - f) for t, f in zip(transposed, forward, strict=True)]
    n = sum(p.numel() for p in everything) // (len(half) if stacked else 1)
    along, across = (_dot(a, transposed, stacked).double() for a in (still, adjusted))
    criterion = along * across / n + 0.1
    if stacked:
        return torch.where(criterion >= 0, 1.0, -1.0).to(half)
    return 1.0 if float(criterion) >= 0 else -1.0
