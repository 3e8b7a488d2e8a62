"""A small game: two modules, all of its data, and the method that they are trained by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor, nn

from tightrope._plumbing.errors import UserError
from tightrope.dynamics import Losses
from tightrope.dynamics.quadrature import expectation
from tightrope.losses import Loss
from tightrope.methods import Alternating, Method, Projection
from tightrope.methods.game import Draw, losses_on, step_of
from tightrope.methods.play import Play
from tightrope.optimizers import Order, Step
from tightrope.optimizers.settings import SGD
from tightrope.penalties import Penalty, finite_difference_r1, finite_difference_r2
from tightrope.perturbations import InstanceNoise


def under(
    loss: Loss,
    *,
    penalties: Sequence[Penalty] = (),
    perturbation: InstanceNoise | None = None,
    projection: Projection | None = None,
    play: Play | None = None,
    learning_rate: float = 0.2,
) -> Method:
    """A method made of its parts, under plain gradient steps of both players, for games small enough to look at.

    A Wasserstein loss may stand alone here: what happens without a bound is one of the things to look at.

    Args:
        loss: One of ``tightrope.losses``.
        penalties: Added to the critic's loss, ``(Penalty(penalties.r1, {"gamma": 1.0}),)``.
        perturbation: Instance noise.
        projection: Of the critic after its steps.
        play: Who moves when; alternating if None.
        learning_rate: Of both players.
    """
    rule = SGD(learning_rate)
    free = replace(loss, needs_lipschitz=False)
    chosen = Alternating() if play is None else play
    return Method(
        loss.name, free, rule, rule, chosen, tuple(penalties), projection=projection, perturbation=perturbation
    )


@dataclass(frozen=True)
class Toy:
    """A small game: two modules, a data set, and the method they are trained by.

    Attributes:
        generator: Player 0.
        critic: Player 1.
        real: The whole data set ``[batch, m]``.
        z: All latents ``[batch, latent]``.
        method: What asks each player for its loss, and how a step is taken. Expectations over instance noise and over
            the steps of finite-difference penalties are exact.
    """

    generator: nn.Module
    critic: nn.Module
    real: Tensor
    z: Tensor
    method: Method

    @property
    def players(self) -> tuple[nn.Module, nn.Module]:
        """``(generator, critic)``."""
        return self.generator, self.critic

    @property
    def losses(self) -> Losses:
        """``(generator_loss, critic_loss)``, corrections included, evaluated at the parameters of the moment."""
        return self.losses_at(0)

    def losses_at(self, critic_step: int) -> Losses:
        """The losses at a critic step, which decides the lazy penalties that are due."""
        draw = Draw(self.real, self.z, self.z, lambda: torch.Generator().manual_seed(0), critic_step=critic_step)
        generator, critic = losses_on(self.method, *self.players, draw)
        noisy = self.method.perturbation is not None
        due = [penalty.function for penalty in self.method.penalties if penalty.due(critic_step)]
        finite = finite_difference_r1 in due or finite_difference_r2 in due
        exact = (
            partial(expectation, generator) if noisy else generator,
            partial(expectation, critic) if noisy or finite else critic,
        )
        return self.method.play.corrected(exact, self.players)

    @property
    def project(self) -> dict[int, Callable[[], object]]:
        """Projections after a player's update, for ``optimizers.outer_step``."""
        projection = self.method.projection
        return {} if projection is None else {1: partial(projection, self.critic)}

    def optimizers(self) -> tuple[torch.optim.Optimizer, ...]:
        """Fresh optimisers as the method says: the generator's, the critic's, and lookahead's if there is one."""
        parts = [[p for p in player.parameters() if p.requires_grad] for player in self.players]
        slow = self.method.play.lookahead
        return (
            self.method.generator_optimizer.build(parts[0]),
            self.method.critic_optimizer.build(parts[1]),
            *(() if slow is None else (slow.build([*parts[0], *parts[1]]),)),
        )

    def step(self, optimizers: Sequence[torch.optim.Optimizer], *, order: Order | None = None) -> Step:
        """One whole step with these optimisers as the method takes it, see ``methods.game.step_of``."""
        return step_of(self.method, self.losses, self.players, optimizers, order=order)


def toy(generator: nn.Module, critic: nn.Module, real: Tensor, z: Tensor, method: Method) -> Toy:
    """The game with its critic constrained and projected as the method says."""
    if method.constraint is not None:
        with torch.random.fork_rng(devices=[]):  # power iterations start at random
            torch.random.manual_seed(0)
            critic = method.constraint(critic, tuple(real.shape[1:]))
    if method.projection is not None:
        method.projection(critic)
    return Toy(generator, critic, real, z, method)


def method_of(
    method: Method | Loss, penalties: Sequence[Penalty] = (), perturbation: InstanceNoise | None = None
) -> Method:
    """The method itself, or the one that a loss stands for."""
    if isinstance(method, Loss):
        return under(method, penalties=penalties, perturbation=perturbation)
    if penalties or perturbation is not None:
        raise UserError(
            f"The method {method.name} has its own penalties and perturbation: expected none beside it, got some; "
            "change the method with dataclasses.replace, or give a loss."
        )
    return method
