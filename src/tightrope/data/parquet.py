"""Images in parquet files as the Hugging Face hub stores them: a column of encoded images and one of labels.

Row groups are read one after another, so a file larger than memory is no trouble.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from tightrope._plumbing.errors import UserError
from tightrope._plumbing.optional import optional
from tightrope.data.files import UnreadableError, common, damaged, require_memory
from tightrope.data.labels import encode
from tightrope.data.source import ImageSource, Pixels, identity
from tightrope.data.split_columns import agreed, ends, may_tell, sides_of, split_column
from tightrope.data.split_names import TRAIN, keyword, parts_of
from tightrope.data.splits import Rows

__all__ = ["open_parquet", "table_columns"]

IMAGE_NAMES = ("image", "img")
LABEL_NAMES = ("label", "labels", "fine_label", "class", "target")
_ROW_BYTES = 32  # of memory per row, for its label and place
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
    counts = [parquet.metadata.num_rows for parquet in opened]
    told, by_column = _rows_by_column(parts, sum(counts), path)
    whole = whole and not len(told.get("test", ()))
    side = "train" if whole else split
    labels, classes, said = _labels(parts, told, side)
    chosen_rows = told.get(side)

    def read(rows: Rows) -> Iterator[tuple[str, Callable[[], bytes | Pixels]]]:
        rows, start = rows if chosen_rows is None else chosen_rows[rows], 0
        for file, count in zip(mine, counts, strict=True):
            chosen = rows[(rows >= start) & (rows < start + count)] - start
            yield from _read(file, image, chosen)
            start += count

    return ImageSource(
        name=name or (path.stem if path.is_file() else path.resolve().name),
        identity=identity(mine) + ("" if chosen_rows is None else sha256(chosen_rows.tobytes()).hexdigest()),
        count=sum(counts) if chosen_rows is None else len(chosen_rows),
        read=read,
        labels=labels,
        classes=classes,
        whole=whole,
        notes=(*notes, *by_column, *said),
    )


def _rows_by_column(parts: dict[str, list[Path]], count: int, path: Path) -> tuple[dict[str, Rows], list[str]]:
    """Rows of each split in files that tell none, by a column that does; empty without one. And what to say of it.

    Raises:
        UserError: A column says train of rows in files for testing, or the other way round.
    """
    notes: list[str] = []
    words: dict[str, dict[str, list[str]]] = {}
    for side, files in parts.items():
        for column in _open(files[0]).schema_arrow.names:
            if may_tell(column) and (values := _texts(files, column)) is not None:
                told, said = split_column(column, values)
                notes += said
                if told is not None:
                    words.setdefault(side, {})[column] = told
    found = {side: agreed(columns, str(path)) for side, columns in words.items()}
    if "test" in parts:
        for side, its in found.items():
            if its is not None and (other := {"train": "test", "test": "train"}[side]) in ends(its[1]):
                raise UserError(
                    f"Expected files and the column {its[0]} to tell the same splits in {path}, got rows for {other} "
                    f"by the column in files for {side}; correct one of the two."
                )
        return {}, []
    if (its := found.get("train")) is None:
        return {}, notes
    sides, said = sides_of(its[1], "rows", its[0])
    if sides.count("train") == count:
        return {}, [*notes, *said]
    rows = {side: np.flatnonzero(np.array(sides) == side) for side in ("train", "test")}
    return {side: its for side, its in rows.items() if len(its)}, [*notes, *said]


def _texts(files: Sequence[Path], column: str) -> list[Any] | None:
    """A column of single values of all files, with None where there is none; None if it is missing in a file."""
    values: list[Any] = []
    for file in files:
        parquet = _open(file)
        if column not in parquet.schema_arrow.names or parquet.schema_arrow.field(column).type.num_fields:
            return None
        with damaged(f"Column {column} of {file} is damaged; download the file again."):
            values += parquet.read(columns=[column]).column(0).to_pylist()
    return values


def _parts(files: Sequence[Path], path: Path) -> tuple[dict[str, list[Path]], list[str]]:
    """Files per split, and notes; without any test split all under ``train``."""
    if len(files) == 1 and files[0] == path:
        return {"train": [path]}, []
    names = {file.relative_to(path).as_posix(): file for file in files}
    words = {
        name: next((w for part in name.rpartition(".")[0].split("/")[::-1] if (w := keyword(part)[0])), "")
        for name in names
    }
    named = [name for name in names if words[name]]
    base = len(common(named))
    found = parts_of([name[base:] for name in named], "parquet files") if named else None
    left = len(names) - len(named)
    if found is None or not found.names.get("test"):
        train = [names[name] for name in named if words[name] in TRAIN]
        unused = len(files) - len(train) if train else 0
        note = f"{unused} parquet files that are no training files are not used."
        return {"train": train or list(files)}, [note] if unused else []
    parts = {side: [names[name] for name in named if name[base:] in set(its)] for side, its in found.names.items()}
    notes = [*found.notes, *([f"{left} parquet files that name no split are not used."] if left else [])]
    return parts, [*notes, *_missing(parts["train"]), *_missing(parts["test"])]


def _missing(files: Sequence[Path]) -> list[str]:
    """A note if a file says there are more shards than there are."""
    shards = [match for file in files if (match := _SHARD.search(file.stem))]
    expected = max((int(match[2]) for match in shards), default=0)
    return [f"Only {len(shards)} of {expected} shards of {files[0].name} are here."] if len(shards) < expected else []


def _open(file: Path, data: bytes | None = None) -> Any:
    """A parquet file, or the content of one."""
    reader = optional("pyarrow.parquet", "images", "parquet files").ParquetFile
    import pyarrow

    if data is None and not file.is_file():
        raise UserError(f"Expected a parquet file, but {file} is none that can be read; remove it.")
    sentence = f"Expected a parquet file, but {file} is not one or is cut off; download it again."
    with damaged(sentence):
        parquet = reader(file if data is None else pyarrow.BufferReader(data))
        groups = [parquet.metadata.row_group(index).num_rows for index in range(parquet.num_row_groups)]
        if min(groups, default=0) < 0 or sum(groups) != parquet.metadata.num_rows:
            raise UserError(sentence)
        require_memory(_ROW_BYTES * parquet.metadata.num_rows, file)
    return parquet


def _features(schema: Any) -> dict[str, dict[str, Any]]:
    """The Hugging Face description of the columns; empty without one."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return {name: feature for name, feature in features.items() if isinstance(feature, dict)}
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError):
        return {}


def _image_column(schema: Any, file: Path) -> str:
    import pyarrow as pa

    def holds_bytes(kind: Any) -> bool:
        if pa.types.is_struct(kind):
            return any(field.name == "bytes" and holds_bytes(field.type) for field in kind)
        return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))

    if twice := [name for name in schema.names if schema.names.count(name) > 1]:
        raise UserError(f"Expected a column of each name in {file}, got {twice[0]} more than once; save it again.")
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


def _labels(
    parts: dict[str, list[Path]], told: Mapping[str, Rows], split: str
) -> tuple[Rows | None, tuple[str, ...], list[str]]:
    """Labels of a split, class names, and notes; of some rows of the files where a column tells which."""
    schema = _open(next(iter(parts.values()))[0] if told else parts[split][0]).schema_arrow
    features = _features(schema)
    named = [name for name in schema.names if features.get(name, {}).get("_type") == "ClassLabel"]
    column = next((name for name in LABEL_NAMES if name in named), None) or next(iter(named), None)
    column = column or next((name for name in LABEL_NAMES if name in schema.names), None)
    if column is None:
        return None, (), []
    found = {side: _column(files, column) for side, files in parts.items()}
    if told:
        every = found["train"]
        found = {side: None if every is None else every[rows] for side, rows in told.items()}
    sides = {side: its for side, its in found.items() if its is not None and not _negative(its)}
    if split not in sides:
        return None, (), [f"Column {column} has empty, negative or compound labels, so there are no labels."]
    values, notes = list(sides.values()), []
    names = features.get(column, {}).get("names")
    whole = all(its.dtype.kind in "iu" and len(its) for its in values)
    if isinstance(names, list) and whole and max(its.max() for its in values) < len(names):
        classes = tuple(str(name) for name in names)
        if len(set(classes)) == len(classes):
            return sides[split].astype(np.int64), classes, []
        notes = [f"Two classes of column {column} have one name, so they are called by their numbers."]
    encoded = encode(values)
    if isinstance(encoded, str):
        return None, (), [f"Column {column} is not used as labels: {encoded}."]
    return encoded[0][list(sides).index(split)], encoded[1], notes


def _negative(labels: Any) -> bool:
    """Whether labels are those of a split that keeps them secret."""
    return bool(labels.dtype.kind == "i" and len(labels) and labels.min() < 0)


def _column(files: Sequence[Path], column: str) -> Any:
    """A column of all files as one array, or None if it is missing somewhere, has gaps, or is not of single values."""
    pieces = []
    for file in files:
        parquet = _open(file)
        if column not in parquet.schema_arrow.names:
            return None
        with damaged(f"Column {column} of {file} is damaged; download the file again."):
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
                chosen.remove(row)
                yield _item(value.as_py(), f"{file.name} row {start + row}")
        if chosen:
            raise UserError(f"Row group {group} of {file} is damaged: it lacks rows; download the file again.")
        start += count


def _values(parquet: Any, group: int, column: str, file: Path) -> Iterator[Any]:
    """A column of a row group, a few rows at a time."""
    chunks = [parquet.metadata.row_group(group).column(index) for index in range(parquet.metadata.num_columns)]
    size = sum(one.total_uncompressed_size for one in chunks if one.path_in_schema.split(".")[0] == column)
    require_memory(size, f"row group {group} of {file}")
    with damaged(f"Row group {group} of {file} is damaged; download the file again."):
        for batch in parquet.iter_batches(READ_ROWS, row_groups=[group], columns=[column], use_threads=False):
            yield from batch.column(0)


def _item(value: Any, name: str) -> tuple[str, Callable[[], bytes | Pixels]]:
    path = value.get("path") if isinstance(value, dict) else None
    data = value.get("bytes") if isinstance(value, dict) else value
    return f"{name} ({path})" if path else name, partial(_bytes, data)


def _bytes(data: bytes | None) -> bytes:
    if data is None:
        raise UnreadableError("the row holds no image bytes")
    return data


def table_columns(data: bytes, name: str) -> tuple[list[str], list[list[Any]]]:
    """Column names and rows of a small parquet file, for its columns of single values and of lists.

    Raises:
        UserError: without pyarrow, or if the file is broken.
    """
    parquet = _open(Path(name), data)
    schema = parquet.schema_arrow
    kinds = {column: schema.field(column).type for column in schema.names}
    columns = [column for column, kind in kinds.items() if not kind.num_fields or hasattr(kind, "value_type")]
    table = parquet.read(columns=columns)
    return columns, [list(row) for row in zip(*(table.column(column).to_pylist() for column in columns), strict=True)]
