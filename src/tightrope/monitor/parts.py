"""Networks that are not called as a whole: methods that call their parts, parts that the loop calls one by one.

What is called outside of the network's own ``forward`` belongs together while each part is given what an earlier one
returned, or something made of that. Such a chain counts as one call with the input of its first part. Its parts can be
made again one by one, each under the gradients that arrived at what it returned. A list of networks, which nobody can
call, is heard at each of its members as at a whole network.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from tightrope.autodiff import in_functional_transform

NODES = 20_000


class Whole(Protocol):
    """The listener to a network as a whole, whose calls chains of its parts join."""

    player: str
    module: nn.Module
    calls: list[Any]
    open: list[Any]
    leaf_calls: int

    def captured(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A call as it begins."""

    def returned(self, call: Any, tensor: Tensor) -> None:
        """Keep what a call returned."""

    def around(self, part: nn.Module, before: Callable[..., None], after: Callable[..., None]) -> list[Any]:
        """Hooks on a part."""


class Chain:
    """Parts called one after the other, each on what came out of an earlier one."""

    def __init__(self, call: Any, x: Tensor) -> None:
        self.call, self.given = call, x
        self.live: list[Tensor] = []

    def leads_to(self, x: Tensor) -> bool:
        """Whether a tensor is what a part was given or returned, or was made of it."""
        if any(x is t or x.data_ptr() == t.data_ptr() != 0 for t in (self.given, *self.live)):
            return True
        return made_of(x, [self.given, *self.live])


def not_used_by_others(tensors: Sequence[Tensor]) -> list[bool]:
    """For each tensor whether no other one was computed from it; of a tensor given twice each counts."""
    if sum(t.requires_grad for t in tensors) < 2:
        return [True] * len(tensors)
    own = {(t.grad_fn, t.output_nr) for t in tensors if t.grad_fn is not None}
    open_, met, used = [node for node, _ in own], set[Any](), set[Any]()
    while open_ and len(met) < 50_000:
        node = open_.pop()
        if node not in met:
            met.add(node)
            used |= own.intersection(node.next_functions)
            open_ += [before for before, _ in node.next_functions if before is not None]
    return [(t.grad_fn, t.output_nr) not in used for t in tensors]


def made_of(x: Tensor, sources: Sequence[Tensor]) -> bool:
    """Whether the graph behind a tensor goes back to one of others."""
    wanted = {t.grad_fn for t in sources if t.grad_fn is not None}
    leaves = {id(t) for t in sources if t.grad_fn is None and t.requires_grad}
    open_, met = [x.grad_fn], set[Any]()
    while open_ and len(met) < NODES:
        node = open_.pop()
        if node is None or node in met:
            continue
        if node in wanted or id(getattr(node, "variable", None)) in leaves:
            return True
        met.add(node)
        open_ += [before for before, _ in node.next_functions]
    return False


def whole_parts(module: nn.Module) -> list[tuple[nn.Module, str]]:
    """What is called of a network, with names: itself, or the members of a list that has no forward of its own."""
    if isinstance(module, (nn.ModuleList, nn.ModuleDict)):
        return [(inner, name if not rest else f"{name}.{rest}") for name, member in module.named_children()
                for inner, rest in whole_parts(member)]  # fmt: skip
    return [(module, "")]


class Parts:
    """Hooks on the parts of a listener's network, for windows only.

    Attributes:
        wanted: Whether to listen at all: only after a window in which nothing came of a player by whole calls.
        foreign: Identities of modules that another network has too, which belong to no chain.
        chain: The latest one.
    """

    def __init__(self, listener: Whole) -> None:
        self._listener = weakref.ref(listener)
        self.wanted = False
        self.foreign: set[int] = set()
        self.chain: Chain | None = None
        self._running: nn.Module | None = None
        self._names: dict[int, str] = {}
        self._handles: list[Any] = []

    def listen(self, on: bool) -> None:
        """Put the hooks on, or take them off."""
        listener = self._listener()
        for handle in self._handles:
            handle.remove()
        self._handles = []
        self.forget()
        if not on or not self.wanted or listener is None:
            return
        self._names = {id(part): name for name, part in listener.module.named_modules()}
        for name, part in listener.module.named_modules():
            if name and "parametrizations" not in name.split(".") and id(part) not in self.foreign:
                self._handles += listener.around(part, self.before, self.after)

    def forget(self) -> None:
        """Drop what is held."""
        self.chain = self._running = None

    def before(self, part: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """A part begins: of the chain, or of a new one, unless it is called by the network or by another part."""
        listener, x = self._listener(), _first(args, kwargs)
        if listener is None or listener.open or self._running is not None or x is None or in_functional_transform():
            return
        if listener.player == "critic" and not torch.is_grad_enabled():
            return
        self._running = part
        unit = listener.captured(args, kwargs)
        unit.unit = self._names[id(part)]
        if self.chain is None or not self.chain.leads_to(x):
            own = {"outputs": [], "events": [], "units": [], "_versions": list(unit._versions)}
            self.chain = Chain(replace(unit, part=True, unit="", **own), x)
            listener.calls.append(self.chain.call)
            listener.leaf_calls += self.chain.call.leaf
        self.chain.call.units.append(unit)

    def after(self, part: nn.Module, output: Any) -> None:
        """It is over; of a generator only what came out last counts."""
        listener = self._listener()
        if listener is None or self._running is not part or self.chain is None:
            return
        self._running = None
        call = self.chain.call
        if listener.player == "generator":
            call.outputs, call.events, self.chain.live = [], [], []
        given = _floats(output)
        for tensor in given:
            listener.returned(call, tensor)
        unit, first = call.units[-1], len(call.outputs) - len(given)
        unit.outputs, unit.events, unit.ends = call.outputs[first:], call.events[first:], not_used_by_others(given)
        unit.remember(*unit.outputs)
        self.chain.live += given
        call.ends = not_used_by_others(self.chain.live)
        call.remember(*call.outputs[len(call.outputs) - len(given) :])


def _floats(thing: Any) -> list[Tensor]:
    if isinstance(thing, Tensor):
        return [thing] if thing.is_floating_point() else []
    inside = thing.values() if isinstance(thing, dict) else thing if isinstance(thing, (list, tuple)) else ()
    return [tensor for part in inside for tensor in _floats(part)]


def _first(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
    return next(iter(_floats((args, kwargs))), None)
