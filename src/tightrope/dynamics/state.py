"""Everything that one training step carries over to the next: parameters and the optimisers' memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tightrope._plumbing.errors import UserTypeError
from tightrope.dynamics.players import Player, all_players, modules_of, parameters_of, repeatable

_COUNTERS = ("step",)


def state_tensors(players: Sequence[Player], optimizers: Sequence[torch.optim.Optimizer]) -> list[Tensor]:
    """Parameters of all players, then every tensor that the optimisers remember about them; counters are left out."""
    found = [p for player in players for p in parameters_of(player)]
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            for p in group["params"]:
                found += [t for key, t in optimizer.state.get(p, {}).items() if _is_memory(key, t, p)]
    return found


def _is_memory(key: str, value: object, p: Tensor) -> bool:
    return key not in _COUNTERS and isinstance(value, Tensor) and value.shape == p.shape


@dataclass(frozen=True)
class Replay:
    """A training step that can be taken again and again from one state.

    Attributes:
        state: The state's tensors as they were on entry, clones.
        rewind: Puts parameters, buffers, optimiser states and random states back.
        tensors: The state's tensors as they are now, in the order of ``state``.
        parameters: Parameters of all players.
    """

    state: list[Tensor]
    rewind: Callable[[], None]
    tensors: Callable[[], list[Tensor]]
    parameters: list[Tensor]


@contextmanager
def replay(
    step: Callable[[], object],
    players: Sequence[Player],
    optimizers: Sequence[torch.optim.Optimizer],
    generators: Sequence[torch.Generator] = (),
) -> Iterator[Replay]:
    """Take ``step`` any number of times from the present state, and leave everything as found.

    Optimisers that have not stepped yet get the memory that they have after one step from here. Fused and multi-tensor
    kernels, which torch cannot differentiate, are exchanged for the plain ones inside the block.
    """
    parameters = all_players(players)
    if not callable(step):
        raise UserTypeError(f"Expected step as a function without arguments, got a {type(step).__name__}; pass one.")
    if not isinstance(optimizers, Sequence) or not all(isinstance(o, torch.optim.Optimizer) for o in optimizers):
        raise UserTypeError(f"Expected optimizers as a sequence of torch optimisers, got {optimizers!r}; pass a tuple.")
    values = [p.detach().clone() for p in parameters]
    with _plain_kernels(optimizers), repeatable(players, generators) as rewind_noise:
        found = _Memory(optimizers)
        buffers = [(b, b.detach().clone()) for m in modules_of(players) for b in m.buffers()]

        def rewind(memory: _Memory) -> None:
            rewind_noise()
            with torch.no_grad():
                for target, value in [*zip(parameters, values, strict=True), *buffers]:
                    target.copy_(value)
            memory.restore_()

        try:
            step()
            primed = _Memory(optimizers)
            memory = primed if primed.size() != found.size() else found
            rewind(memory)
            start = [t.detach().clone() for t in state_tensors(players, optimizers)]
            yield Replay(start, lambda: rewind(memory), lambda: state_tensors(players, optimizers), parameters)
        finally:
            rewind(found)


class _Memory:
    """State and hyperparameters of optimisers at one moment, by value."""

    def __init__(self, optimizers: Sequence[torch.optim.Optimizer]) -> None:
        self._optimizers = list(optimizers)
        self._states = [
            {p: {key: (v, _copy(v)) for key, v in state.items()} for p, state in o.state.items()} for o in optimizers
        ]
        self._groups = [
            [{k: v for k, v in group.items() if k != "params"} for group in o.param_groups] for o in optimizers
        ]

    def size(self) -> int:
        """Number of tensors remembered."""
        return sum(len(entry) for state in self._states for entry in state.values())

    def restore_(self) -> None:
        """Write the remembered values back, into the same tensor objects."""
        for optimizer, state, groups in zip(self._optimizers, self._states, self._groups, strict=True):
            optimizer.state.clear()
            for p, entry in state.items():
                optimizer.state[p] = {key: _restored(was, value) for key, (was, value) in entry.items()}
            for group, values in zip(optimizer.param_groups, groups, strict=True):
                group.update(values)


def _copy(value: Any) -> Any:
    return value.detach().clone() if isinstance(value, Tensor) else value


def _restored(was: Any, value: Any) -> Any:
    if isinstance(was, Tensor):
        with torch.no_grad():
            was.copy_(value)
        return was
    return value


@contextmanager
def _plain_kernels(optimizers: Sequence[torch.optim.Optimizer]) -> Iterator[None]:
    groups = [group for optimizer in optimizers for group in optimizer.param_groups]
    changed = [(group, key, group[key]) for group in groups for key in ("fused", "foreach") if key in group]
    for group, key, _ in changed:
        group[key] = False
    try:
        yield
    finally:
        for group, key, value in changed:
            group[key] = value
