"""Optimistic gradient: predict the next gradient by the change since the last one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from tightrope._plumbing.checks import check_number
from tightrope.optimizers.extragradient import adam_direction, check_betas
from tightrope.optimizers.momentum import check_rate, evaluate


class _Optimistic(torch.optim.Optimizer):
    """``x <- x - lr (2 u_k - u_{k-1})`` for a direction ``u``; the first step is ``x - lr u_0``."""

    def _direction(self, p: Tensor, group: dict[str, Any]) -> Tensor:
        raise NotImplementedError

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Update every parameter that has a gradient; ``closure`` re-evaluates the loss, as in torch."""
        loss = evaluate(closure)
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                direction = self._direction(p, group)
                before = state.get("direction", direction)
                p.add_(2 * direction - before, alpha=-group["lr"])
                state["direction"] = direction
        return loss


class OptimisticSGD(_Optimistic):
    """Optimistic gradient descent: ``x' = x - 2 lr g_k + lr g_{k-1}``.

    Source: Popov 1980; Daskalakis et al. 2018 (1711.00141), eq. 6.
    Claim: on a bilinear game of strength ``a`` it contracts for ``lr a < 1 / sqrt(3)``.
    Cost: one gradient per step and one stored direction.

    Args:
        params: Parameters or groups.
        lr: Step size.

    Raises:
        UserError: A negative step size.

    Example:
        >>> from tightrope.optimizers import OptimisticSGD
        >>> x = torch.ones(1, requires_grad=True)
        >>> optimizer = OptimisticSGD([x], lr=0.1)
        >>> for _ in range(2):
        ...     optimizer.zero_grad()
        ...     (0.5 * x.square().sum()).backward()
        ...     _ = optimizer.step()
        >>> round(x.item(), 4)  # 0.9 - 0.2 * 0.9 + 0.1 * 1
        0.82
    """

    def __init__(self, params: Iterable[Tensor] | Iterable[dict[str, Any]], lr: float) -> None:
        check_rate(lr)
        super().__init__(params, {"lr": lr})

    def _direction(self, p: Tensor, group: dict[str, Any]) -> Tensor:
        assert p.grad is not None
        return p.grad.clone()


class OptimisticAdam(_Optimistic):
    """Optimistic descent with Adam's bias-corrected direction in place of the gradient.

    Source: Daskalakis et al. 2018 (1711.00141), algorithm 1.
    Departures: the first step is an ordinary Adam step; a known implementation doubles it.
    Cost: one gradient per step and one stored direction.

    Args:
        params: Parameters or groups.
        lr: Step size.
        betas: Adam's decay rates.
        eps: Added to the denominator.

    Raises:
        UserError: A negative step size or betas outside [0, 1).

    Example:
        >>> from tightrope.optimizers import OptimisticAdam
        >>> critic = nn.Linear(2, 1)
        >>> optimizer = OptimisticAdam(critic.parameters(), lr=1e-3, betas=(0.5, 0.9))
        >>> critic(torch.ones(4, 2)).mean().backward()
        >>> optimizer.step()
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.5, 0.9),
        eps: float = 1e-8,
    ) -> None:
        check_rate(lr)
        check_betas(betas)
        check_number("eps", eps, 1e-8)
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps})

    def _direction(self, p: Tensor, group: dict[str, Any]) -> Tensor:
        return adam_direction(self.state[p], p, group)
