"""Decoded data on disk: one folder per entry, published whole or not at all.

An entry is ``KEY/values.bin`` (raw numbers, row after row), ``KEY/labels.bin`` (int64, if there are labels) and
``KEY/meta.json``, which holds check sums (CRC-32) of all three; an entry that does not match them is built again. What
is loaded into memory is checked as it is read, at 3 GB/s a fraction of the reading itself. A larger file is checked
when it is opened first, and again when its size, inode or times have changed, which ``KEY/checked.json`` remembers. An
entry is written in a temporary folder beside its place and renamed into it; of two processes that build
the same entry at once the first to rename wins and the other uses the winner's.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import shutil
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tightrope._plumbing.errors import UserError
from tightrope._plumbing.say import say

__all__ = ["MEMORY_SHARE", "Table", "cached", "fits_in_memory", "map_values", "require_room", "synced"]

MEMORY_SHARE = 0.25
"""Decoded sets up to this share of the machine's memory are loaded; larger ones are read from disk as they are used."""

FORMAT = 2
_CHUNK = 1 << 24  # bytes checked at a time
_UNKNOWN_MEMORY = 8 << 30  # assumed where the system does not tell
_STALE_SECONDS = 86_400  # temporary folders older than this belong to a process that was killed
_PARTS = ("values.bin", "labels.bin")
_TEMPORARY = ".building-"


@dataclass(frozen=True, eq=False)
class Table:
    """A cache entry: values ``[n, ...]``, labels int64 ``[n]`` or None, and what was noted when it was built."""

    values: Tensor
    labels: Tensor | None
    meta: dict[str, Any]


def cached(folder: Path, key: str, build: Callable[[Path], dict[str, Any]]) -> Table:
    """The entry for a key, built if it is not there.

    Args:
        folder: the cache.
        key: text that names the content and every choice made in decoding it.
        build: writes ``values.bin`` and, with labels, ``labels.bin`` into a folder, and returns JSON-able facts with at
            least ``shape`` (of all values) and ``dtype``.

    Raises:
        UserError: if the cache cannot be written.
    """
    entry = folder / hashlib.sha256(f"{FORMAT}|{key}".encode()).hexdigest()[:32]
    if (table := _load(entry)) is not None:
        return table
    try:
        if entry.exists():
            say(f"The cache entry {entry} is damaged; it is built again.", error=True)
        folder.mkdir(parents=True, exist_ok=True)
        _sweep(folder)
        temporary = Path(tempfile.mkdtemp(prefix=_TEMPORARY, dir=folder))
    except OSError as error:
        raise _unwritable(folder, error) from error
    try:
        meta = build(temporary)
        sums = {name: _checksum(temporary / name) for name in _PARTS if (temporary / name).exists()}
        with synced(temporary / "meta.json") as file:
            file.write(json.dumps({**meta, "checksums": {**sums, "meta": _sum_of(meta, sums)}}).encode())
        _publish(temporary, entry)
    except OSError as error:
        if error.filename is not None and not str(error.filename).startswith(str(folder)):
            raise  # not the cache's
        raise _unwritable(folder, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    table = _load(entry)
    if table is None:
        raise UserError(f"The cache entry {entry} disappeared while it was written; run again, alone on this cache.")
    return table


@contextlib.contextmanager
def synced(path: Path) -> Iterator[BinaryIO]:
    """A new file to write to, which is on the disk when the block is left without an error."""
    with path.open("wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def map_values(path: Path, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Tensor:
    """Raw numbers of a file as a tensor that reads them from disk when they are used; writes to it are not saved."""
    return torch.from_numpy(np.memmap(path, dtype=dtype, mode="c", shape=shape))


def fits_in_memory(size: int, share: float | None = None) -> bool:
    """Whether this many bytes stay within a share, by default :data:`MEMORY_SHARE`, of the memory there is."""
    return size <= (MEMORY_SHARE if share is None else share) * _memory()


def require_room(size: int, folder: Path, what: object) -> None:
    """Refuse numbers that neither memory nor the cache can hold, before they are read.

    Args:
        size: bytes that they take.
        folder: the cache.
        what: for the message.

    Raises:
        UserError: if there is room in neither.
    """
    if fits_in_memory(size):
        return
    there = next((parent for parent in (folder, *folder.parents) if parent.is_dir()), Path())
    free = shutil.disk_usage(there).free
    if size > free:
        raise UserError(
            f"Expected room for {size / 2**30:,.1f} GiB of {what} in memory or in the cache {folder}, which has "
            f"{free / 2**30:,.1f} GiB left; use fewer samples (--limit), or set TIGHTROPE_CACHE to a larger disk."
        )


def _memory() -> int:
    """Bytes of memory: the machine's, or the container's limit where that is lower."""
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        total = _UNKNOWN_MEMORY
    with contextlib.suppress(OSError, ValueError):
        total = min(total, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return total


def _load(entry: Path) -> Table | None:
    """The entry, or None if there is none or it is damaged."""
    path = entry / "values.bin"
    try:
        meta = json.loads((entry / "meta.json").read_bytes())
        sums = meta.pop("checksums")
        if sums.pop("meta") != _sum_of(meta, sums):
            return None
        shape, dtype = tuple(meta["shape"]), np.dtype(meta["dtype"])
        size = path.stat().st_size
        if size != math.prod(shape) * dtype.itemsize or set(sums) != {
            name for name in _PARTS if (entry / name).exists()
        }:
            return None
        labels = np.fromfile(entry / "labels.bin", dtype=np.int64) if "labels.bin" in sums else None
        if labels is not None and (len(labels) != shape[0] or zlib.crc32(labels.data) != sums["labels.bin"]):
            return None
        if fits_in_memory(size):
            numbers = np.fromfile(path, dtype=dtype)
            if zlib.crc32(numbers.data) != sums["values.bin"]:
                return None
            values = torch.from_numpy(numbers.reshape(shape))
        elif _checked(path, sums["values.bin"]):
            values = map_values(path, shape, dtype)
        else:
            return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return Table(values, None if labels is None else torch.from_numpy(labels), meta)


def _checked(path: Path, expected: int) -> bool:
    """Whether a large file has its check sum, or had it and was not touched since."""
    status = path.stat()
    state = [status.st_size, status.st_ino, status.st_mtime_ns, status.st_ctime_ns, expected]
    note = path.with_name("checked.json")
    with contextlib.suppress(OSError, ValueError):
        if json.loads(note.read_bytes()) == state:
            return True
    if _checksum(path) != expected:
        return False
    with contextlib.suppress(OSError):  # a cache that may only be read is checked every time
        note.write_text(json.dumps(state))
    return True


def _checksum(path: Path) -> int:
    total = 0
    with path.open("rb") as file:
        while piece := file.read(_CHUNK):
            total = zlib.crc32(piece, total)
    return total


def _sum_of(meta: dict[str, Any], sums: dict[str, int]) -> int:
    """Check sum of an entry's facts, and of the check sums of its files."""
    return zlib.crc32(json.dumps([meta, sums], sort_keys=True).encode())


def _publish(temporary: Path, entry: Path) -> None:
    if entry.exists() and _load(entry) is None:  # damaged, or half deleted: make room
        shutil.rmtree(entry, ignore_errors=True)
    try:
        temporary.replace(entry)
    except OSError as error:
        if not entry.exists():
            raise _unwritable(entry.parent, error) from error


def _sweep(folder: Path) -> None:
    """Delete what killed processes left behind."""
    for old in folder.glob(f"{_TEMPORARY}*"):
        with contextlib.suppress(OSError):
            if time.time() - old.stat().st_mtime > _STALE_SECONDS:
                shutil.rmtree(old, ignore_errors=True)


def _unwritable(folder: Path, error: OSError) -> UserError:
    reason = error.strerror or str(error)
    return UserError(
        f"Decoded data goes to the cache {folder}, but it cannot be written ({reason}); "
        "set TIGHTROPE_CACHE to a folder that can."
    )
