r"""The adversarial losses, side by side: the lines that differ are the papers' difference.

The critic :math:`D` scores real samples high. With :math:`x \sim p_{data}` and :math:`y = G(z)`, both players minimise:

====================== ============================================== ===============================
name                   critic                                         generator
====================== ============================================== ===============================
``minimax``            E softplus(-D(x)) + E softplus(D(y))           -E softplus(D(y))
``non_saturating``     E softplus(-D(x)) + E softplus(D(y))           E softplus(-D(y))
``wasserstein``        E D(y) - E D(x)                                -E D(y)
``hinge``              E relu(1 - D(x)) + E relu(1 + D(y))            -E D(y)
``least_squares``      E (D(x) - 1)^2 + E (D(y) + 1)^2                E (D(y) - 1)^2
``relativistic``       E softplus(-(D(x) - D(y)))                     E softplus(-(D(y) - D(x)))
====================== ============================================== ===============================

Scores have any shape ``[batch, ...]`` and the mean is over all their entries. Real and fake scores meet elementwise in
``relativistic`` alone, so batches may differ in size everywhere else. Scores of half precision are widened first.

Several critics give lists of scores, one tensor per critic, and losses add over critics:
``hinge.critic([a, b], [c, d])`` is ``hinge.critic(a, c) + hinge.critic(b, d)``, half of it with ``reduce="mean"``. The
one rule of what is a score is :func:`tightrope.autodiff.scores_of`.

With scores of 1 for real samples and -1 for fake ones:

>>> from tightrope.losses import LOSSES
>>> d_real, d_fake = torch.ones(4), -torch.ones(4)
>>> for name, loss in LOSSES.items():
...     print(f"{name:<15} {loss.critic(d_real, d_fake):6.3f} {loss.generator(d_fake, d_real):6.3f}")
minimax          0.627 -0.313
non_saturating   0.627  1.313
wasserstein     -2.000  1.000
hinge            0.000  1.000
least_squares    0.000  4.000
relativistic     0.127  2.127
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

import torch
from torch import Tensor
from torch.nn.functional import relu, softplus

from tightrope._plumbing.checks import check_choice
from tightrope._plumbing.door import keep_door
from tightrope._plumbing.errors import UserError, UserTypeError
from tightrope._plumbing.source import Source
from tightrope.autodiff import scores_of

__all__ = [
    "LOSSES",
    "Loss",
    "OverCritics",
    "Reduce",
    "hinge",
    "least_squares",
    "minimax",
    "non_saturating",
    "relativistic",
    "wasserstein",
]

Reduce = Literal["sum", "mean"]


@dataclass(frozen=True)
class OverCritics:
    """A loss of one critic's scores as a loss of several critics' scores.

    Attributes:
        function: Of one or two tensors of scores, the second of which may be None.
        reduce: Whether the critics' losses are summed or averaged, unless the call says otherwise.
        both: Whether it needs the second scores, as a critic's loss does.
    """

    function: Callable[..., Tensor]
    reduce: Reduce = "sum"
    both: bool = False

    def __post_init__(self) -> None:
        check_choice("reduce", self.reduce, ("sum", "mean"))
        if not callable(self.function):
            raise UserTypeError(f"Expected a loss as a function of scores, got {self.function!r}; pass the function.")

    def __call__(self, first: Any, second: Any = None, *, reduce: Reduce | None = None) -> Tensor:
        """The loss of two critics' outputs: tensors, or lists with one tensor per critic.

        Raises:
            UserError: No scores, see ``scores_of``, empty ones, or not as many critics in both.
        """
        if reduce is None:
            reduce = self.reduce
        else:
            check_choice("reduce", reduce, ("sum", "mean"))
        if second is None and self.both:
            raise UserError("Expected the critic's scores of real and of fake samples, got one of them; pass both.")
        firsts = scores_of(first)
        seconds = (None,) * len(firsts) if second is None else scores_of(second)
        if len(firsts) != len(seconds):
            raise UserError(
                f"Expected scores of the same critics, got those of {len(firsts)} and {len(seconds)}; pass what one "
                "critic returned for both batches."
            )
        if not all(scores is None or scores.numel() for scores in (*firsts, *seconds)):
            raise UserError("Expected scores of at least one sample, got none; look for an empty batch.")
        total = self.function(firsts[0], seconds[0])
        for k in range(1, len(firsts)):
            total = total + self.function(firsts[k], seconds[k])
        return total / len(firsts) if reduce == "mean" and len(firsts) > 1 else total


@dataclass(frozen=True)
class Loss:
    """A pair of pure functions that both players minimise.

    Attributes:
        name: Key in :data:`LOSSES`.
        critic: ``(d_real, d_fake, *, reduce=None) -> scalar``; given as a function of one critic's scores.
        generator: ``(d_fake, d_real=None, *, reduce=None) -> scalar``; likewise.
        paired: The generator's loss needs real scores of the same shape as the fake ones.
        needs_lipschitz: The critic's loss has no minimum unless a constraint, projection or penalty bounds the critic.
        source: Paper and equation.
        reduce: What both losses do over several critics, ``"sum"`` or ``"mean"``, unless a call says otherwise.

    Example:
        >>> from tightrope import losses
        >>> losses.hinge.critic(torch.tensor([2.0, 0.5]), torch.tensor([-3.0, 0.0]))  # in a critic's step
        tensor(0.7500)
        >>> losses.hinge.generator(torch.tensor([-3.0, 0.0]))  # in a generator's step
        tensor(1.5000)
        >>> losses.wasserstein.needs_lipschitz
        True
    """

    name: str
    critic: Callable[..., Tensor]
    generator: Callable[..., Tensor]
    paired: bool = False
    needs_lipschitz: bool = False
    source: Source | None = None
    reduce: Reduce = "sum"

    def __post_init__(self) -> None:
        for name in ("critic", "generator"):
            given = getattr(self, name)
            one = given.function if isinstance(given, OverCritics) else given
            object.__setattr__(self, name, OverCritics(one, self.reduce, name == "critic"))


def _wide(scores: Tensor) -> Tensor:
    return scores.float() if scores.dtype in (torch.bfloat16, torch.float16) else scores


def _logistic_critic(d_real: Tensor, d_fake: Tensor) -> Tensor:
    return softplus(-_wide(d_real)).mean() + softplus(_wide(d_fake)).mean()


def _minimax_generator(d_fake: Tensor, d_real: Tensor | None = None) -> Tensor:
    return -softplus(_wide(d_fake)).mean()


def _non_saturating_generator(d_fake: Tensor, d_real: Tensor | None = None) -> Tensor:
    return softplus(-_wide(d_fake)).mean()


def _wasserstein_critic(d_real: Tensor, d_fake: Tensor) -> Tensor:
    return _wide(d_fake).mean() - _wide(d_real).mean()


def _mean_score_generator(d_fake: Tensor, d_real: Tensor | None = None) -> Tensor:
    return -_wide(d_fake).mean()


def _hinge_critic(d_real: Tensor, d_fake: Tensor) -> Tensor:
    return relu(1 - _wide(d_real)).mean() + relu(1 + _wide(d_fake)).mean()


def _least_squares_critic(d_real: Tensor, d_fake: Tensor) -> Tensor:
    return (_wide(d_real) - 1).square().mean() + (_wide(d_fake) + 1).square().mean()


def _least_squares_generator(d_fake: Tensor, d_real: Tensor | None = None) -> Tensor:
    return (_wide(d_fake) - 1).square().mean()


def _paired(d_first: Tensor, d_second: Tensor | None) -> Tensor:
    if d_second is None or d_first.shape != d_second.shape:
        got = "none" if d_second is None else tuple(d_second.shape)
        raise UserError(
            f"The relativistic loss pairs scores one to one: expected real and fake scores of one shape, got "
            f"{tuple(d_first.shape)} and {got}; draw as many real as fake samples in both half-steps."
        )
    return softplus(-(_wide(d_first) - _wide(d_second))).mean()


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
least_squares: Final = Loss(
    "least_squares",
    _least_squares_critic,
    _least_squares_generator,
    source=Source("1611.04076", "with targets -1, 1 and 1 and without the factor 1/2"),
)
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

keep_door(__name__, __all__)
