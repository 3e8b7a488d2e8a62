"""What the two networks are called with, what they return, and what the backward passes bring back.

Hooks on both networks and on ``optimizer.step`` see everything that the ledger needs: inputs, modes, random state and
buffers before each call, and after it the gradient of the loss with respect to the scores (or samples), which tells the
loss that is really minimised whatever the network. Hooks return nothing, so no value of the training changes.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn

from tightrope.autodiff import in_functional_transform
from tightrope.monitor.hooks import Counting, Hook
from tightrope.monitor.nests import tensors_in, with_others
from tightrope.monitor.parts import Parts, made_of, not_used_by_others, whole_parts
from tightrope.monitor.transforms import depth, outside, plain, visible

Now = Callable[[], int]
UNKNOWN, COPIED = -1, 1 << 16


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
        given: That input itself where it is such a leaf, for what is accumulated in its ``.grad``.
        grad: Gradients were enabled.
        training: Mode of the network and of its submodules.
        random: Random state of the CPU, and of the input's device.
        buffers: Copies of the network's buffers by name.
        weights: Sum of the version counters of its parameters.
        cached: Inside ``parametrize.cached``: constrained weights were computed before.
        autocast: Precision of autocast, None outside of it.
        values: A few of the network's weights, where it is stepped without an optimiser.
        cleared: The network's own ``.grad`` was empty or zero.
        part: Not the network was called but parts of it, the first of them with this input.
        units: Of such, the calls of the parts.
        unit: The part of the network that was called, by name; the whole by default.
        inputs: Of every input in floating point, whether it is a leaf that requires a gradient, and ``attached``.
        half: Of one of two inputs that are judged apart, the call and its outputs, as of ``pairs.Half``.
        outputs: Tensors returned, detached.
        events: For each of them the gradients that arrived; at one that another is made of, also by way of that one.
        ends: For each of them whether no other is made of it.
        nest: These tensors nested as they were returned; None of parts.
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
    part: bool = False
    given: Tensor | None = None
    units: list[Call] = field(default_factory=list)
    unit: str = ""
    values: Tensor | None = None
    inputs: tuple[tuple[bool, bool], ...] = ()
    half: Any = None
    outputs: list[Tensor] = field(default_factory=list)
    events: list[list[Event]] = field(default_factory=list)
    ends: list[bool] = field(default_factory=list)
    nest: Any = None
    _versions: list[tuple[Tensor, int]] = field(default_factory=list)

    def intact(self) -> bool:
        """Whether inputs and outputs hold what they held at the call."""
        return all(tensor._version == version for tensor, version in self._versions)

    def stepped(self, module: nn.Module) -> bool:
        """Whether the network's parameters were written to since; not known of weights given from outside."""
        return self.weights not in (UNKNOWN, version_of(module))

    def remember(self, *tensors: Tensor) -> None:
        """Note the version counters of tensors that :meth:`intact` then compares."""
        self._versions += [(tensor, tensor._version) for tensor in tensors]


class Listener:
    """Hooks on one network: counts its calls always, and captures them while ``listening``."""

    def __init__(self, player: str, module: nn.Module, now: Now, guard: Callable[[Callable[[], None]], None]) -> None:
        self.player, self.module, self._now, self._guard = player, module, now, guard
        self.listening = self.busy = False
        self.calls: list[Call] = []
        self.leaf_calls = self.count = self.transformed = 0
        self.swapped = self.by_hand = False
        self.spent = 0.0
        self._first = next(iter(module.parameters()), None)
        self.open: list[Call] = []
        self.parts = Parts(self)
        wholes = whole_parts(module)
        self._wholes = [m for m, _ in wholes]
        self.units = {id(m): unit for m, unit in wholes}
        self._unit, self._bag = "", False
        self._live: list[Tensor] = []
        before = Counting(self)
        self._counting = [m.register_forward_pre_hook(before, with_kwargs=True) for m in self._wholes]
        self._capturing: list[Any] = []

    def begin(self, unit: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """A call inside a window begins, of the network or of a member of a list of networks."""
        self._unit = unit
        self._guard(lambda: self._before(args, kwargs))

    def _ending(self) -> Hook:
        held = weakref.ref(self)

        def hook(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
            if torch.compiler.is_compiling():
                return
            listener = held()
            if listener is None or listener.busy or (unit := listener.units.get(id(module))) is None:
                return
            listener._unit = unit
            listener._guard(lambda: listener._after(args, output))

        return Hook(hook)

    def around(self, part: nn.Module, before: Callable[..., None], after: Callable[..., None]) -> list[Any]:
        """Hooks on a part of the network, which do nothing on copies of it."""
        held, first, last = weakref.ref(self), weakref.WeakMethod(before), weakref.WeakMethod(after)

        def begun(module: nn.Module, args: Any, kwargs: Any) -> None:
            if torch.compiler.is_compiling():
                return
            listener, call = held(), first()
            if listener is not None and call is not None and not listener.busy and module is part:
                listener._guard(lambda: call(module, args, kwargs))

        def ended(module: nn.Module, args: Any, output: Any) -> None:
            if torch.compiler.is_compiling():
                return
            listener, call = held(), last()
            if listener is not None and call is not None and not listener.busy and module is part:
                listener._guard(lambda: call(module, output))

        return [part.register_forward_pre_hook(Hook(begun), with_kwargs=True), part.register_forward_hook(Hook(ended))]

    def listen(self, on: bool) -> None:
        """Begin or end capturing; calls are counted in any case."""
        self.listening = on
        if on and not self._capturing:
            after = self._ending()
            self._capturing = [m.register_forward_hook(after) for m in self._wholes]
            self.parts.listen(True)
        elif not on and self._capturing:
            for handle in self._capturing:
                handle.remove()
            self._capturing = []
            self.parts.listen(False)
            if self._bag:  # its members are layers and no networks: heard as parts from the next window on
                self._wholes, self._bag, self.parts.wanted = [], False, True
                self.units = {}

    def close(self) -> None:
        """Take the hooks off."""
        self.listen(False)
        for handle in self._counting:
            handle.remove()

    def forget(self) -> None:
        """Drop what was captured."""
        self.calls, self.open, self._live = [], [], []
        self.parts.forget()

    def _before(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.parts.chain = None
        inside = in_functional_transform()
        if inside and not visible(list(tensors_in((args, kwargs)))):
            self.transformed += 1
            return
        self._bag |= bool(self._live) and any(made_of(t, self._live) for t in tensors_in((args, kwargs)))
        self.swapped |= not inside and next(iter(self.module.parameters()), None) is not self._first
        self.open.append(self.captured(args, kwargs))
        self.leaf_calls += self.open[-1].leaf

    def captured(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
        """A call as it begins."""
        first = next((t for t in tensors_in((args, kwargs)) if t.is_floating_point()), None)
        own_args, own_kwargs = self._kept(args), self._kept(kwargs)
        given = next((t for t in tensors_in((own_args, own_kwargs)) if t.is_floating_point()), None)
        leaf = first is not None and first.requires_grad and first.is_leaf
        attached = first is not None and first.requires_grad and not leaf
        x, device = (None, torch.device("cpu")) if given is None else (given, given.device)
        inside = in_functional_transform()
        own = list(self.module.parameters())
        with outside():
            random = [torch.get_rng_state()]
            if device.type == "cuda":
                random.append(torch.cuda.get_rng_state(device))
            buffers = {name: plain(buffer).clone() for name, buffer in self.module.named_buffers()}
        call = Call(
            player=self.player,
            at=self._now(),
            args=own_args,
            kwargs=own_kwargs,
            x=x,
            leaf=leaf,
            attached=attached,
            grad=torch.is_grad_enabled(),
            training=[m.training for m in self.module.modules()],
            random=tuple(random),
            buffers=buffers,
            weights=UNKNOWN if inside else sum(p._version for p in own),
            cached=nn.utils.parametrize._cache_enabled > 0,
            autocast=torch.get_autocast_dtype(device.type) if torch.is_autocast_enabled(device.type) else None,
            cleared=not inside and cleared(own),
            unit=self._unit,
            given=first if leaf and not inside else None,
            values=few_of(self.module) if self.by_hand and not inside else None,
            inputs=tuple(
                (t.requires_grad and t.is_leaf, t.requires_grad and not t.is_leaf)
                for t in tensors_in((args, kwargs))
                if t.is_floating_point()
            ),
        )
        call.remember(*tensors_in((call.args, call.kwargs)))
        return call

    def _kept(self, nest: Any) -> Any:
        """Inputs without their graph; a generator's small ones copied, for latents may be drawn in place."""
        small = self.player == "generator" and not in_functional_transform()
        return with_others(nest, lambda t: plain(t).clone() if small and t.numel() <= COPIED else plain(t))

    def _after(self, args: tuple[Any, ...], output: Any) -> None:
        if not self.open:
            return
        call = self.open.pop()
        given = [tensor for tensor in tensors_in(output) if tensor.is_floating_point()]
        call.ends = not_used_by_others(given)
        for tensor in given:
            self.returned(call, tensor)
        kept = iter(call.outputs)
        call.nest = with_others(output, lambda t: next(kept, t) if t.is_floating_point() else plain(t))
        call.remember(*call.outputs)
        self.calls = [] if self._bag else [*self.calls, call]
        self._live += given if call.unit else []

    def returned(self, call: Call, tensor: Tensor) -> None:
        """Keep what a call returned, and listen for what comes back to it."""
        call.outputs.append(plain(tensor))
        arrived: list[Event] = []
        call.events.append(arrived)
        if tensor.requires_grad:
            tensor.register_hook(self._arriving(arrived))

    def _arriving(self, arrived: list[Event]) -> Callable[[Tensor | None], None]:
        held = weakref.ref(self)

        def hook(gradient: Tensor | None) -> None:  # None where a function above sent nothing back
            listener = held()
            if gradient is not None and listener is not None and not listener.busy:
                began = perf_counter()
                task, levels = torch._C._current_graph_task_id(), depth(gradient)
                graph = levels > 1 if in_functional_transform() else torch.is_grad_enabled()
                if levels >= 0:
                    arrived.append(Event(plain(gradient), graph, listener._now(), task))
                listener.spent += perf_counter() - began

        return hook


def cleared(parameters: Sequence[Tensor]) -> bool:
    """Whether none of them holds a gradient other than zero."""
    return not any(p.grad is not None and bool(p.grad.any()) for p in parameters)


def few_of(module: nn.Module) -> Tensor:
    """The first entries of every parameter, which tell whether a step was taken."""
    rows = [p.detach().flatten()[:4].float().cpu() for p in module.parameters()]
    return torch.cat(rows) if rows else torch.zeros(0)


def version_of(module: nn.Module) -> int:
    """Sum of the version counters of the parameters: it grows with every write."""
    return sum(p._version for p in module.parameters())
