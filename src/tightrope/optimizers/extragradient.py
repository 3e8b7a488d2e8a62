r"""Extragradient: look ahead by one step, then move from where you were by the gradient found there."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from tightrope._plumbing.errors import UserError
from tightrope.optimizers._rule import AdamRule, Rule, check_rate


class Extrapolating(Rule):
    """The shared part: ``extrapolate()`` looks ahead; ``step()`` returns to the start and takes the real step."""

    def _direction(self, p: Tensor, gradient: Tensor, group: dict[str, Any]) -> Tensor:
        raise NotImplementedError

    @torch.no_grad()
    def extrapolate(self) -> None:
        """Move to the look-ahead point, from where the step began; may be called several times before ``step()``."""
        for p, gradient, group in self._with_gradients():
            state = self.state[p]
            if "start" not in state:
                state["start"] = p.detach().clone()
            p.copy_(state["start"] + self._direction(p, gradient, group))

    @torch.no_grad()
    def retreat(self) -> None:
        """Return to where the step began without taking it; moments that were updated on the way stay so."""
        for p, state in self.state.items():
            if "start" in state:
                p.copy_(state.pop("start"))

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Move from where the step began by the present gradient; without ``extrapolate()`` an ordinary step.

        A parameter that looked ahead and has no gradient now returns to where it was.
        """
        loss = super().step(closure)
        self.retreat()
        return loss

    def _move(self, p: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        direction = self._direction(p, gradient, group)
        p.copy_(self.state[p].pop("start", p) + direction)


def extrapolating(optimizer: object) -> Extrapolating | None:
    """The extragradient rule that an optimiser is or, as wrappers such as accelerate's do, keeps as ``optimizer``.

    Raises:
        UserError: A wrapper that scales gradients, which only its own ``step`` undoes.
    """
    scaled = False
    while optimizer is not None and not isinstance(optimizer, Extrapolating):
        scaled = scaled or getattr(optimizer, "scaler", None) is not None
        optimizer = getattr(optimizer, "optimizer", None)
    if optimizer is not None and scaled:
        raise UserError(
            "Expected gradients as they are for extragradient's look ahead, got an optimiser with a gradient scaler; "
            "use bf16 or fp32 in place of fp16."
        )
    return optimizer


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

    def _direction(self, p: Tensor, gradient: Tensor, group: dict[str, Any]) -> Tensor:
        return -group["lr"] * gradient


class ExtraAdam(AdamRule, Extrapolating):
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
        super().__init__(params, lr, betas, eps)

    def _direction(self, p: Tensor, gradient: Tensor, group: dict[str, Any]) -> Tensor:
        return -group["lr"] * self._adam(p, gradient, group)
