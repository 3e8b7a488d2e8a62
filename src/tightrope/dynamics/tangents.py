"""Forward-mode derivatives of a computation that works in place: gradients, optimiser steps, whole training steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.autograd import forward_ad

from tightrope._plumbing.errors import said_by
from tightrope.dynamics.detached import CarryTangents


class ForwardDerivativeError(ValueError):
    """An operation has no forward derivative in torch."""


def push_forward(
    compute: Callable[[], Sequence[Tensor]],
    inputs: Sequence[Tensor],
    tangents: Sequence[Tensor],
    *,
    parameters: Sequence[Tensor] = (),
) -> list[Tensor]:
    """Derivative of what ``compute`` returns along ``tangents`` of the tensors it reads, which may change in place.

    Exact to rounding, at the point where ``inputs`` are. The inputs keep their values unless ``compute`` changes them.

    Args:
        compute: Reads ``inputs`` and returns tensors; may run autograd, ``backward`` and optimisers.
        inputs: Tensors to perturb, of any shapes.
        tangents: Directions, of the same shapes.
        parameters: What a ``backward()`` inside ``compute`` accumulates into when it names no inputs.

    Returns:
        A tensor per output; zeros for outputs that do not depend on the inputs.

    Raises:
        ForwardDerivativeError: An operation inside has none in torch.

    Cost: two to three times ``compute``.
    """
    with forward_ad.dual_level(), CarryTangents(parameters):
        with torch.no_grad():
            for x, t in zip(inputs, tangents, strict=True):
                x.copy_(forward_ad.make_dual(x.detach().clone(), t.to(x.dtype)))
        try:
            outputs = compute()
        except NotImplementedError as error:
            said = _first_line(error)
            remedy = "pass its optimiser, or build that without fused=True" if "fused" in said else "replace it"
            raise ForwardDerivativeError(
                f"The game uses an operation that torch cannot differentiate in forward mode ({said}); {remedy}."
            ) from error
        found = [forward_ad.unpack_dual(y).tangent for y in outputs]
        return [torch.zeros_like(y) if t is None else t.detach().clone() for y, t in zip(outputs, found, strict=True)]


def _first_line(error: BaseException) -> str:
    return said_by(error).rstrip(".")
