"""Random streams that a caller's functions hold: who calls such a function to look must not draw from them for good."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from types import FunctionType, MethodType
from typing import Any

import torch
from torch import nn

from tightrope.autodiff.view import reached_by


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
    waiting: list[Any] = list(things)
    while waiting:
        new = [one for one in reached_by(waiting, _stream_or_module) if id(one) not in found]
        found |= {id(one): one for one in new}
        waiting = [value for one in new if isinstance(one, nn.Module) for value in _of_a_module(one)]
    return [one for one in found.values() if is_stream(one)]


def _stream_or_module(thing: object) -> bool:
    return isinstance(thing, nn.Module) or is_stream(thing)


def _of_a_module(module: nn.Module) -> list[Any]:
    """Streams that a module and its parts hold themselves, and functions that may hold some."""
    held = [value for part in module.modules() for name, value in vars(part).items() if not name.startswith("_")]
    return [value for value in held if is_stream(value) or isinstance(value, (FunctionType, partial, MethodType))]


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
