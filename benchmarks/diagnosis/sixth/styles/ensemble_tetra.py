# three small critics, the sum of their losses
from itertools import chain

import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(seed)
nz, m = 6, 64


class Ensemble(nn.Module):
    def __init__(self, n=3):
        super().__init__()
        self.members = nn.ModuleList(
            nn.Sequential(nn.Linear(3, 32), nn.LeakyReLU(0.2), nn.Linear(32, 32), nn.LeakyReLU(0.2), nn.Linear(32, 1)) for _ in range(n)
        )

    def forward(self, x):
        return [d(x) for d in self.members]


class Maker(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(nz, 64), nn.ELU(), nn.Linear(64, 64), nn.ELU(), nn.Linear(64, 3))

    def forward(self, z):
        return self.net(z)


maker, judges = Maker(), Ensemble()
opt_maker = torch.optim.Adam(maker.parameters(), lr=2e-3, betas=(0.5, 0.9))
opt_judges = torch.optim.Adam(chain(*(d.parameters() for d in judges.members)), lr=2e-3, betas=(0.5, 0.9))
table = data.tetra(4000)


def hinge_judges(real, fake):
    total = 0.0
    for r, f in zip(judges(real), judges(fake)):
        total = total + F.relu(1 - r).mean() + F.relu(1 + f).mean()
    return total


def hinge_maker(fake):
    total = 0.0
    for f in judges(fake):
        total = total - f.mean()
    return total


monitor = watch(
    maker,
    judges,
    loss="hinge",
    optimizers=(opt_maker, opt_judges),
    sample=lambda: maker(torch.randn(500, nz)),
    held_out=data.tetra(500, "held"),
)
for step, rows in zip(range(steps), (table[torch.randperm(len(table))[:m]] for _ in range(10**6))):
    noise = torch.randn(m, nz)
    opt_judges.zero_grad()
    loss = hinge_judges(rows, maker(noise).detach())
    loss.backward()
    opt_judges.step()
    noise = torch.randn(m, nz)
    opt_maker.zero_grad()
    loss = hinge_maker(maker(noise))
    loss.backward()
    opt_maker.step()
    monitor.step(rows, noise)
