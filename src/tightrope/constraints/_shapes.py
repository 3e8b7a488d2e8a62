"""Input size of every layer, from one forward on zeros."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from tightrope._linear_map import input_shapes


def layer_shapes(
    network: nn.Module, names: list[str], input_shape: tuple[int, ...] | None
) -> dict[str, tuple[int, ...]]:
    """Input shape without the batch of each named layer, in a network fed with ``[1, *input_shape]``.

    A conditional critic of this library (attribute ``classes``) is called with label 0 as well.

    Raises:
        ValueError: ``input_shape`` is missing, a layer is not reached, or it meets inputs of different sizes.
    """
    if input_shape is None:
        raise ValueError(
            "expected input_shape for the operator norm, got None; pass the network's input without the batch"
        )
    parameter = next(network.parameters())
    zeros = torch.zeros(1, *input_shape, dtype=parameter.dtype, device=parameter.device)
    labels = (torch.zeros(1, dtype=torch.int64, device=parameter.device),) if getattr(network, "classes", 0) else ()

    def call() -> Any:
        return network(zeros, *labels)

    found = input_shapes(network, call)
    for name in names:
        shapes = found.get(name, [])
        if len(shapes) != 1:
            got = "none" if not shapes else " and ".join(map(str, shapes))
            raise ValueError(f"expected one input size for layer {name!r}, got {got}; leave it out with `skip`")
    return {name: found[name][0] for name in names}
