"""The door of a room: what Python or torch says of a wrong argument is turned into a sentence that names it.

A function says itself what it refuses. What it does not foresee is held against its annotations, so that every public
function answers alike and none needs a line for each kind of nonsense.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import re
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from numbers import Real
from pathlib import Path
from typing import Any, Literal, NoReturn, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.compiler import is_compiling

from tightrope._plumbing.checks import check_flag, short
from tightrope._plumbing.errors import UserError, UserTypeError, printable
from tightrope._plumbing.kinds import ENDLESS, PLAIN, Kind, is_array, kind_of

F = TypeVar("F", bound=Callable[..., Any])
First = Literal[True] | tuple[str, ...]
Given = list[tuple[str, Any]]
Wrong = tuple[str, Any] | None
"""Arguments by name, and one of another kind than its annotation."""

_RAW = (ArithmeticError, AssertionError, AttributeError, LookupError, MemoryError, RuntimeError, TypeError, ValueError)
_MANY = 10**6


class _Here(threading.local):
    inside = False
    """Whether a call is being looked after in this thread."""


_here = _Here()


def keep_door(room: str, names: Iterable[str], *, first: First = ()) -> None:
    """Put :func:`checked` on what a room offers, where it stands: functions, and of classes what is public.

    What torch calls at every step stays as it is: ``forward`` of modules and ``step`` of optimisers; so do exceptions,
    and how records are built that check nothing themselves.

    Args:
        room: Dotted name of the room.
        names: Of what it offers.
        first: Refuse arguments of another kind before the function runs, as befits what writes: all, or those of a
            name.
    """
    here = vars(sys.modules[room])
    for name in names:
        thing = here.get(name)
        if inspect.isclass(thing):
            if not issubclass(thing, Exception) and thing.__module__.startswith("tightrope"):
                _guard_class(thing, first)
        elif inspect.isfunction(thing):
            here[name] = vars(sys.modules[thing.__module__])[name] = checked(thing, first=first)


def _guard_class(thing: type, first: First) -> None:
    for name, member in list(vars(thing).items()):
        plain = member.__func__ if isinstance(member, classmethod) else member
        built = name == "__init__" and (hasattr(thing, "__post_init__") or not dataclasses.is_dataclass(thing))
        ours = not issubclass(thing, (torch.optim.Optimizer, nn.Module))  # torch calls modules and optimisers itself
        public = (not name.startswith("_") and name != "forward" and not issubclass(thing, torch.optim.Optimizer)) or (
            name == "__call__" and ours
        )
        if inspect.isfunction(plain) and (built or public):
            found: Any = checked(plain, first=first)
            setattr(thing, name, classmethod(found) if isinstance(member, classmethod) else found)


def checked(function: F, *, first: First = ()) -> F:
    """Let a function refuse what its annotations do not admit, and say which argument an error from inside is about.

    The function's own sentence comes before that of the door, unless the argument is to be refused ``first``, or is a
    whole number that no computer counts to. An argument of another kind than its annotation names is refused where the
    function took it, or failed over it; so is, where it failed, what functions are not written for: a tensor that is
    complex, sparse, empty, not finite or without storage, or a number beyond all use. An error that no argument
    explains is ours, or that of the caller's network, and stays as it is. Under ``torch.compile`` nothing is done, and
    nothing inside a call that is looked after already: what counts is what the caller gave.

    Raises:
        UserTypeError: From the function: an argument is of another kind.
        UserError: From the function: an argument is what the function cannot compute with.
    """
    return cast("F", function if hasattr(function, "_guarded") else _guarded(function, first))


def inner(function: F) -> F:
    """A function without its door, for a room that calls it at every step, inside of a call that is looked after."""
    return cast("F", getattr(function, "__wrapped__", function))


@functools.cache  # one guard per function, so that functions can be compared
def _guarded(function: Callable[..., Any], first: First) -> Callable[..., Any]:
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
        if is_compiling() or _here.inside:
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
        if wrong is not None and (
            _is_endless(wrong[1])
            or ((first is True or wrong[0] in first) and not _may_stand_for_module(kinds[wrong[0]], wrong[1]))
        ):
            raise _of_another_kind(function, *wrong)
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
        if wrong is not None:
            waiting = isinstance(result, AbstractContextManager) and not isinstance(result, nn.Module)
            if waiting or not _may_stand_for_module(kinds[wrong[0]], wrong[1]):
                raise _of_another_kind(function, *wrong)
        return result

    guarded._guarded = True  # type: ignore[attr-defined]
    return guarded


def _as_path(wanted: bool, value: Any) -> Any:
    return Path(value) if wanted and isinstance(value, str) else value


def _may_stand_for_module(kind: Kind, value: Any) -> bool:
    """Whether a function may be taken for the network that it calls; a context not yet entered proves nothing."""
    return "a torch.nn.Module" in kind[1] and callable(value) and not isinstance(value, type)


def _is_endless(value: Any) -> bool:
    return isinstance(value, int) and abs(value) >= ENDLESS


def _iterated(function: Callable[..., Any], args: Any, kwargs: Any, given: Given, wrong: Wrong) -> Iterator[Any]:
    items = function(*args, **kwargs)
    try:
        while True:
            before, _here.inside = _here.inside, True
            try:
                item = next(items)
            except StopIteration:
                break
            except UserError:
                raise
            except _RAW as problem:
                _explain(function, given, wrong, problem)
            finally:
                _here.inside = before
            if wrong is not None:
                break  # its own sentence would have come, if it had one
            yield item
    finally:
        items.close()
    if wrong is not None:
        raise _of_another_kind(function, *wrong)


def _explain(function: Callable[..., Any], given: Given, wrong: Wrong, problem: Exception) -> NoReturn:
    """Raise the sentence on the argument that explains an error, or the error again."""
    if wrong is not None:
        raise _of_another_kind(function, *wrong) from problem
    if isinstance(problem, TypeError) and "argument" in str(problem) and function.__qualname__ in str(problem):
        raise problem  # Python's own sentence about a call that does not fit the signature
    if type(problem).__module__.startswith("tightrope"):  # one of ours, such as NonFiniteError, which callers catch
        raise problem
    if (known := _said_of(problem)) is not None:
        raise UserError(known) from problem
    found = next(((name, value) for name, value in given if _unusual(value, whole="label" in name)), None)
    found = found or next(((name, value) for name, value in given if _is_to_blame(value, problem)), None)
    if found is None or isinstance(problem, torch.OutOfMemoryError):
        raise problem
    first = (str(problem).splitlines() or [type(problem).__name__])[0]
    raise (UserTypeError if isinstance(problem, TypeError) else UserError)(
        f"Expected {found[0]} as a value to compute with, got {short(found[1])} ({printable(first)[:120]}); "
        f"{_remedy(function, found[0])}."
    ) from problem


def _said_of(problem: BaseException) -> str | None:
    """Our sentence where torch says that a network is of a kind that hardly any function is written for."""
    return next((sentence for words, sentence in _SAID_BY_TORCH.items() if re.search(words, str(problem))), None)


@contextmanager
def translating() -> Iterator[None]:
    """Around what a function of ours returned to be called later, outside of its door: torch's words as our sentences.

    Raises:
        UserError: At the end of the block, about a network of another kind.
    """
    try:
        yield
    except RuntimeError as problem:
        if (known := _said_of(problem)) is not None:
            raise UserError(known) from problem
        raise


def _is_to_blame(value: Any, problem: Exception) -> bool:
    """Whether an error says so: a division by it, a matrix with no inverse, a function that takes other arguments."""
    if isinstance(problem, ZeroDivisionError):
        return isinstance(value, Real) and value == 0
    if type(problem).__name__ == "_LinAlgError":
        return isinstance(value, Tensor)
    called = getattr(value, "forward", value)
    return (
        isinstance(problem, TypeError)
        and callable(called)
        and not inspect.isbuiltin(called)
        and str(problem).startswith(f"{getattr(called, '__qualname__', '')}() ")
    )


_SAID_BY_TORCH = {
    r"\b[Ii]nference tensor": "Expected networks and samples made outside of torch.inference_mode(), got some "
    "made inside, which have no gradients; build or load them outside, or use x.clone().",
    "leaf Variable that requires grad .* in-place": "Expected networks that leave their inputs as they are, got one "
    "that writes into them, as x.mul_(2) does, or nn.ReLU(inplace=True) first; use the form that returns a new tensor.",
    r"\buninitialized parameter": "Expected layers whose sizes are known, got lazy ones; call the network once before.",
    r"\b[Mm]eta tensor": "Expected networks and samples that hold values, got some on the device meta; use "
    "network.to_empty(device='cpu') and load weights.",
    **dict.fromkeys(
        ("support double backward", "donated buffers"),
        "Expected networks that can be differentiated twice, got one compiled by torch.compile; pass the network it "
        "was made from (network._orig_mod), or compile with backend='eager'.",
    ),
    r"call `fabric\.backward": "Expected networks of which gradients may be taken here, got ones that Fabric set up "
    "with mixed precision; pass network.module inside of `with fabric.autocast():`.",
    "When use_reentrant=True": "Expected activation checkpoints that gradients can be taken through, got reentrant "
    "ones; pass use_reentrant=False to torch.utils.checkpoint.checkpoint.",
    "number of tensors was saved": "Expected activation checkpoints that compute again what they computed before, got "
    "other tensors; analyse the network without checkpoints, which change no value.",
    "supported on ScriptModules": "Expected a network in Python, got TorchScript, whose code is fixed; pass the module "
    "that it was made from.",
}
"""Kinds of networks that hardly any function is written for, by patterns of what torch says of them."""

_MADE = {
    "a Method": "methods.build('r1') is one",
    "a Dataset": "data.open_data(...) gives one",
    "a Samples": "evaluation.open_samples(...) gives one",
    "a FeatureNetwork": "evaluation.open_features(...) gives one",
    "a Loss": "losses.hinge is one",
}
"""Where values of our own kinds come from."""


def _of_another_kind(function: Callable[..., Any], name: str, value: Any) -> UserTypeError:
    got = f"the class {value.__name__}" if isinstance(value, type) else short(value)
    kind = _kinds(function)[name][1]
    made = next((remedy for word, remedy in _MADE.items() if kind.startswith(word)), None)
    if made is None and kind.startswith(PLAIN[Tensor][1]) and (is_array(value) or isinstance(value, (list, tuple))):
        made = "torch.as_tensor(...) makes one"
    return UserTypeError(f"Expected {name} as {kind}, got {got}; {made or _remedy(function, name)}.")


def _remedy(function: Callable[..., Any], name: str) -> str:
    parameter = inspect.signature(function).parameters.get(name)
    default = None if parameter is None else parameter.default
    if isinstance(default, (int, float, str)):
        return f"{default!r} is the default"
    return f"help({function.__qualname__.removesuffix('.__init__')}) says what it takes"


class _Names(dict[str, Any]):
    """A module's names; our classes that it imports for type checkers alone are found where another module has them."""

    def __missing__(self, name: str) -> Any:
        rooms = [vars(module) for key, module in list(sys.modules.items()) if key.startswith("tightrope.")]
        found = next((room[name] for room in rooms if isinstance(room.get(name), type)), None)
        if found is None or not found.__module__.startswith("tightrope"):
            raise KeyError(name)
        return found


@functools.cache
def _kinds(function: Callable[..., Any]) -> dict[str, Kind]:
    """The kinds of a function's arguments, without those that admit everything."""
    found = {}
    for name, parameter in inspect.signature(function).parameters.items():
        annotation = parameter.annotation
        if isinstance(annotation, str):
            try:
                annotation = eval(annotation, {}, _Names(inspect.unwrap(function).__globals__))
            except NameError:
                continue
        kind = kind_of(annotation)
        nan = isinstance(parameter.default, float) and parameter.default != parameter.default  # stands for "unknown"
        if kind is not None and not nan and parameter.kind is not parameter.VAR_KEYWORD:
            found[name] = kind
    return found


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
    if is_array(value):
        return value.dtype.kind not in "fiub" or not value.size or bool((value * 0 != 0).any())
    if isinstance(value, Real) and not isinstance(value, bool):
        return value < 0 or not value <= _MANY
    if isinstance(value, (list, tuple)):
        return not value or any(map(_unusual, value))
    return False
