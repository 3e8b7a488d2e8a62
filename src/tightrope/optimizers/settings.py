"""Optimiser settings as data: what a Method says about each player's optimiser, and how to build and schedule it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

import torch
from torch import Tensor

from tightrope._plumbing.errors import UserError
from tightrope.schedules import Value, value_at

Kind = Literal["adam", "rmsprop", "sgd", "momentum", "extra_adam", "extra_sgd", "optimistic_adam", "optimistic_sgd"]
KINDS: Final[tuple[str, ...]] = get_args(Kind)
_ADAM: Final = ("adam", "extra_adam", "optimistic_adam")


@dataclass(frozen=True)
class Optimizer:
    """Settings of one player's optimiser; rates and betas may follow a schedule of images seen.

    Attributes:
        kind: ``"adam"``, ``"rmsprop"`` or ``"sgd"``, with torch's update rules; or one of ``tightrope.optimizers``:
            ``"momentum"`` (of either sign), ``"extra_adam"``, ``"extra_sgd"``, ``"optimistic_adam"``,
            ``"optimistic_sgd"``.
        learning_rate: Step size.
        betas: Decay rates of the Adams. Integers are accepted; torch 2.13 itself refuses ``betas=(0, 0.9)``.
        alpha: RMSProp's smoothing (torch's and the WGAN authors' 0.99; TensorFlow's default is 0.9).
        eps: Added to the denominator.
        momentum: Of SGD, RMSProp and ``"momentum"``, where it may be negative.
    """

    kind: Kind = "adam"
    learning_rate: Value = 2e-4
    betas: tuple[Value, Value] = (0.0, 0.9)
    alpha: float = 0.99
    eps: float = 1e-8
    momentum: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UserError(f"Expected an optimiser out of {', '.join(KINDS)}, got {self.kind!r}.")
        rate = value_at(self.learning_rate, 0)
        if not 0 <= rate < float("inf"):
            raise UserError(f"Expected a finite learning rate >= 0, got {rate}; published values lie in 5e-5 to 1e-3.")
        for beta in self.betas:
            if not 0 <= value_at(beta, 0) < 1:
                raise UserError(f"Expected Adam betas in [0, 1), got {self.betas}; for example (0.0, 0.9).")

    @property
    def extrapolates(self) -> bool:
        """Whether a step looks ahead first: extragradient, which needs two gradients of both players."""
        return self.kind in ("extra_adam", "extra_sgd")

    def build(self, parameters: Iterable[Tensor]) -> torch.optim.Optimizer:
        """Build the torch optimiser over ``parameters``. Adam and SGD use torch's fused kernels where they exist."""
        parameters = list(parameters)
        rate = value_at(self.learning_rate, 0)
        fused = all(p.device.type in ("cpu", "cuda") and p.is_floating_point() for p in parameters)
        if self.kind == "adam":
            betas = (value_at(self.betas[0], 0), value_at(self.betas[1], 0))
            return torch.optim.Adam(parameters, lr=rate, betas=betas, eps=self.eps, fused=fused)
        if self.kind == "rmsprop":
            return torch.optim.RMSprop(parameters, lr=rate, alpha=self.alpha, eps=self.eps, momentum=self.momentum)
        if self.kind == "sgd":
            return torch.optim.SGD(parameters, lr=rate, momentum=self.momentum, fused=fused)
        return self._build_for_games(parameters, rate)

    def _build_for_games(self, parameters: list[Tensor], rate: float) -> torch.optim.Optimizer:
        from tightrope import optimizers  # which itself imports this file

        if self.kind == "momentum":
            return optimizers.Momentum(parameters, lr=rate, momentum=self.momentum)
        if self.kind in ("extra_sgd", "optimistic_sgd"):
            return (optimizers.ExtraSGD if self.kind == "extra_sgd" else optimizers.OptimisticSGD)(parameters, lr=rate)
        betas = (value_at(self.betas[0], 0), value_at(self.betas[1], 0))
        adam = optimizers.ExtraAdam if self.kind == "extra_adam" else optimizers.OptimisticAdam
        return adam(parameters, lr=rate, betas=betas, eps=self.eps)

    def schedule_(self, optimizer: torch.optim.Optimizer, images_seen: int) -> None:
        """Write the rates that hold after ``images_seen`` real images into ``optimizer``, in place."""
        group: dict[str, Any]
        for group in optimizer.param_groups:
            if not isinstance(self.learning_rate, float):
                group["lr"] = value_at(self.learning_rate, images_seen)
            if self.kind in _ADAM and not all(isinstance(beta, float) for beta in self.betas):
                group["betas"] = (value_at(self.betas[0], images_seen), value_at(self.betas[1], images_seen))
