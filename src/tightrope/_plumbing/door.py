"""The door of a room: what Python or torch says of a wrong argument is turned into a sentence that names it.

A function says itself what it refuses. What it does not foresee is held against its annotations, so that every public
function answers alike and none needs a line for each kind of nonsense.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import functools
import inspect
import os
import sys
import threading
import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from numbers import Integral, Real
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn, TypeVar, Union, cast, get_args, get_origin

import torch
from torch import Tensor, nn

from tightrope._plumbing.checks import check_flag, short
from tightrope._plumbing.draws import Streams
from tightrope._plumbing.errors import UserError, UserTypeError, printable

F = TypeVar("F", bound=Callable[..., Any])
Kind = tuple[Callable[[Any], bool], str]
"""Whether a value is of it, and its name in a sentence."""

Given = list[tuple[str, Any]]
Wrong = tuple[str, Any] | None
"""Arguments by name, and one of another kind than its annotation."""

_RAW = (ArithmeticError, AssertionError, AttributeError, LookupError, MemoryError, RuntimeError, TypeError, ValueError)
_MANY = 10**6
_here = threading.local()


def keep_door(room: str, names: Iterable[str]) -> None:
    """Put :func:`checked` on what a room offers, where it stands: functions, and of classes what is public.

    What torch calls at every step stays as it is: ``forward`` of modules and ``step`` of optimisers; so do exceptions,
    and how records are built that check nothing themselves.

    Args:
        room: Dotted name of the room.
        names: Of what it offers.
    """
    here = vars(sys.modules[room])
    for name in names:
        thing = here.get(name)
        if inspect.isclass(thing):
            if not issubclass(thing, Exception) and thing.__module__.startswith("tightrope"):
                _guard_class(thing)
        elif inspect.isfunction(thing):
            here[name] = vars(sys.modules[thing.__module__])[name] = checked(thing)


def _guard_class(thing: type) -> None:
    for name, member in list(vars(thing).items()):
        plain = member.__func__ if isinstance(member, classmethod) else member
        built = name == "__init__" and (hasattr(thing, "__post_init__") or not dataclasses.is_dataclass(thing))
        public = not name.startswith("_") and name != "forward" and not issubclass(thing, torch.optim.Optimizer)
        if inspect.isfunction(plain) and (built or public):
            found: Any = checked(plain)
            setattr(thing, name, classmethod(found) if isinstance(member, classmethod) else found)


def checked(function: F) -> F:
    """Let a function refuse what its annotations do not admit, and say which argument an error from inside is about.

    The function's own sentence comes first. An argument of another kind than its annotation names is refused where the
    function took it, or failed over it; so is, where it failed, what functions are not written for: a tensor that is
    complex, sparse, empty, not finite or without storage, or a number beyond all use. An error that no argument
    explains is ours, or that of the caller's network, and stays as it is. Under ``torch.compile`` nothing is done, and
    nothing inside a call that is looked after already: what counts is what the caller gave.

    Raises:
        UserTypeError: From the function: an argument is of another kind.
        UserError: From the function: an argument is what the function cannot compute with.
    """
    return cast("F", function if hasattr(function, "_guarded") else _guarded(function))


@functools.cache  # one guard per function, so that functions can be compared
def _guarded(function: Callable[..., Any]) -> Callable[..., Any]:
    parameters = inspect.signature(function).parameters.values()
    names = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    rest = next((p.name for p in parameters if p.kind is p.VAR_POSITIONAL), "")
    flags = {p.name for p in parameters if p.annotation in ("bool", bool)}
    paths = {p.name for p in parameters if p.annotation in ("Path", "Path | None", Path)}
    deferred = inspect.isgeneratorfunction(function)
    kinds: dict[str, Kind] | None = None

    @functools.wraps(function)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        nonlocal kinds
        if torch.compiler.is_compiling() or getattr(_here, "inside", False):
            return function(*args, **kwargs)
        if kinds is None:
            kinds = _kinds(function)
        given = [*zip(names, args, strict=False), *kwargs.items()]
        if len(args) > len(names):
            given += [(rest, value) for value in args[len(names) :]]
        if paths and any(name in paths and isinstance(value, str) for name, value in given):
            args = tuple(_as_path(name in paths, value) for name, value in zip(names, args, strict=False))
            kwargs = {name: _as_path(name in paths, value) for name, value in kwargs.items()}
        wrong = None
        for name, value in given:
            kind = kinds.get(name)
            if kind is not None and not kind[0](value):
                if name in flags:
                    check_flag(name, value)
                wrong = wrong or (name, value)
        if deferred:
            return _iterated(function, args, kwargs, given, wrong)
        _here.inside = True
        try:
            result = function(*args, **kwargs)
        except UserError:
            raise
        except _RAW as problem:
            _explain(function, given, wrong, problem)
        finally:
            _here.inside = False
        if wrong is not None and not _stands_for_module(kinds[wrong[0]], wrong[1], result):
            raise _of_another_kind(function, *wrong)
        return result

    guarded._guarded = True  # type: ignore[attr-defined]
    return guarded


def _as_path(wanted: bool, value: Any) -> Any:
    return Path(value) if wanted and isinstance(value, str) else value


def _stands_for_module(kind: Kind, value: Any, result: Any) -> bool:
    """Whether a function was taken for the network that it calls; a context not yet entered proves nothing."""
    waiting = isinstance(result, AbstractContextManager) and not isinstance(result, nn.Module)
    return "a torch.nn.Module" in kind[1] and callable(value) and not isinstance(value, type) and not waiting


def _iterated(function: Callable[..., Any], args: Any, kwargs: Any, given: Given, wrong: Wrong) -> Iterator[Any]:
    try:
        items = function(*args, **kwargs)
        if wrong is None:
            yield from items
            return
        next(items, None)  # its own sentence, if it has one
    except UserError:
        raise
    except _RAW as problem:
        _explain(function, given, wrong, problem)
    raise _of_another_kind(function, *wrong)


def _explain(function: Callable[..., Any], given: Given, wrong: Wrong, problem: Exception) -> NoReturn:
    """Raise the sentence on the argument that explains an error, or the error again."""
    if wrong is not None:
        raise _of_another_kind(function, *wrong) from problem
    if isinstance(problem, TypeError) and "argument" in str(problem) and function.__qualname__ in str(problem):
        raise problem  # Python's own sentence about a call that does not fit the signature
    if type(problem).__module__.startswith("tightrope"):  # one of ours, such as NonFiniteError, which callers catch
        raise problem
    found = next(((name, value) for name, value in given if _unusual(value, whole="label" in name)), None)
    if found is None or isinstance(problem, torch.OutOfMemoryError):
        raise problem
    first = (str(problem).splitlines() or [type(problem).__name__])[0]
    raise UserError(
        f"Expected {found[0]} as a value to compute with, got {short(found[1])} ({printable(first)[:120]}); "
        f"{_remedy(function, found[0])}."
    ) from problem


def _of_another_kind(function: Callable[..., Any], name: str, value: Any) -> UserTypeError:
    got = f"the class {value.__name__}" if isinstance(value, type) else short(value)
    return UserTypeError(f"Expected {name} as {_kinds(function)[name][1]}, got {got}; {_remedy(function, name)}.")


def _remedy(function: Callable[..., Any], name: str) -> str:
    parameter = inspect.signature(function).parameters.get(name)
    default = None if parameter is None else parameter.default
    if isinstance(default, (int, float, str)):
        return f"{default!r} is the default"
    return f"help({function.__qualname__.removesuffix('.__init__')}) says what it takes"


@functools.cache
def _kinds(function: Callable[..., Any]) -> dict[str, Kind]:
    """The kinds of a function's arguments, without those that admit everything."""
    found = {}
    for name, parameter in inspect.signature(function).parameters.items():
        annotation = parameter.annotation
        if isinstance(annotation, str):
            try:
                annotation = eval(annotation, inspect.unwrap(function).__globals__)
            except NameError:  # imported for type checkers alone
                continue
        kind = kind_of(annotation)
        nan = isinstance(parameter.default, float) and parameter.default != parameter.default  # stands for "unknown"
        if kind is not None and not nan and parameter.kind is not parameter.VAR_KEYWORD:
            found[name] = kind
    return found


def kind_of(annotation: Any) -> Kind | None:
    """What an annotation admits; None for everything."""
    if isinstance(annotation, TypeVar):
        return kind_of(annotation.__bound__)
    if isinstance(annotation, collections.abc.Hashable) and annotation in _PLAIN:
        return _PLAIN[annotation]
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
        return (lambda v: isinstance(v, Iterable) and getattr(v, "ndim", 1) == 1), "values to go through"
    if origin in (dict, collections.abc.Mapping):
        return (lambda v: isinstance(v, Mapping)), "a dict"
    if origin is collections.abc.Callable or annotation is Callable:
        return callable, "a function"
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
            return isinstance(value, str) and kind == _PLAIN[str]
        if isinstance(value, Tensor) or _is_array(value):
            return bool(value.ndim) and (kind is None or (value.ndim == 1 and kind in (_PLAIN[float], _PLAIN[int])))
        if not isinstance(value, (Sequence, set, frozenset)):
            return False
        return kind is None or not isinstance(value, Sequence) or all(kind[0](part) for part in value)

    return fits, "a sequence" if kind is None else f"a sequence, each {kind[1]}"


def _is_number(value: Any) -> bool:
    if isinstance(value, Tensor):
        return value.numel() == 1 and not value.is_complex() and not value.is_meta
    return isinstance(value, Real) and not isinstance(value, bool) and value == value


def _is_tensor(value: Any) -> bool:
    return isinstance(value, Tensor) and value.layout is torch.strided and not value.is_quantized


def _is_array(value: Any) -> bool:
    return type(value).__module__ == "numpy" and type(value).__name__ == "ndarray"


def _is(*classes: type) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, classes)


_PLAIN: dict[Any, Kind] = {
    Tensor: (_is_tensor, "a dense tensor"),
    bool: (_is(bool), "True or False"),
    int: (lambda v: isinstance(v, Integral) and not isinstance(v, bool), "a whole number"),
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


def _unusual(value: Any, *, whole: bool = False) -> bool:
    """Whether functions are not written for a value, of whole numbers or not, so that it explains an error."""
    if isinstance(value, Tensor):
        strange = value.is_meta or value.is_complex() or value.is_quantized or value.layout is not torch.strided
        other = not value.is_floating_point() and not whole
        if strange or other or not value.dim() or not value.numel() or value.dtype is torch.float16:
            return True
        try:
            return not bool(torch.isfinite(value).all())
        except RuntimeError:  # under a transform, which cannot look
            return False
    if _is_array(value):
        return value.dtype.kind not in "fiub" or not value.size or bool((value * 0 != 0).any())
    if isinstance(value, Real) and not isinstance(value, bool):
        return bool(value < 0 or value > _MANY)  # type: ignore[operator]
    if isinstance(value, (list, tuple)):
        return not value or any(map(_unusual, value))
    return False
