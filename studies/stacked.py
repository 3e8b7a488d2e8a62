"""Many small networks trained as one: the same layers for every run, stacked along a first axis.

A batch ``[runs * n, d]`` holds ``n`` samples of each run, one run after the other. Losses are means over all of them,
so each run's gradient is divided by the number of runs; Adam and RMSProp do not feel that (beyond their eps of 1e-8),
which is why the studies here use nothing else. Runs never meet: not in a layer, not in a penalty.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from tightrope.methods import Method
from tightrope.training import Run
from tightrope.training.average import averaged_copy


class StackedMLP(nn.Module):
    """``runs`` multilayer perceptrons side by side, He-initialised, leaky ReLU.

    Args:
        runs: How many.
        sizes: Input, hidden and output sizes.
        slope: Of the leaky ReLU.
        scores: Return ``[batch]`` instead of ``[batch, 1]``.
        offset: Added to the output.
        rng: Of the weights.
        gain: Factor on the standard deviation of every weight.
    """

    def __init__(
        self,
        runs: int,
        sizes: Sequence[int],
        *,
        rng: torch.Generator,
        slope: float = 0.2,
        scores: bool = False,
        offset: float = 0.0,
        gain: float = 1.0,
    ) -> None:
        super().__init__()
        self.runs, self.slope, self.scores, self.offset = runs, slope, scores, offset
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        for i, o in pairwise(sizes):
            std = gain * math.sqrt(2 / ((1 + slope**2) * i))
            self.weights.append(nn.Parameter(std * torch.randn(runs, i, o, generator=rng)))
            self.biases.append(nn.Parameter(torch.zeros(runs, 1, o)))

    def layers(self, x: Tensor) -> Iterator[Tensor]:
        """Activations ``[runs, n, width]`` before each nonlinearity, for ``x [runs * n, d]``."""
        h = x.reshape(self.runs, -1, x.shape[-1])
        last = len(self.weights) - 1
        for k, (W, b) in enumerate(zip(self.weights, self.biases, strict=True)):
            h = torch.baddbmm(b, h, W)
            yield h
            h = leaky_relu(h, self.slope) if k < last else h

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[runs * n, d]`` to ``[runs * n, o]``, or to scores ``[runs * n]``."""
        *_, h = self.layers(x)
        h = (h + self.offset) if self.offset else h
        return h.reshape(-1) if self.scores else h.reshape(-1, h.shape[-1])


def begin(method: Method, generator: nn.Module, critic: nn.Module, *, latent: int, batch: int, seed: int) -> Run:
    """A run of stacked networks, without the checks of ``training.start``, which expect any batch size to fit."""
    if method.projection is not None:
        method.projection(critic)
    return Run(
        method,
        generator,
        critic,
        averaged_copy(generator),
        method.critic_optimizer.build(critic.parameters()),
        method.generator_optimizer.build(generator.parameters()),
        torch.Generator().manual_seed(seed),
        latent,
        batch,
        ema_half_life_images=0.0,
    )


def batches(draw: Sequence[Callable[[int], Tensor]], n: int, pool: int, rng: torch.Generator) -> Iterator[Tensor]:
    """Endless batches ``[runs * n, d]`` from one pool of samples per run."""
    pools = torch.stack([d(pool) for d in draw])
    while True:
        picked = torch.randint(pool, (len(draw), n), generator=rng)
        yield torch.gather(pools, 1, picked[..., None].expand(-1, -1, pools.shape[-1])).flatten(0, 1)
