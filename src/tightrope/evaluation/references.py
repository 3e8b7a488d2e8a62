"""Numbers of the real data that stay the same from one evaluation to the next, kept by the hash of what made them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from tightrope._plumbing.cache import cache_folder, read_kept, write_tensors

VERSION = "references-1"
"""Part of every key; change it when a stored number would now come out differently."""


def reference_path(key: str, cache: Path | None) -> Path:
    """Return the file that holds the tensor of a key, which names everything that decides its value."""
    digest = hashlib.sha256(f"{VERSION}\n{key}".encode()).hexdigest()
    return cache_folder(cache) / "references" / f"{digest[:32]}.safetensors"


def remembered(key: str, cache: Path | None, compute: Callable[[], Tensor]) -> Tensor:
    """Return a tensor from the cache, or compute and store it.

    Args:
        key: Names everything that decides the value: data fingerprints, rows, network digest, metric.
        cache: Folder of cached files, or None for the user's.
        compute: Called when the cache has no such tensor.
    """
    path = reference_path(key, cache)
    stored = read_kept(path)
    if stored is not None and stored[1].get("key") == key and "value" in stored[0]:
        return stored[0]["value"]
    value = compute()
    write_tensors(path, {"value": value}, {"key": key})
    return value


def remembered_number(key: str, cache: Path | None, compute: Callable[[], float]) -> float:
    """Return a number from the cache, or compute and store it, as `remembered` does with a tensor."""
    return float(remembered(key, cache, lambda: torch.tensor([compute()], dtype=torch.float64)))
