"""Where tensors that are dear to compute are kept between runs, and how they get there whole."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

from torch import Tensor

from tightrope._plumbing.errors import UserError
from tightrope._plumbing.files import expanded, make_folder, write_atomically


def cache_folder(cache: Path | None = None) -> Path:
    """Return the folder for cached files: the argument, else ``$TIGHTROPE_CACHE``, else the user's cache folder."""
    if cache is not None:
        return Path(cache)
    if chosen := os.environ.get("TIGHTROPE_CACHE"):
        return expanded(chosen)
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "tightrope"


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]] | None:
    """Return the tensors and the metadata of a cached file, or None when it is absent or damaged."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    except (OSError, SafetensorError):
        return None


def write_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write tensors as safetensors so that a reader sees the whole file or none; warn where they cannot be kept."""
    from safetensors.torch import save

    data = save({key: value.contiguous() for key, value in tensors.items()}, metadata)
    try:
        write_atomically(make_folder(path.parent) / path.name, data)
    except UserError as error:
        warnings.warn(f"{path} could not be written, so it will be computed again next time: {error}", stacklevel=2)
