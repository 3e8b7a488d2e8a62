"""Upper bound of a network's Lipschitz constant, followed through one ordinary forward call.

The network runs as it is on one sample, while every torch function it calls is watched: each tensor that depends on the
input carries a bound, layers multiply theirs by their operator norm, sums add, concatenations join. Python control flow
therefore needs no support. What has no rule makes the bound infinite and is named.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.overrides import TorchFunctionMode

from tightrope._linear_map import linear_map
from tightrope._modules import LAYERS, effective_weight
from tightrope.critics._rules import RULES, Call, NoBoundError
from tightrope.spectra.operator import map_norm

_LEAKS = frozenset(
    ["item", "tolist", "numpy", "__float__", "__int__", "__bool__", "__index__", "__array__", "equal", "allclose"]
)
_SORTS = ("GroupSort", "MaxMin")  # 1-Lipschitz modules whose parts look as if they jumped


@dataclass
class Step:
    """One layer that was passed: how much it may stretch, and how much it stretched along the witness direction."""

    name: str
    kind: str
    factor: float
    attained: float


@dataclass
class Trace:
    """What one forward call gave.

    Attributes:
        upper: Bound of the result.
        steps: The layers passed, in order.
        reasons: Why the bound is infinite, by place; empty if it is not.
    """

    upper: float
    steps: list[Step] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)


class _Watch(TorchFunctionMode):
    """Carries bounds from tensor to tensor; modules with a rule of their own are treated as one step."""

    def __init__(self) -> None:
        super().__init__()
        self.bounds: dict[int, tuple[Tensor, float]] = {}  # tensors are kept, so that ids are not used twice
        self.inside: list[str] = []  # names of the modules being called
        self.silent = 0  # depth inside a module that counts as one step
        self.broken = False  # a signal left the tensors: no bound of the result can be trusted
        self.steps: list[Step] = []
        self.reasons: list[str] = []

    def bound(self, x: Any) -> float | None:
        found = self.bounds.get(id(x)) if isinstance(x, Tensor) else None
        return found[1] if found is not None else None

    def set(self, x: Any, bound: float) -> None:
        if isinstance(x, Tensor):
            self.bounds[id(x)] = (x, bound)
        elif isinstance(x, (tuple, list)):
            for item in x:
                self.set(item, bound)

    def refuse(self, what: str, why: str) -> float:
        place = next((name for name in reversed(self.inside) if name), "the network itself")
        reason = f"{what} in {place}: {why}"
        if reason not in self.reasons:
            self.reasons.append(reason)
        return math.inf

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", str(func))
        tracked = [] if self.silent else self._tracked(_tensors(args, kwargs), name)
        result = func(*args, **kwargs)
        if tracked and _holds_tensor(result):
            if name == "__get__":  # x.T and the like; x.grad and x.data too
                self.set(result, tracked[0][1])
            else:
                self.set(result, self._follow(name, Call(args, kwargs, result, tracked)))
        elif tracked and name == "__setitem__":
            self.set(args[0], self.refuse("assignment to a slice", "is not understood"))
        elif tracked and name in _LEAKS:
            self.broken = True
            self.refuse(name, "turns a signal into a number of Python, which cannot be followed")
        return result

    def _tracked(self, tensors: list[Tensor], name: str) -> list[tuple[Tensor, float]]:
        found = []
        for x in tensors:
            bound = self.bound(x)
            if bound is None and depends(x):
                bound = self.refuse(name, "meets a signal that arrived by a way that cannot be followed")
                self.set(x, bound)
            if bound is not None:
                found.append((x, bound))
        return found

    def _follow(self, name: str, call: Call) -> float:
        if any(math.isinf(bound) for _, bound in call.bounds):
            return math.inf
        if isinstance(call.result, Tensor) and not call.result.is_floating_point():
            return self.refuse(name, "makes whole numbers or a condition of a signal, which may jump")
        rule = RULES.get(name)
        if rule is None:
            return self.refuse(name, "has no known Lipschitz bound")
        try:
            return rule(call)
        except NoBoundError as why:
            return self.refuse(name, str(why))


def depends(x: Tensor) -> bool:
    """Whether a tensor depends on the input: the forward derivative knows, whichever way it came."""
    return x.is_floating_point() and forward_ad.unpack_dual(x).tangent is not None


def _tensors(args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Tensor]:
    found: list[Tensor] = []

    def collect(value: Any) -> None:
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, (tuple, list)):
            for item in value:
                collect(item)

    collect(list(args))
    collect(list(kwargs.values()))
    return found


def _holds_tensor(result: Any) -> bool:
    return isinstance(result, Tensor) or (isinstance(result, (tuple, list)) and any(map(_holds_tensor, result)))


def trace(network: nn.Module, call: Callable[[Tensor], Tensor], x: Tensor, direction: Tensor) -> Trace:
    """Follow one call, with the bound 1 on ``x`` and the tangent ``direction`` beside it.

    Args:
        network: Module whose submodules are named in the result.
        call: The forward to watch, for example ``network`` itself; calls ``network``.
        x: One sample ``[1, *shape]``.
        direction: Unit tangent at ``x`` of the same shape, along which layers' attained stretch is measured.
    """
    watch = _Watch()
    handles = []
    for name, module in network.named_modules():
        known = isinstance(module, LAYERS) or type(module).__name__ in _SORTS or hasattr(module, "lipschitz")
        handles.append(module.register_forward_pre_hook(_enter(watch, name, known)))
        handles.append(module.register_forward_hook(_leave(watch, known), with_kwargs=True))
    try:
        with torch.no_grad(), forward_ad.dual_level():
            dual = forward_ad.make_dual(x.detach(), direction)
            watch.set(dual, 1.0)
            with watch:
                result = call(dual)
            bound = watch.bound(result)
            if bound is None:
                bound = watch.refuse("the result", "cannot be followed back to the input") if depends(result) else 0.0
    except NotImplementedError as missing:  # an operation without a forward derivative
        bound = watch.refuse("an operation", f"cannot be followed ({str(missing).splitlines()[0]})")
    finally:
        for handle in handles:
            handle.remove()
    return Trace(math.inf if watch.broken else bound, watch.steps, watch.reasons)


def _enter(watch: _Watch, name: str, known: bool) -> Callable[..., None]:
    def hook(module: nn.Module, arguments: tuple[Any, ...]) -> None:
        watch.inside.append(name)
        watch.silent += known

    return hook


def _leave(watch: _Watch, known: bool) -> Callable[..., None]:
    def hook(module: nn.Module, arguments: tuple[Any, ...], options: dict[str, Any], result: Any) -> None:
        if known:
            watch.silent -= 1
            if not watch.silent:
                with torch._C.DisableTorchFunction():
                    _pass(watch, module, _tensors(arguments, options), result)
        watch.inside.pop()

    return hook


def _pass(watch: _Watch, module: nn.Module, inputs: list[Tensor], result: Any) -> None:
    """Account for a module that counts as one step."""
    name, kind = watch.inside[-1], type(module).__name__.removeprefix("Parametrized")
    tracked = watch._tracked(inputs, kind)
    if not tracked:
        return
    if len(tracked) > 1:
        watch.set(result, watch.refuse(kind, "of several signals is not understood"))
        return
    x, before = tracked[0]
    factor = _factor(watch, module, x)
    watch.steps.append(Step(name, kind, factor, _stretch(x, result)))
    watch.set(result, factor * before if before else 0.0)


def _factor(watch: _Watch, module: nn.Module, x: Tensor) -> float:
    if isinstance(module, nn.Embedding):
        return watch.refuse("a lookup", "of a signal may jump")
    if isinstance(module, LAYERS):
        weight = effective_weight(module).detach()
        return map_norm(linear_map(module, tuple(x.shape[1:])), weight).upper
    return float(getattr(module, "lipschitz", 1.0))


def _stretch(x: Tensor, result: Any) -> float:
    before = forward_ad.unpack_dual(x).tangent
    after = forward_ad.unpack_dual(result).tangent if isinstance(result, Tensor) else None
    if before is None or after is None:
        return 0.0
    size = float(torch.linalg.vector_norm(before))
    return float(torch.linalg.vector_norm(after)) / size if size else 0.0
