"""Nested state as one safetensors file: tensors as tensors, everything else as JSON in the header. No pickle.

A state is a tree of dicts, lists, tuples, tensors, numbers, strings, booleans and None. The tree goes into the header
as JSON, each tensor replaced by its name; dict keys that are not strings and tuples survive. A checksum over all that
is read back (the tree, and every tensor's name, type, shape and bytes) tells a damaged file from a good one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from tightrope._plumbing.cache import checksum
from tightrope._plumbing.errors import UserError, UserTypeError
from tightrope._plumbing.files import unreadable, write_atomically

FORMAT = "2"


def write_tensors(path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, str]) -> Path:
    """Write tensors and a few words atomically as safetensors, under one checksum.

    Raises:
        UserError: The file could not be written.
    """
    apart = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    words = {**header, "format": FORMAT}
    return write_atomically(path, save(apart, metadata=words | {"checksum": checksum(apart, words)}))


def read_tensors(path: Path, what: str, remedy: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read what :func:`write_tensors` wrote, tensors on the CPU. Nothing in the file is executed.

    Args:
        path: The file, which exists.
        what: What it should be, for the message.
        remedy: What to do if it is damaged.

    Raises:
        UserError: The file is truncated, damaged, or of another format.
    """
    try:
        path.open("rb").close()
    except OSError as error:
        raise UserError(unreadable(path, error)) from error
    try:
        with safe_open(path, framework="pt") as file:
            words = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError, ValueError, RuntimeError, TypeError) as error:
        raise UserError(
            f"Expected a whole {what}, got a truncated or damaged file at {path} ({error}); {remedy}."
        ) from error
    if words.get("format") != FORMAT:
        raise UserError(
            f"Expected a {what} of format {FORMAT}, got {words.get('format', 'none')} in {path}; use the version of "
            "tightrope that wrote it."
        )
    stated = words.pop("checksum", None)
    if stated != checksum(tensors, words):
        raise UserError(
            f"Expected the {what} that was saved, got another in {path} (the checksum differs); the file is damaged: "
            f"{remedy}."
        )
    return tensors, words


def misfit(own: Mapping[str, Any], found: Any) -> str:
    """In a few words, what keeps a module from loading a state; empty where names and shapes agree.

    Args:
        own: The module's own ``state_dict``.
        found: What was read.
    """
    if not isinstance(found, Mapping):
        return "it holds no names"
    for name in [*own, *found]:
        if name not in found:
            return f"it lacks {name}"
        if name not in own:
            return f"it holds {name}, which is not in the network"
        shapes = [list(getattr(state[name], "shape", ())) for state in (found, own)]
        if shapes[0] != shapes[1]:
            return f"{name} is of shape {shapes[0]}, not {shapes[1]}"
    return ""


def write_state(path: Path, state: Any) -> Path:
    """Write a state atomically as safetensors.

    Args:
        path: Where it ends up.
        state: Tree of dicts, lists, tuples, tensors and JSON values.

    Returns:
        ``path``.

    Raises:
        UserTypeError: Something in the tree is neither a tensor nor a plain value.
        UserError: The file could not be written.
    """
    tensors: dict[str, Tensor] = {}
    tree = _encode(state, "state", tensors)
    return write_tensors(path, tensors, {"tree": json.dumps(tree)})


def read_state(path: Path) -> Any:
    """Read a state written by :func:`write_state`, tensors on the CPU. Nothing in the file is executed.

    Args:
        path: The file.

    Returns:
        The tree.

    Raises:
        UserError: The file is missing, truncated, damaged, or of another format.
    """
    if not path.is_file():
        raise UserError(f"Expected a checkpoint at {path}, got no such file; name a run folder that has one.")
    tensors, words = read_tensors(path, "checkpoint", "delete it and resume from an older one")
    try:
        return _decode(json.loads(words["tree"]), tensors)
    except (ValueError, KeyError, TypeError, AttributeError, StopIteration, RecursionError) as error:
        raise UserError(
            f"Expected a tree of states in the checkpoint {path}, got something else ({error!r}); delete it and resume "
            "from an older one."
        ) from error


def _encode(value: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, Tensor):
        tensors[name] = value
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
    raise UserTypeError(f"Expected tensors and plain values in a state, got {type(value).__name__} at {name}.")


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
