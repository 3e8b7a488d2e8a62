"""A training method as data: a loss, penalties, a constraint, two optimisers and who moves when."""

from __future__ import annotations

import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from numbers import Integral
from typing import Any, Final

from torch import nn

from tightrope._plumbing.checks import check_whole
from tightrope._plumbing.errors import UserError, UserTypeError
from tightrope._plumbing.source import Source
from tightrope.losses import Loss
from tightrope.methods.play import EXPECTED, Alternating, Play, Simultaneous
from tightrope.optimizers.settings import UpdateRule
from tightrope.penalties import Penalty
from tightrope.perturbations import Perturbation, adaptive_of


def _check_kind(owner: str, name: str, value: object, kind: Any) -> None:
    """Refuse a field of another kind, such as a torch optimiser where its settings belong."""
    if not isinstance(value, kind) or isinstance(value, type):
        kinds = " or ".join(one.__name__ for one in (typing.get_args(kind) or (kind,)))
        raise UserTypeError(f"Expected {name} of {owner} as a {kinds}, got {value!r}; build one first.")


@dataclass(frozen=True)
class Constraint:
    """What holds the critic by construction, put on once before training: ``Constraint(constraints.spectral_norm)``.

    Attributes:
        function: Edits a critic in place and returns it.
        by_shape: Whether it is called with ``input_shape=``, the sample shape without the batch.
    """

    function: Callable[..., nn.Module]
    by_shape: bool = False

    def __post_init__(self) -> None:
        _check_kind("Constraint", "function", self.function, Callable)

    def __call__(self, critic: nn.Module, shape: tuple[int, ...]) -> nn.Module:
        """The critic for samples of this shape, constrained in place."""
        return self.function(critic, input_shape=shape) if self.by_shape else self.function(critic)


@dataclass(frozen=True)
class Projection:
    """What puts the critic's weights back after its optimiser steps: ``Projection(constraints.clip_weights_)``.

    Attributes:
        function: Edits a critic in place.
        every: Critic steps from one projection to the next; there is one before training as well.
    """

    function: Callable[[nn.Module], object]
    every: int = 1

    def __post_init__(self) -> None:
        _check_kind("Projection", "function", self.function, Callable)
        if not isinstance(self.every, Integral) or isinstance(self.every, bool) or self.every < 1:
            raise UserError(f"Expected a projection every 1 critic step or more, got {self.every!r}; use 1 for each.")

    def __call__(self, critic: nn.Module) -> None:
        """Project the critic in place."""
        self.function(critic)

    def due(self, critic_steps: int) -> bool:
        """Whether it follows the critic step that makes this many of them."""
        return critic_steps % self.every == 0


@dataclass(frozen=True)
class Method:
    """A training method: everything about the game except the networks and the data.

    Attributes:
        name: As published.
        loss: The pair of losses.
        critic_optimizer: Settings of the critic's optimiser.
        generator_optimizer: Settings of the generator's optimiser.
        play: Who moves when: ``Alternating(n_critic=5)``, or ``Simultaneous()`` for both players at once.
        penalties: Added to the critic's loss.
        generator_penalties: Added to the generator's loss.
        constraint: Holds the critic by construction.
        projection: Puts the critic's weights back after its steps.
        perturbation: Applied to real and fake samples before the critic sees them, in both players' losses: instance
            noise, an augmentation, or both in order.
        batch_size: Published batch size, the default of the command.
        critic_options: Options of the critic's network that the method wants, used by the command where the network
            has them and the user has not chosen, for example ``{"activation": "groupsort"}``.
        sources: Papers and the places in them that the defaults follow.
        hyperparameters: What the builder was called with, defaults filled in.
    """

    name: str
    loss: Loss
    critic_optimizer: UpdateRule
    generator_optimizer: UpdateRule
    play: Play = Alternating()  # noqa: RUF009 (frozen)
    penalties: tuple[Penalty, ...] = ()
    generator_penalties: tuple[Penalty, ...] = ()
    constraint: Constraint | None = None
    projection: Projection | None = None
    perturbation: Perturbation | None = None
    batch_size: int = 64
    critic_options: Mapping[str, Any] = field(default_factory=dict)
    sources: tuple[Source, ...] = ()
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, kind in _KINDS.items():
            if getattr(self, name) is not None or name not in _OPTIONAL:
                _check_kind("Method", name, getattr(self, name), kind)
        for name in ("penalties", "generator_penalties"):
            given = getattr(self, name)
            if not isinstance(given, list | tuple) or not all(isinstance(one, Penalty) for one in given):
                raise UserTypeError(
                    f"Expected {name} as a tuple of penalties.Penalty, got {given!r}; bind a function to its "
                    "hyperparameters: (Penalty(penalties.r1, {'gamma': 10.0}),)."
                )
        check_whole("batch_size", self.batch_size, 1, 64)
        if self.loss.needs_lipschitz and not (self.penalties or self.constraint or self.projection):
            raise UserError(
                f"The {self.loss.name} loss has no minimum over unbounded critics: expected a constraint, projection "
                "or gradient penalty, got none; add one, for example Method(..., "
                "projection=Projection(constraints.clip_weights_))."
            )
        if adaptive_of(self.perturbation) is not None and (self.loss.paired or self.loss.needs_lipschitz):
            raise UserError(
                f"Adaptive augmentation reads from the signs of real scores whether the critic overfits, and the "
                f"{self.loss.name} loss gives no meaning to a score of 0; use Augmentation('diff'), or 'ada' with a "
                "fixed p."
            )
        if self.loss.paired and self.play.generator_batch_factor != 1:
            raise UserError(
                f"The {self.loss.name} loss pairs real with fake samples: expected generator_batch_factor 1, got "
                f"{self.play.generator_batch_factor}; leave it at 1."
            )
        if self.play.chosen_by_run and not self.loss.needs_lipschitz:
            raise UserError(
                f"Critic steps are chosen by the share of an estimated distance that the critic still gains: expected "
                f"n_critic as a number with the {self.loss.name} loss, which estimates none, got 'auto'; use 1, or a "
                "Wasserstein method."
            )
        ahead = [rule.extrapolates for rule in (self.critic_optimizer, self.generator_optimizer)]
        if any(ahead) and not (all(ahead) and isinstance(self.play, Simultaneous)):
            raise UserError(
                "Extragradient looks ahead with both players from one point: expected two extragradient optimisers "
                f"and Simultaneous() play, got {self.critic_optimizer.kind}, {self.generator_optimizer.kind} and "
                f"{self.play.name} play; change what differs."
            )

    def critic_steps(self, step: int) -> int:
        """Critic steps before the generator's step number ``step`` (counted from 0)."""
        return self.play.critic_steps(step)

    @property
    def simultaneous(self) -> bool:
        """Whether both players move at once."""
        return isinstance(self.play, Simultaneous)

    @property
    def n_critic(self) -> int:
        """Critic steps per generator step, where no warm-up says otherwise; those expected where the run chooses."""
        if not isinstance(self.play, Alternating):
            return 1
        return EXPECTED if isinstance(self.play.n_critic, str) else self.play.n_critic


_OPTIONAL: Final = {"constraint": Constraint, "projection": Projection, "perturbation": Perturbation}
_KINDS: Final = {
    "loss": Loss,
    "critic_optimizer": UpdateRule,
    "generator_optimizer": UpdateRule,
    "play": Play,
} | _OPTIONAL
