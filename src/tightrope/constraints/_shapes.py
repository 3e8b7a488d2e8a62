"""Input size of every layer, from one forward on zeros."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import torch
from torch import nn

from tightrope._plumbing.errors import UserError, UserTypeError
from tightrope.layers.linear_map import input_shapes


def layer_shapes(
    network: nn.Module, names: list[str], input_shape: tuple[int, ...] | None
) -> dict[str, tuple[int, ...]]:
    """Input shape without the batch of each named layer, in a network fed with ``[1, *input_shape]``.

    A conditional critic of this library (attribute ``classes``) is called with label 0 as well.

    Raises:
        UserTypeError: ``input_shape`` is no tuple of whole numbers.
        UserError: ``input_shape`` is missing or refused by the network, a layer is not reached, or it meets inputs of
            different sizes.
    """
    if input_shape is None:
        raise UserError(
            "expected input_shape for the operator norm, got None; pass the network's input without the batch"
        )
    parameter = next(network.parameters())
    zeros = torch.zeros(1, *input_shape, dtype=parameter.dtype, device=parameter.device)
    labels = (torch.zeros(1, dtype=torch.int64, device=parameter.device),) if getattr(network, "classes", 0) else ()

    def call() -> Any:
        return network(zeros, *labels)

    try:
        found = input_shapes(network, call)
    except Exception as error:
        said = str(error).partition("\n")[0]
        raise UserError(
            f"expected an input_shape that the network can be called with, got {input_shape}, at which it stopped with "
            f"{type(error).__name__}: {said}; pass the shape of one sample, without the batch"
        ) from error
    for name in names:
        shapes = found.get(name, [])
        if len(shapes) != 1:
            got = " and ".join(map(str, shapes)) or "none, as the forward does not call it as the layer it is"
            raise UserError(
                f"expected one input size for layer {name!r}, got {got}; call the layer itself at one size, or name it "
                "in `skip`, which leaves it unconstrained"
            )
    return {name: found[name][0] for name in names}


def whole_shape(input_shape: Any) -> tuple[int, ...]:
    """``input_shape`` as a tuple of positive whole numbers."""
    sizes = tuple(input_shape) if isinstance(input_shape, Sequence) and not isinstance(input_shape, str) else None
    if sizes is None or not all(isinstance(n, Integral) for n in sizes):
        raise UserTypeError(
            f"expected input_shape as a tuple of whole numbers, got {input_shape!r}; for example (3, 32, 32)"
        )
    if not sizes or min(sizes) < 1:
        raise UserError(f"expected positive sizes in input_shape, got {input_shape!r}; for example (3, 32, 32)")
    return tuple(int(n) for n in sizes)
