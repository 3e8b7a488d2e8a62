"""Tensors inside ``torch.func`` transforms, seen from outside of them: the plain values behind the wrappers."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

from tightrope.autodiff import in_functional_transform

try:
    from torch._functorch import pyfunctorch
except ImportError:  # torch without it: nothing inside of transforms is seen
    _cleared: Any = None
else:
    _cleared = getattr(pyfunctorch, "temporarily_clear_interpreter_stack", None)

_C: Any = torch._C._functorch


def outside() -> AbstractContextManager[Any]:
    """A place where plain values are computed with as if there were no transform."""
    if _cleared is None or not in_functional_transform():
        return nullcontext()
    stack: AbstractContextManager[Any] = _cleared()
    return stack


def depth(tensor: Tensor) -> int:
    """How many gradient transforms a tensor is wrapped by; -1 where another one, such as ``vmap``, is among them."""
    levels = 0
    while _C.is_functorch_wrapped_tensor(tensor):
        if not _C.is_gradtrackingtensor(tensor):
            return -1
        tensor, levels = _C.get_unwrapped(tensor), levels + 1
    return levels


def visible(tensors: list[Tensor]) -> bool:
    """Whether calls with these tensors can be captured here."""
    if not in_functional_transform():
        return True
    known = _cleared is not None and not torch.compiler.is_compiling()
    return known and all(depth(t) >= 0 for t in tensors)


def plain(tensor: Tensor) -> Tensor:
    """The value, detached; storage and version counter are shared."""
    while _C.is_functorch_wrapped_tensor(tensor):
        tensor = _C.get_unwrapped(tensor)
    with outside():
        return tensor.detach()
