"""Upper bound of a network's Lipschitz constant, followed through one ordinary forward call.

The network runs as it is on one sample, while every torch function it calls is watched: each tensor that depends on the
input carries a bound, layers multiply theirs by their operator norm, sums add, concatenations join. Python control flow
therefore needs no support. What has no rule makes the bound infinite and is named; so does a signal whose memory was
written through another tensor since its bound was set.
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

from tightrope.critics._call import Call, NoBoundError
from tightrope.critics._memory import Memory, changed_in, in_place_problem, versions
from tightrope.critics._rules import SHAPED, rule_of
from tightrope.critics._steps import factor, is_step, stretch

_HARMLESS = frozenset([  # functions of a signal that return no tensor and tell nothing of its values
    "size", "dim", "ndimension", "numel", "nelement", "stride", "storage_offset", "is_contiguous", "is_floating_point",
    "is_complex", "is_signed", "element_size", "get_device", "__len__", "__hash__", "is_same_size", "is_tensor",
    "is_storage", "type", "has_names", "is_inference", "is_pinned", "is_conj", "is_neg", "is_set_to",
])  # fmt: skip
_UNFOLLOWED = (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
_LAYERS = frozenset([*(f"conv{axes}d" for axes in (1, 2, 3)), "linear", "matmul", "__matmul__", "mm", "batch_norm"])
_SAME_ENTRIES = frozenset(["T", "mT", "H", "mH", "data", "real"])  # attributes that are tensors of the same entries


@dataclass
class Step:
    """One layer that was passed: how much it may stretch, and how much it stretched along the witness direction.

    A function that does a layer's work counts as one, under the name of the module that calls it.
    """

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

    def __init__(self, norms: bool) -> None:
        super().__init__()
        self.norms = norms  # whether layers' norms are wanted, or only whether there is a bound
        self.bounds: dict[int, tuple[Tensor, float]] = {}  # tensors are kept, so that ids are not used twice
        self.memory = Memory()
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
            self.memory.note(x)
        elif isinstance(x, (tuple, list)):
            for item in x:
                self.set(item, bound)

    def refuse(self, what: str, why: str) -> float:
        place = next((name for name in reversed(self.inside) if name), "the network itself")
        reason = f"{what} in {place}: {why}"
        if reason not in self.reasons:
            self.reasons.append(reason)
        return math.inf

    def give_up(self, what: str, why: str) -> None:
        self.broken = True
        self.refuse(what, why)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", str(func))
        tensors = _tensors((args, kwargs))
        tracked = [] if self.silent else self.tracked(tensors, name)
        before = versions(tensors)
        result = func(*args, **kwargs)
        changed = changed_in(tensors, before)
        for x in changed:
            if tracked or self.silent or self.bound(x) is not None:
                self.memory.write(x)
        if tracked:
            self._account(name, Call(func, args, kwargs, result, tracked), tensors, changed)
        return result

    def _account(self, name: str, call: Call, tensors: list[Tensor], changed: list[Tensor]) -> None:
        """Bound the result of a call that met a signal, or say why it has none."""
        attribute = getattr(getattr(call.function, "__self__", None), "__name__", "")
        if name == "__setitem__":
            self.set(call.first, self.refuse("assignment to a slice", "is not understood"))
        elif name == "__set__":
            if attribute != "requires_grad":
                self.give_up(f"assignment to .{attribute}", "is not understood")
        elif name == "__get__":
            if _holds_tensor(call.result):
                kept = attribute in _SAME_ENTRIES
                self.set(call.result, call.source[1] if kept else self.refuse(f".{attribute}", "is not understood"))
        elif name in SHAPED and call.source[0] is not call.first:
            return  # a constant brought into the form of a signal
        elif _holds_tensor(call.result):
            bound, before = self._follow(name, call, tensors, changed), call.source[1]
            self.set(call.result, bound)
            if name in _LAYERS and 0 < before < math.inf:
                with torch._C.DisableTorchFunction():
                    stretched = stretch(call.source[0], call.result)
                self.steps.append(Step(self.inside[-1] if self.inside else "", name, bound / before, stretched))
        elif changed:
            self.give_up(name, "writes in place in a way that is not understood")
        elif name not in _HARMLESS:
            self.give_up(name, "turns a signal into a number of Python, which cannot be followed")

    def tracked(self, tensors: list[Tensor], name: str) -> list[tuple[Tensor, float]]:
        """The tensors among these that depend on the input, with their bounds."""
        found = []
        for x in tensors:
            bound = self.bound(x)
            if self.memory.stale(x):
                bound = self.refuse(name, "meets a signal whose memory was written in place through another tensor")
            elif bound is None and depends(x):
                bound = self.refuse(name, "meets a signal that arrived by a way that cannot be followed")
            elif bound is not None and x.is_inference():
                bound = self.refuse(name, "meets a signal in inference mode, where it cannot be followed")
            else:
                if bound is not None:
                    found.append((x, bound))
                continue
            self.set(x, bound)
            found.append((x, bound))
        return found

    def _follow(self, name: str, call: Call, tensors: list[Tensor], changed: list[Tensor]) -> float:
        if any(math.isinf(bound) for _, bound in call.bounds):
            return math.inf
        if any(not x.is_floating_point() for x, _ in call.bounds):
            return self.refuse(name, "uses positions or whole numbers taken from a signal, which may jump")
        if isinstance(call.result, Tensor) and not call.result.is_floating_point():
            return self.refuse(name, "makes whole numbers or a condition of a signal, which may jump")
        rule = rule_of(call.function)
        if rule is None:
            return self.refuse(name, "has no known Lipschitz bound")
        try:
            bound = rule(call)
            why = in_place_problem(call, tensors, changed)
        except NoBoundError as problem:
            why = str(problem)
        except _UNFOLLOWED as problem:
            why = f"is called in a way that is not understood ({_first_line(problem)})"
        if not why and not math.isfinite(bound):
            why = f"has the factor {bound}"
        return self.refuse(name, why) if why else bound


def depends(x: Tensor) -> bool:
    """Whether a tensor depends on the input: the forward derivative knows, whichever way it came."""
    return (x.is_floating_point() or x.is_complex()) and forward_ad.unpack_dual(x).tangent is not None


def _tensors(value: Any) -> list[Tensor]:
    """Every tensor in nested arguments, as often as it occurs; limits of slices too."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, slice):
        value = (value.start, value.stop, value.step)
    elif isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, (tuple, list)):
        return []
    return [x for item in value for x in _tensors(item)]


def _holds_tensor(result: Any) -> bool:
    return isinstance(result, Tensor) or (isinstance(result, (tuple, list)) and any(map(_holds_tensor, result)))


def _first_line(problem: Exception) -> str:
    return next(iter(str(problem).splitlines()), type(problem).__name__)


def trace(
    network: nn.Module, call: Callable[[Tensor], Tensor], x: Tensor, direction: Tensor, *, norms: bool = True
) -> Trace:
    """Follow one call, with the bound 1 on ``x`` and the tangent ``direction`` beside it.

    Args:
        network: Module whose submodules are named in the result.
        call: The forward to watch, for example ``network`` itself; calls ``network``.
        x: One sample ``[1, *shape]``.
        direction: Unit tangent at ``x`` of the same shape, along which layers' attained stretch is measured.
        norms: Whether layers' norms are computed; otherwise 1 stands for them, which tells at the cost of a forward
            whether there is a bound.
    """
    watch = _Watch(norms)
    handles = []
    for name, module in network.named_modules():
        known = is_step(module)
        handles.append(module.register_forward_pre_hook(_enter(watch, name, known)))
        handles.append(module.register_forward_hook(_leave(watch, known), with_kwargs=True))
    state = torch.get_rng_state()
    try:
        with torch.no_grad(), forward_ad.dual_level():
            dual = forward_ad.make_dual(x.detach().clone(), direction)
            watch.set(dual, 1.0)
            with watch:
                result = call(dual)
            bound = max((bound for _, bound in watch.tracked([result], "the result")), default=0.0)
    except _UNFOLLOWED as problem:  # no forward derivative, or it needs more than one sample
        bound = watch.refuse("an operation", f"cannot be followed ({_first_line(problem)})")
    finally:
        for handle in handles:
            handle.remove()
    if not torch.equal(state, torch.get_rng_state()):
        watch.give_up("a random draw", "makes another function of the network at each call")
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
                    _pass(watch, module, _tensors((arguments, options)), result)
        watch.inside.pop()

    return hook


def _pass(watch: _Watch, module: nn.Module, inputs: list[Tensor], result: Any) -> None:
    """Account for a module that counts as one step."""
    name, kind = watch.inside[-1], type(module).__name__.removeprefix("Parametrized")
    own = [t for t in (getattr(module, "weight", None), getattr(module, "bias", None)) if isinstance(t, Tensor)]
    tracked = watch.tracked([*inputs, *own], kind)
    if not tracked:
        return
    if len(tracked) > 1 or all(tracked[0][0] is not x for x in inputs):
        watch.set(result, watch.refuse(kind, "of several signals is not understood"))
        return
    x, before = tracked[0]
    try:
        times = factor(module, x, result, norms=watch.norms)
    except NoBoundError as why:
        times = watch.refuse(kind, str(why))
    except _UNFOLLOWED as problem:
        times = watch.refuse(kind, f"is called in a way that is not understood ({_first_line(problem)})")
    watch.steps.append(Step(name, kind, times, stretch(x, result)))
    watch.set(result, times * before if before else 0.0)
