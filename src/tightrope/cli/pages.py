"""What commands that write a page share: its folder, its files, complex numbers as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tightrope._plumbing.errors import UserError
from tightrope._plumbing.files import write_atomically


def numbers(values: Any) -> list[list[float]] | None:
    """Real and imaginary parts of a tensor's numbers; None for None."""
    return None if values is None else [[complex(v).real, complex(v).imag] for v in values.tolist()]


def folder_for(folder: Path) -> Path:
    """The folder, made if it is not there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"Could not create {folder} ({error.strerror or error}); choose another --out.") from error
    return folder


def write(path: Path, text: str) -> None:
    """Write a text file atomically."""
    write_atomically(path, text.encode("utf-8"))
