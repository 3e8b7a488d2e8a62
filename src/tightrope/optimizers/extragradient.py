r"""Extragradient: look ahead by one step, then move from where you were by the gradient found there."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from numbers import Real
from typing import Any

import torch
from torch import Tensor

from tightrope._plumbing.checks import check_number
from tightrope._plumbing.errors import UserError
from tightrope.optimizers.momentum import check_rate, evaluate


class Extrapolating(torch.optim.Optimizer):
    """The shared part: ``extrapolate()`` looks ahead; ``step()`` returns to the start and takes the real step."""

    def _direction(self, p: Tensor, group: dict[str, Any]) -> Tensor:
        raise NotImplementedError

    @torch.no_grad()
    def extrapolate(self) -> None:
        """Move to the look-ahead point, from where the step began; may be called several times before ``step()``."""
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if "start" not in state:
                    state["start"] = p.detach().clone()
                p.copy_(state["start"] + self._direction(p, group))

    @torch.no_grad()
    def retreat(self) -> None:
        """Return to where the step began without taking it; moments that were updated on the way stay so."""
        for p, state in self.state.items():
            if "start" in state:
                p.copy_(state.pop("start"))

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Move from where the step began by the present gradient; without ``extrapolate()`` an ordinary step."""
        loss = evaluate(closure)
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                direction = self._direction(p, group)
                p.copy_(self.state[p].pop("start", p) + direction)
        return loss


class ExtraSGD(Extrapolating):
    """Extragradient with plain gradient steps: ``x' = x - lr g(x - lr g(x))``.

    Source: Korpelevich 1976; Gidel et al. 2019 (1802.10551), section 3.
    Claim: on a bilinear game of strength ``a`` it contracts by ``sqrt(1 - (lr a)^2 + (lr a)^4)`` for ``lr a < 1``.
    Cost: two gradients per step.

    Args:
        params: Parameters or groups.
        lr: Step size of both halves.

    Raises:
        UserError: A negative step size.

    Example:
        >>> from tightrope.optimizers import ExtraSGD
        >>> x = torch.ones(1, requires_grad=True)
        >>> optimizer = ExtraSGD([x], lr=0.1)
        >>> for move in (optimizer.extrapolate, optimizer.step):  # the gradient of x^2/2 is x
        ...     optimizer.zero_grad()
        ...     (0.5 * x.square().sum()).backward()
        ...     move()
        >>> round(x.item(), 4)  # 1 - 0.1 * (1 - 0.1 * 1)
        0.91
    """

    def __init__(self, params: Iterable[Tensor] | Iterable[dict[str, Any]], lr: float) -> None:
        check_rate(lr)
        super().__init__(params, {"lr": lr})

    def _direction(self, p: Tensor, group: dict[str, Any]) -> Tensor:
        assert p.grad is not None
        return -group["lr"] * p.grad


class ExtraAdam(Extrapolating):
    """Extragradient whose two halves are Adam steps; both halves update Adam's moments.

    Source: Gidel et al. 2019 (1802.10551), algorithm 4, and its code: rates 5e-4 (critic) and 5e-5, betas (0.5, 0.9).
    Departures: none.
    Cost: two gradients per step.

    Args:
        params: Parameters or groups.
        lr: Step size of both halves.
        betas: Adam's decay rates.
        eps: Added to the denominator.

    Raises:
        UserError: A negative step size or betas outside [0, 1).

    Example:
        >>> from tightrope.optimizers import ExtraAdam
        >>> x = torch.ones(1, requires_grad=True)
        >>> optimizer = ExtraAdam([x], lr=0.1)
        >>> for move in (optimizer.extrapolate, optimizer.step):
        ...     optimizer.zero_grad()
        ...     (0.5 * x.square().sum()).backward()
        ...     move()
        >>> 0.89 < x.item() < 0.91
        True
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float = 5e-5,
        betas: tuple[float, float] = (0.5, 0.9),
        eps: float = 1e-8,
    ) -> None:
        check_rate(lr)
        check_betas(betas)
        check_number("eps", eps, 1e-8)
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps})

    def _direction(self, p: Tensor, group: dict[str, Any]) -> Tensor:
        return -group["lr"] * adam_direction(self.state[p], p, group)


def adam_direction(state: dict[str, Any], p: Tensor, group: dict[str, Any]) -> Tensor:
    """Adam's bias-corrected direction at the present gradient, after updating the moments in ``state``."""
    assert p.grad is not None
    if "step" not in state:
        state["step"] = 0
        state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(p), torch.zeros_like(p)
    state["step"] += 1
    beta1, beta2 = group["betas"]
    state["exp_avg"].mul_(beta1).add_(p.grad, alpha=1 - beta1)
    state["exp_avg_sq"].mul_(beta2).addcmul_(p.grad, p.grad, value=1 - beta2)
    mean = state["exp_avg"] / (1 - beta1 ** state["step"])
    scale = (state["exp_avg_sq"] / (1 - beta2 ** state["step"])).sqrt()
    return mean / (scale + group["eps"])


def check_betas(betas: tuple[float, float]) -> None:
    """Raise unless both decay rates lie in [0, 1)."""
    pair = isinstance(betas, list | tuple) and len(betas) == 2
    if not pair or not all(isinstance(beta, Real) and 0 <= beta < 1 for beta in betas):
        raise UserError(f"Expected two Adam betas in [0, 1), got {betas!r}; for example (0.5, 0.9).")
