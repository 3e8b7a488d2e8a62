"""A network that stands for one of many equal ones, under a ``vmap`` over runs that train side by side."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from tightrope._plumbing.beside import outside, stacked
from tightrope.autodiff.view import Remembered, View


class Stacked(View):
    """One of many equal networks, to what is mapped over them; a call computes all of them at once, outside the map.

    Args:
        module: A copy of one of the networks, which checks look at.
        together: Maps stacked inputs ``[runs, batch, *shape]`` to stacked outputs ``[runs, batch, ...]``.
    """

    def __init__(self, module: nn.Module, together: Callable[..., Any]) -> None:
        super().__init__(module)
        self.together = together

    def forward(self, x: Tensor, *more: Any) -> Any:
        """The output for ``x`` ``[batch, *shape]``."""
        return outside(self.together, x, *more)


def is_stacked(critic: object) -> bool:
    """Whether a :class:`Stacked` network is what a critic calls in the end."""
    while isinstance(critic, Remembered | View):
        if isinstance(critic, Stacked):
            return True
        critic = critic.network if isinstance(critic, Remembered) else critic.module
    return False


def leaf(x: Tensor) -> Tensor:
    """``x`` itself if the tensor behind it requires a gradient, otherwise one over the same values that does."""
    if stacked(x).requires_grad:
        return x
    return outside(lambda values: values.detach().requires_grad_(), x)


def gradient_beside(total: Tensor, x: Tensor, gradient: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """``gradient(total, x)`` of every run: that of the sum of totals, as none depends on another run's ``x``."""

    def together(totals: Tensor, points: Tensor) -> Tensor:
        return gradient(totals.sum(), points)

    with torch.enable_grad():
        return outside(together, total, x)
