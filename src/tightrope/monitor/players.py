"""The two players as the monitor knows them: modules, parameters, counters, and who steps them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from tightrope.monitor.capture import Listener
from tightrope.monitor.counting import Counters

SAMPLED = 64
"""Entries of each parameter that movement is read from."""


@dataclass
class Player:
    """One network.

    Attributes:
        name: ``"generator"`` or ``"critic"``.
        network: As the user gave it.
        module: The module that is called.
        listener: Its hooks.
        claimed: Optimisers that the user says are its own.
        counters: What is counted always.
        start: Sampled entries of its parameters when the monitor was built.
        before: Sampled entries of its parameters when the window was opened.
        suspect: Whether ``.grad`` should be kept at the start of windows.
        fresh: Whether it was stepped in the update before the window, so that nothing older is being accumulated.
        start_gradients: What was kept, by identity of the parameter.
        gradients: Identity of what lay in ``.grad`` at the start of the window, by identity of the parameter.
        touched: Identities of the parameters that were stepped in any window.
        trainable: Identities of those that required a gradient at a step of its own in any window.
        aim: Sampled weights and gradients right before a step.
    """

    name: str
    network: Any
    module: nn.Module
    listener: Listener
    claimed: tuple[torch.optim.Optimizer, ...]
    counters: Counters = field(default_factory=Counters)
    start: Tensor = field(default_factory=lambda: torch.zeros(0))
    before: Tensor = field(default_factory=lambda: torch.zeros(0))
    suspect: bool = False
    fresh: bool = True
    start_gradients: dict[int, Tensor] = field(default_factory=dict)
    gradients: dict[int, tuple[int, int]] = field(default_factory=dict)
    touched: set[int] = field(default_factory=set)
    trainable: set[int] = field(default_factory=set)
    aim: tuple[Tensor, Tensor] | None = None

    def take_aim(self) -> None:
        """Remember sampled weights and gradients, right before a step."""
        held = [(p.grad, min(p.numel(), SAMPLED)) for p in self.module.parameters()]
        if held and not any(grad is not None and grad.is_sparse for grad, _ in held):
            rows = [torch.zeros(n) if g is None else g.detach().flatten()[:n].float().cpu() for g, n in held]
            self.aim = sampled(self.module), torch.cat(rows)

    def landed(self) -> float | None:
        """Cosine of the step just taken and of the way down its own gradient, None where either is nothing."""
        if self.aim is None:
            return None
        (before, gradient), self.aim = self.aim, None
        gone = sampled(self.module) - before
        size = float(gone.norm()) * float(gradient.norm())
        return -float(gone @ gradient) / size if 0 < size < float("inf") else None

    def sampled(self) -> Tensor:
        """A few entries of every parameter, on the CPU in float32."""
        return sampled(self.module)

    def untouched(self, parameters: Sequence[Tensor]) -> bool:
        """Whether none of these gradients has been written since the window began."""
        return bool(parameters) and all(self.gradients.get(id(p)) == _identity(p) for p in parameters)

    def keep_gradients(self) -> None:
        """Remember what lies in ``.grad`` now."""
        self.start_gradients = {}
        self.gradients = {id(p): _identity(p) for p in self.module.parameters() if p.grad is not None}
        if self.suspect:
            self.start_gradients = {
                id(p): p.grad.detach().clone() for p in self.module.parameters() if p.grad is not None
            }


def _identity(p: Tensor) -> tuple[int, int]:
    """Of a parameter's gradient: its object, and how often that was written to."""
    return id(p.grad), -1 if p.grad is None else p.grad._version


def sampled(module: nn.Module) -> Tensor:
    """A few entries of every parameter of a module."""
    rows = [p.detach().flatten()[:SAMPLED].float() for p in module.parameters()]
    return torch.cat(rows).cpu() if rows else torch.zeros(0)


@dataclass(frozen=True)
class Held:
    """What an optimiser holds.

    Attributes:
        own: Its parameters by player.
        groups: Its groups by player.
        foreign: Parameters of neither.
        claimed: For whom it was claimed.
        crossed: Players of these beside whose parameters it holds the other's.
        stale: Players of these of whose parameters it holds none.
        left_out: Players of these of whose parameters no optimiser claimed for them holds any.
        copied: Players of no claimed optimiser whose parameters its own look like and are not: those of a copy.
        adaptive: It divides gradients by their size, as Adam does.
        felt: Players that have had a gradient which was not zero, in this window or before.
    """

    own: dict[str, list[Tensor]]
    groups: dict[str, list[int]]
    foreign: int
    claimed: tuple[str, ...] = ()
    crossed: tuple[str, ...] = ()
    stale: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    copied: tuple[str, ...] = ()
    adaptive: bool = False
    felt: set[str] = field(default_factory=set)

    def moving(self, only: str | None = None, *, closure: bool = False) -> dict[str, list[Tensor]]:
        """Parameters by player of those that a step moves: of an optimiser of both, whoever has a gradient.

        A step in which nobody has one counts for both, as does one whose gradients come later, by a closure. Zeros
        count as a gradient for a player that has never had another: it is cut off, and its gradients were not cleared.

        Args:
            only: A player; then its parameters alone.
            closure: Whether the step brings its own gradients.
        """
        if only is not None:
            return {name: held for name, held in self.own.items() if name == only}
        if len(self.own) < 2 or closure:
            return self.own
        moved = {}
        for name, parameters in self.own.items():
            given = [p.grad for p in parameters if p.grad is not None]
            felt = any(bool(g.any()) for g in given)
            if felt:
                self.felt.add(name)
            if felt or (given and name not in self.felt):
                moved[name] = parameters
        return moved or self.own

    @staticmethod
    def of(optimizer: torch.optim.Optimizer, players: dict[str, Player], felt: set[str]) -> Held:
        """Sort the parameters of an optimiser by identity."""
        owners = {id(p): name for name, player in players.items() for p in player.module.parameters()}
        own: dict[str, list[Tensor]] = {}
        groups: dict[str, list[int]] = {}
        foreign = 0
        for k, group in enumerate(optimizer.param_groups):
            for p in group["params"]:
                if (owner := owners.get(id(p))) is None:
                    foreign += 1
                else:
                    own.setdefault(owner, []).append(p)
                    groups.setdefault(owner, []).append(k)
        claimed = tuple(name for name, player in players.items() if any(optimizer is one for one in player.claimed))
        crossed = claimed if any(name not in claimed for name in own) else ()
        stale = tuple(name for name in claimed if name not in own and (foreign > 0 or len(claimed) == 1))
        left_out = tuple(name for name in claimed if name not in own and not _held_at_all(players[name]))
        adaptive = any("betas" in group for group in optimizer.param_groups)
        used = {name: sorted(set(found)) for name, found in groups.items()}
        copied = () if own else _looking_like(optimizer, players)
        return Held(own, used, foreign, claimed, crossed, stale, left_out, copied, adaptive, felt)


def _held_at_all(player: Player) -> bool:
    """Whether one of the optimisers claimed for a player holds any of its parameters."""
    own = {id(p) for p in player.module.parameters()}
    return any(id(p) in own for given in player.claimed for group in given.param_groups for p in group["params"])


def _looking_like(optimizer: torch.optim.Optimizer, players: dict[str, Player]) -> tuple[str, ...]:
    """Players of no claimed optimiser that have parameters of the same shapes."""
    shapes = [p.shape for group in optimizer.param_groups for p in group["params"]]
    return tuple(
        name for name, player in players.items()
        if not player.claimed and shapes == [p.shape for p in player.module.parameters()]
    )  # fmt: skip


def rate_of(groups: Sequence[dict[str, Any]]) -> float:
    """Largest learning rate."""
    if len(groups) == 1:
        return float(groups[0]["lr"])
    return max(float(group["lr"]) for group in groups)


def decay_of(groups: Sequence[dict[str, Any]]) -> float:
    """Largest weight decay."""
    return max((float(g.get("weight_decay", 0.0)) for g in groups), default=0.0)


def momentum_of(groups: Sequence[dict[str, Any]]) -> float:
    """Largest first momentum."""
    values = [g["betas"][0] if "betas" in g else g.get("momentum", 0.0) for g in groups]
    return max((float(v) for v in values), default=0.0)


def wished_of(optimizer: torch.optim.Optimizer) -> float | None:
    """A rate that was written to a place where no step looks for it: an attribute of the optimiser."""
    for name in ("lr", "learning_rate"):
        value = vars(optimizer).get(name)
        if isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0:
            return float(value)
    return None


def count_of(optimizer: torch.optim.Optimizer, parameters: list[Tensor]) -> float:
    """The optimiser's own count of steps; -1 where it keeps none."""
    if not parameters:
        return -1.0
    state = optimizer.state.get(parameters[0], {})
    value = state.get("step", -1.0)
    return float(value)


@contextmanager
def thawed(parameters: list[Tensor]) -> Iterator[None]:
    """Let parameters that were frozen between their backward and their step require a gradient for a while."""
    frozen = [p for p in parameters if p.is_leaf and not p.requires_grad]
    for p in frozen:
        p.requires_grad_(True)
    try:
        yield
    finally:
        for p in frozen:
            p.requires_grad_(False)
