"""Where tensors that are dear to compute are kept between runs, and how they get there whole."""

from __future__ import annotations

import json
import os
import warnings
import zlib
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from tightrope._plumbing.errors import UserError
from tightrope._plumbing.files import expanded, make_folder, write_atomically


def cache_folder(cache: Path | None = None) -> Path:
    """Return the folder for cached files: the argument, else ``$TIGHTROPE_CACHE``, else the user's cache folder.

    Raises:
        UserError: None is set, and this user has no home, as in containers that run under a bare number.
    """
    if cache is not None:
        return Path(cache)
    if chosen := os.environ.get("TIGHTROPE_CACHE"):
        return expanded(chosen)
    home = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(home) if home else Path.home() / ".cache") / "tightrope"
    except RuntimeError as error:
        raise UserError(
            "Expected a home folder to keep decoded data in, but this user has none; set TIGHTROPE_CACHE to a folder."
        ) from error


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]] | None:
    """Return the tensors and the metadata of a cached file, or None when it is absent or damaged."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    except (OSError, SafetensorError):
        return None


def read_kept(path: Path) -> tuple[dict[str, Tensor], dict[str, str]] | None:
    """Return what :func:`write_tensors` kept, or None when it is absent or not what was written."""
    found = read_tensors(path)
    if found is None or found[1].pop("checksum", None) != checksum(*found):
        return None
    return found


def checksum(tensors: Mapping[str, Tensor], words: Mapping[str, str]) -> str:
    """A number over all that is read back: the words, and every tensor's name, type, shape and bytes."""
    kinds = [[name, str(tensors[name].dtype), list(tensors[name].shape)] for name in sorted(tensors)]
    total = zlib.crc32(json.dumps([sorted(words.items()), kinds]).encode())
    for name in sorted(tensors):
        flat = tensors[name].reshape(-1).contiguous()
        total = zlib.crc32(flat.view(torch.uint8).numpy().data, total) if flat.numel() else total
    return str(total)


def write_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write tensors as safetensors, under a checksum, so that a reader sees the whole file or none.

    Where they cannot be kept, a warning says so.
    """
    from safetensors.torch import save

    apart = {key: value.contiguous() for key, value in tensors.items()}
    data = save(apart, {**metadata, "checksum": checksum(apart, metadata)})
    try:
        write_atomically(make_folder(path.parent) / path.name, data)
    except UserError as error:
        warnings.warn(f"{path} could not be written, so it will be computed again next time: {error}", stacklevel=2)
