"""A penalty bound to its hyperparameters, as a Method carries it, and penalties applied now and then."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from numbers import Integral
from typing import Any, Literal

import torch
from torch import Tensor

from tightrope._plumbing.checks import check_choice
from tightrope._plumbing.draws import Rng
from tightrope._plumbing.errors import UserError, UserTypeError
from tightrope._plumbing.words import closest
from tightrope.autodiff.types import Critic, PenaltyFunction
from tightrope.schedules import Value, check_value, value_at

_AT_SAMPLES = frozenset(("r1", "r2"))
"""Of this package, the penalties that differentiate scores of the batch itself; others score points of their own."""


def lazy(penalty: PenaltyFunction, every: int) -> Callable[..., Tensor]:
    """Apply ``penalty`` on every ``every``-th critic step with ``every`` times its weight.

    Source: Karras et al. 2020 (1912.04958), appendix B.
    Departures: the penalty joins the loss of the step where it is due. In the paper it is an optimiser step of its own,
    ``every + 1`` steps instead of ``every``, for which they scale Adam's rate by ``c = every / (every + 1)`` and raise
    its betas to that power; with no step too many there is nothing to correct here.
    Claim: convergence needs ``learning rate * every * gamma < 2`` on the Dirac-GAN (one lazy step must not overshoot),
    so a weight that is safe every step may diverge lazily.

    Args:
        penalty: A critic penalty.
        every: Period in critic steps.

    Returns:
        ``(critic, real, fake, *, step, ...) -> scalar``: ``every`` times the penalty when ``step`` is a multiple of
        ``every``, otherwise zero, without touching the critic.

    Raises:
        UserError: ``every`` is less than one.
    """
    _check_every(every)
    _check_function(penalty)

    def lazily(critic: Critic, real: Tensor, fake: Tensor, *, step: int, **hyperparameters: object) -> Tensor:
        if step % every:
            return torch.zeros((), device=fake.device)
        return every * penalty(critic, real, fake, **hyperparameters)

    return lazily


def _check_every(every: int) -> None:
    if not isinstance(every, Integral) or isinstance(every, bool) or every < 1:
        raise UserError(f"Expected a period of at least one critic step, got {every!r}; use 1 for every step.")


def _check_function(function: Any, *names: str) -> None:
    """Refuse what is no function, or does not take hyperparameters of these names."""
    if not callable(function):
        raise UserTypeError(f"Expected a penalty as a function, got {function!r}; pass one such as penalties.r1.")
    try:
        taken = inspect.signature(function).parameters
    except ValueError:  # a builtin, which does not tell
        return
    if not any(p.kind is p.VAR_KEYWORD for p in taken.values()):
        for name in names:
            if name not in taken:
                raise UserError(
                    f"Expected hyperparameters that the penalty takes, {', '.join(taken)}, got {name!r}"
                    f"{closest(name, taken)}; leave it out."
                )


@dataclass(frozen=True)
class Penalty:
    """A penalty function bound to its hyperparameters, as a Method carries it.

    Attributes:
        function: One of this module's functions, or any function of the same signature:
            ``(critic, real, fake, *, hyperparameters, rng=None) -> scalar``, or ``(generator, z, ...)``.
        hyperparameters: Keyword arguments; constants or schedules of images seen.
        every: Lazy application every so many critic steps, with the weight multiplied accordingly.
        per_sample: Whether it differentiates scores sample by sample, which batch normalisation in the critic forbids.
        player: Whose loss it is added to.
    """

    function: PenaltyFunction
    hyperparameters: Mapping[str, Value | str] = field(default_factory=dict)
    every: int = 1
    per_sample: bool = True
    player: Literal["critic", "generator"] = "critic"

    def __post_init__(self) -> None:
        _check_every(self.every)
        if not isinstance(self.hyperparameters, Mapping):
            raise UserTypeError(f"Expected hyperparameters by name, got {self.hyperparameters!r}; pass a dict.")
        _check_function(self.function, *self.hyperparameters)
        for name, value in self.hyperparameters.items():
            if name in ("gamma", "weight") or not isinstance(value, bool | str):
                check_value(name, value, least=0.0 if name in ("gamma", "weight") else -math.inf)
        check_choice("player", self.player, ("critic", "generator"))
        if self.player == "generator" and self.every != 1:
            raise UserError(
                f"Expected a generator penalty at every step, got every={self.every}; lazy application counts critic "
                "steps, leave it at 1."
            )

    @property
    def at_samples(self) -> bool:
        """Whether it may differentiate the scores that a loss has of the batch itself, as R1 does."""
        own = getattr(self.function, "__module__", "").startswith("tightrope.penalties")
        return not own or getattr(self.function, "__name__", "") in _AT_SAMPLES

    def due(self, critic_step: int) -> bool:
        """Whether the penalty applies at this critic step (the first, and every ``every``-th after it)."""
        return critic_step % self.every == 0

    def __call__(self, *given: Any, images_seen: int = 0, rng: Rng | None = None) -> Tensor:
        """Value at a step where it is :meth:`due`, with the hyperparameters that hold after ``images_seen``.

        Args:
            *given: ``critic, real, fake``, or ``generator, z``; shapes as for the function.
            images_seen: Position on the schedules.
            rng: Source of the function's random numbers.
        """
        now = {
            name: value if isinstance(value, (bool, str, int)) else value_at(value, images_seen)
            for name, value in self.hyperparameters.items()
        }
        value = self.function(*given, rng=rng, **now)
        return value if self.every == 1 else self.every * value
