"""Hooks on networks: copies of the network take them along as ones that do nothing, and pickle so, too."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor, nn


class Counted(Protocol):
    """What the hook before each call asks of a listener."""

    busy: bool
    listening: bool
    units: dict[int, str]
    count: int
    leaf_calls: int

    def begin(self, unit: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """A call inside a window begins."""


def _nothing(*_: Any) -> None:
    return None


class Hook:
    """A hook that a copy of the network takes along as one that does nothing, and that pickles so, too."""

    def __init__(self, function: Callable[..., None]) -> None:
        self.function = function

    def __call__(self, *given: Any) -> Any:
        """Call the function, and give torch nothing back."""
        self.function(*given)

    def __deepcopy__(self, memo: dict[int, Any]) -> Hook:
        return Hook(_nothing)

    def __reduce__(self) -> tuple[Any, ...]:
        return Hook, (_nothing,)


class Counting(Hook):
    """The hook before each call, in windows and between them, where it must cost next to nothing."""

    def __init__(self, listener: Counted) -> None:
        super().__init__(_nothing)
        self._held = weakref.ref(listener)

    def __call__(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Count a call, or capture how it begins; nothing on replicas, which share hooks, and while it is compiled.

        What the compiler traced of it would be compiled into the network, and compiled anew whenever a count changed.
        """
        if torch.compiler.is_compiling():
            return
        listener = self._held()
        if listener is None or listener.busy or (unit := listener.units.get(id(module))) is None:
            return
        listener.count += 1
        if listener.listening:
            listener.begin(unit, args, kwargs)
            return
        for value in args:
            if isinstance(value, Tensor) and value.requires_grad and value.is_leaf:
                listener.leaf_calls += 1
