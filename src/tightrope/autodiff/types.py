"""Shapes of the callables that the whole library speaks about."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from torch import Tensor

Scores: TypeAlias = Tensor | list[Tensor]
"""One critic's scores ``[batch, ...]``, or those of several critics."""

Critic: TypeAlias = Callable[[Tensor], Any]
"""Maps samples ``[batch, *shape]`` to scores ``[batch, ...]``, or to a list of them with one tensor per critic; real
scores high. A module, a :class:`~tightrope.autodiff.View` of one, or any function of ``x``."""

Generator: TypeAlias = Callable[[Tensor], Any]
"""Maps latents ``[batch, latent]`` to samples ``[batch, *shape]``."""

PenaltyFunction: TypeAlias = Callable[..., Tensor]
"""``(critic, real, fake, *, hyperparameters, rng=None) -> scalar``."""
