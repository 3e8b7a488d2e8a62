"""A critic between two distributions whose distance is known: a ring of eight Gaussians against N(0, I/4)."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

from tightrope import constraints, penalties, spectra
from tightrope.autodiff import input_gradients
from tightrope.networks import GroupSort
from tightrope.studies.design import Cell

SAMPLES: Final = 512
CONSTRAINTS: Final[dict[str, Callable[..., nn.Module]]] = {
    "orthogonal": partial(constraints.orthogonal, by="bjorck"),
    "spectral_norm": constraints.spectral_norm,
    "weight_norm": constraints.weight_norm,
}


@functools.cache
def ring(seed: int) -> tuple[Tensor, Tensor, float]:
    """Samples of both ``[512, 2]`` and their exact distance."""
    rng = torch.Generator().manual_seed(seed)
    angle = torch.randint(8, (SAMPLES,), generator=rng) * (2 * math.pi / 8)
    real = 2 * torch.stack([angle.cos(), angle.sin()], 1) + 0.02 * torch.randn(SAMPLES, 2, generator=rng)
    fake = 0.5 * torch.randn(SAMPLES, 2, generator=rng)
    cost = torch.cdist(real.double(), fake.double()).numpy()
    rows, columns = linear_sum_assignment(cost)
    return real, fake, float(cost[rows, columns].mean())


def fitted(cell: Cell, seed: int) -> dict[str, Any]:
    """Train one critic and measure what it finds, how steep it is, and its spectrum.

    Returns:
        ``ratio`` of estimate and exact distance; ``steepest`` slope over samples, interpolates and points three times
        as far out; ``rank``, the mean stable-rank fraction of the hidden layers; ``sigma_low`` and ``sigma_high``, the
        ends of the kernels' largest singular values over the last 95 % of training (of the weights that are used).
    """
    real, fake, exact = ring(seed)
    rng = torch.Generator().manual_seed(seed)
    name, steps = str(cell["critic"]), int(cell["steps"])
    with torch.random.fork_rng(devices=[]):
        torch.random.manual_seed(seed)
        critic: nn.Module = _mlp(str(cell["activation"]))
        if name in CONSTRAINTS:
            critic = CONSTRAINTS[name](critic)
        sigmas = _train(critic, name, real, fake, rng, steps, int(cell["batch"]), float(cell["rate"]))
    critic.eval()
    share = torch.rand(SAMPLES, 1, generator=rng)
    near = torch.cat([real, fake, share * real + (1 - share) * fake])
    x = torch.cat([near, 3 * near]).requires_grad_()
    steepest = float(input_gradients(critic, x, create_graph=False)[0].norm(dim=1).max())
    with torch.no_grad():
        estimate = float(critic(real).mean() - critic(fake).mean())
    hidden = list(spectra.kernel_spectra(critic).values())[1:-1]
    rank = sum(float(spectra.stable_rank_fraction(values)) for values in hidden) / len(hidden)
    return {"ratio": estimate / exact, "steepest": steepest, "rank": rank, "sigma_low": min(sigmas),
            "sigma_high": max(sigmas)}  # fmt: skip


def _mlp(activation: str) -> nn.Sequential:
    def layer() -> nn.Module:
        return GroupSort(4) if activation == "groupsort" else nn.ReLU()

    return nn.Sequential(nn.Linear(2, 64), layer(), nn.Linear(64, 64), layer(), nn.Linear(64, 64), layer(),
                         nn.Linear(64, 1))  # fmt: skip


def _train(
    critic: nn.Module, name: str, real: Tensor, fake: Tensor, rng: torch.Generator, steps: int, batch: int, rate: float
) -> list[float]:
    optimizer = torch.optim.Adam(critic.parameters(), rate, betas=(0.0, 0.9))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    sigmas: list[float] = []
    for step in range(1, steps + 1):
        x, y = (data[torch.randint(SAMPLES, (batch,), generator=rng)] for data in (real, fake))
        loss = critic(y).mean() - critic(x).mean()
        if name == "gradient_penalty":
            loss = loss + penalties.gradient_penalty(critic, x, y, weight=10.0, rng=rng)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if name == "clip":
            constraints.clip_weights_(critic, 0.01)
        if step % max(steps // 20, 1) == 0:
            sigmas += [float(values.max()) for values in spectra.kernel_spectra(critic).values()]
    return sigmas
