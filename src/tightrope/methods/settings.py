"""The six optimiser settings that Spectral Normalization compares methods under."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from tightrope._plumbing.errors import UserError
from tightrope._plumbing.words import one_of
from tightrope.methods.method import Method
from tightrope.methods.play import Alternating
from tightrope.optimizers.settings import Adam, ExtraAdam, ExtraSGD, Momentum, OptimisticAdam, OptimisticSGD, UpdateRule


@dataclass(frozen=True)
class Setting:
    """Adam for both players and the number of critic steps.

    Attributes:
        learning_rate: Of both players.
        betas: Of both players.
        n_critic: Critic steps per generator step.
        origin: Where the paper took it from.
    """

    learning_rate: float
    betas: tuple[float, float]
    n_critic: int
    origin: str


SETTINGS: Final[dict[str, Setting]] = {
    "A": Setting(1e-4, (0.5, 0.9), 5, "Gulrajani et al. 2017"),
    "B": Setting(1e-4, (0.5, 0.999), 1, "Warde-Farley and Bengio 2017"),
    "C": Setting(2e-4, (0.5, 0.999), 1, "Radford et al. 2016"),
    "D": Setting(1e-3, (0.5, 0.9), 5, "aggressive"),
    "E": Setting(1e-3, (0.5, 0.999), 5, "aggressive"),
    "F": Setting(1e-3, (0.9, 0.999), 5, "aggressive"),
}
"""By their letter. Source: Miyato et al. 2018 (1802.05957), table 1."""

DECIDED: Final = ("learning_rate", "critic_learning_rate", "generator_learning_rate", "learning_rate_final", "betas",
                  "beta2", "beta2_final", "optimizer", "alpha", "n_critic")  # fmt: skip
"""Hyperparameters that a setting decides."""


def with_setting(method: Method, setting: str) -> Method:
    """A method under one of the six settings: Adam for both players, and the setting's number of critic steps.

    Extragradient and optimistic Adam keep their rule and take the setting's rate and betas.

    Args:
        method: Any method whose optimiser is not what it is about; loss, penalties and constraints stay as they are.
        setting: ``"A"`` to ``"F"``.

    Raises:
        UserError: Unknown setting, or one that the method cannot be given.
    """
    one_of("a setting", setting, SETTINGS)
    chosen = SETTINGS[setting]
    rules = method.critic_optimizer, method.generator_optimizer
    own = any(isinstance(rule, Momentum | ExtraSGD | OptimisticSGD) for rule in rules)
    if own or (method.simultaneous and chosen.n_critic > 1):
        raise UserError(
            f"Setting {setting} means Adam and n_critic {chosen.n_critic}: expected a method that can take them, got "
            f"{method.name}, which is defined by its update rule; leave the setting out."
        )

    def under(rule: UpdateRule) -> UpdateRule:
        kept = type(rule) if isinstance(rule, ExtraAdam | OptimisticAdam) else Adam
        return kept(chosen.learning_rate, chosen.betas)

    play = method.play
    return replace(
        method,
        critic_optimizer=under(method.critic_optimizer),
        generator_optimizer=under(method.generator_optimizer),
        play=play
        if method.simultaneous
        else Alternating(chosen.n_critic, generator_batch_factor=play.generator_batch_factor, lookahead=play.lookahead),
    )


def refuse_overlap(setting: str, given: Iterable[str]) -> None:
    """Raise if a setting and one of the hyperparameters it decides were both given."""
    both = [name for name in given if name in DECIDED]
    if both:
        raise UserError(
            f"Setting {setting} decides the optimisers and n_critic: expected no {', '.join(both)} beside it, got "
            "both; leave one out."
        )
