"""A training method as data: a loss, penalties, a constraint, two optimisers and ``n_critic``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from torch import nn

from tightrope._plumbing.errors import UserError
from tightrope.dynamics.players import Losses, Player
from tightrope.losses import Loss
from tightrope.optimizers.settings import Optimizer
from tightrope.penalties import Penalty
from tightrope.perturbations import InstanceNoise

Correction: TypeAlias = Callable[[Losses, Sequence[Player]], Losses]
"""Maps the losses of all players to other losses, such as ``optimizers.consensus``."""


@dataclass(frozen=True)
class Method:
    """A training method: everything about the game except the networks and the data.

    Attributes:
        name: As published.
        loss: The pair of losses.
        critic_optimizer: Settings of the critic's optimiser.
        generator_optimizer: Settings of the generator's optimiser.
        n_critic: Critic steps per generator step.
        warm_up: ``(critic_steps, first, every)``: use that many critic steps during the ``first`` generator steps and
            at every multiple of ``every``; None for always ``n_critic``.
        penalties: Added to the critic's loss.
        generator_penalties: Added to the generator's loss.
        constrain: Edits the critic in place before training and returns it.
        constrain_by_shape: Whether ``constrain`` is called with ``input_shape=``, the sample shape without the batch.
        project: Edits the critic in place after its optimiser steps, and once before training.
        project_every: Critic steps from one projection to the next.
        order: ``"alternating"``: the critic's steps, then the generator's; ``"simultaneous"``: both players move at
            once, by gradients taken at one point on one batch.
        correction: Maps the losses ``(generator_loss, critic_loss)`` and players to the losses that are descended, for
            example ``partial(optimizers.consensus, gamma=10.0)``; both players at once.
        lookahead: ``(k, alpha)``: every ``k`` steps both players return to ``alpha`` of the way from where they were.
        perturbation: Applied to real and fake samples before the critic sees them, in both half-steps.
        generator_batch_factor: Samples in the generator's batch per sample in the critic's.
        batch_size: Published batch size, the default of the command.
        critic_options: Options of the critic's network that the method wants, used by the command where the network
            has them and the user has not chosen, for example ``{"activation": "groupsort"}``.
        source: Paper and the sentence or table that the defaults follow.
        hyperparameters: What the builder was called with, defaults filled in.
    """

    name: str
    loss: Loss
    critic_optimizer: Optimizer
    generator_optimizer: Optimizer
    n_critic: int = 1
    warm_up: tuple[int, int, int] | None = None
    penalties: tuple[Penalty, ...] = ()
    generator_penalties: tuple[Penalty, ...] = ()
    constrain: Callable[..., nn.Module] | None = None
    constrain_by_shape: bool = False
    project: Callable[[nn.Module], object] | None = None
    project_every: int = 1
    order: Literal["alternating", "simultaneous"] = "alternating"
    correction: Correction | None = None
    lookahead: tuple[int, float] | None = None
    perturbation: InstanceNoise | None = None
    generator_batch_factor: int = 1
    batch_size: int = 64
    critic_options: Mapping[str, Any] = field(default_factory=dict)
    source: str = ""
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.n_critic < 1 or self.generator_batch_factor < 1:
            raise UserError(
                f"Expected n_critic and generator_batch_factor of at least 1, got {self.n_critic} and "
                f"{self.generator_batch_factor}; use 1 for one critic step per generator step."
            )
        if self.project_every < 1:
            raise UserError(f"Expected project_every of at least 1, got {self.project_every}; use 1 for every step.")
        if self.loss.needs_lipschitz and not (self.penalties or self.constrain or self.project):
            raise UserError(
                f"The {self.loss.name} loss has no minimum over unbounded critics: expected a constraint, projection "
                "or gradient penalty, got none; add one, for example Method(..., project=constraints.clip_weights_)."
            )
        if self.loss.paired and self.generator_batch_factor != 1:
            raise UserError(
                f"The {self.loss.name} loss pairs real with fake samples: expected generator_batch_factor 1, got "
                f"{self.generator_batch_factor}; leave it at 1."
            )
        self._check_order()

    def _check_order(self) -> None:
        both = [s.extrapolates for s in (self.critic_optimizer, self.generator_optimizer)]
        if self.order not in ("alternating", "simultaneous"):
            raise UserError(f"Expected an order 'alternating' or 'simultaneous', got {self.order!r}.")
        if self.order == "simultaneous":
            if self.n_critic != 1 or self.warm_up is not None or any(both) != all(both):
                raise UserError(
                    f"Both players at once means one critic step per step and one look ahead for both: expected "
                    f"n_critic 1, no warm-up and two extragradient optimisers or none, got n_critic {self.n_critic}, "
                    f"{self.critic_optimizer.kind} and {self.generator_optimizer.kind}; use order='alternating'."
                )
        elif self.correction is not None or any(both):
            raise UserError(
                "A correction of both losses and an extragradient optimiser need both players at one point: expected "
                "order='simultaneous', got 'alternating'; set order='simultaneous' and n_critic 1."
            )

    def critic_steps(self, step: int) -> int:
        """Critic steps before the generator's step number ``step`` (counted from 0)."""
        if self.warm_up is not None:
            steps, first, every = self.warm_up
            if step < first or step % every == 0:
                return steps
        return self.n_critic
