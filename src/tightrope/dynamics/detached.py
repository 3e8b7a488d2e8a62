"""Two ways to look through ``detach``, which training code uses to save work and which hides derivatives of the game.

A critic's loss is written with ``fake.detach()`` because the critic's step needs no gradient of the generator. The
critic's *gradient* nevertheless depends on the generator, and that dependence is the off-diagonal block which makes a
game rotate. Differentiating through it needs one of the two modes here; neither changes any module.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

_DETACH = (torch.Tensor.detach, torch.detach)


class CarryTangents(TorchFunctionMode):
    """Forward-mode tangents survive ``detach`` and ``backward``; values and reverse-mode graphs are what they were.

    This gives the derivative of the computation as the program carries it out, stop-gradients included.

    Args:
        parameters: What a ``backward()`` without ``inputs`` accumulates into.
    """

    def __init__(self, parameters: Sequence[Tensor] = ()) -> None:
        super().__init__()
        self._parameters = list(parameters)

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in _DETACH:
            with torch.no_grad():
                return args[0].clone()
        if func is torch.Tensor.backward:
            return self._backward(*args, **kwargs)
        return func(*args, **kwargs)

    def _backward(
        self,
        total: Tensor,
        gradient: Tensor | None = None,
        retain_graph: bool | None = None,
        create_graph: bool = False,
        inputs: Sequence[Tensor] | Tensor | None = None,
    ) -> None:
        given = [inputs] if isinstance(inputs, Tensor) else inputs
        targets = [p for p in (self._parameters if given is None else given) if p.requires_grad]
        found = torch.autograd.grad(
            total, targets, gradient, retain_graph=retain_graph, create_graph=create_graph, allow_unused=True
        )
        for p, g in zip(targets, found, strict=True):
            if g is not None:
                p.grad = g if p.grad is None else p.grad + g


class Attached(TorchFunctionMode):
    """``detach`` hands its tensor through with its graph, so that reverse mode reaches every player.

    A stop-gradient *inside* a network would change the gradient itself; see ``FieldOperator``, which tests for it.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func in _DETACH:
            return args[0].view_as(args[0])
        return func(*args, **(kwargs or {}))
