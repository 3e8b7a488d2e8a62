"""The GAN that the other methods repair."""

from __future__ import annotations

from typing import Literal

from tightrope import losses
from tightrope._plumbing.source import Source
from tightrope._plumbing.words import one_of
from tightrope.methods.method import Method
from tightrope.methods.play import Alternating
from tightrope.optimizers.settings import Adam


def dcgan(
    *,
    learning_rate: float = 2e-4,
    betas: tuple[float, float] = (0.5, 0.999),
    n_critic: int = 1,
    loss: Literal["non_saturating", "minimax", "least_squares"] = "non_saturating",
) -> Method:
    """The unregularised GAN with DCGAN's optimiser: the baseline the other methods repair.

    Source: Radford et al. 2016 (1511.06434), section 3, with the non-saturating loss of Goodfellow et al. 2014.
    Departures: batch size 64 instead of 128. Batch normalisation in the critic is an option of the network.

    Args:
        learning_rate: Of both Adam optimisers.
        betas: Of both Adam optimisers.
        n_critic: Critic steps per generator step.
        loss: ``"non_saturating"``, ``"minimax"`` or ``"least_squares"``.
    """
    one_of("loss", loss, ("non_saturating", "minimax", "least_squares"))
    optimizer = Adam(learning_rate, betas)
    return Method(
        "dcgan",
        losses.LOSSES[loss],
        optimizer,
        optimizer,
        Alternating(n_critic),
        sources=(Source("1511.06434", "section 3"),),
    )
