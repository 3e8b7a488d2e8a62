"""Command-line options derived from typed signatures: of option classes, and of method and network builders."""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import io
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import tyro

from tightrope._plumbing.errors import UserError
from tightrope._plumbing.words import closest

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")


def parse(options: type[T], command: str, words: Sequence[str], description: str = "") -> T:
    """Parse all of ``words`` into an option class; anything unknown ends with exit status 2 and the valid options."""
    found, rest = parse_known(options, command, words, description)
    if rest:
        name = rest[0].split("=")[0]
        valid = [f"--{field.name.replace('_', '-')}" for field in dataclasses.fields(options)]
        raise UserError(
            f"tightrope {command} has no option {name!r}{closest(name, valid)}; valid are {', '.join(valid)}."
        )
    return found


def parse_known(options: type[T], command: str, words: Sequence[str], description: str = "") -> tuple[T, list[str]]:
    """Parse ``words`` into an option class and hand back the words that belong to none of its options."""
    with _in_a_sentence():
        found, rest = tyro.cli(
            options,
            prog=f"tightrope {command}",
            description=description or None,
            args=list(words),
            return_unknown_args=True,
            config=(tyro.conf.OmitArgPrefixes,),
        )
    return found, list(rest)


@contextlib.contextmanager
def _in_a_sentence() -> Iterator[None]:
    """Turn the box that tyro draws around a mistake into a :class:`UserError`; help goes through untouched."""
    drawn = io.StringIO()
    try:
        with contextlib.redirect_stderr(drawn):
            yield
    except SystemExit as end:
        if not end.code:
            raise
        blocks: list[list[str]] = [[]]
        for line in drawn.getvalue().splitlines():
            if "──" in line or "-----" in line:
                blocks.append([])
            else:
                blocks[-1].append(line.strip("│| "))
        text = " ".join(blocks[1] if len(blocks) > 1 else []).partition("Got errors:")[0].strip()
        text = text or "Expected other options"
        raise UserError(f"{text[0].upper()}{text[1:].rstrip('.')}; see --help.") from None


def given_options(words: Sequence[str]) -> list[str]:
    """Names of the long options in ``words``, as Python identifiers, in order."""
    names = [word[2:].split("=")[0].replace("-", "_") for word in words if word.startswith("--")]
    stray = words[0] if words and not words[0].startswith("--") else None
    if stray is not None:
        raise UserError(f"Expected options that begin with --, got {stray!r}; see --help.")
    return names


def read_typed(hints: Mapping[str, Any], words: Sequence[str], command: str) -> dict[str, Any]:
    """Convert the given options by their type hints.

    Args:
        hints: Type of every option that may appear, by name.
        words: Options and their values.
        command: Shown in messages.

    Returns:
        Values by name, of the options that were given.
    """
    names = given_options(words)
    booleans = {name: name.removeprefix("no_") for name in names if name not in hints and name.startswith("no_")}
    wanted = dict.fromkeys(booleans.get(name, name) for name in names)
    if not wanted:
        return {}
    fields = [
        (name, hints[name], dataclasses.field(default=False)) if hints[name] is bool else (name, hints[name])
        for name in sorted(wanted, key=lambda name: hints[name] is bool)
    ]
    cls = dataclasses.make_dataclass("Options", fields)
    with _in_a_sentence():
        found: Any = tyro.cli(cls, prog=f"tightrope {command}", args=list(words))
    return {name: getattr(found, name) for name in wanted}


def hints_of(builder: Callable[..., Any], names: Sequence[str]) -> dict[str, Any]:
    """Resolved type hints of some parameters of a builder."""
    hints = typing.get_type_hints(builder)
    return {name: hints[name] for name in names}


def describe(builder: Callable[..., Any], names: Sequence[str]) -> list[str]:
    """One line per parameter for ``--help``: option, default, and its sentence from the docstring."""
    parameters = inspect.signature(builder).parameters
    sentences = argument_sentences(inspect.getdoc(builder) or "")
    lines = []
    for name in names:
        option = f"--{name.replace('_', '-')}"
        default = parameters[name].default
        shown = " ".join(map(str, default)) if isinstance(default, tuple) else default
        lines.append(f"  {option:<28} {sentences.get(name, '')} (default: {shown})")
    return lines


def argument_sentences(docstring: str) -> dict[str, str]:
    """The sentences of a Google-style ``Args:`` section by argument name."""
    found: dict[str, str] = {}
    inside, current = False, ""
    for line in docstring.splitlines():
        if line.strip() == "Args:":
            inside = True
            continue
        if inside and line and not line.startswith("    "):
            break
        if not inside or not line.strip():
            continue
        if line.startswith("        ") and current:
            found[current] += " " + line.strip()
        else:
            current, _, text = line.strip().partition(":")
            found[current] = text.strip()
    return found
