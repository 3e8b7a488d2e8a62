"""Nested state as one safetensors file: tensors as tensors, everything else as JSON in the header. No pickle.

A state is a tree of dicts, lists, tuples, tensors, numbers, strings, booleans and None. The tree goes into the header
as JSON, each tensor replaced by its name; dict keys that are not strings and tuples survive. A checksum over all tensor
bytes tells a damaged file from a good one.
"""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from tightrope._plumbing.errors import UserError
from tightrope._plumbing.files import write_atomically

FORMAT = 1


def write_state(path: Path, state: Any) -> Path:
    """Write a state atomically as safetensors.

    Args:
        path: Where it ends up.
        state: Tree of dicts, lists, tuples, tensors and JSON values.

    Returns:
        ``path``.

    Raises:
        TypeError: Something in the tree is neither a tensor nor a plain value.
        UserError: The file could not be written.
    """
    tensors: dict[str, Tensor] = {}
    tree = _encode(state, "state", tensors)
    header = {"format": str(FORMAT), "tree": json.dumps(tree), "checksum": str(_checksum(tensors))}
    return write_atomically(path, save(tensors, metadata=header))


def read_state(path: Path) -> Any:
    """Read a state written by :func:`write_state`, tensors on the CPU. Nothing in the file is executed.

    Args:
        path: The file.

    Returns:
        The tree.

    Raises:
        UserError: The file is missing, truncated, damaged, or from a newer format.
    """
    if not path.is_file():
        raise UserError(f"Expected a checkpoint at {path}, got no such file; name a run folder that has one.")
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(
            f"Expected a whole checkpoint, got a truncated or damaged file at {path} ({error}); delete it and resume "
            "from an older one."
        ) from error
    if header.get("format") != str(FORMAT):
        raise UserError(
            f"Expected a checkpoint of format {FORMAT}, got {header.get('format', 'none')} in {path}; use the version "
            "of tightrope that wrote it."
        )
    if header.get("checksum") != str(_checksum(tensors)):
        raise UserError(
            f"Expected the tensors that were saved, got others in {path} (the checksum differs); the file is damaged: "
            "delete it and resume from an older one."
        )
    return _decode(json.loads(header["tree"]), tensors)


def _encode(value: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, Tensor):
        tensors[name] = value.detach().cpu().contiguous().clone()
        return {"tensor": name, "channels_last": _is_channels_last(value)}
    if isinstance(value, dict):
        return {"dict": [[_plain(k, name), _encode(v, f"{name}.{k}", tensors)] for k, v in value.items()]}
    if isinstance(value, list | tuple):
        kind = "list" if isinstance(value, list) else "tuple"
        return {kind: [_encode(v, f"{name}.{i}", tensors) for i, v in enumerate(value)]}
    return {"value": _plain(value, name)}


def _plain(value: Any, name: str) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"Expected tensors and plain values in a state, got {type(value).__name__} at {name}.")


def _is_channels_last(value: Tensor) -> bool:
    return value.dim() == 4 and not value.is_contiguous() and value.is_contiguous(memory_format=torch.channels_last)


def _decode(node: dict[str, Any], tensors: dict[str, Tensor]) -> Any:
    kind, content = next(iter(node.items()))
    if kind == "tensor":
        value = tensors[content]
        return value.contiguous(memory_format=torch.channels_last) if node["channels_last"] else value
    if kind == "dict":
        return {key: _decode(child, tensors) for key, child in content}
    if kind in ("list", "tuple"):
        children = [_decode(child, tensors) for child in content]
        return children if kind == "list" else tuple(children)
    return content


def _checksum(tensors: dict[str, Tensor]) -> int:
    total = 0
    for name in sorted(tensors):
        flat = tensors[name].reshape(-1).contiguous()
        total = zlib.crc32(flat.view(torch.uint8).numpy().data, total) if flat.numel() else total
    return total
