"""Two networks, their optimisers and a monitor, for loops in other people's styles."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from monitor_loop import BATCH, LATENT, mlp, ring
from tightrope.monitor import Monitor


class Setting:
    """Two networks, their optimisers, a monitor, batches."""

    def __init__(self, loss: Any = "bce", g: nn.Module | None = None, d: nn.Module | None = None, **options: Any):
        torch.manual_seed(0)
        self.g, self.d = g or mlp(LATENT, 16, 2), d or mlp(2, 16, 1)
        self.opt_g, self.opt_d = (torch.optim.Adam(n.parameters(), 1e-3, betas=(0.5, 0.9)) for n in (self.g, self.d))
        both = (self.opt_g, self.opt_d)
        critic = options.pop("view", self.d)
        self.monitor = Monitor(self.g, critic, loss=loss, every=5, budget=1e9, optimizers=both, **options)
        self.rng = torch.Generator().manual_seed(0)

    def updates(self, steps: int) -> Iterator[tuple[Tensor, Tensor]]:
        for _ in range(steps):
            real, z = ring(BATCH, self.rng), torch.randn(BATCH, LATENT)
            yield real, z
            self.monitor.step(real, z)
