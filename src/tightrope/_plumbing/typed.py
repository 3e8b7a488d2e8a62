"""Values of declared types out of words, JSON or Python: taken, or refused in one sentence that says where."""

from __future__ import annotations

import dataclasses
import json
import math
import types
import typing
from collections.abc import Iterable
from numbers import Integral, Real
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from tightrope._plumbing.errors import UserError
from tightrope._plumbing.files import unreadable

LARGEST_FILE = 64 << 20
"""Bytes of a JSON file that are read: more is no file of ours."""

DEEPEST = 32
"""Levels of a JSON file that are read: what shows or compares them goes down by itself."""

MANY = 2**31
"""Upper bounds from here on are those of the machine, which nobody comes near who means what he types."""

_BOUNDS = {"ge": "of at least", "gt": "above", "le": "at most", "lt": "below"}

_WORDS = {
    bool: "True or False",
    int: "a whole number",
    float: "a finite number",
    str: "a text",
    Path: "a path",
    dict: "a table",
}


def converted(value: Any, hint: Any, where: str, *, words: bool = False, remedy: str = "choose another value") -> Any:
    """A value as its type says.

    Args:
        value: What was given; numbers of NumPy count as Python's.
        hint: Type, with ``msgspec.Meta`` for ranges.
        where: What it was given for, such as ``--steps``.
        words: Read numbers out of strings.
        remedy: What to do, for the message.

    Raises:
        UserError: It is of another type, out of range or not finite.
    """
    import msgspec

    try:
        plain = msgspec.to_builtins(value, enc_hook=_plain)
        found = msgspec.convert(plain, hint, strict=not words, dec_hook=_own_types)
        json.dumps(found, allow_nan=False, default=str)
    except (msgspec.ValidationError, RecursionError, TypeError, ValueError):
        told = in_words(hint, most=math.inf if _huge(value) else MANY)
        raise UserError(f"Expected {where} as {told}, got {_shown(value)}; {remedy}.") from None
    return found


def _huge(value: Any) -> bool:
    try:
        return float(value) >= MANY
    except (TypeError, ValueError, OverflowError):
        return isinstance(value, int)


def in_words(hint: Any, *, most: float = MANY) -> str:
    """What a type holds, such as ``a whole number of at least 1``; no bounds from ``most`` on."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        bounds = {key: getattr(meta, key) for meta in arguments[1:] for key in _BOUNDS if hasattr(meta, key)}
        told = [f"{_BOUNDS[key]} {value:g}" for key, value in bounds.items() if value is not None and value < most]
        return " ".join([in_words(arguments[0], most=most), " and ".join(told)]).rstrip()
    if origin in (Union, types.UnionType):
        return " or ".join(in_words(one, most=most) for one in arguments if one is not type(None))
    if origin is Literal:
        return ("one of " if len(arguments) > 1 else "") + ", ".join(map(str, arguments))
    if origin in (tuple, list):
        count = "several" if Ellipsis in arguments or origin is list else str(len(arguments))
        return f"{count} values, each {in_words(arguments[0], most=most)}"
    return _WORDS.get(origin or hint, "a value")


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object of a file.

    Raises:
        UserError: It cannot be read, is no JSON, or none that nests and counts within reason.
    """
    import msgspec

    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE)
    except OSError as error:
        raise UserError(unreadable(path, error)) from error
    try:
        found = msgspec.json.decode(content)
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise UserError(f"Expected JSON in {path}, got something else ({error}); restore the file.") from error
    if not isinstance(found, dict):
        raise UserError(f"Expected JSON in {path} that is an object, got {_shown(found)}; restore the file.")
    level: list[Any] = [found]
    for _ in range(DEEPEST):
        inside = (one.values() if isinstance(one, dict) else one for one in level)
        level = [value for values in inside for value in values if isinstance(value, dict | list)]
    if level:
        raise UserError(f"Expected JSON in {path} of at most {DEEPEST} levels, got more; restore the file.")
    return found


def strangers(found: Any, kind: Any, where: str = "") -> Iterable[str]:
    """The names of what plain values hold beside the fields of a dataclass, its parts included."""
    if not dataclasses.is_dataclass(kind) or not isinstance(found, dict):
        return
    hints = typing.get_type_hints(kind)
    for key, value in found.items():
        if key not in hints:
            yield f"{where}{key}"
        else:
            yield from strangers(value, hints[key], f"{where}{key}.")


def _plain(value: Any) -> Any:
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value)
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{value!r} is no plain value")


def _own_types(hint: Any, value: Any) -> Any:
    if hint is Path and isinstance(value, str | Path):
        return Path(value)
    raise TypeError(f"{hint} cannot be read")


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
