"""A critic as the diagnostics of this room see it: a function of independent samples, a pack being one of them."""

from __future__ import annotations

from torch import Tensor

from tightrope.autodiff import View, packed, rows_of, scores_of
from tightrope.autodiff.types import Critic


def samples(x: Tensor, critic: Critic) -> Tensor:
    """Samples ``[batch, *shape]``; of a critic that judges packs ``[batch / rows, rows, *shape]``, whole ones alone."""
    rows = rows_of(critic)
    return x if rows == 1 else packed(x[: len(x) // rows * rows], rows)


def function_of(critic: Critic, labels: Tensor | None = None) -> Critic:
    """The critic as a function of what :func:`samples` gives, for one class where there is a label ``[1]``."""
    if labels is not None:
        given = labels.clone()
        critic = View(critic, call=lambda called, x: called(x, given.expand(len(x))))
    whole = critic
    return whole if rows_of(critic) == 1 else lambda x: whole(x.flatten(0, 1))


def total(output: object) -> Tensor:
    """Sum of all scores of all critics, a scalar."""
    first, *others = (scores.sum() for scores in scores_of(output))
    for other in others:
        first = first + other
    return first
