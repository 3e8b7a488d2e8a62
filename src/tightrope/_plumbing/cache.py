"""Where tensors that are dear to compute are kept between runs, and how they get there whole."""

from __future__ import annotations

import os
import tempfile
import warnings
from pathlib import Path

from torch import Tensor


def cache_folder(cache: Path | None = None) -> Path:
    """Return the folder for cached files: the argument, else ``$TIGHTROPE_CACHE``, else the user's cache folder."""
    if cache is not None:
        return Path(cache)
    if chosen := os.environ.get("TIGHTROPE_CACHE"):
        return Path(chosen).expanduser()
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
    """Write tensors as safetensors so that a reader sees the whole file or none; warn when the folder is read-only."""
    from safetensors.torch import save

    data = save({key: value.contiguous() for key, value in tensors.items()}, metadata)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        warnings.warn(f"{path} could not be written ({error}), so it will be computed again next time.", stacklevel=2)
