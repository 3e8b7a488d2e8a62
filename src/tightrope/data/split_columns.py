"""Columns of tables that tell training rows from test rows: ``split``, ``partition``, ``is_valid`` and their like.

What such a column says is honoured as folders of that name are: the same words, of several kinds of test rows those
called test, and what is for neither is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tightrope._plumbing.errors import UserError, printable
from tightrope.data.split_names import TRAIN, Parts, chosen, is_neither, keyword, said_of, words_of

__all__ = ["agreed", "both_splits", "ends", "may_tell", "parts_by_column", "sides_of", "split_column"]

_COLUMNS = {"split", "splits", "set", "subset", "partition", "usage", "phase", "fold", "mode", "stage"}
_OWNERS = ("data", "dataset", "image", "file", "train_test", "traintest", "train_val", "trainval", "tt", "ds")
_FLAG = re.compile(r"(?:is|in|for|use_for|used_for)[_ -]?(.+)", re.IGNORECASE)
_TRUE, _FALSE = {"1", "1.0", "true", "yes", "y", "t"}, {"0", "0.0", "false", "no", "n", "f", ""}
_NUMBERS = re.compile(r"-?[0-9]+(\.0*)?")
_FEW = 3  # different numbers that may stand for training, validation and test
_SHOWN = 5
NO_WORD = ""


def _told(words: Iterable[str]) -> dict[str, tuple[str, str]]:
    """:func:`words_of` of what is written; nothing is no word, nor company for two letters."""
    different = set(words)
    return words_of(different - {NO_WORD}) | dict.fromkeys(different & {NO_WORD}, (NO_WORD, NO_WORD))


def names_a_split(column: str) -> bool:
    """Whether a column is called like one that tells splits by words, such as ``split`` or ``data_split``."""
    name = re.sub(r"[\W_]+", "_", column.strip().lower()).strip("_")
    return name in _COLUMNS or any(name == f"{owner}_{told}" for owner in _OWNERS for told in ("split", "set"))


def _flag(column: str) -> str:
    """The split's word of a column of yes and no, such as ``is_valid``; empty for any other column."""
    found = _FLAG.fullmatch(column.strip())
    return keyword(found[1].replace("_set", ""))[0] if found else NO_WORD


def may_tell(column: str) -> bool:
    """Whether a column is called like one that tells splits, by words or by yes and no."""
    return names_a_split(column) or bool(_flag(column))


def both_splits(values: Sequence[Any]) -> bool:
    """Whether values are words of splits and nothing else, of training and of test rows."""
    return set(ends([str(value) for value in values])) == {"train", "test"}


def split_column(column: str, values: Sequence[Any]) -> tuple[list[str] | None, list[str]]:
    """What a column says of each row as the name of a split, or None if it tells none; and what is to be said of it.

    Args:
        column: Its name.
        values: One per row: text, true and false, or 0 and 1; None for none.
    """
    texts = [NO_WORD if value is None else str(value).strip() for value in values]
    different = set(texts)
    if names_a_split(column):
        if any(word for word, _ in _told(different).values()):
            return texts, []
        if 1 < len(different) <= _FEW and all(map(_NUMBERS.fullmatch, different)):
            note = f"Column {printable(column)} holds numbers, which do not say what is for training, and is not read"
            return None, [f"{note}; write train and test into it."]
        return None, []
    word, lower = _flag(column), {text.lower() for text in different}
    if not word or not lower <= _TRUE | _FALSE or not lower & _TRUE:
        return None, []
    other = "test" if word in TRAIN else "train"
    return [word if text.lower() in _TRUE else other for text in texts], []


def agreed(columns: Mapping[str, Sequence[str]], place: str) -> tuple[str, list[str]] | None:
    """The column that tells the splits, and its words; None without one.

    Args:
        columns: Columns that tell splits, with their words.
        place: The file, for messages.

    Raises:
        UserError: Two of them say unlike things.
    """
    found = [(column, list(words), ends(words)) for column, words in columns.items()]
    for column, _, its in found[1:]:
        if its != found[0][2]:
            raise UserError(
                f"Expected one column of splits in {place}, got {printable(found[0][0])} and {printable(column)}, "
                "which say unlike things; remove one of them."
            )
    return found[0][:2] if found else None


def ends(words: Sequence[str]) -> list[str]:
    """Per row ``train``, ``test`` for any kind of test, or nothing."""
    told = _told(words)
    return ["" if not (word := told[text][0]) else "train" if word in TRAIN else "test" for text in words]


def sides_of(words: Sequence[str], things: str, column: str) -> tuple[list[str], list[str]]:
    """Per row ``train``, ``test`` or, if it is in neither split, nothing; and sentences on what was taken for what.

    All rows are ``train`` if the words tell only one kind of split and there are no other rows.

    Args:
        words: What is written of each row, at least one of which names a split.
        things: What the rows are, for the sentences.
        column: The name of the column.

    Raises:
        UserError: Nothing is left to train on.
    """
    told = _told(words)
    side = chosen({text: word for text, (word, _) in told.items() if word})
    train = [text for text in side if side[text] == "train"]
    test = [text for text in side if side[text] == "test"]
    others = [text for text in told if not told[text][0]]
    if not train and not others:
        note = f"Column {printable(column)} says {_listed(test)} of all {things}: they are read as one set."
        return ["train"] * len(words), [note]
    if not train:
        train = [text for text in others if not is_neither(text)]
        side |= dict.fromkeys(train, "train")
    sides = [side.get(text, "") for text in words]
    if "train" not in sides:
        raise UserError(
            f"Expected {things} whose column {printable(column)} says train, got {_listed(told)} alone; correct it."
        )
    if not test and len(set(sides)) == 1:
        return sides, []
    left = sides.count("")
    return sides, said_of(
        [_listed(train)] if train else ["none"],
        [_listed(test)] if test else [],
        f"{things} whose {printable(column)} is",
        left,
        things,
        of=_listed([text for text in told if text not in side]),
    )


def _listed(texts: Iterable[str]) -> str:
    names = [printable(text)[:60] or "empty" for text in sorted(texts)]
    return ", ".join(names[:_SHOWN]) + (" ..." if len(names) > _SHOWN else "")


def parts_by_column(found: Parts, words: Mapping[str, str], column: str) -> Parts:
    """Splits of images as a column tells them, together with what their folders told.

    Args:
        found: Splits by folders and file names.
        words: Image -> what the column says of it, for the images that it mentions.
        column: Its name.

    Raises:
        UserError: The column takes an image for training that stands in a test folder, or the other way round.
    """
    every = [name for members in found.names.values() for name in members]
    listed = [words.get(name, NO_WORD) for name in every]
    sides, notes = sides_of(listed, "images", column)
    told = dict(zip(every, sides, strict=True))
    if not found.names.get("test"):
        parts = {side: [name for name in every if told[name] == side] for side in ("train", "test")}
        return Parts(parts, found.shorter, [*found.notes, *notes])
    side_of = dict(zip(every, ends(listed), strict=True))
    for side, members in found.names.items():
        if unlike := [name for name in members if side_of[name] not in ("", side)]:
            raise UserError(
                f"Expected folders and the column {printable(column)} to tell the same splits, got {unlike[0]} as one "
                f"for {side} by its place and {printable(words[unlike[0]])} by the column; correct one of the two."
            )
    return found
