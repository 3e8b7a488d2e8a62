"""Tensors under ``torch.func``: what a buffer may be written with, and where a number may be read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor
from torch._functorch import pyfunctorch

_functorch = torch._C._functorch


def level() -> int | None:
    """Depth of the innermost ``torch.func`` transform, None outside."""
    depth: int | None = _functorch.maybe_current_level()
    return depth


def plain(*tensors: Tensor) -> bool:
    """Whether no transform of ``torch.func`` wraps any of the tensors."""
    return not any(_functorch.is_functorch_wrapped_tensor(x) for x in tensors)


def undifferentiated(x: Tensor) -> Tensor:
    """The same values without the wrappers of ``grad``, ``vjp`` and ``jvp``; those of ``vmap`` stay."""
    if level() is None or plain(x):
        return x
    inner = undifferentiated(_functorch.get_unwrapped(x))
    if not _functorch.is_batchedtensor(x):
        return inner
    batched: Tensor = _functorch._add_batch_dim(inner, _functorch.maybe_get_bdim(x), _functorch.maybe_get_level(x))
    return batched


@contextmanager
def outside_derivatives() -> Iterator[None]:
    """Leave the innermost ``grad``, ``vjp`` and ``jvp``, up to a ``vmap``, where buffers can be written."""
    derivatives = (_functorch.TransformType.Grad, _functorch.TransformType.Jvp)
    with ExitStack() as left:
        while level() is not None and pyfunctorch.retrieve_current_functorch_interpreter().key() in derivatives:
            left.enter_context(pyfunctorch.temporarily_pop_interpreter_stack())
        yield


def batch_levels(x: Tensor) -> frozenset[int]:
    """Levels of ``vmap`` over which ``x`` differs; a buffer must have all those of what is written to it."""
    if level() is None or plain(x):
        return frozenset()
    inner = batch_levels(_functorch.get_unwrapped(x))
    return inner | {_functorch.maybe_get_level(x)} if _functorch.is_batchedtensor(x) else inner


def numbers_can_be_read(*tensors: Tensor) -> bool:
    """Whether ``item()`` gives a number at once and loses no derivative: on the CPU, under no transform of any kind."""
    legacy = any(_functorch.is_legacy_batchedtensor(x) for x in tensors)  # is_grads_batched=True
    forward_mode = torch.autograd.forward_ad._current_level >= 0
    return tensors[0].device.type == "cpu" and level() is None and not (legacy or forward_mode)


def one_by_one(f: Callable[..., tuple[Tensor, ...]], *tensors: Tensor) -> tuple[Tensor, ...]:
    """``f`` of plain tensors outside all transforms, called once for each of those that ``vmap`` has stacked."""
    if plain(*tensors):
        with ExitStack() as left:
            while level() is not None:
                left.enter_context(pyfunctorch.temporarily_pop_interpreter_stack())
            return f(*tensors)
    inner = max(max(batch_levels(x), default=0) for x in tensors)
    stacked = [_functorch.is_batchedtensor(x) and _functorch.maybe_get_level(x) == inner for x in tensors]
    opened = [
        _functorch.get_unwrapped(x).movedim(_functorch.maybe_get_bdim(x), 0) if among else x
        for x, among in zip(tensors, stacked, strict=True)
    ]
    count = next(len(x) for x, among in zip(opened, stacked, strict=True) if among)
    found = [
        one_by_one(f, *(x[i] if among else x for x, among in zip(opened, stacked, strict=True))) for i in range(count)
    ]
    return tuple(_functorch._add_batch_dim(torch.stack(parts), 0, inner) for parts in zip(*found, strict=True))


def capturing(x: Tensor) -> bool:
    """Whether a CUDA graph is being recorded, which no number can be read from."""
    return x.is_cuda and torch.cuda.is_current_stream_capturing()


@contextmanager
def untraced() -> Iterator[None]:
    """Keep what is computed inside out of a ``torch.jit.trace``, as a constant of the trace."""
    state = torch._C._get_tracing_state()
    if state is None:
        yield
        return
    torch._C._set_tracing_state(None)  # type: ignore[attr-defined]
    try:
        yield
    finally:
        torch._C._set_tracing_state(state)  # type: ignore[attr-defined]
