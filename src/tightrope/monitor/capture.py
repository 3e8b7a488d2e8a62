"""What the two networks are called with, what they return, and what the backward passes bring back.

Hooks on both networks and on ``optimizer.step`` see everything that the ledger needs: inputs, modes, random state and
buffers before each call, and after it the gradient of the loss with respect to the scores (or samples), which tells the
loss that is really minimised whatever the network. Hooks return nothing, so no value of the training changes.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from tightrope.autodiff import in_functional_transform

Now = Callable[[], int]


@dataclass
class Event:
    """A gradient that arrived at a tensor in a backward pass.

    Attributes:
        value: It, shaped as the tensor.
        graph: Whether a graph of it was kept (``create_graph``).
        at: When.
        task: Which backward pass it was.
    """

    value: Tensor
    graph: bool
    at: int
    task: int = -1


@dataclass
class Call:
    """One call of a network inside a window.

    Attributes:
        player: ``"generator"`` or ``"critic"``.
        at: When.
        args: Positional inputs, detached.
        kwargs: Named inputs, detached.
        x: The first input in floating point, detached; None if there is none.
        leaf: That input is a leaf that requires a gradient.
        attached: That input came with a graph behind it.
        grad: Gradients were enabled.
        training: Mode of the network and of its submodules.
        random: Random state of the CPU, and of the input's device.
        buffers: Copies of the network's buffers by name.
        weights: Sum of the version counters of its parameters.
        cached: Inside ``parametrize.cached``: constrained weights were computed before.
        autocast: Precision of autocast, None outside of it.
        cleared: The network's own ``.grad`` was empty or zero.
        outputs: Tensors returned, detached.
        events: For each of them the gradients that arrived; at one that another is made of, also by way of that one.
        ends: For each of them whether no other is made of it.
    """

    player: str
    at: int
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    x: Tensor | None
    leaf: bool
    attached: bool
    grad: bool
    training: list[bool]
    random: tuple[Tensor, ...]
    buffers: dict[str, Tensor]
    weights: int
    cached: bool
    autocast: torch.dtype | None
    cleared: bool = False
    outputs: list[Tensor] = field(default_factory=list)
    events: list[list[Event]] = field(default_factory=list)
    ends: list[bool] = field(default_factory=list)
    _versions: list[tuple[Tensor, int]] = field(default_factory=list)

    def intact(self) -> bool:
        """Whether inputs and outputs hold what they held at the call."""
        return all(tensor._version == version for tensor, version in self._versions)

    def remember(self, *tensors: Tensor) -> None:
        """Note the version counters of tensors that :meth:`intact` then compares."""
        self._versions += [(tensor, tensor._version) for tensor in tensors]


def tensors_in(thing: Any) -> Iterator[Tensor]:
    """All tensors in nested tuples, lists and dicts, in order."""
    if isinstance(thing, Tensor):
        yield thing
    elif isinstance(thing, (list, tuple)):
        for part in thing:
            yield from tensors_in(part)
    elif isinstance(thing, dict):
        for part in thing.values():
            yield from tensors_in(part)


def without_graph(thing: Any) -> Any:
    """The same nest with detached tensors; storages and version counters are shared."""
    if isinstance(thing, Tensor):
        return thing.detach()
    if isinstance(thing, (list, tuple)) and type(thing) in (list, tuple):
        return type(thing)(without_graph(part) for part in thing)
    if isinstance(thing, dict):
        return {key: without_graph(part) for key, part in thing.items()}
    return thing


def _nothing(*_: Any) -> None:
    return None


class Hook:
    """A hook that a copy of the network takes along as one that does nothing, and that pickles so, too."""

    def __init__(self, function: Callable[..., None]) -> None:
        self.function = function

    def __call__(self, *given: Any) -> None:
        """Call the function."""
        self.function(*given)

    def __deepcopy__(self, memo: dict[int, Any]) -> Hook:
        return Hook(_nothing)

    def __reduce__(self) -> tuple[Any, ...]:
        return Hook, (_nothing,)


class Listener:
    """Hooks on one network: counts its calls always, and captures them while ``listening``."""

    def __init__(self, player: str, module: nn.Module, now: Now, guard: Callable[[Callable[[], None]], None]) -> None:
        self.player, self.module, self._now, self._guard = player, module, now, guard
        self.listening = self.busy = False
        self.calls: list[Call] = []
        self.missed = self.leaf_calls = self.count = 0
        self._open: list[Call] = []
        self._counting = module.register_forward_pre_hook(self._weak("_before"), with_kwargs=True)
        self._capturing: Any = None

    def _weak(self, name: str) -> Hook:
        held = weakref.ref(self)

        def hook(module: nn.Module, *given: Any) -> None:
            listener = held()
            if listener is None or module is not listener.module or listener.busy:
                return
            if listener.listening:
                listener._guard(lambda: getattr(listener, name)(*given))
            elif name == "_before":
                listener._count(*given)

        return Hook(hook)

    def listen(self, on: bool) -> None:
        """Begin or end capturing; calls are counted in any case."""
        self.listening = on
        if on and self._capturing is None:
            self._capturing = self.module.register_forward_hook(self._weak("_after"))
        elif not on and self._capturing is not None:
            self._capturing.remove()
            self._capturing = None

    def close(self) -> None:
        """Take the hooks off."""
        self.listen(False)
        self._counting.remove()

    def forget(self) -> None:
        """Drop what was captured."""
        self.calls, self._open, self.missed = [], [], 0

    def _before(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.count += 1
        if in_functional_transform():
            self.missed += 1
            return
        self._open.append(self._captured(args, kwargs))
        self.leaf_calls += self._open[-1].leaf

    def _count(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.count += 1
        self.missed += 1
        for value in args:
            if isinstance(value, Tensor) and value.requires_grad and value.is_leaf:
                self.leaf_calls += 1

    def _captured(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
        given = list(tensors_in((args, kwargs)))
        x = next((t for t in given if t.is_floating_point()), None)
        device = x.device if x is not None else torch.device("cpu")
        random = [torch.get_rng_state()]
        if device.type == "cuda":
            random.append(torch.cuda.get_rng_state(device))
        call = Call(
            player=self.player,
            at=self._now(),
            args=without_graph(args),
            kwargs=without_graph(kwargs),
            x=None if x is None else x.detach(),
            leaf=x is not None and x.requires_grad and x.is_leaf,
            attached=x is not None and x.requires_grad and not x.is_leaf,
            grad=torch.is_grad_enabled(),
            training=[m.training for m in self.module.modules()],
            random=tuple(random),
            buffers={name: buffer.detach().clone() for name, buffer in self.module.named_buffers()},
            weights=version_of(self.module),
            cached=nn.utils.parametrize._cache_enabled > 0,
            autocast=torch.get_autocast_dtype(device.type) if torch.is_autocast_enabled(device.type) else None,
            cleared=cleared(self.module),
        )
        call.remember(*(t.detach() for t in given))
        return call

    def _after(self, args: tuple[Any, ...], output: Any) -> None:
        if not self._open:
            return
        call = self._open.pop()
        given = [tensor for tensor in tensors_in(output) if tensor.is_floating_point()]
        call.ends = not_used_by_others(given)
        for tensor in given:
            call.outputs.append(tensor.detach())
            arrived: list[Event] = []
            call.events.append(arrived)
            if tensor.requires_grad:
                tensor.register_hook(self._arriving(arrived))
        call.remember(*call.outputs)
        self.calls.append(call)

    def _arriving(self, arrived: list[Event]) -> Callable[[Tensor], None]:
        held = weakref.ref(self)

        def hook(gradient: Tensor) -> None:
            listener = held()
            if listener is not None and not listener.busy:
                task = torch._C._current_graph_task_id()
                arrived.append(Event(gradient.detach(), torch.is_grad_enabled(), listener._now(), task))

        return hook


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


def cleared(module: nn.Module) -> bool:
    """Whether no parameter holds a gradient other than zero."""
    return not any(p.grad is not None and bool(p.grad.any()) for p in module.parameters())


def version_of(module: nn.Module) -> int:
    """Sum of the version counters of the parameters: it grows with every write."""
    return sum(p._version for p in module.parameters())


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
