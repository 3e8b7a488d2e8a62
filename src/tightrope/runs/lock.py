"""One process per run folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tightrope._plumbing.errors import UserError


@contextmanager
def locked(run: Path) -> Iterator[None]:
    """Hold the run folder for this process; the system lets go when the process ends, however it ends.

    Args:
        run: Run folder, which must exist.

    Raises:
        UserError: Another process holds it.
    """
    handle = os.open(run / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            _lock(handle)
        except OSError as error:
            holder = os.read(handle, 32).decode(errors="replace").strip() or "unknown"
            raise UserError(
                f"Expected {run} to be free, got another process ({holder}) training in it; wait for it or choose "
                "another --out."
            ) from error
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"process {os.getpid()}".encode(), 0)
        yield
    finally:
        os.close(handle)


def _lock(handle: int) -> None:
    try:
        import fcntl
    except ImportError:  # Windows
        import msvcrt

        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
    else:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
