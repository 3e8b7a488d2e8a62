"""What a loss is: a pair of pure functions of scores, over one critic or several."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from tightrope._plumbing.checks import check_choice
from tightrope._plumbing.door import inner
from tightrope._plumbing.errors import UserError, UserTypeError
from tightrope._plumbing.source import Source
from tightrope.autodiff import scores_of

Reduce = Literal["sum", "mean"]
scores_of = inner(scores_of)


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

    def __call__(self, first: Any, second: Any = None, *, reduce: Reduce | Literal["none"] | None = None) -> Tensor:
        """The loss of two critics' outputs: tensors, or lists with one tensor per critic.

        Args:
            first: Scores of real samples in a critic's loss, of fake ones in a generator's.
            second: The other ones.
            reduce: ``"sum"`` or ``"mean"`` over critics, a scalar; ``"none"`` for each critic's own loss ``[critics]``.

        Raises:
            UserError: No scores, see ``scores_of``, empty ones, or not as many critics in both.
        """
        if reduce is None:
            reduce = self.reduce
        else:
            check_choice("reduce", reduce, ("sum", "mean", "none"))
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
        if reduce == "none":
            return torch.stack([self.function(one, other) for one, other in zip(firsts, seconds, strict=True)])
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


def wide(scores: Tensor) -> Tensor:
    """Scores or samples of half precision as float32, others as they are."""
    return scores.float() if scores.dtype in (torch.bfloat16, torch.float16) else scores
