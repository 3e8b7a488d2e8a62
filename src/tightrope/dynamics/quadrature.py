"""Exact expectations over the standard normal draws inside a computation, in place of random ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode


def gauss_hermite(order: int) -> tuple[Tensor, Tensor]:
    """Nodes and weights for the standard normal distribution, float64 ``[order]`` each; exact to degree 2 order - 1.

    Source: Golub and Welsch 1969: eigenvalues and first components of the eigenvectors of the Jacobi matrix.
    """
    off = torch.arange(1, order, dtype=torch.float64).sqrt()
    nodes, vectors = torch.linalg.eigh(torch.diag(off, 1) + torch.diag(off, -1))
    return nodes, vectors[0].square()


def equal_weight_normal() -> Tensor:
    """Six equally weighted points ``[6, 1]`` with the standard normal's moments up to degree five."""
    return torch.tensor([[3.0**0.5], [-(3.0**0.5)], [0.0], [0.0], [0.0], [0.0]], dtype=torch.float64)


def expectation(compute: Callable[[], Tensor], *, order: int = 32) -> Tensor:
    """Expected value of ``compute()``, exact where it is a polynomial of degree ``2 order - 1`` in its noise.

    Every standard normal number that ``compute`` draws with ``torch.randn`` or ``torch.randn_like`` is the *same* one
    number, so use it where one scalar enters additively or enters each term once, as instance noise and the
    finite-difference penalties do on one-dimensional games.

    Args:
        compute: Returns a scalar tensor and draws its noise inside.
        order: Number of Gauss-Hermite nodes.

    Returns:
        Scalar, differentiable as ``compute()`` is.
    """
    nodes, weights = gauss_hermite(order)

    def at(node: Tensor) -> Tensor:
        with _Normal(node):
            return compute()

    return (weights * torch.func.vmap(at)(nodes)).sum()


class _Normal(TorchFunctionMode):
    """Hands out one given number wherever a standard normal one is drawn."""

    def __init__(self, value: Tensor) -> None:
        super().__init__()
        self._value = value

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is torch.randn_like:
            return self._value.to(args[0].dtype).expand_as(args[0])
        if func is torch.randn:
            return self._value.expand(*args)
        return func(*args, **(kwargs or {}))
