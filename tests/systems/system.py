"""What the table asks of a system: its networks as they are, the views of them, data, and its own formulas."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tightrope.losses import Loss
from tightrope.penalties import Penalty

Pair = tuple[Tensor, Tensor]
"""Our number and theirs."""


@dataclass
class System:
    """One system.

    Attributes:
        critic: The critic as its owners write it.
        generator: Likewise.
        judge: ``critic`` as it goes into the library, ``x -> scores``.
        maker: ``generator`` likewise, ``z [batch, latent] -> x``.
        real: Real samples ``[batch, *shape]``.
        z: Latents ``[batch, latent]``.
        losses: Pairs by name, of ``(system, real, fake)``.
        penalties: Pairs by name, likewise.
        loss: What it is trained by in the last two columns.
        penalty: What is added to it in the last column.
        most: Entries of the parameters that the dynamics are those of, at most.
    """

    critic: nn.Module
    generator: nn.Module
    judge: nn.Module
    maker: nn.Module
    real: Tensor
    z: Tensor
    losses: Callable[[System, Tensor, Tensor], dict[str, Pair]]
    penalties: Callable[[System, Tensor, Tensor], dict[str, Pair]]
    loss: Loss
    penalty: tuple[Penalty, ...] = ()
    most: int = 16

    @property
    def fake(self) -> Tensor:
        with torch.no_grad():
            return self.maker(self.z)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@contextmanager
def seeded(seed: int = 0) -> Iterator[None]:
    """The global stream at a seed, and float64, for the length of a block."""
    before = torch.get_default_dtype()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        torch.set_default_dtype(torch.float64)
        try:
            yield
        finally:
            torch.set_default_dtype(before)


def sum_of_squared_slopes(scores: Tensor, x: Tensor) -> Tensor:
    """``mean_i ||d (sum of scores of i) / d x_i||^2``, by autograd alone."""
    (slope,) = torch.autograd.grad(scores.sum(), x, create_graph=True)
    return slope.flatten(1).square().sum(1).mean()
