"""What an annotation admits: a test of a value, and the words for it in a sentence."""

from __future__ import annotations

import collections.abc
import os
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import torch
from torch import Tensor, nn

from tightrope._plumbing.draws import Streams

Kind = tuple[Callable[[Any], bool], str]
"""Whether a value is of it, and its name in a sentence."""

ENDLESS = 2**63
"""No computer counts to it."""


def kind_of(annotation: Any) -> Kind | None:
    """What an annotation admits; None for everything."""
    if isinstance(annotation, TypeVar):
        return kind_of(annotation.__bound__)
    if isinstance(annotation, collections.abc.Hashable) and annotation in PLAIN:
        return PLAIN[annotation]
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return kind_of(parts[0])
    if origin is Literal:
        return (lambda v: isinstance(v, (str, int)) and v in parts), " or ".join(map(repr, parts))
    if origin in (Union, types.UnionType):
        kinds = [kind_of(part) for part in parts]
        known = [kind for kind in kinds if kind is not None]
        if len(known) < len(kinds):
            return None
        return (lambda v: any(kind[0](v) for kind in known)), " or ".join(dict.fromkeys(kind[1] for kind in known))
    if origin is tuple and parts and parts[-1] is not Ellipsis:
        return _row([kind_of(part) for part in parts])
    if origin in (tuple, list, collections.abc.Sequence):
        return _many(kind_of(parts[0]) if parts else None)
    if origin is collections.abc.Iterable:
        return _iterable(kind_of(parts[0]))
    if origin in (dict, collections.abc.Mapping):
        return (lambda v: isinstance(v, Mapping)), "a dict"
    if origin is collections.abc.Callable or annotation is Callable:
        return _is_function, "a function"
    ours = isinstance(annotation, type) and annotation.__module__.startswith("tightrope")
    if ours and not getattr(annotation, "_is_protocol", False):
        return (lambda v: isinstance(v, annotation)), f"a {annotation.__name__}"
    return None


def _row(kinds: list[Kind | None]) -> Kind:
    """A tuple or list with one value of each kind."""
    word = next((kind[1] for kind in kinds if kind is not None), "a value")

    def fits(value: Any) -> bool:
        return (
            isinstance(value, (tuple, list))
            and len(value) == len(kinds)
            and all(kind is None or kind[0](part) for kind, part in zip(kinds, value, strict=True))
        )

    return fits, f"{len(kinds)} values, each {word}"


def _many(kind: Kind | None) -> Kind:
    """A sequence of a kind; a text is none, but for names, of which it is one."""

    def fits(value: Any) -> bool:
        if isinstance(value, (str, bytes)):
            return isinstance(value, str) and kind == PLAIN[str]
        if isinstance(value, Tensor) or is_array(value):
            return bool(value.ndim) and (kind is None or (value.ndim == 1 and _holds(value, kind)))
        return isinstance(value, Sequence) and (kind is None or all(kind[0](part) for part in value))

    return fits, "a sequence" if kind is None else f"a sequence, each {kind[1]}"


def _iterable(kind: Kind | None) -> Kind:
    """What can be gone through; looked into where that uses nothing up."""

    def fits(value: Any) -> bool:
        seen = isinstance(value, (list, tuple, set, frozenset))
        if seen and kind is not None and not all(kind[0](part) for part in value):
            return False
        return isinstance(value, Iterable) and getattr(value, "ndim", 1) == 1

    return fits, "values to go through" if kind is None else f"values to go through, each {kind[1]}"


def _holds(value: Any, kind: Kind) -> bool:
    """Whether a tensor or array of one axis stands for numbers of a kind."""
    whole = (
        not (value.is_floating_point() or value.is_complex()) if isinstance(value, Tensor) else value.dtype.kind in "iu"
    )
    return kind == PLAIN[float] or (kind == PLAIN[int] and whole)


def _is_function(value: Any) -> bool:
    """A class of networks is called as a function by nobody who means it."""
    return callable(value) and not (isinstance(value, type) and issubclass(value, nn.Module))


def _is_number(value: Any) -> bool:
    if isinstance(value, Tensor):
        return value.numel() == 1 and not value.is_complex() and not value.is_meta
    return isinstance(value, Real) and not isinstance(value, bool) and value == value


def _is_whole(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and -ENDLESS <= int(value) < ENDLESS


def _is_tensor(value: Any) -> bool:
    return isinstance(value, Tensor) and value.layout is torch.strided and not value.is_quantized


def is_array(value: Any) -> bool:
    return type(value).__module__ == "numpy" and type(value).__name__ == "ndarray"


def _is(*classes: type) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, classes)


PLAIN: dict[Any, Kind] = {
    Tensor: (_is_tensor, "a dense tensor"),
    bool: (_is(bool), "True or False"),
    int: (_is_whole, "a whole number"),
    float: (_is_number, "a finite number"),
    str: (_is(str), "a text"),
    Path: (_is(str, os.PathLike), "a path"),
    type(None): (_is(type(None)), "None"),
    None: (_is(type(None)), "None"),
    torch.Generator: (
        lambda v: isinstance(v, (torch.Generator, Streams)),
        "a torch.Generator",
    ),  # of one run, or of many
    torch.optim.Optimizer: (_is(torch.optim.Optimizer), "a torch optimiser"),
    torch.dtype: (_is(torch.dtype), "a dtype of torch"),
    nn.Module: (_is(nn.Module), "a torch.nn.Module"),
}
