"""Files as they are found on a disk: which there are, and how one is read without hanging or filling the memory."""

from __future__ import annotations

import contextlib
import os
import stat
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import takewhile
from pathlib import Path, PurePosixPath

from tightrope._plumbing.errors import UserError
from tightrope.data.cache import fits_in_memory

__all__ = [
    "FILE_SHARE",
    "OF_PHONES",
    "PHONES",
    "UnreadableError",
    "common",
    "damaged",
    "is_file",
    "is_shown",
    "is_visible",
    "left_out",
    "read_file",
    "require_memory",
    "require_written",
    "tidy",
    "walk",
]

SHARE = 0.5
"""What is read at once, such as an array, may take up to this share of the memory."""

FILE_SHARE = 1 / 32
"""The same for one image file of many, of which several threads read one each."""

PHONES, OF_PHONES = (".heic", ".heif"), "convert photographs in HEIC to JPEG first"


class UnreadableError(ValueError):
    """Why one file of many cannot be used, in a few words to be put behind its name."""


_LITTER = frozenset(
    {"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "$recycle.bin", "system volume information", "lost+found"}
)
_TEXTS = frozenset({"readme", "license", "licence", "copying", "citation", "changelog"})
_ABOUT = frozenset({".md", ".html", ".pdf", ".rst", ".sh", ".py", ".log", ".sha256", ".md5"})


def walk(path: Path) -> list[Path]:
    """Every file below a folder, sorted, without hidden ones; linked folders are entered once.

    Links that lead nowhere and files of other kinds (pipes, devices) are among them; :func:`read_file` refuses those.

    Raises:
        UserError: if a folder may not be read.
    """
    found: list[Path] = []
    seen: set[tuple[int, int]] = set()

    def unreadable(error: OSError) -> None:
        raise UserError(
            f"Expected to list the folder {error.filename}, but that fails ({error.strerror}); make it readable or "
            "remove it."
        ) from error

    for folder, below, files in os.walk(path, followlinks=True, onerror=unreadable):
        status = Path(folder).stat()
        if (status.st_dev, status.st_ino) in seen:
            below.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        below[:] = sorted(name for name in below if is_visible(name))
        found += [Path(folder, name) for name in files if is_visible(name)]
    return sorted(found)


def is_file(path: Path) -> bool:
    """Whether a path is a regular file, or a link to one."""
    try:
        return path.is_file()
    except (OSError, ValueError):  # a link to itself, a name that is too long
        return False


def is_visible(name: str) -> bool:
    """Whether the name of a file or folder is none of those that systems hide or leave behind."""
    return not name.startswith((".", "__MACOSX")) and name.lower() not in _LITTER


def is_shown(name: str) -> bool:
    """Whether every part of a path inside a source is visible."""
    return all(map(is_visible, name.split("/")))


def tidy(name: str) -> str:
    """A path inside a source as the layout reads it: ``/`` between folders, without ``.``, ``..`` and ``//``."""
    return "/".join(part for part in name.replace("\\", "/").split("/") if part not in ("", ".", ".."))


def common(names: Iterable[str]) -> str:
    """The folders that every path starts with, ending in a slash if there are any."""
    folders = sorted({tuple(name.split("/")[:-1]) for name in names} or {()})
    pairs = zip(folders[0], folders[-1], strict=False)  # what the extremes share, all share
    return "".join(f"{first}/" for first, _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def left_out(names: Iterable[str], why: str) -> list[str]:
    """A note that counts files by their endings; texts about the data are not worth one."""
    paths = [path for name in names if (path := PurePosixPath(name)).stem.lower() not in _TEXTS]
    kinds = Counter(path.suffix or "no ending" for path in paths)
    kinds = Counter({kind: count for kind, count in kinds.items() if kind.lower() not in _ABOUT})
    if not kinds:
        return []
    listed = ", ".join(f"{count:,} {kind}" for kind, count in kinds.most_common(3)) + (" ..." if len(kinds) > 3 else "")
    advice = f"; {OF_PHONES}" if any(kind.lower() in PHONES for kind in kinds) else ""
    return [f"{kinds.total():,} other files are not used ({listed}): {why}{advice}."]


def read_file(path: Path) -> bytes:
    """The content of a regular file, as long as the file system says it is.

    Raises:
        UnreadableError: for pipes, devices and the like.
        UserError: for files that memory cannot hold.
        OSError: if it cannot be read, as for a link that leads nowhere.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with open(descriptor, "rb") as file:  # noqa: PTH123 - opened so that a pipe does not wait for a writer
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise UnreadableError("it is no regular file")
        require_memory(status.st_size, path, FILE_SHARE)
        return file.read(status.st_size)


def require_memory(size: int, what: object, share: float = SHARE) -> None:
    """Refuse to read more than memory holds.

    Raises:
        UserError: if ``size`` bytes are more than this share of the machine's memory.
    """
    if not fits_in_memory(size, share):
        raise UserError(
            f"Expected {what} to fit into 1/{1 / share:.0f} of the memory, but it says that it holds "
            f"{size / 2**30:,.1f} GiB; give a smaller file, or check that it is not damaged."
        )


def require_written(path: Path) -> None:
    """Refuse a file larger than memory of which next to nothing was ever written, which is read as zeros for hours.

    Raises:
        UserError: if the file system holds less than a thousandth of what the file's size promises.
    """
    status = path.stat()
    there = 512 * getattr(status, "st_blocks", status.st_size)  # not told on every system
    if not fits_in_memory(status.st_size, SHARE) and there < status.st_size / 1000:
        raise UserError(
            f"Expected numbers in {path}, got a file of {status.st_size / 2**30:,.1f} GiB of which "
            f"{there / 2**30:,.1f} GiB were ever written; the rest is empty: write it again."
        )


@contextlib.contextmanager
def damaged(sentence: str) -> Iterator[None]:
    """Say in one sentence what readers of broken files raise in many ways.

    Args:
        sentence: what to say if it can be read but makes no sense.

    Raises:
        UserError: for anything that is raised inside and is not a UserError itself.
    """
    try:
        yield
    except (UserError, ImportError):
        raise
    except Exception as error:  # the libraries that read files have no common type for broken ones
        if isinstance(error, OSError) and error.errno and isinstance(error.filename, (str, bytes, Path)):
            name, why = os.fsdecode(error.filename), error.strerror
            sentence = f"Expected to read {name}, but that fails ({why}); check the file and who may read it."
        raise UserError(sentence) from error
