"""Images in folders."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath

from tightrope._plumbing.errors import UserError
from tightrope.data.files import OF_PHONES, PHONES, left_out, read_file, tidy, walk
from tightrope.data.label_files import is_label_file, stored_labels
from tightrope.data.layout import is_image, layout
from tightrope.data.source import ImageSource, Pixels, identity
from tightrope.data.splits import Rows

__all__ = ["open_folder"]


def open_folder(path: Path, split: str) -> ImageSource:
    """Images below a folder, one class per sub-folder if there are several.

    Raises:
        UserError: if there is no image in it, a folder cannot be listed, or a file of labels is broken.
    """
    raw = {file.relative_to(path).as_posix(): file for file in walk(path)}
    files = {tidy(name): file for name, file in raw.items()}
    if len(files) < len(raw):  # a backslash can be part of a name
        files = raw
    names = [name for name in files if is_image(name)]
    if not names:
        raise UserError(
            f"Expected images, parquet files or a known data set in {path}, got {_contents(list(files))}; "
            "give the folder that holds the data."
        )
    tables = {name: file for name, file in files.items() if is_label_file(name)}
    stored = stored_labels({name: partial(read_file, file) for name, file in tables.items()}, names, path)
    found = layout(names, split, stored)
    read_as_labels = set(tables if stored is not None else ())
    others = [name for name in files if name not in read_as_labels and not is_image(name)]

    def read(rows: Rows) -> Iterator[tuple[str, Callable[[], bytes | Pixels]]]:
        for row in rows:
            yield found.names[row], partial(read_file, files[found.names[row]])

    return ImageSource(
        name=path.resolve().name,
        identity=identity(files[name] for name in (*found.names, *tables)),
        count=len(found.names),
        read=read,
        labels=found.labels,
        classes=found.classes,
        whole=found.whole,
        notes=(*found.notes, *left_out(others, "neither images that are read nor files called labels or metadata")),
    )


def _contents(names: list[str]) -> str:
    if not names:
        return "an empty folder"
    advice = f" ({OF_PHONES})" if any(PurePosixPath(name).suffix.lower() in PHONES for name in names) else ""
    return f"{len(names):,} other files such as {names[0].rpartition('/')[2]}{advice}"
