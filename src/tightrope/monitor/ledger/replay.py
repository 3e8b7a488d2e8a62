"""A captured call made again: same inputs, modes, random state, buffers, precision, constrained weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from tightrope._plumbing.streams import global_streams_kept
from tightrope.autodiff import frozen_constraints, twice_differentiable
from tightrope.autodiff.streams import is_stream
from tightrope.layers.torch_own import HOOKS, steady
from tightrope.monitor.capture import Call
from tightrope.monitor.hooks import Hook
from tightrope.monitor.ledger.computing import only_computes
from tightrope.monitor.nests import tensors_in

HALF = (torch.bfloat16, torch.float16)


class CannotReplayError(Exception):
    """The call cannot be made again exactly; the text says why."""


def refuse_foreign_hooks(module: nn.Module, *, computing: bool = False) -> None:
    """Hooks of the user's own would be called once more than the user expects.

    Args:
        module: The network.
        computing: Those that do nothing but compute weights may stay: attributes that they set are put back.

    Raises:
        CannotReplayError: The network has some.
    """
    for name, inside in module.named_modules():
        hooks = [*inside._forward_pre_hooks.values(), *inside._forward_hooks.values()]
        foreign = [hook for hook in hooks if not isinstance(hook, (Hook, *HOOKS)) and not _of_export(hook)]
        foreign = [hook for hook in foreign if not (computing and only_computes(hook, inside))]
        if foreign or any(map(is_stream, vars(inside).values())):
            raise CannotReplayError(f"{name or type(module).__name__} has hooks or random streams of its own")


def _of_export(hook: object) -> bool:
    """Whether it is one by which a program of torch.export looks at its inputs, which changes nothing."""
    return str(getattr(hook, "__module__", "")).startswith(("torch.export.", "torch._export."))


@contextmanager
def attributes_kept(module: nn.Module) -> Iterator[None]:
    """Afterwards all plain attributes of its modules are those of before."""
    attributes = [(m, dict(vars(m))) for m in module.modules()]
    try:
        yield
    finally:
        for m, before in attributes:
            now = vars(m)
            for key in [key for key in now if key not in before]:
                del now[key]
            now.update(before)


@contextmanager
def as_it_was(module: nn.Module, call: Call) -> Iterator[None]:
    """Set the state of a call; afterwards the present one is back, plain attributes of the modules included."""
    modules = list(module.modules())
    device = call.x.device if call.x is not None else torch.device("cpu")
    with attributes_kept(module), ExitStack() as stack:
        stack.enter_context(global_streams_kept())
        stack.enter_context(torch.random.fork_rng(devices=[device] if device.type == "cuda" else []))
        torch.set_rng_state(call.random[0])
        if len(call.random) > 1:
            torch.cuda.set_rng_state(call.random[1], device)
        for m, training in zip(modules, call.training, strict=True):
            m.training = training
        if call.cached:  # the weights were computed before, so nothing advanced inside the call
            stack.enter_context(frozen_constraints())
            stack.enter_context(steady(module))
        stack.enter_context(nn.utils.parametrize.cached() if call.cached else ExitStack())
        stack.enter_context(torch.autocast(device.type, call.autocast, call.autocast is not None))
        yield


def replayed(
    module: nn.Module, call: Call, x: Tensor | None = None, *, old: Tensor | None = None, check: bool = True
) -> list[Tensor]:
    """Outputs in floating point of the call made again, with a graph to the live parameters (and to ``x``).

    Args:
        module: The network.
        call: What is repeated.
        x: In place of an input.
        old: Which one; the one that is judged by default.
        check: Compare with what the call returned.

    Returns:
        As ``call.outputs``.

    Raises:
        CannotReplayError: An input was overwritten since, or the outputs differ from those of the call.
    """
    if call.part:
        raise CannotReplayError("not the network was called but parts of it")
    if not call.intact():
        raise CannotReplayError("an input or output was overwritten after the call")
    old = call.x if old is None else old
    args, kwargs = _with(call.args, old, x), _with(call.kwargs, old, x)
    called, under = module.get_submodule(call.unit), f"{call.unit}." if call.unit else ""
    buffers = {n.removeprefix(under): v.clone() for n, v in call.buffers.items() if n.startswith(under)}
    with as_it_was(module, call), torch.enable_grad(), twice_differentiable():
        output = torch.func.functional_call(called, buffers, args, kwargs, strict=False)
        found = [t for t in tensors_in(output) if t.is_floating_point()]
    if call.half is not None:
        found = [found[k] for k in call.half.outputs if k < len(found)]
    if check and not _alike(found, call.outputs):
        raise CannotReplayError("made again, the network returns something else")
    return found


def _with(nest: Any, old: Tensor | None, new: Tensor | None) -> Any:
    if new is None or old is None:
        return nest
    if isinstance(nest, Tensor):
        same = nest is old or (
            nest.data_ptr() == old.data_ptr() and nest.shape == old.shape and nest.dtype == old.dtype
        )
        return new if same and nest.is_floating_point() else nest
    if isinstance(nest, (list, tuple)):
        return type(nest)(_with(part, old, new) for part in nest)
    if isinstance(nest, dict):
        return {key: _with(part, old, new) for key, part in nest.items()}
    return nest


def _alike(found: Sequence[Tensor], before: Sequence[Tensor]) -> bool:
    if len(found) != len(before):
        return False
    for a, b in zip(found, before, strict=True):
        limit = 0.02 if b.dtype in HALF else 1e-4
        size = float(b.float().norm())
        if a.shape != b.shape or float((a.detach().float() - b.float()).norm()) > limit * size + 1e-6:
            return False
    return True


def pulled_back(
    module: nn.Module, calls: Sequence[tuple[Call, list[Tensor | None]]], parameters: Sequence[Tensor]
) -> tuple[list[Tensor], float]:
    """Sum over calls of ``J^T (dL/d outputs)`` with respect to parameters, and the smallest precision met.

    Args:
        module: The network.
        calls: Each with the gradients that arrived at its outputs, None for those that got none.
        parameters: With respect to which.

    Returns:
        Gradients shaped as the parameters, and the relative error that their arithmetic allows.

    Raises:
        CannotReplayError: See :func:`replayed`.
    """
    total = [torch.zeros_like(p) for p in parameters]
    error = 1e-3
    for call, gradients in calls:
        outputs = replayed(module, call)
        used = [(o, g) for o, g in zip(outputs, gradients, strict=True) if g is not None and o.requires_grad]
        if not used:
            continue
        if call.autocast in HALF or any(o.dtype in HALF for o, _ in used):
            error = 0.03
        found = _backward(used, parameters)
        for sum_, part in zip(total, found, strict=True):
            if part is not None:
                sum_ += part
    return total, error


def _backward(used: Sequence[tuple[Tensor, Tensor]], inputs: Sequence[Tensor]) -> tuple[Tensor | None, ...]:
    """Gradients given what arrived at outputs: where one is made of another, its part is in the other's already."""
    handles = [o.register_hook(_instead(g.to(o.dtype))) for o, g in used]
    try:
        return torch.autograd.grad(
            [o for o, _ in used], list(inputs), [g.to(o.dtype) for o, g in used], allow_unused=True
        )
    finally:
        for handle in handles:
            handle.remove()


def _instead(gradient: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda _: gradient


def input_slope(module: nn.Module, call: Call, gradients: list[Tensor | None]) -> Tensor:
    """``J^T (dL/d outputs)`` with respect to the call's first input.

    Raises:
        CannotReplayError: See :func:`replayed`.
    """
    if call.x is None:
        raise CannotReplayError("the call has no input in floating point")
    x = call.x.clone().requires_grad_()
    outputs = replayed(module, call, x)
    used = [(o, g) for o, g in zip(outputs, gradients, strict=True) if g is not None and o.requires_grad]
    (found,) = _backward(used, [x])
    return torch.zeros_like(x) if found is None else found
