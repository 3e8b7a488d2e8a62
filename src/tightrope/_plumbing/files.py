"""Writing files so that a reader sees the old content or the new, never half of it."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from tightrope._plumbing.errors import UserError, UserTypeError


def as_path(given: Any) -> Path:
    """A path as given, without a look at the disk.

    Raises:
        UserTypeError: It is neither a text nor a path.
    """
    if not isinstance(given, str | os.PathLike):
        raise UserTypeError(f"Expected a path as a text or a Path, got {given!r}; give that of a file or folder.")
    return Path(given)


def write_atomically(path: Path, content: bytes | Callable[[BinaryIO], object]) -> Path:
    """Write a file through a temporary one in the same folder: write, flush, fsync, rename, fsync the folder.

    Args:
        path: Where it ends up; an existing file is replaced whole.
        content: The bytes, or a function that writes them to the open file it is given.

    Returns:
        ``path``.

    Raises:
        UserError: The disk is full or the folder cannot be written; an existing file at ``path`` is intact and the
            temporary file is gone.
    """
    with saving(path):
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content) if isinstance(content, bytes) else content(file)
                file.flush()
                os.fsync(file.fileno())
            Path(name).chmod(0o644)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    _sync_folder(path.parent)
    return path


@contextlib.contextmanager
def saving(path: Path) -> Iterator[None]:
    """Say what could not be saved where the system refuses something meanwhile.

    Raises:
        UserError: In place of an OSError.
    """
    try:
        yield
    except OSError as error:
        raise UserError(_sentence(path, error)) from error


def leftover(name: str) -> re.Pattern[str]:
    """Names of the temporary files that :func:`write_atomically` leaves if it is killed while it writes ``name``.

    Args:
        name: Regular expression of the final names.
    """
    return re.compile(rf"\.({name})\.[a-z0-9_]{{8}}\.part")


def refuse_link(path: Path) -> None:
    """Raise if a path is a link out of its folder: a folder from somebody else may hold any, to what is this user's.

    Raises:
        UserError: It is; nothing may be written through it.
    """
    if path.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(path.parent.resolve()):
        raise UserError(
            f"Expected what is written into {path.parent} to be in it, got {path.name}, a link that leads to "
            f"{path.readlink()}; put a copy of that in its place."
        )


def make_folder(folder: Path) -> Path:
    """Create a folder and those above it where they are missing; returns it.

    Raises:
        UserError: It cannot be.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"Could not create {folder} ({error.strerror or error}); choose another place.") from error
    return folder


def expanded(path: Path | str) -> Path:
    """A path with ``~`` and ``~name`` replaced by the home they stand for.

    Raises:
        UserError: There is no such user, or the path cannot be one.
    """
    if "\0" in str(path):
        raise UserError(f"Expected a path, got {str(path)!r}, which holds a zero character; leave it out.")
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise UserError(f"Expected a path, got {path}, and there is no such home folder; write it out.") from error


def unreadable(path: Path, error: OSError) -> str:
    """A sentence about a file that is there and cannot be read, which is no reason to call it damaged."""
    return f"Expected to read {path}, but that fails ({error.strerror or error}); check the file and who may read it."


def _sync_folder(folder: Path) -> None:
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:  # folders cannot be opened on every system; the rename itself is still atomic
        return
    try:
        os.fsync(handle)
    except OSError:
        pass
    finally:
        os.close(handle)


def _sentence(path: Path, error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return (
            f"Could not save {path}: expected free space, got a full disk ({error.strerror}); what was saved before is "
            "intact, so free some space and go on from there."
        )
    return (
        f"Could not save {path}: {error.strerror or error}; check that its folder exists and may be written. What was "
        "saved before is intact."
    )
