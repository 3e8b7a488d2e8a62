"""Tensors in nested tuples, lists and dicts: as networks are given and return them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from torch import Tensor

from tightrope.monitor.transforms import plain


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
    return with_others(thing, plain)


def with_others(thing: Any, other: Callable[[Tensor], Tensor]) -> Any:
    """The same nest with another tensor in the place of each, in the order of :func:`tensors_in`."""
    if isinstance(thing, Tensor):
        return other(thing)
    if isinstance(thing, (list, tuple)) and type(thing) in (list, tuple):
        return type(thing)([with_others(part, other) for part in thing])
    if isinstance(thing, tuple) and hasattr(thing, "_fields"):
        return type(thing)(*[with_others(part, other) for part in thing])
    if isinstance(thing, dict):
        return {key: with_others(part, other) for key, part in thing.items()}
    return thing
