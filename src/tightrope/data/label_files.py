"""Labels that are written down beside images: Hugging Face's metadata files, StyleGAN's dataset.json, labels.csv.

A file counts for the images in its folder and below; of two on the way the nearer one does. Images are named by path,
with or without ``./``, with either slash, or by their bare name or number where that is unique. A way out of the source
(``../../0.png``) is not taken for the file of that name in it.
"""

from __future__ import annotations

import csv
import io
import json
import posixpath
import unicodedata
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from tightrope._plumbing.errors import UserError, printable
from tightrope.data.files import common, damaged, tidy
from tightrope.data.split_columns import agreed, both_splits, may_tell, split_column

__all__ = ["StoredLabels", "is_label_file", "stored_labels"]

_NAME_COLUMNS: tuple[str, ...] = (
    "file_name",
    "filename",
    "file",
    "image",
    "img",
    "path",
    "filepath",
    "file_path",
    "image_path",
)
_NAME_COLUMNS += ("image_file", "image_name", "image_file_name", "name", "image_id", "id")
_LABEL_COLUMNS = (
    "label",
    "labels",
    "class",
    "class_name",
    "category",
    "target",
    "targets",
    "y",
    "class_id",
    "label_id",
)
_SUFFIXES = (".json", ".jsonl", ".csv", ".tsv", ".parquet")
_STEMS = ("dataset", "metadata", "labels", "label")  # the first in a folder that holds labels counts
_NOTES = 5
_WIDE = 10_000  # columns that no table of labels has
_NO_COLUMN = "it has no column"
_FEW = 4  # so many images may each be of another class

Pairs = list[tuple[str, Any]]


@dataclass
class StoredLabels:
    """What the label files say.

    Attributes:
        values: path of an image -> its label as written; images without one are not in it.
        sources: names of the files that were read.
        splits: path of an image -> the split that a column names for it; empty if none tells any.
        column: name of that column.
        notes: sentences for the user.
    """

    values: dict[str, Any] = field(default_factory=dict)
    sources: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    splits: dict[str, str] = field(default_factory=dict)
    column: str = ""


@dataclass
class _Heard:
    """What a table says beside labels: sentences for the user, and names with their splits by one of its columns."""

    notes: list[str]
    splits: Pairs = field(default_factory=list)
    column: str = ""


def is_label_file(name: str) -> bool:
    """Whether a path inside a source is called like a file of labels."""
    path = PurePosixPath(name)
    stem, suffix = path.stem.lower(), path.suffix.lower()
    return suffix in _SUFFIXES and stem in _STEMS and (stem != "dataset" or suffix == ".json")


def stored_labels(files: Mapping[str, Callable[[], bytes]], names: Sequence[str], place: Path) -> StoredLabels | None:
    """The labels of images by the label files among them; None if there are none, so that class folders count.

    Args:
        files: path inside the source -> how to read it, for every file that :func:`is_label_file`.
        names: paths of the images.
        place: the source, for messages.

    Raises:
        UserError: if a label file is broken, or gives one image two labels.
    """
    notes: list[str] = []
    found, ordered = StoredLabels(), sorted(names)
    every = _unique((name, name) for name in ordered) if files else {}
    for folder in sorted({_folder(file) for file in files}):
        mine = sorted(
            (f for f in files if _folder(f) == folder), key=lambda f: _STEMS.index(PurePosixPath(f).stem.lower())
        )
        start, stop = (bisect_left(ordered, end) for end in (folder, f"{folder}\U0010ffff"))
        below = _Names(ordered[start:stop], every, folder, place)
        for file in mine:
            heard = _Heard(notes)
            with damaged(f"{_expected(file)} in {place}, got something else; correct or remove that file."):
                pairs = _pairs(file, files[file](), heard)
            told, said = _matched(heard.splits, below, file, "split")
            found.splits.update(told)
            found.column = found.column or heard.column
            if isinstance(pairs, str):
                unused = (
                    []
                    if heard.splits and pairs.startswith(_NO_COLUMN)
                    else [f"{file} is not used for labels: {pairs}."]
                )
                notes += [*unused, *said]
                continue
            found.sources.append(file)
            values, said = _matched(pairs, below, file)
            found.values.update(values)
            notes += said
            if others := mine[mine.index(file) + 1 :]:
                notes.append(f"Labels are those of {file}; not used beside it: {', '.join(others)}.")
            break
    if not found.sources and not found.splits and not notes:
        return None
    found.notes = notes[:_NOTES]
    if len(notes) > _NOTES:
        found.notes.append(f"The same holds for {len(notes) - _NOTES:,} more files of labels.")
    return found


def _expected(file: str) -> str:
    suffix = PurePosixPath(file).suffix.lower()
    form = {
        ".json": '{"labels": [["image.png", 0], ...]}',
        ".jsonl": 'lines of {"file_name": "image.png", "label": 0}',
        ".parquet": "a parquet file with the columns file_name and label",
    }.get(suffix, "a table with the columns file_name and label")
    return f"Expected {form} in {file}"


def _folder(name: str) -> str:
    """The folder of a path, with a slash at the end unless it is the source itself."""
    return name[: name.rfind("/") + 1]


def _pairs(file: str, data: bytes, heard: _Heard) -> Pairs | str:
    """Names and labels of one file, or a few words on why it has none; what else it says joins what was heard."""
    suffix = PurePosixPath(file).suffix.lower()
    if suffix == ".parquet":
        from tightrope.data.parquet import table_columns

        return _of_table(*table_columns(data, file), heard)
    utf16 = data[:2] in (b"\xff\xfe", b"\xfe\xff")  # as spreadsheets write
    text = (
        data.decode("utf-16") if utf16 else data.decode("utf-8-sig", "surrogateescape")
    )  # as file names are read that are not UTF-8
    if suffix == ".json":
        return _of_json(json.loads(text, object_pairs_hook=_once), heard)
    if suffix == ".jsonl":
        lines = [line for line in text.split("\n") if line.strip()]
        return _of_records([json.loads(line, object_pairs_hook=_once) for line in lines], heard)
    first = text.partition("\n")[0]
    separator = max(",;\t", key=first.count)
    if first.count(separator) >= _WIDE:  # it would take many times the memory of the file
        raise ValueError("too many columns")
    rows = [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True) if any(row)]
    return _of_rows(rows, heard) if rows else "it is empty"


def _once(members: Pairs) -> dict[str, Any]:
    """A JSON object whose names are all different; of two alike, Python would take the last without a word."""
    found = dict(members)
    if len(found) < len(members):
        twice = Counter(key for key, _ in members).most_common(1)[0][0]
        raise UserError(
            f"Expected every name once in a file of labels, got {printable(twice)[:200]} twice; correct the file."
        )
    return found


def _of_json(content: Any, heard: _Heard) -> Pairs | str:
    if isinstance(content, dict):
        if "labels" not in content:
            plain = content and all(isinstance(value, (str, int)) for value in content.values())
            return list(content.items()) if plain else 'it has no entry "labels"'
        content = content["labels"] or []
    if isinstance(content, dict):
        return list(content.items())
    if content and all(isinstance(row, dict) for row in content):
        return _of_records(content, heard)
    pairs = [(name, label) for name, label in content]
    if not all(isinstance(name, str) for name, _ in pairs):
        raise TypeError("names are text")
    return pairs


def _of_records(records: Sequence[dict[str, Any]], heard: _Heard) -> Pairs | str:
    columns = list(dict.fromkeys(key for record in records for key in record))
    return _of_table(columns, [[record.get(column) for column in columns] for record in records], heard)


def _of_rows(rows: list[list[str]], heard: _Heard) -> Pairs | str:
    """A table of text, with or without a line of column names."""
    first = [cell.strip() for cell in rows[0]]
    known = {cell.lower() for cell in first} & {*_NAME_COLUMNS, *_LABEL_COLUMNS}
    if len(first) == 2 and not known and PurePosixPath(first[0]).suffix:
        first = ["file_name", "split" if both_splits([row[-1].strip() for row in rows]) else "label"]
        rows = [[], *rows]
    if any(len(row) != len(first) for row in rows[1:]):
        raise ValueError("rows of different length")
    return _of_table(first, [[cell.strip() or None for cell in row] for row in rows[1:]], heard)


def _of_table(columns: Sequence[str], rows: Sequence[Sequence[Any]], heard: _Heard) -> Pairs | str:
    lower = [column.lower() for column in columns]
    name = next((lower.index(known) for known in _NAME_COLUMNS if known in lower), None)
    label = next((lower.index(known) for known in _LABEL_COLUMNS if known in lower), None)
    said = len(heard.notes)
    split = _split_of(columns, rows, heard)
    of_splits = split is not None or len(heard.notes) > said
    if split is not None and name is not None:
        heard.column = columns[split[0]]
        heard.splits = [
            (str(row[name]), word) for row, word in zip(rows, split[1], strict=True) if row[name] is not None
        ]
    if label is None and name is not None and len(columns) == 2 and not of_splits:
        label = 1 - name
        if len(rows) > _FEW and len({str(row[label]) for row in rows}) == len(rows):
            return f"its column {columns[label]} says something else of every image"
    if name is None or label is None:
        missing = "file_name" if name is None else "label"
        return f"{_NO_COLUMN} {missing} of single values or lists, but {', '.join(columns[:8]) or 'none'}"
    others = [i for i, column in enumerate(lower) if column in _LABEL_COLUMNS and i != label]
    if unlike := [i for i in others if not _alike([row[label] for row in rows], [row[i] for row in rows])]:
        listed = ", ".join(columns[i] for i in unlike)
        heard.notes.append(
            f"Labels are the column {columns[label]}; not used, though they say something else: {listed}."
        )
    return [(str(row[name]), row[label]) for row in rows if row[name] is not None]


def _split_of(columns: Sequence[str], rows: Sequence[Sequence[Any]], heard: _Heard) -> tuple[int, list[str]] | None:
    """The column that tells splits, by its place, and what it says of each row."""
    found = {}
    for i, column in enumerate(columns):
        if may_tell(column):
            words, notes = split_column(column, [row[i] for row in rows])
            heard.notes += notes
            if words is not None:
                found[column] = words
    told = agreed(found, "a file of labels")
    return None if told is None else (list(columns).index(told[0]), told[1])


def _alike(first: Sequence[Any], other: Sequence[Any]) -> bool:
    """Whether two columns tell the same classes, if by other names."""
    pairs = {(str(a), str(b)) for a, b in zip(first, other, strict=True)}
    return len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})


class _Names:
    """Where the images that one file of labels may name are found: in its folder and below, or by a way to elsewhere.

    Letters with marks are found however they are composed: systems differ in how they store them.
    """

    def __init__(self, names: Sequence[str], every: Mapping[str, str | None], folder: str, place: Path) -> None:
        self.folder, self.every = folder, every
        root = place.resolve()
        self.root = (root if root.is_dir() else root.with_suffix("")).as_posix()
        self.below = _unique((name[len(folder) :], name) for name in names)
        parts = [(PurePosixPath(name), name) for name in names]
        self.bare = _unique((key, name) for path, name in parts for key in (path.name, path.stem))

    def find(self, given: str, base: str) -> tuple[str | None, bool]:
        """The image of a name, and whether ``base``, which all names begin with, was passed over for that.

        What leads out of the source counts with its folders alone, for a file of that name is another one.
        """
        name = _composed(tidy(given))
        whole = posixpath.normpath(posixpath.join(self.root, self.folder, given.replace("\\", "/")))
        inside = whole.startswith(f"{self.root}/") and self.every.get(_composed(whole[len(self.root) + 1 :]))
        outward = ".." in given.replace("\\", "/").split("/")
        if found := inside or (self.below.get(name) if "/" in name or not outward else None):
            return found, False
        if outward:
            return None, False
        if base and (found := self.below.get(name[len(base) :])):
            return found, not f"{self.root}/{self.folder}".endswith(f"/{base}")
        return self.bare.get(name), False


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _unique(pairs: Iterable[tuple[str, str]]) -> dict[str, str | None]:
    """Key -> the one name that has it, or None if several have."""
    found: dict[str, str | None] = {}
    for key, name in pairs:
        key = _composed(key)
        found[key] = None if key in found and found[key] != name else name
    return found


def _matched(pairs: Pairs, names: _Names, file: str, what: str = "label") -> tuple[dict[str, Any], list[str]]:
    """Image -> label for the names a file gives, and what is to be said of other names."""
    values: dict[str, Any] = {}
    missed, guessed = [], 0
    base = _composed(common([tidy(given) for given, _ in pairs]))  # names may begin in a folder further up
    for given, label in pairs:
        image, further = names.find(given, base)
        guessed += further
        said = label.strip() if isinstance(label, str) else label
        if image is None:
            missed.append(given)
        elif image in values and values[image] != said:
            raise UserError(f"Expected one {what} for {image} in {file}, got {values[image]} and {said}; correct one.")
        elif said not in (None, ""):
            values[image] = said
    notes = [f"{len(missed):,} names in {file} are no image here, such as {missed[0]}."] if missed else []
    return values, notes + (
        [f"Names in {file} begin with {base}, which is taken for its own folder."] if guessed else []
    )
