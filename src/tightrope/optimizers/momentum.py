"""Gradient descent with momentum of either sign."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from tightrope._plumbing.checks import check_number
from tightrope._plumbing.errors import UserError
from tightrope.optimizers._rule import Rule, check_rate


class Momentum(Rule):
    """Gradient descent with momentum, which may be negative; torch's own SGD refuses negative values.

    ``m <- momentum m + (1 - dampening) g``, ``x <- x - lr m``, with ``m`` zero at first.

    Source: Polyak 1964; negative values for games: Gidel et al. 2019 (1807.04740), alternating updates.
    Claim: on a bilinear game alternating descent with momentum -1/2 contracts, with +1/2 it diverges, and
    simultaneous descent diverges with either. The result is local and for alternating updates only.

    Args:
        params: Parameters or groups.
        lr: Step size.
        momentum: In (-1, 1).
        dampening: Share of the gradient left out; equal to ``momentum`` it gives Adam's moving average.

    Raises:
        UserError: A negative step size, or momentum outside (-1, 1).

    Example:
        >>> from tightrope.optimizers import Momentum
        >>> x = torch.ones(1, requires_grad=True)
        >>> optimizer = Momentum([x], lr=0.1, momentum=-0.5)
        >>> for _ in range(2):
        ...     optimizer.zero_grad()
        ...     (0.5 * x.square().sum()).backward()
        ...     _ = optimizer.step()
        >>> round(x.item(), 4)  # 0.9 - 0.1 * (0.9 - 0.5 * 1)
        0.86
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float,
        momentum: float = -0.5,
        dampening: float = 0.0,
    ) -> None:
        check_rate(lr)
        check_number("momentum", momentum, -0.5, least=-math.inf)
        check_number("dampening", dampening, 0, least=-math.inf)
        if not -1 < momentum < 1:
            raise UserError(f"Expected momentum in (-1, 1), got {momentum}; published values are -0.5 to 0.9.")
        super().__init__(params, {"lr": lr, "momentum": momentum, "dampening": dampening})

    def _move(self, p: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[p]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(p)
        state["momentum"].mul_(group["momentum"]).add_(gradient, alpha=1 - group["dampening"])
        p.add_(state["momentum"], alpha=-group["lr"])
