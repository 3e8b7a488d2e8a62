"""Hooks around every optimiser's step, and steps that are taken without an optimiser."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from tightrope.monitor.capture import Call
from tightrope.monitor.roles import StepMark


def by_hand(player: str, calls: Sequence[Call], now: Tensor, times: Sequence[int]) -> list[StepMark]:
    """Steps of a player that no optimiser took: its weights differ between one call and the next, or the end.

    Args:
        player: Whose.
        calls: Its calls, each with some of its weights.
        now: These weights at the end.
        times: When gradients arrived, in order; a step comes right after the last one before it shows.
    """
    known = [(call.at, call.values) for call in calls if call.values is not None] + [(2**62, now)]
    marks = []
    for (_, before), (until, after) in itertools.pairwise(known):
        if before.shape == after.shape and not torch.equal(before, after):
            marks.append(StepMark(player, max((at for at in times if at < until), default=until - 2) + 1))
    return marks


class StepListener:
    """Called around every step of every optimiser of the process, as long as it lives.

    Torch iterates over its hooks while it calls them, so none is taken off by the garbage collector: one pair of hooks
    serves all listeners, and goes when the last one is closed. A step that is given a closure computes its gradients
    inside; there ``evaluated`` is called after the closure's first evaluation.
    """

    _live: ClassVar[list[weakref.ref[StepListener]]] = []
    _shared: ClassVar[list[Any]] = []

    def __init__(
        self,
        before: Callable[[torch.optim.Optimizer, bool], None],
        evaluated: Callable[[torch.optim.Optimizer], None],
        after: Callable[[torch.optim.Optimizer], None],
    ) -> None:
        self.before, self.after = weakref.WeakMethod(before), weakref.WeakMethod(after)
        self.evaluated = weakref.WeakMethod(evaluated)
        if not StepListener._shared:
            StepListener._shared += [
                register_optimizer_step_pre_hook(_before_all),
                register_optimizer_step_post_hook(_after_all),
            ]
        self._live.append(weakref.ref(self))

    @classmethod
    def living(cls) -> list[StepListener]:
        """All that are neither closed nor gone."""
        found = [listener for held in cls._live if (listener := held()) is not None]
        if len(found) < len(cls._live):
            cls._live[:] = [weakref.ref(listener) for listener in found]
        return found

    def close(self) -> None:
        """Stop listening."""
        self._live[:] = [held for held in self._live if held() not in (None, self)]
        if not self._live:
            for handle in self._shared:
                handle.remove()
            self._shared.clear()


def _before_all(optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> Any:
    given = args[1] if len(args) > 1 else kwargs.get("closure")
    for listener in StepListener.living():
        if (call := listener.before()) is not None:
            call(optimizer, callable(given))
    if not callable(given):
        return None
    watched = _Watched(optimizer, given)
    return ((args[0], watched, *args[2:]), kwargs) if len(args) > 1 else (args, {**kwargs, "closure": watched})


class _Watched:
    """A closure after whose first evaluation the listeners look at the gradients."""

    def __init__(self, optimizer: torch.optim.Optimizer, closure: Callable[[], Any]) -> None:
        self.optimizer, self.closure, self.first = optimizer, closure, True

    def __call__(self) -> Any:
        value = self.closure()
        if self.first:
            self.first = False
            for listener in StepListener.living():
                if (call := listener.evaluated()) is not None:
                    call(self.optimizer)
        return value


def _after_all(optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
    for listener in StepListener.living():
        if (call := listener.after()) is not None:
            call(optimizer)


def several_processes() -> bool:
    """Whether gradients are averaged over processes."""
    group = torch.distributed
    return group.is_available() and group.is_initialized() and group.get_world_size() > 1
