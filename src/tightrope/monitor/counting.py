"""What is counted at every step of a player's optimisers, inside of windows and between them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch


@dataclass
class Counters:
    """What is counted at every step, windows or not.

    Attributes:
        steps: Optimiser steps that touched the player.
        cycle: Those since the last ``monitor.step``.
        last: Those in the update before.
        first_rate: Learning rate at its first step.
        rate: At its last one.
        top_rate: The largest.
        rates: ``(step, rate)`` whenever that of an optimiser changed, at most 200.
        each: Of each optimiser, by identity, its rate at its last step and its largest.
        latest: Identity of the one that stepped last, and the update in which it did.
        several: Optimisers step it in turns.
        other_parameters: Steps by an optimiser claimed for this player that held parameters of the other one.
        stale: Steps by an optimiser claimed for this player that held none of its parameters.
        left_out: Steps by one claimed for it while no optimiser claimed for it held any.
        resets: ``state["step"]`` fell back, to no more than the steps since it was read.
        last_state: ``state["step"]`` at its last step by optimiser, -1 without one.
        last_steps: ``steps`` when that was read.
        optimizers: Identities of those that stepped it.
        resets_at: When it fell back last.
        wished: A rate that was set where no step looks for it.
        loaded: Updates at which the state of one of its optimisers was exchanged, or another optimiser took over.
        states: Identity of the state that each of its optimisers held at its last step, by that of the optimiser.
        adaptive: Its optimiser divides gradients by their size, as Adam does.
        functional: It was called with other weights than its own.
    """

    steps: int = 0
    cycle: int = 0
    last: int = 1
    first_rate: float | None = None
    rate: float = 0.0
    top_rate: float = 0.0
    rates: list[tuple[int, float]] = field(default_factory=list)
    each: dict[int, tuple[float, float]] = field(default_factory=dict)
    latest: tuple[int, int] = 0, -1
    several: bool = False
    other_parameters: int = 0
    stale: int = 0
    left_out: int = 0
    resets: int = 0
    last_state: dict[int, float] = field(default_factory=dict)
    last_steps: dict[int, int] = field(default_factory=dict)
    optimizers: set[int] = field(default_factory=set)
    resets_at: int = 0
    wished: float | None = None
    loaded: list[int] = field(default_factory=list)
    states: dict[int, int] = field(default_factory=dict)
    adaptive: bool = False
    functional: bool = False

    @property
    def fallen(self) -> tuple[float, float]:
        """The last rate and the largest, of optimisers that take turns those of the one that has fallen furthest."""
        if not self.several:
            return self.rate, self.top_rate
        return min(self.each.values(), key=lambda pair: pair[0] / pair[1] if pair[1] else 1.0)

    def count(
        self,
        optimizer: torch.optim.Optimizer,
        rate: float,
        update: int,
        *,
        adaptive: bool,
        own: Callable[[], float] | None,
    ) -> None:
        """Add a step.

        Args:
            optimizer: Whose.
            rate: Its rate for this player.
            update: Generator updates before it.
            adaptive: Whether it divides gradients by their size.
            own: Gives its own count of steps; None outside of windows.
        """
        self.steps += 1
        self.cycle += 1
        held, key = id(optimizer.state), id(optimizer)
        if own is None and rate == self.rate and self.states.get(key) == held:
            return  # as at its last step
        if self.states.get(key, -1 if self.states else held) != held:
            self.loaded.append(update)
        self.states[key] = held
        self.optimizers.add(key)
        self.adaptive = adaptive
        if self.first_rate is None:
            self.first_rate = rate
        self._rated(key, rate, update)
        if own is not None:
            self._compare(key, own(), update)

    def _rated(self, key: int, rate: float, update: int) -> None:
        before, top = self.each.get(key, (self.rate, 0.0))
        another = bool(self.each) and self.latest[0] != key
        self.several |= another and (key in self.each or self.latest[1] == update)
        self.latest, self.each[key] = (key, update), (rate, max(rate, top))
        if rate != before and len(self.rates) < 200:
            self.rates.append((update, rate))
        self.rate, self.top_rate = rate, max(self.top_rate, rate)

    def _compare(self, key: int, count: float, update: int) -> None:
        """Whether an optimiser's own count of steps fell back."""
        before = max(self.last_state.values(), default=-1.0)
        known = self.last_state.get(key, before if len(self.optimizers) <= 2 else -1.0)
        since = self.steps - self.last_steps.get(key, min(self.last_steps.values(), default=0))
        # a state from a checkpoint has counted more than was stepped since
        if self.cycle == 1 and ((0 <= count < known - 1 and count <= since) or count < 0 <= known):
            self.resets += 1
            self.resets_at = update
        self.last_state = {**self.last_state, key: count}
        self.last_steps = {**self.last_steps, key: self.steps}
