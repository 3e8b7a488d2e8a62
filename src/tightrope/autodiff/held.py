"""What functions and objects hold that their code can call."""

from __future__ import annotations

import dis
from collections import deque
from collections.abc import Mapping
from contextvars import ContextVar
from functools import cached_property, lru_cache
from types import CodeType, FunctionType
from typing import Any
from weakref import ReferenceType


def within(thing: Any) -> list[Any] | None:
    """What a container, a weak reference or a context variable holds; None of anything else."""
    if isinstance(thing, (list, tuple, set, frozenset, deque)):
        return list(thing)
    if isinstance(thing, Mapping):
        return list(thing.values())
    if isinstance(thing, (staticmethod, classmethod)):
        return [thing.__func__]
    if isinstance(thing, ReferenceType):
        return [thing()]
    if isinstance(thing, ContextVar):
        return [thing.get(None)]
    return None


def attributes(thing: Any, names: frozenset[str]) -> list[Any]:
    """An object's attributes that code names, by itself or in methods and properties that it names; or all there are.

    All where the object makes attributes up, so that names say nothing. An object that is called is called by
    ``__call__`` unless something of it was named. A wrapper holds what it wraps.
    """
    if isinstance(thing, (int, float, complex, bytes)):
        return []
    held = _held(thing)
    wanted = _further(thing, names)
    if callable(thing) and not wanted.intersection(held):
        wanted = _further(thing, names | {"__call__"})
    named = [held[name] for name in held if name in wanted or name == "__wrapped__"]
    return list(held.values()) if not named and hasattr(type(thing), "__getattr__") else named


def _held(thing: Any) -> dict[str, Any]:
    """Attributes of an object by name, those in slots too."""
    found = dict(vars(thing)) if hasattr(thing, "__dict__") else {}
    for kind in type(thing).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else tuple(slots):
            if name not in ("__dict__", "__weakref__") and hasattr(thing, name):
                found.setdefault(name, getattr(thing, name))
    return found


def _in_class(thing: Any, name: str) -> list[Any]:
    """Functions of that name in an object's class and those it derives from: methods, and what properties call."""
    found = [kind.__dict__[name] for kind in type(thing).__mro__ if name in kind.__dict__]
    inner = [
        one.fget if isinstance(one, property) else one.func if isinstance(one, cached_property) else one
        for one in found
    ]
    return [getattr(one, "__func__", one) for one in inner if isinstance(getattr(one, "__func__", one), FunctionType)]


def _further(thing: Any, names: frozenset[str]) -> frozenset[str]:
    """Names, and those that the object's own methods and properties of these names mention, and so on."""
    done: set[str] = set()
    while more := names - done:
        done |= more
        for name in more:
            for function in _in_class(thing, name):
                names |= names_of(function)
    return names


def reached(function: FunctionType) -> list[Any]:
    """What a function's code can call without being handed it; library functions are not searched further."""
    values = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
    for cell in function.__closure__ or ():
        try:
            values.append(cell.cell_contents)
        except ValueError:  # not filled yet
            continue
    home = function.__globals__
    named = [home[name] for name in _mentioned(function.__code__)[1] if name in home]
    return values + [v for v in named if not isinstance(v, FunctionType) or v.__globals__ is home]


def names_of(function: Any) -> frozenset[str]:
    """Every name that a function's code mentions, attributes included."""
    code = getattr(function, "__code__", None)
    return frozenset() if code is None else _mentioned(code)[0]


@lru_cache(maxsize=512)
def _mentioned(code: CodeType) -> tuple[frozenset[str], frozenset[str]]:
    """Every name that code mentions, attributes included, and the global ones; inner functions included."""
    names, outside = set(code.co_names), set()
    outside |= {i.argval for i in dis.get_instructions(code) if i.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            more = _mentioned(constant)
            names, outside = names | more[0], outside | more[1]
    return frozenset(names), frozenset(outside)
