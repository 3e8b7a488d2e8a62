"""Other people's layers: find them, their weight as a matrix, their action as a linear map."""

from __future__ import annotations

from tightrope._plumbing.door import keep_door
from tightrope.layers.find import constrainable_layers, find_batch_norm, find_layers
from tightrope.layers.kernel import KernelShape, effective_weight, kernel_shape

__all__ = [
    "KernelShape",
    "constrainable_layers",
    "effective_weight",
    "find_batch_norm",
    "find_layers",
    "kernel_shape",
]

keep_door(__name__, __all__)
