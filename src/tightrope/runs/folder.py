"""What a run folder is made of: the names that are ours, and nobody else's files."""

from __future__ import annotations

import re
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Final

from tightrope._plumbing.cache import cache_folder
from tightrope._plumbing.errors import UserError, printable
from tightrope._plumbing.files import leftover, make_folder
from tightrope.runs.lock import HOLDER, LOCK

GENERATOR: Final = "generator.safetensors"
BEST: Final = "best.safetensors"
MODEL: Final = "model.safetensors"
"""Weights in a folder that was exported, which holds no run."""
CHECKPOINT: Final = re.compile(r"step_(\d{8,})\.safetensors")
_OURS: Final = {
    ".": r"(?:config|status|diagnosis|preflight)\.json|[a-z]+\.jsonl|(?:generator|best)\.safetensors|report\.html",
    "checkpoints": r"step_\d{8,}\.safetensors",
    "samples": r"step_\d{8,}\.png|(?:real|nearest)\.png",
}
_LEFTOVERS: Final = {place: leftover(names) for place, names in _OURS.items()}
"""Temporary files that a killed process may leave, by sub-folder."""


def refuse_strangers(folder: Path) -> None:
    """Raise unless a new run may begin in a folder: there is none, or it is empty but for what a killed begin left.

    Raises:
        UserError: It holds a run, somebody's files, is a file, or has a name that is no UTF-8.
    """
    if str(folder) != str(folder).encode(errors="replace").decode():  # nothing could read its checkpoints
        raise UserError(
            f"Expected a folder whose name can be written as UTF-8, got {printable(folder)}; choose another."
        )
    if (folder / "config.json").exists():
        raise UserError(f"Expected a new folder, got {folder}, which holds a run; resume it or choose another --out.")
    if folder.exists() and not folder.is_dir():
        raise UserError(f"Expected a new folder, got the file {folder}; choose another --out.")
    for path in sorted(folder.iterdir()) if folder.exists() else ():
        if path.name not in (LOCK, HOLDER) and not _LEFTOVERS["."].fullmatch(path.name):
            raise UserError(
                f"Expected a new or empty folder, got {folder}, which holds {path.name} and is no run; choose another "
                "--out."
            )


def refuse_no_files(folder: Path) -> None:
    """Refuse a run in which something else stands where a file of ours is, before anything in it changes.

    Raises:
        UserError: A folder, or in place of a record a pipe or a device, which would take rows for ever.
    """
    for place, names in _OURS.items():
        for path in sorted((folder / place).iterdir()) if (folder / place).is_dir() else ():
            odd = path.is_dir() or (path.suffix == ".jsonl" and path.exists() and not path.is_file())
            if odd and re.fullmatch(names, path.name):
                raise UserError(f"Expected a file {path}, got something else of that name; remove it.")


def remove_leftovers(folder: Path) -> list[Path]:
    """Delete the temporary files that a killed process left of a run's own; returns what was deleted."""
    leftovers = [
        path
        for name, pattern in _LEFTOVERS.items()
        if (folder / name).is_dir() and not (folder / name).is_symlink()
        for path in sorted((folder / name).iterdir())
        if pattern.fullmatch(path.name)
    ]
    for path in leftovers:
        path.unlink(missing_ok=True)
    return leftovers


def met_before(folder: Path, source: str) -> bool:
    """Whether this machine has met a run folder with this source of data, as it has from now on.

    What is known lies in the cache folder and not in the run, so that a folder from somebody else cannot say it of
    itself.
    """
    mark = (
        cache_folder() / "runs" / sha256(f"{folder.resolve()}\0{source}".encode("utf-8", "surrogateescape")).hexdigest()
    )
    with suppress(UserError, OSError):
        if mark.exists():
            return True
        make_folder(mark.parent)
        mark.touch()
    return False


def checkpoint_steps(run: Path) -> dict[int, Path]:
    """Checkpoints of a run folder by their steps, oldest first; files of other names are none."""
    folder = run / "checkpoints"
    found = ((CHECKPOINT.fullmatch(path.name), path) for path in (folder.iterdir() if folder.is_dir() else ()))
    return dict(sorted((int(match[1]), path) for match, path in found if match))
