"""The pair of builders that makes up one reference network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from tightrope._plumbing.door import checked


@dataclass(frozen=True)
class Network:
    """A generator and a critic that are published or used together.

    Attributes:
        name: Key in ``NETWORKS``.
        summary: One line for ``tightrope list``.
        source: Where the architecture comes from.
        generator: ``generator(shape, *, latent, classes, ..., rng) -> nn.Module``. The module has ``latent`` and
            ``classes`` and maps z ``[batch, latent]`` and labels ``[batch]`` (int64, or None) to ``[batch, *shape]``.
        critic: ``critic(shape, *, classes, ..., rng) -> nn.Module``. The module has ``classes`` and maps
            x ``[batch, *shape]`` and labels to scores ``[batch]``, with no sigmoid: real scores high.
        check: Raises ``UserError`` if the pair cannot be built for a sample shape, saying which sizes work.
    """

    name: str
    summary: str
    source: str
    generator: Callable[..., nn.Module]
    critic: Callable[..., nn.Module]
    check: Callable[[tuple[int, ...]], object]

    def __post_init__(self) -> None:
        for name in ("generator", "critic", "check"):
            object.__setattr__(self, name, checked(getattr(self, name)))
