"""Who moves when: the order of the players as data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from numbers import Integral
from typing import ClassVar, Final, Literal, TypeAlias

from tightrope._plumbing.errors import UserError
from tightrope.dynamics.players import Losses, Player
from tightrope.optimizers import SIMULTANEOUS, Order, alternating
from tightrope.optimizers.settings import Lookahead

CriticSteps: TypeAlias = int | Literal["auto"]
"""Critic steps per generator step: a number, or as many as the run finds worth taking (``training.Pace``)."""

EXPECTED: Final = 5
"""Critic steps per generator step that estimates count where the run chooses them, from 1 to 10."""

Correction: TypeAlias = Callable[[Losses, Sequence[Player]], Losses]
"""Maps the losses of all players to other losses, such as ``optimizers.consensus``."""


def _is_whole(value: object) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


MOST_STEPS = 100_000
"""Critic steps per generator step at most: a step of more would neither end nor be heard when it is to stop."""


@dataclass(frozen=True)
class WarmUp:
    """More critic steps at first and now and then, as in the WGAN authors' code.

    Attributes:
        steps: Critic steps per generator step while it lasts.
        first: Generator steps at the beginning for which it lasts.
        every: Generator steps from one later occasion to the next.
    """

    steps: int = 100
    first: int = 25
    every: int = 500

    def __post_init__(self) -> None:
        if (
            not all(map(_is_whole, (self.steps, self.first, self.every)))
            or not 1 <= self.steps <= MOST_STEPS
            or self.first < 0
            or self.every < 1
        ):
            raise UserError(
                f"Expected steps of at least 1 and at most {MOST_STEPS:,}, every of at least 1 and first of at least "
                f"0, got {self.steps}, {self.every} and {self.first}; the WGAN authors use 100, 500 and 25."
            )


@dataclass(frozen=True)
class Play:
    """What both orders share; a Method has :class:`Alternating` or :class:`Simultaneous` play.

    Attributes:
        generator_batch_factor: Samples in the generator's batch per sample in the critic's.
        lookahead: Where both players return part of the way now and then.
    """

    name: ClassVar[Literal["alternating", "simultaneous"]]
    _: KW_ONLY
    generator_batch_factor: int = 1
    lookahead: Lookahead | None = None

    def __post_init__(self) -> None:
        if not _is_whole(self.generator_batch_factor) or self.generator_batch_factor < 1:
            raise UserError(
                f"Expected generator_batch_factor of at least 1, got {self.generator_batch_factor}; use 1 for batches "
                "of one size."
            )

    def critic_steps(self, step: int) -> int:
        """Critic steps before the generator's step number ``step`` (counted from 0)."""
        raise NotImplementedError

    def critic_steps_before(self, step: int) -> int:
        """Critic steps in all steps before number ``step``, counted without walking through them."""
        return step * self.critic_steps(0)

    def order(self, step: int = 0) -> Order:
        """The half-steps of step number ``step``, for ``optimizers.outer_step``."""
        return alternating(self.critic_steps(step))

    @property
    def chosen_by_run(self) -> bool:
        """Whether the run itself chooses the critic's steps, as it goes."""
        return False

    @property
    def corrects(self) -> bool:
        """Whether both players' losses are corrected together, which differentiates one player's loss by the other."""
        return False

    def corrected(self, losses: Losses, players: Sequence[Player]) -> Losses:
        """The losses that are descended: these, unless both players' losses are corrected together."""
        return losses


@dataclass(frozen=True)
class Alternating(Play):
    """The critic's steps, then the generator's.

    Attributes:
        n_critic: Critic steps per generator step; ``"auto"`` lets the run choose them from how much the critic still
            gains, see :class:`tightrope.training.Pace`.
        warm_up: When there are more of them.
    """

    name: ClassVar[Literal["alternating", "simultaneous"]] = "alternating"
    n_critic: CriticSteps = 1
    warm_up: WarmUp | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.chosen_by_run:
            if self.warm_up is not None or self.lookahead is not None:
                beside = "a warm-up" if self.warm_up is not None else "lookahead"
                raise UserError(f"Expected n_critic 'auto' without {beside}, got both; give a number or leave it out.")
        elif isinstance(self.n_critic, str) or not _is_whole(self.n_critic) or not 1 <= self.n_critic <= MOST_STEPS:
            raise UserError(
                f"Expected n_critic of at least 1 and at most {MOST_STEPS:,}, got {self.n_critic!r}; use 1 for one "
                "critic step per generator step."
            )

    @property
    def chosen_by_run(self) -> bool:
        """Whether ``n_critic`` is ``"auto"``."""
        return isinstance(self.n_critic, str) and self.n_critic == "auto"

    def critic_steps(self, step: int) -> int:
        """Critic steps before the generator's step number ``step`` (counted from 0).

        Raises:
            UserError: The run chooses them.
        """
        if isinstance(self.n_critic, str):
            raise UserError("Expected a number of critic steps, got 'auto', which a run chooses: run.critic_steps_due.")
        warm = self.warm_up
        return warm.steps if warm is not None and (step < warm.first or step % warm.every == 0) else self.n_critic

    def critic_steps_before(self, step: int) -> int:
        """Critic steps in all steps before number ``step``, counted without walking through them."""
        if self.warm_up is None:
            return step * self.critic_steps(0)
        first, every = min(self.warm_up.first, step), self.warm_up.every
        warm = first + -(-step // every) - -(-first // every)
        return warm * self.warm_up.steps + (step - warm) * int(self.n_critic)


@dataclass(frozen=True)
class Simultaneous(Play):
    """Both players move at once, by gradients taken at one point on one batch.

    Attributes:
        correction: Maps the losses ``(generator_loss, critic_loss)`` and players to the losses that are descended, for
            example ``partial(optimizers.consensus, gamma=10.0)``.
    """

    name: ClassVar[Literal["alternating", "simultaneous"]] = "simultaneous"
    correction: Correction | None = None

    def critic_steps(self, step: int) -> int:
        """One, with the generator's."""
        return 1

    def order(self, step: int = 0) -> Order:
        """Both players in one tuple."""
        return SIMULTANEOUS

    @property
    def corrects(self) -> bool:
        """Whether there is a correction."""
        return self.correction is not None

    def corrected(self, losses: Losses, players: Sequence[Player]) -> Losses:
        """The losses that are descended, each with what the correction adds."""
        return losses if self.correction is None else self.correction(losses, players)
