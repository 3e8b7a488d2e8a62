"""Shapes of the callables that the whole library speaks about."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from torch import Tensor

Critic: TypeAlias = Callable[[Tensor], Tensor]
"""Maps samples ``[batch, *shape]`` to scores ``[batch, ...]``; real scores high. A module, or any function of ``x``."""

Generator: TypeAlias = Callable[[Tensor], Tensor]
"""Maps latents ``[batch, latent]`` to samples ``[batch, *shape]``."""

PenaltyFunction: TypeAlias = Callable[..., Tensor]
"""``(critic, real, fake, *, hyperparameters, rng=None) -> scalar``."""
