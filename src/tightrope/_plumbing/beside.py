"""Runs side by side under one ``vmap``: how code inside reaches all of them at once.

What a loss or a penalty says of one run is mapped over the runs by ``torch.vmap``. Their networks are too slow to map
so: they are called outside of the map, on the stacked tensors, in the plain operations that autograd records.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch._functorch import pyfunctorch
from torch.utils._pytree import tree_map_only

_functorch = torch._C._functorch
T = TypeVar("T")


def stacked(x: Tensor, size: int | None = None) -> Tensor:
    """The tensor ``[runs, *shape]`` behind one that a ``vmap`` over the runs sees as ``[*shape]``.

    One that is the same for all of ``size`` runs is repeated without a copy.
    """
    if not _functorch.is_batchedtensor(x):
        return x if size is None else x.expand(size, *x.shape)
    inner, axis = _functorch.get_unwrapped(x), _functorch.maybe_get_bdim(x)
    behind: Tensor = inner if axis == 0 else inner.movedim(axis, 0)
    return behind


def outside(function: Callable[..., T], *tensors: Tensor) -> T:
    """``function`` of the stacked tensors, outside of the innermost ``vmap``; its results are mapped again.

    Outside of every transform it is just called.
    """
    level = _functorch.maybe_current_level()
    if level is None:
        return function(*tensors)
    sizes = [len(stacked(x)) for x in tensors if _functorch.is_batchedtensor(x)]
    opened = [stacked(x, sizes[0] if sizes else None) for x in tensors]
    with pyfunctorch.temporarily_pop_interpreter_stack():
        found = function(*opened)

    def mapped(x: Tensor) -> Any:
        return _functorch._add_batch_dim(x, 0, level)

    return tree_map_only(Tensor, mapped, found)
