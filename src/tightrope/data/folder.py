"""Images in folders: the splits and classes that the folders' names tell."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from pathlib import Path, PurePosixPath

import numpy as np

from tightrope._plumbing.errors import UserError
from tightrope.data.images import SUFFIXES
from tightrope.data.labels import encode, from_names
from tightrope.data.source import ImageSource, Pixels, identity
from tightrope.data.splits import Rows

__all__ = ["LABEL_FILE", "SPLITS", "Layout", "is_image", "layout", "open_folder", "stored_labels", "walk"]

SPLITS = {
    "train": ("train", "training"),
    "test": ("test", "testing", "val", "valid", "validation", "dev"),
}
"""What folders and files of a split may be called, most fitting first."""

LABEL_FILE = "dataset.json"  # StyleGAN's tools write {"labels": [["a/b.png", 3], ...]}


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


def open_folder(path: Path, split: str) -> ImageSource:
    """Images below a folder, one class per sub-folder if there are several.

    Raises:
        UserError: if there is no image in it.
    """
    files = {file.relative_to(path).as_posix(): file for file in walk(path)}
    names = [name for name in files if is_image(name)]
    if not names:
        raise UserError(
            f"Expected images, parquet files or a known data set in {path}, got {_contents(list(files))}; "
            "give the folder that holds the data."
        )
    labels = stored_labels(files[LABEL_FILE].read_bytes()) if LABEL_FILE in files else None
    found = layout(names, split, labels)

    def read(rows: Rows) -> Iterator[tuple[str, Callable[[], bytes | Pixels]]]:
        for row in rows:
            yield found.names[row], partial(Path.read_bytes, files[found.names[row]])

    return ImageSource(
        name=path.resolve().name,
        identity=identity(files[name] for name in (*found.names, *([LABEL_FILE] if labels else []))),
        count=len(found.names),
        read=read,
        labels=found.labels,
        classes=found.classes,
        whole=found.whole,
        notes=found.notes,
    )


def walk(path: Path) -> list[Path]:
    """Every file below a folder, sorted, without hidden ones; linked folders are entered once."""
    found, seen = [], set()
    for folder, below, files in os.walk(path, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            below.clear()
            continue
        seen.add(real)
        below[:] = sorted(name for name in below if _is_visible(name))
        found += [Path(folder, name) for name in files if _is_visible(name)]
    return sorted(found)


def is_image(name: str) -> bool:
    """Whether a path inside a source has an image's ending and no hidden folder in it."""
    path = PurePosixPath(name)
    return path.suffix.lower() in SUFFIXES and all(_is_visible(part) for part in path.parts)


def layout(names: Sequence[str], split: str, labels: dict[str, int] | None = None) -> Layout:
    """Splits and classes of images from their paths.

    Folders that hold everything are ignored. If there is a train and a test (or validation) folder then, they are the
    splits. The first folder below is the class, if every image has one and there are at least two.

    Args:
        names: paths with ``/``, at least one.
        split: ``train`` or ``test``.
        labels: path -> class number, which then count instead of the folders; an empty dict means no labels.
    """
    base, notes = _common(names), []
    inside = {name: name[len(base) :] for name in sorted(names)}
    tops = {PurePosixPath(name).parts[0] for name in inside.values() if "/" in name}
    train, test = (_pick(tops, SPLITS[side]) for side in ("train", "test"))
    if train and test:
        parts = {
            side: [name for name in inside if inside[name].startswith(f"{top}/")]
            for side, top in (("train", train), ("test", test))
        }
        left = len(inside) - len(parts["train"]) - len(parts["test"])
        if left:
            notes.append(f"{left:,} images outside the folders {train} and {test} are not used.")
    else:
        parts = {split: list(inside)}
    chosen = parts[split]
    if labels is None:
        numbers, classes, said = _classes(parts, split)
        notes += said
    else:
        numbers, classes = _numbered(chosen, labels)
    return Layout(tuple(chosen), numbers, classes, not (train and test), tuple(notes))


def stored_labels(data: bytes) -> dict[str, int]:
    """Labels of StyleGAN's ``dataset.json``; empty if it has none.

    Raises:
        UserError: if the file is not of that form.
    """
    try:
        return {str(name).replace("\\", "/"): int(label) for name, label in json.loads(data).get("labels") or []}
    except (ValueError, TypeError, AttributeError) as error:
        raise UserError(
            f'Expected {{"labels": [["image.png", 0], ...]}} in {LABEL_FILE}, got something else ({error}); '
            "correct or remove that file."
        ) from error


def _classes(parts: dict[str, list[str]], split: str) -> tuple[Rows | None, tuple[str, ...], list[str]]:
    """Labels of a split from its first folders, numbered over all splits that have class folders."""
    folders = {side: _first_folders(names) for side, names in parts.items()}
    labelled = {side: first for side, first in folders.items() if "" not in first}  # so there are at least two
    mine = folders[split]
    if split in labelled:
        _, classes = from_names([folder for first in labelled.values() for folder in first])
        number = {name: index for index, name in enumerate(classes)}
        return np.array([number[folder] for folder in mine], dtype=np.int64), classes, []
    if len(set(mine)) > 1:
        return None, (), [f"{mine.count(''):,} of {len(mine):,} images are in no class folder, so there are no labels."]
    if labelled:
        return None, (), [f"The {split} images are not in class folders, so they have no labels."]
    return None, (), []


def _first_folders(names: Sequence[str]) -> list[str]:
    """The first folder of every path after those that all share; empty for files that are in none."""
    base = _common(names)
    return [name[len(base) :].rpartition("/")[0].partition("/")[0] for name in names]


def _numbered(names: Sequence[str], labels: dict[str, int]) -> tuple[Rows | None, tuple[str, ...]]:
    if not all(name in labels for name in names):
        return None, ()
    encoded = encode([np.array([labels[name] for name in names]), np.array(list(labels.values()))])
    return (None, ()) if isinstance(encoded, str) else (encoded[0][0], encoded[1])


def _common(names: Sequence[str]) -> str:
    """The folders that every path starts with, ending in a slash if there are any."""
    folders = sorted(PurePosixPath(name).parts[:-1] for name in names)
    pairs = zip(folders[0], folders[-1], strict=False)  # what the extremes share, all share
    return "".join(f"{first}/" for first, _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _pick(tops: set[str], names: Sequence[str]) -> str | None:
    lower = {top.lower(): top for top in sorted(tops, reverse=True)}
    return next((lower[name] for name in names if name in lower), None)


def _is_visible(name: str) -> bool:
    return not name.startswith((".", "__MACOSX"))


def _contents(names: Sequence[str]) -> str:
    if not names:
        return "an empty folder"
    return f"{len(names):,} other files such as {PurePosixPath(names[0]).name}"
