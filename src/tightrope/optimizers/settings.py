"""Optimiser settings as data: what a Method says about each player's optimiser, and how to build and schedule it.

One class per update rule, with the fields that the rule reads and no others; :func:`Optimizer` makes one by its name.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, ClassVar, Final, Literal

import torch
from torch import Tensor

from tightrope._plumbing.errors import UserError, UserTypeError
from tightrope._plumbing.words import closest, one_of
from tightrope.optimizers import extragradient, lookahead, momentum, optimistic
from tightrope.schedules import Cosine, Delayed, Linear, Value, extremes, value_at

Kind = Literal["adam", "rmsprop", "sgd", "momentum", "extra_adam", "extra_sgd", "optimistic_adam", "optimistic_sgd"]


@dataclass(frozen=True)
class UpdateRule:
    """Settings of one player's optimiser; the part that all rules share.

    Attributes:
        kind: Name of the rule.
        extrapolates: Whether a step looks ahead first: extragradient, which needs two gradients of both players.
        learning_rate: Step size, a constant or a schedule of images seen.
    """

    kind: ClassVar[Kind]
    extrapolates: ClassVar[bool] = False
    learning_rate: Value = 2e-4

    def __post_init__(self) -> None:
        for rate in _ends("learning_rate", self.learning_rate):
            if not 0 <= rate < float("inf"):
                raise UserError(
                    f"Expected a finite learning rate >= 0, got {rate}; published values lie in 5e-5 to 1e-3."
                )

    def build(self, parameters: Iterable[Tensor]) -> torch.optim.Optimizer:
        """Build the torch optimiser over ``parameters``. Adam and SGD use torch's fused kernels where they exist."""
        return self._build(list(parameters), value_at(self.learning_rate, 0))

    def _build(self, parameters: list[Tensor], rate: float) -> torch.optim.Optimizer:
        raise NotImplementedError

    def schedule_(self, optimizer: torch.optim.Optimizer, images_seen: int) -> None:
        """Write the rates that hold after ``images_seen`` real images into ``optimizer``, in place."""
        group: dict[str, Any]
        for group in optimizer.param_groups:
            if not isinstance(self.learning_rate, float):
                group["lr"] = value_at(self.learning_rate, images_seen)


@dataclass(frozen=True)
class SGD(UpdateRule):
    """Gradient descent with torch's momentum of 0 or more."""

    kind: ClassVar[Kind] = "sgd"
    momentum: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_share("momentum", self.momentum, 0.9)

    def _build(self, parameters: list[Tensor], rate: float) -> torch.optim.Optimizer:
        return torch.optim.SGD(parameters, lr=rate, momentum=self.momentum, fused=_fused(parameters))


@dataclass(frozen=True)
class RMSprop(UpdateRule):
    """Descent by the gradient over the root of its mean square.

    Attributes:
        alpha: Smoothing of the mean square (torch's and the WGAN authors' 0.99; TensorFlow's default is 0.9).
        eps: Added to the denominator.
        momentum: Of the quotient.
    """

    kind: ClassVar[Kind] = "rmsprop"
    alpha: float = 0.99
    eps: float = 1e-8
    momentum: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_share("alpha", self.alpha, 0.99)
        _check_share("momentum", self.momentum, 0.0)
        _check_eps(self.eps)

    def _build(self, parameters: list[Tensor], rate: float) -> torch.optim.Optimizer:
        return torch.optim.RMSprop(parameters, lr=rate, alpha=self.alpha, eps=self.eps, momentum=self.momentum)


@dataclass(frozen=True)
class Momentum(UpdateRule):
    """Gradient descent with momentum of either sign, see :class:`tightrope.optimizers.Momentum`."""

    kind: ClassVar[Kind] = "momentum"
    momentum: float = -0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_real("momentum", self.momentum)
        if not -1 < self.momentum < 1:
            raise UserError(f"Expected momentum in (-1, 1), got {self.momentum}; published values are -0.5 to 0.9.")

    def _build(self, parameters: list[Tensor], rate: float) -> torch.optim.Optimizer:
        return momentum.Momentum(parameters, lr=rate, momentum=self.momentum)


@dataclass(frozen=True)
class ExtraSGD(UpdateRule):
    """Extragradient with plain steps, see :class:`tightrope.optimizers.ExtraSGD`."""

    kind: ClassVar[Kind] = "extra_sgd"
    extrapolates: ClassVar[bool] = True

    def _build(self, parameters: list[Tensor], rate: float) -> torch.optim.Optimizer:
        return extragradient.ExtraSGD(parameters, lr=rate)


@dataclass(frozen=True)
class OptimisticSGD(UpdateRule):
    """Optimistic gradient descent, see :class:`tightrope.optimizers.OptimisticSGD`."""

    kind: ClassVar[Kind] = "optimistic_sgd"

    def _build(self, parameters: list[Tensor], rate: float) -> torch.optim.Optimizer:
        return optimistic.OptimisticSGD(parameters, lr=rate)


@dataclass(frozen=True)
class Adam(UpdateRule):
    """Adam, with torch's update rule.

    Attributes:
        betas: Decay rates, constants or schedules. Integers are accepted; torch 2.13 itself refuses ``(0, 0.9)``.
        eps: Added to the denominator.
    """

    kind: ClassVar[Kind] = "adam"
    betas: tuple[Value, Value] = (0.0, 0.9)
    eps: float = 1e-8

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.betas, list | tuple):
            object.__setattr__(self, "betas", tuple(self.betas))  # JSON hands in lists
        if (
            not isinstance(self.betas, tuple)
            or len(self.betas) != 2
            or not all(0 <= end < 1 for beta in self.betas for end in _ends("betas", beta))
        ):
            raise UserError(f"Expected two Adam betas in [0, 1), got {self.betas}; for example (0.0, 0.9).")
        _check_eps(self.eps)

    def _build(self, parameters: list[Tensor], rate: float) -> torch.optim.Optimizer:
        return torch.optim.Adam(parameters, lr=rate, betas=self._betas_at(0), eps=self.eps, fused=_fused(parameters))

    def _betas_at(self, images_seen: int) -> tuple[float, float]:
        return value_at(self.betas[0], images_seen), value_at(self.betas[1], images_seen)

    def schedule_(self, optimizer: torch.optim.Optimizer, images_seen: int) -> None:
        """Write the rates and betas that hold after ``images_seen`` real images into ``optimizer``, in place."""
        super().schedule_(optimizer, images_seen)
        if not all(isinstance(beta, float) for beta in self.betas):
            group: dict[str, Any]
            for group in optimizer.param_groups:
                group["betas"] = self._betas_at(images_seen)


@dataclass(frozen=True)
class ExtraAdam(Adam):
    """Extragradient with Adam's steps, see :class:`tightrope.optimizers.ExtraAdam`."""

    kind: ClassVar[Kind] = "extra_adam"
    extrapolates: ClassVar[bool] = True

    def _build(self, parameters: list[Tensor], rate: float) -> torch.optim.Optimizer:
        return extragradient.ExtraAdam(parameters, lr=rate, betas=self._betas_at(0), eps=self.eps)


@dataclass(frozen=True)
class OptimisticAdam(Adam):
    """Optimistic descent along Adam's direction, see :class:`tightrope.optimizers.OptimisticAdam`."""

    kind: ClassVar[Kind] = "optimistic_adam"

    def _build(self, parameters: list[Tensor], rate: float) -> torch.optim.Optimizer:
        return optimistic.OptimisticAdam(parameters, lr=rate, betas=self._betas_at(0), eps=self.eps)


@dataclass(frozen=True)
class Lookahead:
    """Lookahead-minimax over both players' rules, see :class:`tightrope.optimizers.Lookahead`.

    Attributes:
        k: Steps between two returns.
        share: Of the way towards the present weights that is kept (the paper's alpha).
    """

    k: int = 5
    share: float = 0.5

    def __post_init__(self) -> None:
        _check_real("share", self.share)
        if not isinstance(self.k, Integral) or self.k < 1 or not 0 < self.share <= 1:
            raise UserError(
                f"Expected k of at least 1 and a share in (0, 1], got {self.k} and {self.share}; published: 5 and 0.5."
            )

    def build(self, parameters: Iterable[Tensor]) -> lookahead.Lookahead:
        """Build the outer optimiser over the parameters of all players."""
        return lookahead.Lookahead(list(parameters), k=self.k, alpha=self.share)


RULES: Final[dict[str, type[UpdateRule]]] = {
    rule.kind: rule for rule in (Adam, RMSprop, SGD, Momentum, ExtraAdam, ExtraSGD, OptimisticAdam, OptimisticSGD)
}
"""The update rules by name."""


def Optimizer(  # noqa: N802 (it makes instances, as a class would)
    kind: Kind = "adam", learning_rate: Value = 2e-4, betas: tuple[Value, Value] | None = None, **settings: Any
) -> UpdateRule:
    """Settings of an optimiser by the name of its rule: ``Optimizer("rmsprop", 1e-4, alpha=0.9)``.

    Args:
        kind: Key in :data:`RULES`.
        learning_rate: Step size.
        betas: Of the Adams; their default, (0.0, 0.9), if None.
        **settings: Other fields of the rule's class.

    Raises:
        UserError: An unknown rule, a setting that the rule does not read, or a value out of range.

    Example:
        >>> from tightrope.optimizers.settings import Optimizer
        >>> Optimizer("adam", 2e-4, betas=(0.5, 0.999))
        Adam(learning_rate=0.0002, betas=(0.5, 0.999), eps=1e-08)
    """
    one_of("an optimiser", kind, RULES)
    rule = RULES[kind]
    given = settings | ({} if betas is None else {"betas": betas})
    valid = [field.name for field in dataclasses.fields(rule)]
    for name in given:
        if name not in valid:
            raise UserError(
                f"Expected settings that the optimiser {kind} reads, {', '.join(valid)}, got {name}"
                f"{closest(name, valid)}; leave it out."
            )
    return rule(learning_rate, **given)


def _ends(name: str, value: Value) -> tuple[float, ...]:
    """A constant, or the numbers between which a schedule stays."""
    if isinstance(value, Linear | Cosine | Delayed):
        return extremes(value)
    if not isinstance(value, Real) or isinstance(value, bool):
        raise UserTypeError(f"Expected {name} as a number or a schedule, got {value!r}; for example {_USUAL[name]}.")
    return (float(value),)


_USUAL: Final = {"learning_rate": "2e-4", "betas": "(0.0, 0.9)"}


def _fused(parameters: Iterable[Tensor]) -> bool:
    return all(p.device.type in ("cpu", "cuda") and p.is_floating_point() for p in parameters)


def _check_share(name: str, value: float, usual: float) -> None:
    _check_real(name, value)
    if not 0 <= value < 1:
        raise UserError(f"Expected {name} in [0, 1), got {value}; {usual:g} is usual.")


def _check_eps(eps: float) -> None:
    _check_real("eps", eps)
    if not 0 <= eps < float("inf"):
        raise UserError(f"Expected a finite eps of at least 0, got {eps}; 1e-8 is the default.")


def _check_real(name: str, value: object) -> None:
    if not isinstance(value, Real) or isinstance(value, bool):
        raise UserTypeError(f"Expected {name} as a number, got {value!r}; leave it out for the default.")
