"""One process per run folder."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tightrope._plumbing.errors import UserError
from tightrope._plumbing.files import refuse_link

LOCK, HOLDER = ".lock", ".lock-holder"
_FOLDERS = ("checkpoints", "samples", "tensorboard", "wandb")

SILENT_SECONDS = 120.0
"""After which a process that is not known here and writes nothing is taken for dead."""


@contextmanager
def locked(run: Path) -> Iterator[None]:
    """Hold the run folder for this process; the system lets go when the process ends, however it ends.

    On a file system that cannot lock, a warning says that nothing keeps a second process out.

    Args:
        run: Run folder, which must exist.

    Raises:
        UserError: Another process holds it, the folder cannot be written, or what is written in it leads elsewhere.
    """
    from filelock import FileLock, Timeout

    _refuse_links(run)
    before = run.stat() if run.is_dir() else None
    lock, holder = FileLock(run / LOCK, timeout=0), run / HOLDER
    try:
        lock.acquire()
        holder.write_text(f"process {os.getpid()}")
    except Timeout:
        raise UserError(
            f"Expected {run} to be free, got another process ({_read(holder)}) training in it; wait for it or choose "
            "another --out."
        ) from None
    except PermissionError as error:
        raise UserError(f"Expected a run folder that may be written, got {run}, which may not ({error}).") from error
    except (OSError, NotImplementedError) as error:
        reason = getattr(error, "strerror", None) or error
        warnings.warn(
            f"The file system of {run} cannot lock files ({reason}), so nothing keeps a second process out of this "
            "run: start none.",
            stacklevel=3,
        )
    refused = False
    try:
        yield
    except UserError:
        refused = True
        raise
    finally:
        if lock.is_locked:
            holder.unlink(missing_ok=True)
            lock.release()
        if refused and before is not None:  # what was refused leaves no trace
            with suppress(OSError):
                os.utime(run, ns=(before.st_atime_ns, before.st_mtime_ns))


def _refuse_links(run: Path) -> None:
    """Raise if something that training writes into is a link out of the folder."""
    for path in sorted(run.iterdir()) if run.is_dir() else ():
        if path.name in (LOCK, HOLDER, *_FOLDERS) or path.suffix == ".jsonl":
            refuse_link(path)


def in_training(run: Path) -> bool:
    """Whether a process is training in a run folder, without trying its lock, which could turn away one that begins.

    One that is not known here may live on another machine: it counts while it goes on writing.
    """
    word = _read(run / HOLDER).removeprefix("process ")
    if not word.isdigit():
        return False
    if os.name == "posix":
        with suppress(ProcessLookupError, OverflowError):
            with suppress(PermissionError):  # another user's
                os.kill(int(word), 0)
            return True
    written = [path.stat().st_mtime for path in map(run.joinpath, ("metrics.jsonl", "status.json")) if path.exists()]
    return time.time() - max(written, default=0.0) < SILENT_SECONDS


def _read(holder: Path) -> str:
    try:
        return holder.read_text(errors="replace")[:40].strip() or "unknown"
    except OSError:
        return "unknown"
