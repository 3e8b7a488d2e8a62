"""Command lines as typed options: tyro parses, and what it refuses is said in one sentence."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import itertools
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import tyro

from tightrope._plumbing.errors import UserError
from tightrope._plumbing.files import expanded
from tightrope._plumbing.typed import converted, in_words
from tightrope._plumbing.words import closest

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")


def parse(
    options: type[T], command: str, words: Sequence[str], unknown: Callable[[str], None] = lambda name: None
) -> T:
    """Parse the words of a command into its option class.

    Args:
        options: Dataclass; fields of a dataclass type are groups of options.
        command: For messages.
        words: What was typed after the command.
        unknown: Called with the Python name of an unknown option, to raise a better sentence.

    Raises:
        UserError: Something is unknown, missing, of another type or out of range.
        SystemExit: Help was asked for and printed.
    """
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            found = tyro.cli(
                options, prog=f"tightrope {command}", args=list(words), config=(tyro.conf.OmitArgPrefixes,)
            )
    except SystemExit as end:
        if not end.code:
            raise
        _explain(options, command, words, unknown)
        raise UserError(f"Expected other options than {' '.join(words)!r}; see tightrope {command} --help.") from None
    _refuse_spelling(options, words)
    for name, (hint, positional) in _fields(options).items():
        if not positional and (value := getattr(found, name, None)) is not None:
            converted(value, hint, _dashed(name), remedy=f"see tightrope {command} --help")
    return _from_home(found)


def _refuse_spelling(options: type, words: Sequence[str]) -> None:
    """Refuse numbers that Python reads and nobody means, such as ``1_0`` for 10, or digits of other alphabets."""
    fields, option, left = _fields(options), "", 0
    for word in words:
        value = word
        if word.startswith("--"):
            option, equals, value = word.partition("=")
            hint = fields.get(option[2:].replace("-", "_"), (str, False))[0]
            left = (len(_arguments(hint)) or 1) if "number" in in_words(hint) else 0
            if not equals:
                continue
        if left and ("_" in value or not value.isascii()):
            raise UserError(f"Expected {option} in digits, got {value!r}; write it with 0 to 9 alone.")
        left -= left > 0


def _from_home(found: T) -> T:
    """The options with ``~`` at the beginning of paths replaced, as shells do for ``~/x`` but not for ``--out=~/x``."""
    paths: dict[str, Any] = {}
    for name, value in vars(found).items():
        if isinstance(value, Path):
            paths[name] = expanded(value)
        elif isinstance(value, tuple):
            paths[name] = tuple(expanded(each) if isinstance(each, Path) else each for each in value)
    return dataclasses.replace(found, **paths) if paths else found


def group(title: str, options: Mapping[str, Any], taken: Sequence[str]) -> type:
    """A dataclass of options for one group of the help, without the names that are taken.

    Args:
        title: Sentence above the group.
        options: By name; each has a ``hint``, a ``default`` and a ``sentence``.
        taken: Names that mean something else.
    """
    fields = [
        (key, Annotated[option.hint, tyro.conf.arg(help=option.sentence)], dataclasses.field(default=option.default))
        for key, option in options.items()
        if key not in taken
    ]
    return dataclasses.make_dataclass("Group", fields, frozen=True, namespace={"__doc__": title})


def described(options: type) -> list[tuple[str, Any, Any]]:
    """The fields of an option class, each with its sentence under ``Attributes`` of the docstring as its help."""
    from docstring_parser import parse as parse_docstring

    said = {
        one.arg_name: " ".join((one.description or "").split())
        for kind in options.__mro__
        if dataclasses.is_dataclass(kind)
        for one in parse_docstring(kind.__doc__ or "").params
    }
    hints = typing.get_type_hints(options, include_extras=True)
    return [
        (
            one.name,
            Annotated[hints[one.name], tyro.conf.arg(help=said[one.name])],
            dataclasses.field(default=one.default),
        )
        for one in dataclasses.fields(options)
    ]


def spelt(words: Sequence[str]) -> dict[str, str]:
    """The options among the words by their Python names, without ``no-``, each with the value that may belong to it."""
    found = {}
    for word, following in itertools.zip_longest(words, words[1:], fillvalue=""):
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            found[name.removeprefix("no-").replace("-", "_")] = value if equals else following
    return found


def _explain(options: type, command: str, words: Sequence[str], unknown: Callable[[str], None]) -> None:
    """Raise a sentence about the first word that does not fit."""
    fields, remedy = _fields(options), f"see tightrope {command} --help"
    wanted = [name for name, (_, positional) in fields.items() if positional]
    queue = list(words)
    while queue:
        word = queue.pop(0)
        if not word.startswith("--"):
            if not wanted:
                raise UserError(f"Expected options that begin with --, got {word!r}; {remedy}.")
            if not _many(fields[wanted[0]][0]):
                name = wanted.pop(0)
                converted(word, fields[name][0], name.upper(), words=True, remedy=remedy)
            continue
        option, equals, value = word.partition("=")
        name = option[2:].replace("-", "_")
        hint = fields[name][0] if name in fields else None
        if hint is bool or (name.startswith("no_") and fields.get(name[3:], (None,))[0] is bool):
            continue
        if name in fields and fields[name][1]:
            value = value or (queue or ["..."])[0]
            raise UserError(f"Expected {name.upper()} without {option} before it: tightrope {command} {value}.")
        if hint is None:
            unknown(name)
            valid = [_dashed(key) for key, (_, positional) in fields.items() if not positional]
            raise UserError(
                f"tightrope {command} has no option {option!r}{closest(option, valid)}; valid are {', '.join(valid)}."
            )
        values, count = [value] if equals else [], len(_arguments(hint)) or 1
        while len(values) < count and queue and not queue[0].startswith("--"):
            values.append(queue.pop(0))
        if len(values) < count:
            raise UserError(f"Expected {in_words(hint)} after {option}, got {len(values)} of {count} values; {remedy}.")
        found = converted(values if _arguments(hint) else values[0], hint, option, words=True, remedy=remedy)
        _in_digits(values, found, option)
    if wanted and not (_many(fields[wanted[0]][0]) and len(words) > 0):
        raise UserError(f"Expected {', '.join(wanted).upper()}, got none; {remedy}.")
    needed = [
        one.name for one in dataclasses.fields(options) if one.default is one.default_factory is dataclasses.MISSING
    ]
    given = spelt(words)
    if missing := [_dashed(name) for name in needed if not fields.get(name, ("", True))[1] and name not in given]:
        raise UserError(f"Expected {', '.join(missing)}, got none; {remedy}.")


def _in_digits(words: Sequence[str], found: Any, option: str) -> None:
    """Refuse whole numbers that are written otherwise than in digits, such as ``1e4``."""
    for word, number in zip(words, found if isinstance(found, tuple) else (found,), strict=False):
        if type(number) is int and not word.lstrip("+-").isdecimal():
            raise UserError(f"Expected {option} in digits, got {word!r}; write {number}.")


def _fields(options: Any) -> dict[str, tuple[Any, bool]]:
    """Type of every option, its groups unfolded, and whether it is positional."""
    found: dict[str, tuple[Any, bool]] = {}
    for name, hint in typing.get_type_hints(options, include_extras=True).items():
        if dataclasses.is_dataclass(hint):
            found |= _fields(hint)
        else:
            marks = typing.get_args(hint)[1:] if typing.get_origin(hint) is Annotated else ()
            found[name] = (hint, any("ositional" in str(mark) for mark in marks))
    plain = {name: (_plain(hint), positional) for name, (hint, positional) in found.items()}
    return {name: (hint if hint is bool else found[name][0], positional) for name, (hint, positional) in plain.items()}


def _plain(hint: Any) -> Any:
    return typing.get_args(hint)[0] if typing.get_origin(hint) is Annotated else hint


def _arguments(hint: Any) -> tuple[Any, ...]:
    """Types of the values of a tuple of fixed length; none for anything else."""
    plain = _plain(hint)
    arguments = typing.get_args(plain)
    return arguments if typing.get_origin(plain) is tuple and Ellipsis not in arguments else ()


def _many(hint: Any) -> bool:
    return Ellipsis in typing.get_args(_plain(hint))


def _dashed(name: str) -> str:
    return f"--{name.replace('_', '-')}"
