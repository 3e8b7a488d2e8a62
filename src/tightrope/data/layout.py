"""Which images of a source belong to a split, and which classes they have, by their paths and stored labels."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tightrope._plumbing.errors import printable
from tightrope.data.files import common, is_shown
from tightrope.data.images import SUFFIXES
from tightrope.data.label_files import StoredLabels
from tightrope.data.labels import encode_values, from_names
from tightrope.data.split_columns import parts_by_column
from tightrope.data.split_names import keyword, parts_of
from tightrope.data.splits import Rows
from tightrope.data.targets import without_targets

__all__ = ["Layout", "is_image", "layout"]

_PIECE = re.compile(r"(fold|part|shard|chunk|batch|split|piece|subset)s?[\W_]*[0-9]+", re.IGNORECASE)
_LAST = re.compile(r"[0-9]{1,18}$")
_LEAST = 10
"""Numbers in a piece: nobody cuts a set into folders of fewer, and a class may well have so few images."""
Found = tuple[Rows | None, tuple[str, ...], list[str]]


@dataclass(frozen=True, eq=False)
class Layout:
    """Which images a split has.

    Attributes:
        names: paths inside the source, sorted.
        labels: int64 ``[n]``, or None.
        classes: class names, () without labels.
        whole: True if the source has no test split.
        notes: sentences for the user.
    """

    names: tuple[str, ...]
    labels: Rows | None
    classes: tuple[str, ...]
    whole: bool
    notes: tuple[str, ...]


def is_image(name: str) -> bool:
    """Whether a path inside a source has an image's ending and no hidden folder in it."""
    stem, dot, ending = name.rpartition("/")[2].rpartition(".")
    return bool(stem) and (dot + ending).lower() in SUFFIXES and is_shown(name)


def layout(names: Sequence[str], split: str, stored: StoredLabels | None = None) -> Layout:
    """Splits and classes of images from their paths.

    Masks beside images are left out, and folders that hold everything are ignored. Then :func:`parts_of` tells the
    splits, or a column of a file of labels if folders tell none. The first folder below is the class, if every image
    has one and there are at least two.

    Args:
        names: paths with ``/``, at least one.
        split: ``train`` or ``test``.
        stored: labels that count instead of the folders.
    """
    names, without = without_targets(names)
    base = common(names)
    inside = {name[len(base) :]: name for name in sorted(names)}
    found = parts_of(list(inside))
    if stored is not None and stored.splits:
        words = {name: stored.splits[path] for name, path in inside.items() if path in stored.splits}
        found = parts_by_column(found, words, stored.column)
    whole = not found.names.get("test")
    parts = {side: members for side, members in found.names.items() if members}
    chosen = parts["train" if whole else split]
    notes = [*without, *found.notes]
    if whole and (word := next((part for part in base.split("/") if keyword(part)[0]), "")):
        notes.append(f"All images are in the folder {word}: they are read as one set, not as the split of that name.")
    if stored is not None:
        notes += stored.notes
    if stored is not None and stored.sources:
        labels, classes, said = _stored([inside[name] for name in chosen], stored)
    else:
        shorter = {side: [found.shorter[name] for name in members] for side, members in parts.items()}
        labels, classes, said = _by_folders(shorter, "train" if whole else split)
    return Layout(tuple(inside[name] for name in chosen), labels, classes, whole, (*notes, *said))


def _by_folders(parts: dict[str, list[str]], split: str) -> Found:
    """Labels of a split from its first folders, numbered over all splits that have class folders."""
    folders = {side: _first_folders(names) for side, names in parts.items()}
    for side, first in folders.items():
        if set(first) == {""}:  # all in one folder, which may be a class of the other split
            folders[side] = _one_class(parts, side, {folder for its in folders.values() for folder in its}) or first
    labelled = {side: first for side, first in folders.items() if "" not in first}
    mine = folders[split]
    if split in labelled and _numbered_through(parts[split], mine):
        listed = ", ".join(sorted(set(mine))[:3])
        return (
            None,
            (),
            [f"Folders {listed} ... number their images through, so they are no classes but pieces of a set."],
        )
    if split in labelled and all(map(_PIECE.fullmatch, mine)):
        return None, (), [f"Folders {', '.join(sorted(set(mine))[:3])} are no classes but pieces of a set."]
    if split in labelled:
        _, classes = from_names([folder for first in labelled.values() for folder in first])
        number = {name: index for index, name in enumerate(classes)}
        said = [f"Folders {', '.join(classes[:3])} ... are read as classes."] if all(map(_counted, classes)) else []
        return np.array([number[folder] for folder in mine], dtype=np.int64), classes, said
    if len(set(mine)) > 1:
        return None, (), [f"{mine.count(''):,} of {len(mine):,} images are in no class folder, so there are no labels."]
    if labelled:
        return None, (), [f"The {split} images are not in class folders, so they have no labels."]
    return None, (), []


def _first_folders(names: Sequence[str]) -> list[str]:
    """The first folder of every path after those that all share; empty for files that are in none."""
    base = common(names)
    firsts = [name[len(base) :].rpartition("/")[0].partition("/")[0] for name in names]
    return [printable(unicodedata.normalize("NFC", first)) for first in firsts]  # alike however letters are composed


def _one_class(parts: dict[str, list[str]], side: str, classes: set[str]) -> list[str]:
    """The one class folder of a split whose images are all in it, by the classes of the other split; else empty."""
    mine = common(parts[side])
    for base in {common(names) for other, names in parts.items() if other != side}:
        folder = printable(unicodedata.normalize("NFC", mine.removeprefix(base).partition("/")[0]))
        if folder and mine.startswith(base) and folder in classes:
            return [folder] * len(parts[side])
    return []


def _numbered_through(names: Sequence[str], folders: Sequence[str]) -> bool:
    """Whether folders are pieces of one numbering: ``00001/img00001234.png``, or ``01000/01234.png``.

    Pieces hold equally many numbers, ten or more, of which some may be missing; both may be counted from 0 or from 1,
    and a folder may be called by the first number that belongs into it.
    """
    numbers = [_LAST.search(name.rpartition("/")[2].rpartition(".")[0]) for name in names]
    if not all(map(_counted, folders)) or not all(numbers):
        return False
    pairs = [(int(found[0]), int(folder)) for found, folder in zip(numbers, folders, strict=True) if found]
    if any(_of_one_size([(n - first, k - start) for n, k in pairs]) for first in (0, 1) for start in (0, 1)):
        return True
    common_size = math.gcd(*(k for _, k in pairs))
    return common_size >= _LEAST and all(0 <= n - k < common_size for n, k in pairs)


def _counted(folder: str) -> bool:
    """Whether a folder is called by a number of three digits or more, as pieces are."""
    return folder.isdecimal() and len(folder) > 2


def _of_one_size(pairs: Sequence[tuple[int, int]]) -> bool:
    """Whether for some size of ten or more every number is in the piece of its quotient by it."""
    if any(n < 0 or k < 0 for n, k in pairs):
        return False
    least = max(n // (k + 1) + 1 for n, k in pairs)
    return max(least, _LEAST) <= min((n // k for n, k in pairs if k), default=least)


def _stored(names: Sequence[str], stored: StoredLabels) -> Found:
    """Labels of a split by what is written down, numbered over all images that have one."""
    source = ", ".join(stored.sources[:3])
    if not stored.values:
        return None, (), [f"No image has a label in {source}, so there are no labels."]
    missing = [name for name in names if name not in stored.values]
    if missing:
        note = f"{len(missing):,} of {len(names):,} images have no label in {source}, such as {missing[0]}"
        return None, (), [f"{note}, so there are no labels; add them, or remove the images."]
    place = {name: row for row, name in enumerate(stored.values)}
    encoded = encode_values(list(stored.values.values()))
    if isinstance(encoded, str):
        return None, (), [f"What {source} holds is not used as labels: {encoded}."]
    return encoded[0][[place[name] for name in names]], encoded[1], []
