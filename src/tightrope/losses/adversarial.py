"""The six adversarial losses, one below the other; the package's page shows their formulas side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from torch import Tensor
from torch.nn.functional import relu, softplus

from tightrope._plumbing.checks import check_number
from tightrope._plumbing.errors import UserError
from tightrope._plumbing.source import Source
from tightrope.losses.loss import Loss, Reduce, wide


def _logistic_critic(d_real: Tensor, d_fake: Tensor) -> Tensor:
    return softplus(-wide(d_real)).mean() + softplus(wide(d_fake)).mean()


def _minimax_generator(d_fake: Tensor, d_real: Tensor | None = None) -> Tensor:
    return -softplus(wide(d_fake)).mean()


def _non_saturating_generator(d_fake: Tensor, d_real: Tensor | None = None) -> Tensor:
    return softplus(-wide(d_fake)).mean()


def _wasserstein_critic(d_real: Tensor, d_fake: Tensor) -> Tensor:
    return wide(d_fake).mean() - wide(d_real).mean()


def _mean_score_generator(d_fake: Tensor, d_real: Tensor | None = None) -> Tensor:
    return -wide(d_fake).mean()


def _hinge_critic(d_real: Tensor, d_fake: Tensor) -> Tensor:
    return relu(1 - wide(d_real)).mean() + relu(1 + wide(d_fake)).mean()


@dataclass(frozen=True)
class LeastSquares(Loss):
    """The squared distance of scores from targets; calling it gives the same loss with other targets.

    Attributes:
        targets: What the critic aims at for fake and for real samples, and the generator for fake ones.

    Example:
        >>> from tightrope.losses import least_squares
        >>> vocoder = least_squares(targets=(0.0, 1.0))  # as HiFi-GAN and BigVGAN have it
        >>> float(vocoder.critic(torch.ones(4), torch.zeros(4))), float(vocoder.generator(torch.zeros(4)))
        (0.0, 1.0)
    """

    targets: tuple[float, float, float] = (-1.0, 1.0, 1.0)

    def __call__(self, targets: Sequence[float]) -> LeastSquares:
        """The loss with these targets.

        Args:
            targets: ``(fake, real)``, or ``(fake, real, generator)``: a, b and c of eq. 2 in 1611.04076. Without the
                third the generator aims at ``real``.

        Raises:
            UserError: Not two or three finite numbers, or the critic's two are equal.
        """
        return _least_squares_loss(targets, self.reduce)


def _least_squares_loss(targets: Sequence[float], reduce: Reduce = "sum") -> LeastSquares:
    if not isinstance(targets, list | tuple) or len(targets) not in (2, 3):
        raise UserError(
            f"Expected targets as (fake, real) or (fake, real, generator), got {targets!r}; try (0.0, 1.0)."
        )
    for target in targets:
        check_number("each target", target, 1, least=-math.inf)
    fake, real = (float(target) for target in targets[:2])
    if fake == real:
        raise UserError(f"Expected different targets for fake and real samples, got {fake} for both; try (0.0, 1.0).")
    generator = float(targets[-1])
    return LeastSquares(
        "least_squares",
        partial(_least_squares_critic, fake=fake, real=real),
        partial(_least_squares_generator, target=generator),
        source=Source("1611.04076", "eq. 2 without the factor 1/2, with targets -1, 1 and 1 unless others are given"),
        reduce=reduce,
        targets=(fake, real, generator),
    )


def _least_squares_critic(d_real: Tensor, d_fake: Tensor, *, fake: float, real: float) -> Tensor:
    return (wide(d_real) - real).square().mean() + (wide(d_fake) - fake).square().mean()


def _least_squares_generator(d_fake: Tensor, d_real: Tensor | None = None, *, target: float) -> Tensor:
    return (wide(d_fake) - target).square().mean()


def _paired(d_first: Tensor, d_second: Tensor | None) -> Tensor:
    if d_second is None or d_first.shape != d_second.shape:
        got = "none" if d_second is None else tuple(d_second.shape)
        raise UserError(
            f"The relativistic loss pairs scores one to one: expected real and fake scores of one shape, got "
            f"{tuple(d_first.shape)} and {got}; draw as many real as fake samples in both half-steps."
        )
    return softplus(-(wide(d_first) - wide(d_second))).mean()


def _relativistic_critic(d_real: Tensor, d_fake: Tensor) -> Tensor:
    return _paired(d_real, d_fake)


def _relativistic_generator(d_fake: Tensor, d_real: Tensor | None = None) -> Tensor:
    return _paired(d_fake, d_real)


minimax: Final = Loss("minimax", _logistic_critic, _minimax_generator, source=Source("1406.2661", "eq. 1"))
non_saturating: Final = Loss(
    "non_saturating", _logistic_critic, _non_saturating_generator, source=Source("1406.2661", "section 3")
)
wasserstein: Final = Loss(
    "wasserstein",
    _wasserstein_critic,
    _mean_score_generator,
    needs_lipschitz=True,
    source=Source("1701.07875", "eq. 3 and algorithm 1"),
)
hinge: Final = Loss("hinge", _hinge_critic, _mean_score_generator, source=Source("1802.05957", "eq. 16 and 17"))
least_squares: Final = _least_squares_loss((-1.0, 1.0))
relativistic: Final = Loss(
    "relativistic",
    _relativistic_critic,
    _relativistic_generator,
    paired=True,
    source=Source("1807.00734", "pairing as in 2501.05441"),
)

LOSSES: Final[dict[str, Loss]] = {
    loss.name: loss for loss in (minimax, non_saturating, wasserstein, hinge, least_squares, relativistic)
}
"""The six, by name."""
