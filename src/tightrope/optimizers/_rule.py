"""What the update rules share: the walk over parameters with gradients, Adam's direction, the checks of settings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from numbers import Real
from typing import Any

import torch
from torch import Tensor

from tightrope._plumbing.checks import check_number, short
from tightrope._plumbing.errors import UserError, UserTypeError


class Checked(torch.optim.Optimizer):
    """An optimiser that says in a sentence what it cannot take as parameters."""

    def __init__(self, params: Iterable[Tensor] | Iterable[dict[str, Any]], defaults: dict[str, Any]) -> None:
        try:
            super().__init__(params, defaults)
        except (TypeError, ValueError, AttributeError, KeyError, NotImplementedError) as problem:
            raise UserTypeError(
                f"Expected parameters, or groups of them, at least one, got {short(params)} ({problem}); pass "
                "network.parameters()."
            ) from problem


class Rule(Checked):
    """An optimiser that moves each parameter that has a gradient by itself.

    Sparse gradients count as what they stand for: dense ones that are zero in every row that was not looked up.
    """

    def _move(self, p: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        raise NotImplementedError

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Update every parameter that has a gradient; ``closure`` re-evaluates the loss, as in torch."""
        loss = evaluate(closure)
        for p, gradient, group in self._with_gradients():
            self._move(p, gradient, group)
        return loss

    def _with_gradients(self) -> Iterator[tuple[Tensor, Tensor, dict[str, Any]]]:
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    yield p, p.grad if p.grad.layout == torch.strided else p.grad.to_dense(), group


class AdamRule(Rule):
    """A rule along Adam's bias-corrected direction."""

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float,
        betas: tuple[float, float],
        eps: float,
    ) -> None:
        check_rate(lr)
        check_betas(betas)
        check_number("eps", eps, 1e-8)
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps})

    def _adam(self, p: Tensor, gradient: Tensor, group: dict[str, Any]) -> Tensor:
        """The direction at ``gradient``, after updating the moments of ``p``."""
        state = self.state[p]
        if "step" not in state:
            state["step"] = 0
            state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(p), torch.zeros_like(p)
        state["step"] += 1
        beta1, beta2 = group["betas"]
        state["exp_avg"].mul_(beta1).add_(gradient, alpha=1 - beta1)
        state["exp_avg_sq"].mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        mean = state["exp_avg"] / (1 - beta1 ** state["step"])
        scale = (state["exp_avg_sq"] / (1 - beta2 ** state["step"])).sqrt()
        return mean / (scale + group["eps"])


def check_rate(lr: float) -> None:
    """Raise unless ``lr`` is a finite number of at least zero."""
    if not isinstance(lr, Real) and not (isinstance(lr, Tensor) and lr.numel() == 1 and not lr.is_complex()):
        raise UserError(f"Expected a finite learning rate >= 0, got {short(lr)}; published values lie in 5e-5 to 1e-3.")
    if not 0 <= lr < float("inf"):
        raise UserError(f"Expected a finite learning rate >= 0, got {lr!r}; published values lie in 5e-5 to 1e-3.")


def check_betas(betas: tuple[float, float]) -> None:
    """Raise unless both decay rates lie in [0, 1)."""
    pair = isinstance(betas, list | tuple) and len(betas) == 2
    if not pair or not all(isinstance(beta, Real) and 0 <= beta < 1 for beta in betas):
        raise UserError(f"Expected two Adam betas in [0, 1), got {betas!r}; for example (0.5, 0.9).")


def evaluate(closure: Callable[[], float] | None) -> float | None:
    """Value of a closure with gradients enabled, as torch's optimisers call it; None without one."""
    if closure is None:
        return None
    with torch.enable_grad():
        return closure()
