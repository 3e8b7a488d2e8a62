"""Images in a zip file, read in place; the names inside tell splits and classes as in a folder."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from tightrope._plumbing.errors import UserError
from tightrope.data.folder import LABEL_FILE, is_image, layout, stored_labels
from tightrope.data.source import ImageSource, Pixels, identity
from tightrope.data.splits import Rows

__all__ = ["open_zip"]


def open_zip(path: Path, split: str) -> ImageSource:
    """Images of a zip file; nothing is unpacked to disk.

    Raises:
        UserError: if the file is no zip, is encrypted, or has no image in it.
    """
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, EOFError) as error:
        raise UserError(
            f"Expected a zip file, but {path} is not one or is cut off ({error}); pack it again."
        ) from error
    members = {info.filename: info for info in archive.infolist() if not info.is_dir()}
    names = [name for name in members if is_image(name)]
    if not names:
        raise UserError(
            f"Expected images in {path}, got {len(members):,} other files; unpack it and give what it holds."
        )
    if members[names[0]].flag_bits & 1:
        raise UserError(
            f"Expected a zip file without a password, but {path} is encrypted; unpack it and give the folder."
        )
    found = layout(names, split, stored_labels(archive.read(LABEL_FILE)) if LABEL_FILE in members else None)

    def read(rows: Rows) -> Iterator[tuple[str, Callable[[], bytes | Pixels]]]:
        for row in rows:
            yield found.names[row], partial(archive.read, members[found.names[row]])

    return ImageSource(
        name=path.stem,
        identity=identity([path]),
        count=len(found.names),
        read=read,
        labels=found.labels,
        classes=found.classes,
        whole=found.whole,
        notes=found.notes,
    )
