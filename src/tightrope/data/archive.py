"""Images in a zip file, read in place; the names inside tell splits and classes as in a folder."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from tightrope._plumbing.errors import UserError
from tightrope.data.files import FILE_SHARE, UnreadableError, damaged, is_shown, left_out, require_memory, tidy
from tightrope.data.label_files import is_label_file, stored_labels
from tightrope.data.layout import is_image, layout
from tightrope.data.source import ImageSource, Pixels, identity
from tightrope.data.splits import Rows

__all__ = ["KNOWN", "open_zip"]

KNOWN = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # the others unpack without a limit in the standard library


def open_zip(path: Path, split: str) -> ImageSource:
    """Images of a zip file; nothing is unpacked to disk.

    Raises:
        UserError: if the file is no zip, is encrypted, or has no image in it.
    """
    with damaged(f"Expected a zip file, but {path} is not one or is cut off; pack it again."):
        archive = zipfile.ZipFile(path)
    infos = [info for info in archive.infolist() if not info.filename.endswith(("/", "\\"))]
    members = {tidy(info.filename): info for info in infos}
    names = [name for name in members if is_image(name)]
    if not names:
        raise UserError(
            f"Expected images in {path}, got {len(members):,} other files; unpack it and give what it holds."
        )
    if any(members[name].flag_bits & 1 for name in names):
        raise UserError(
            f"Expected a zip file without a password, but {path} is encrypted; unpack it and give the folder."
        )
    tables = {name: partial(_read_member, archive, info) for name, info in members.items() if is_label_file(name)}
    stored = stored_labels(tables, names, path)
    found = layout(names, split, stored)
    others = [name for name in members if is_shown(name) and not is_image(name)]
    others = others if stored is None else [name for name in others if name not in tables]
    notes = [*found.notes, *left_out(others, "neither images that are read nor files called labels or metadata")]
    if len(members) < len(infos):
        notes.append(f"{len(infos) - len(members):,} files have the name of another one; the last of each is used.")

    def read(rows: Rows) -> Iterator[tuple[str, Callable[[], bytes | Pixels]]]:
        for row in rows:
            yield found.names[row], partial(_read_member, archive, members[found.names[row]])

    return ImageSource(
        name=path.stem,
        identity=identity([path]),
        count=len(found.names),
        read=read,
        labels=found.labels,
        classes=found.classes,
        whole=found.whole,
        notes=tuple(notes),
    )


def _read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """A member of a zip file, no longer than it says that it is.

    Raises:
        UnreadableError: if it is packed in another way than stored or deflated, or memory cannot hold it.
        Exception: whatever the standard library raises for damaged members.
    """
    if info.compress_type not in KNOWN:
        raise UnreadableError("packed in another way than stored or deflated; pack it again")
    require_memory(info.file_size, info.filename, FILE_SHARE)
    with archive.open(info) as file:
        data = file.read(info.file_size)
        if len(data) < info.file_size:
            raise UnreadableError("shorter than the zip file says")
        file.read(1)  # at the end the check sum is compared
    return data
