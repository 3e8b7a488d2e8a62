"""Images in parquet files as the Hugging Face hub stores them: a column of encoded images and one of labels.

Row groups are read one after another, so a file larger than memory is no trouble.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tightrope._plumbing.errors import UserError
from tightrope.data.folder import SPLITS
from tightrope.data.labels import encode
from tightrope.data.source import ImageSource, Pixels, identity
from tightrope.data.splits import Rows

__all__ = ["open_parquet"]

IMAGE_NAMES = ("image", "img")
LABEL_NAMES = ("label", "labels", "fine_label", "class", "target")
READ_ROWS = 64  # rows turned into Python objects at a time

_SHARD = re.compile(r"-(\d{5})-of-(\d{5})$")


def open_parquet(files: Sequence[Path], path: Path, split: str, name: str = "") -> ImageSource:
    """One split of parquet files.

    Args:
        files: the ``.parquet`` files found, sorted.
        path: what the user gave, for names and messages.
        split: ``train`` or ``test``; files named so, or in a folder named so, make up the splits.
        name: name of the set, by default that of the path.

    Raises:
        UserError: without pyarrow, or if a file is broken or no column holds images.
    """
    parts, notes = _parts(files, path)
    whole = "test" not in parts
    mine = parts["train" if whole else split]
    opened = [_open(file) for file in mine]
    image = _image_column(opened[0].schema_arrow, mine[0])
    for file, schema in zip(mine, (parquet.schema_arrow for parquet in opened), strict=True):
        if image not in schema.names:
            raise UserError(
                f"Expected column {image} in {file}, as in {mine[0].name}, got {_columns(schema)}; "
                "give files of one kind."
            )
    labels, classes, said = _labels(parts, split if not whole else "train")
    counts = [parquet.metadata.num_rows for parquet in opened]

    def read(rows: Rows) -> Iterator[tuple[str, Callable[[], bytes | Pixels]]]:
        start = 0
        for file, count in zip(mine, counts, strict=True):
            chosen = rows[(rows >= start) & (rows < start + count)] - start
            yield from _read(file, image, chosen)
            start += count

    return ImageSource(
        name=name or (path.stem if path.is_file() else path.resolve().name),
        identity=identity(mine),
        count=sum(counts),
        read=read,
        labels=labels,
        classes=classes,
        whole=whole,
        notes=(*notes, *said),
    )


def _parts(files: Sequence[Path], path: Path) -> tuple[dict[str, list[Path]], list[str]]:
    """Files per split, and notes; without any test split all under ``train``."""
    if len(files) == 1 and files[0] == path:
        return {"train": [path]}, []
    named: dict[str, list[Path]] = {}
    for file in files:
        words = [file.stem, *reversed(file.relative_to(path).parts[:-1])]
        named.setdefault(next((word for word in map(_side, words) if word), ""), []).append(file)
    train = next((named[word] for word in SPLITS["train"] if word in named), None)
    word = next((word for word in SPLITS["test"] if word in named), None)
    if train is None or word is None:
        unused = [] if train is None else [file for file in files if file not in train]
        note = f"{len(unused)} parquet files that are no training files are not used."
        return {"train": train or list(files)}, [note] if unused else []
    notes = [] if word == "test" else [f"The test split is the one called {word}."]
    return {"train": train, "test": named[word]}, [*notes, *_missing(train), *_missing(named[word])]


def _side(word: str) -> str | None:
    """The split that a file's or folder's name starts with."""
    first = re.split(r"[-_.]", word.lower())[0]
    return first if any(first in names for names in SPLITS.values()) else None


def _missing(files: Sequence[Path]) -> list[str]:
    """A note if a file says there are more shards than there are."""
    shards = [match for file in files if (match := _SHARD.search(file.stem))]
    expected = max((int(match[2]) for match in shards), default=0)
    return [f"Only {len(shards)} of {expected} shards of {files[0].name} are here."] if len(shards) < expected else []


def _open(file: Path) -> Any:
    try:
        import pyarrow.parquet
        from pyarrow.lib import ArrowException
    except ImportError as error:
        raise UserError(
            "Reading parquet files needs pyarrow, which is not installed; run pip install 'tightrope[images]'."
        ) from error
    try:
        return pyarrow.parquet.ParquetFile(file)
    except (ArrowException, OSError) as error:
        raise UserError(f"Expected a parquet file, but {file} is not one or is cut off; download it again.") from error


def _features(schema: Any) -> dict[str, dict[str, Any]]:
    """The Hugging Face description of the columns; empty without one."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return {name: feature for name, feature in features.items() if isinstance(feature, dict)}
    except (KeyError, ValueError, TypeError, AttributeError):
        return {}


def _image_column(schema: Any, file: Path) -> str:
    import pyarrow as pa

    def holds_bytes(kind: Any) -> bool:
        if pa.types.is_struct(kind):
            return any(field.name == "bytes" and holds_bytes(field.type) for field in kind)
        return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))

    fit = [name for name in schema.names if holds_bytes(schema.field(name).type)]
    features = _features(schema)
    ranked = sorted(fit, key=lambda name: (name not in IMAGE_NAMES, features.get(name, {}).get("_type") != "Image"))
    if not ranked:
        raise UserError(
            f"Expected a column of encoded images, struct{{bytes, path}} or binary, in {file}, got {_columns(schema)}; "
            "give a data set of images."
        )
    return ranked[0]


def _columns(schema: Any) -> str:
    return "the columns " + ", ".join(f"{name} ({schema.field(name).type})" for name in schema.names)


def _labels(parts: dict[str, list[Path]], split: str) -> tuple[Rows | None, tuple[str, ...], list[str]]:
    """Labels of a split, class names, and notes."""
    schema = _open(parts[split][0]).schema_arrow
    features = _features(schema)
    named = [name for name in schema.names if features.get(name, {}).get("_type") == "ClassLabel"]
    column = next((name for name in LABEL_NAMES if name in named), None) or next(iter(named), None)
    column = column or next((name for name in LABEL_NAMES if name in schema.names), None)
    if column is None:
        return None, (), []
    sides = {side: _column(files, column) for side, files in parts.items()}
    mine = sides[split]
    if mine is None or (mine.dtype.kind == "i" and len(mine) and mine.min() < 0):
        return None, (), [f"Column {column} has empty or negative labels, so there are no labels."]
    names = features.get(column, {}).get("names")
    if names and mine.dtype.kind == "i" and mine.max() < len(names):
        return mine.astype(np.int64), tuple(str(name) for name in names), []
    encoded = encode([mine, *(side for side in sides.values() if side is not None)])
    if isinstance(encoded, str):
        return None, (), [f"Column {column} is not used as labels: {encoded}."]
    return encoded[0][0], encoded[1], []


def _column(files: Sequence[Path], column: str) -> Any:
    """A column of all files as one array, or None if it is missing somewhere, has gaps, or is not of single values."""
    pieces = []
    for file in files:
        parquet = _open(file)
        if column not in parquet.schema_arrow.names:
            return None
        table = parquet.read(columns=[column]).column(0)
        if table.null_count:
            return None
        pieces.append(table.to_numpy())
    values = np.concatenate(pieces)
    if values.dtype.kind != "O":
        return values
    return values.astype(str) if all(isinstance(value, str) for value in values) else None


def _read(file: Path, image: str, rows: Rows) -> Iterator[tuple[str, Callable[[], bytes | Pixels]]]:
    """Chosen rows of one file, row group by row group."""
    parquet, start = _open(file), 0
    for group in range(parquet.num_row_groups):
        count = parquet.metadata.row_group(group).num_rows
        chosen = set((rows[(rows >= start) & (rows < start + count)] - start).tolist())
        values = _values(parquet, group, image, file) if chosen else iter(())
        for row, value in enumerate(values):
            if row in chosen:
                yield _item(value.as_py(), f"{file.name} row {start + row}")
        start += count


def _values(parquet: Any, group: int, column: str, file: Path) -> Iterator[Any]:
    """A column of a row group, a few rows at a time."""
    from pyarrow.lib import ArrowException

    try:
        for batch in parquet.iter_batches(READ_ROWS, row_groups=[group], columns=[column], use_threads=False):
            yield from batch.column(0)
    except (ArrowException, OSError) as error:
        raise UserError(f"Row group {group} of {file} is damaged ({error}); download the file again.") from error


def _item(value: Any, name: str) -> tuple[str, Callable[[], bytes | Pixels]]:
    path = value.get("path") if isinstance(value, dict) else None
    data = value.get("bytes") if isinstance(value, dict) else value
    return f"{name} ({path})" if path else name, partial(_bytes, data)


def _bytes(data: bytes | None) -> bytes:
    if data is None:
        raise ValueError("the row holds no image bytes")
    return data
