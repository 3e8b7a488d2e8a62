"""Tabular data as CTGAN has it: rows judged in packs of ten, dropout in the critic, batch norm in the generator."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from systems.system import Pair, System, normal, seeded
from tightrope import View, losses, penalties

COLUMNS, PACK, LATENT = 5, 10, 6


class PackCritic(nn.Module):
    """One score for ten rows."""

    def __init__(self, dropout: float = 0.5) -> None:
        super().__init__()
        self.seq = nn.Sequential(
            nn.Linear(COLUMNS * PACK, 16), nn.LeakyReLU(0.2), nn.Dropout(dropout), nn.Linear(16, 1)
        )

    def forward(self, rows: Tensor) -> Tensor:
        return self.seq(rows.view(-1, COLUMNS * PACK))


class Grown(nn.Module):
    """Appends what a layer makes of its input to the input."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.linear, self.norm = nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat((self.norm(self.linear(x)).relu(), x), 1)


class RowMaker(nn.Module):
    """Latents to rows: two columns of numbers by tanh, three of a category by softmax."""

    def __init__(self) -> None:
        super().__init__()
        self.seq = nn.Sequential(Grown(LATENT, 8), nn.Linear(LATENT + 8, COLUMNS))

    def forward(self, z: Tensor) -> Tensor:
        rows = self.seq(z)
        return torch.cat((rows[:, :2].tanh(), rows[:, 2:].softmax(1)), 1)


def their_losses(system: System, real: Tensor, fake: Tensor) -> dict[str, Pair]:
    system.critic.eval()
    r, f = system.critic(real), system.critic(fake)
    system.critic.train()
    return {
        "critic": (losses.wasserstein.critic(r, f), -(r.mean() - f.mean())),
        "generator": (losses.wasserstein.generator(f), -f.mean()),
    }


def their_penalties(system: System, real: Tensor, fake: Tensor) -> dict[str, Pair]:
    """One coefficient per pack, the norm of a pack's gradient; without dropout, whose masks two calls do not share."""
    system.critic.eval()
    ours = penalties.gradient_penalty(system.judge, real, fake, weight=10.0, rng=torch.Generator().manual_seed(3))
    t = torch.rand(len(real) // PACK, generator=torch.Generator().manual_seed(3), dtype=real.dtype)
    t = t.repeat_interleave(PACK)[:, None]
    theirs = [10 * pack_penalty(system, (t * one + (1 - t) * other)) for one, other in ((real, fake), (fake, real))]
    system.critic.train()
    return {"GP": (ours, min(theirs, key=lambda value: abs(float(value - ours))))}


def pack_penalty(system: System, x: Tensor) -> Tensor:
    x = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(system.critic(x).sum(), x, create_graph=True)
    return (slope.reshape(-1, PACK * x.shape[1]).norm(dim=1) - 1).square().mean()


def system() -> System:
    with seeded():
        critic, generator = PackCritic(), RowMaker()
    return System(
        critic, generator, View(critic, rows=PACK), generator, normal(60, COLUMNS), normal(60, LATENT, seed=1),
        their_losses, their_penalties, losses.wasserstein,
        (penalties.Penalty(penalties.gradient_penalty, {"weight": 10.0}),),
    )  # fmt: skip
