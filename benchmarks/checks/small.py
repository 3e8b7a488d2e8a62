"""Small fully connected networks and 2-D batches that the studies of toy games share."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn


def mlp(
    sizes: Sequence[int], rng: torch.Generator, *, slope: float = 0.2, offset: float = 0.0, gain: float = 1.0
) -> nn.Sequential:
    """A multilayer perceptron with leaky ReLU, He-initialised throughout, biases zero but for the last one's first.

    Args:
        sizes: Input, hidden and output sizes.
        rng: Of the weights.
        slope: Of the leaky ReLU.
        offset: Where the first output starts.
        gain: Factor on the standard deviation of every weight.
    """
    layers: list[nn.Module] = []
    for i, o in pairwise(sizes):
        layer = nn.Linear(i, o)
        with torch.no_grad():
            layer.weight.copy_(gain * math.sqrt(2 / ((1 + slope**2) * i)) * torch.randn(o, i, generator=rng))
            layer.bias.zero_()
        layers += [layer, nn.LeakyReLU(slope)]
    with torch.no_grad():
        layers[-2].bias[0] = offset  # type: ignore[index, union-attr]
    return nn.Sequential(*layers[:-1])


def batches(draw: Callable[[int], Tensor], n: int, pool: int, rng: torch.Generator) -> Iterator[Tensor]:
    """Endless batches ``[n, d]``, drawn with replacement from one pool of samples."""
    samples = draw(pool)
    while True:
        yield samples[torch.randint(pool, (n,), generator=rng)]
