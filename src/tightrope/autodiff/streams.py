"""Random streams that a caller's functions hold: who calls such a function to look must not draw from them for good."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from types import BuiltinMethodType, FunctionType, MethodType, ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from tightrope.autodiff.held import attributes, names_of, reached, within


def is_stream(thing: object) -> bool:
    """Whether it is a random stream of its own: torch's, Python's or NumPy's, old or new."""
    if isinstance(thing, (torch.Generator, random.Random)):
        return not isinstance(thing, random.SystemRandom)  # has no state
    numpy = sys.modules.get("numpy")  # nobody holds one of those that is not imported
    return numpy is not None and isinstance(thing, (numpy.random.RandomState, numpy.random.Generator))


def streams_of(*things: object) -> list[Any]:
    """Every random stream that a call of these can draw from without being handed it.

    Looked into are closures, defaults and the global names of functions, what those functions call, ``partial``, bound
    methods, callable objects, containers, and the attributes of modules. Nothing is executed. What an iterator has
    drawn, such as that of a DataLoader, is not found.
    """
    found: dict[int, Any] = {}
    _look(things, frozenset(), found, {})
    return list(found.values())


@contextmanager
def streams_kept(streams: Sequence[Any]) -> Iterator[None]:
    """Put these streams back afterwards, each to where it is now."""
    back = [_remembered(stream) for stream in streams]
    try:
        yield
    finally:
        for restore in back:
            restore()


def _remembered(stream: Any) -> Callable[[], None]:
    """What sets a stream back to where it is now."""
    if isinstance(stream, random.Random):
        return partial(stream.setstate, stream.getstate())
    if hasattr(stream, "bit_generator"):
        return partial(setattr, stream.bit_generator, "state", stream.bit_generator.state)
    return partial(stream.set_state, stream.get_state())


def _look(thing: Any, names: frozenset[str], found: dict[int, Any], seen: dict[int, Any]) -> None:
    if thing is None or id(thing) in seen or isinstance(thing, (Tensor, ModuleType, type, str)):
        return
    seen[id(thing)] = thing  # held, so that no other thing gets its number
    if is_stream(thing):
        found[id(thing)] = thing
        return
    more: list[Any]
    if isinstance(thing, nn.Module):
        held = [value for module in thing.modules() for name, value in vars(module).items() if name[0] != "_"]
        more = [value for value in held if is_stream(value) or isinstance(value, (FunctionType, partial, MethodType))]
    elif isinstance(thing, partial):
        more = [thing.func, *thing.args, *thing.keywords.values()]
    elif isinstance(thing, MethodType):
        names |= names_of(thing.__func__)
        more = [thing.__func__, thing.__self__]
    elif isinstance(thing, BuiltinMethodType):
        more = [thing.__self__]
    elif isinstance(thing, FunctionType):
        names, more = names_of(thing), reached(thing)
    else:
        inside = within(thing)
        more = attributes(thing, names) if inside is None else inside
    for one in more:
        _look(one, names, found, seen)
