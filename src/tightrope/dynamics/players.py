"""What the analysis calls a game: one loss per player and the parameters that each player moves.

Nothing here knows networks, data or methods. A player is a module or a sequence of tensors; its loss is a function
without arguments that evaluates the players as they are now. In two-player games the generator comes first, as in
``training.start``: ``losses = (generator_loss, critic_loss)`` and ``players = (generator, critic)``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeAlias

import torch
from torch import Tensor, nn

from tightrope._plumbing.errors import UserError, UserTypeError
from tightrope.autodiff import undisturbed
from tightrope.dynamics.spelled import differentiable_kernels

Player: TypeAlias = nn.Module | Sequence[Tensor]
"""A module, of which every parameter that requires a gradient is played, or the played tensors themselves."""

Losses: TypeAlias = Sequence[Callable[[], Tensor]]
"""One function without arguments per player; each returns the scalar which that player minimises."""


def parameters_of(player: Player) -> list[Tensor]:
    """The tensors that a player moves: those parameters of a module that require a gradient, or the given tensors."""
    if isinstance(player, nn.Module):
        return [p for p in player.parameters() if p.requires_grad]
    if isinstance(player, Tensor | str) or not isinstance(player, Iterable):
        raise UserTypeError(
            f"Expected a player as a module or a sequence of tensors, got a {type(player).__name__}; put a tensor into "
            "a list."
        )
    found = list(player)
    if not all(isinstance(p, Tensor) for p in found):
        raise UserTypeError(
            "Expected a player's parameters as tensors, got something else among them; pass the tensors."
        )
    return found


def all_players(players: Sequence[Player]) -> list[Tensor]:
    """The tensors of all players in order, at least one.

    Raises:
        UserError: No players, or none that is one.
    """
    if isinstance(players, nn.Module | Tensor) or not isinstance(players, Iterable):
        raise UserTypeError(
            f"Expected players as a sequence, got a {type(players).__name__}; pass (generator, critic)."
        )
    found = [p for player in players for p in parameters_of(player)]
    if not found:
        raise UserError("Expected players with parameters, got none; pass (generator, critic).")
    return found


def all_parameters(losses: Losses, players: Sequence[Player]) -> list[list[Tensor]]:
    """The tensors of every player, one list per player, after checking that the game is complete.

    Raises:
        UserError: Not one loss per player, a player without parameters, a tensor that is no leaf with a gradient, or
            a parameter with two players.
    """
    for name, given in (("losses", losses), ("players", players)):
        if not isinstance(given, Sequence):
            raise UserTypeError(
                f"Expected {name} as a sequence, one for each player, got a {type(given).__name__}; pass a tuple."
            )
    if len(losses) != len(players):
        raise UserError(
            f"Expected one loss per player, got {len(losses)} losses and {len(players)} players; pass "
            "losses=(generator_loss, critic_loss) and players=(generator, critic)."
        )
    found = [parameters_of(player) for player in players]
    for index, tensors in enumerate(found):
        if not tensors:
            raise UserError(
                f"Player {index} has no parameter that requires a gradient: expected at least one, got none; unfreeze "
                "the module or leave the player out."
            )
        if any(not p.requires_grad or not p.is_leaf for p in tensors):
            raise UserError(
                f"Player {index} holds a tensor that is no parameter: expected leaf tensors that require a gradient; "
                "pass the module, or list(module.parameters())."
            )
    _refuse_shared(found)
    return found


def _refuse_shared(parts: list[list[Tensor]]) -> None:
    owner: dict[int, int] = {}
    for index, tensors in enumerate(parts):
        for p in tensors:
            if owner.setdefault(id(p), index) != index:
                raise UserError(
                    f"Players {owner[id(p)]} and {index} share a parameter of shape {tuple(p.shape)}: expected each "
                    "parameter to have one player; untie it, or give it to one of them as a list of tensors."
                )


def modules_of(players: Sequence[Player]) -> list[nn.Module]:
    """The players that are modules."""
    return [player for player in players if isinstance(player, nn.Module)]


def flatten(tensors: Sequence[Tensor]) -> Tensor:
    """Concatenate tensors of any shapes into one vector ``[n]``."""
    return torch.cat([t.reshape(-1) for t in tensors])


def unflatten(vector: Tensor, like: Sequence[Tensor]) -> list[Tensor]:
    """Cut a vector ``[n]`` into tensors of the shapes, dtypes and devices of ``like``."""
    parts = torch.split(vector, [t.numel() for t in like])
    return [part.reshape(t.shape).to(device=t.device, dtype=t.dtype) for part, t in zip(parts, like, strict=True)]


@torch.no_grad()
def write_(tensors: Sequence[Tensor], point: Tensor) -> None:
    """Copy a vector ``[n]`` into tensors, in place: the inverse of :func:`flatten`."""
    for p, value in zip(tensors, unflatten(point, tensors), strict=True):
        p.copy_(value)


def _refuse_shortened(players: Sequence[Player]) -> None:
    for module in (m for network in modules_of(players) for m in network.modules()):
        most = module.max_norm if isinstance(module, (nn.Embedding, nn.EmbeddingBag)) else None
        if most is not None:
            longest = float(torch.linalg.vector_norm(module.weight.detach(), module.norm_type, dim=1).max())  # type: ignore[arg-type]
            if longest > 0.999 * most:
                raise UserError(
                    f"Expected parameters that a loss reads, got an {type(module).__name__} whose rows, up to "
                    f"{longest:.4g} long, are cut to max_norm {most:g} in place at each look-up, which has no "
                    "derivative; leave max_norm out, or call torch.renorm on the rows that were looked up."
                )


@contextmanager
def repeatable(players: Sequence[Player], generators: Sequence[torch.Generator] = ()) -> Iterator[Callable[[], None]]:
    """Evaluate a game again and again on the same random numbers, and leave everything as found.

    Args:
        players: Modules among them keep buffers, gradients, modes and flags, see ``autodiff.undisturbed``.
        generators: Random-number generators that the losses draw from, besides torch's global ones.

    Yields:
        ``rewind()``: puts every random state back to where it was on entry; call it before each evaluation.

    Raises:
        UserError: An embedding's ``max_norm`` is at work: it writes into the parameters.
    """
    _refuse_shortened(players)
    tensors = [p for player in players for p in parameters_of(player)]
    devices = sorted({p.device.index or 0 for p in tensors if p.device.type == "cuda"})
    on_cpu, own = torch.get_rng_state(), [g.get_state() for g in generators]
    on_cuda = [torch.cuda.get_rng_state(device) for device in devices]

    def rewind() -> None:
        torch.set_rng_state(on_cpu)
        for device, state in zip(devices, on_cuda, strict=True):
            torch.cuda.set_rng_state(state, device)
        for generator, state in zip(generators, own, strict=True):
            generator.set_state(state)

    gradients = [(p, p.grad) for p in tensors]
    try:
        with undisturbed(*modules_of(players)), differentiable_kernels():
            yield rewind
    finally:
        rewind()
        for p, gradient in gradients:
            p.grad = gradient
