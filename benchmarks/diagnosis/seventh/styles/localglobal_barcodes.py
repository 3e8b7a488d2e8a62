# a critic for the whole and a critic for pieces, each with its own optimiser
import torch
from torch import nn, optim
from torch.nn import functional as F

from tightrope import View

torch.manual_seed(seed)
LENGTH, PIECE, LATENT, BATCH = 24, 8, 8, 64


class Painter(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(LATENT, 64), nn.ELU(), nn.Linear(64, 64), nn.ELU(), nn.Linear(64, LENGTH))

    def forward(self, z):
        return torch.sigmoid(self.layers(z))


class Whole(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(LENGTH, 64), nn.LeakyReLU(0.2), nn.Linear(64, 64), nn.LeakyReLU(0.2), nn.Linear(64, 1))

    def forward(self, x):
        return self.layers(x)


class Pieces(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(PIECE, 32), nn.LeakyReLU(0.2), nn.Linear(32, 1))

    def forward(self, x):
        return self.layers(x.unfold(1, PIECE, 4)).squeeze(2)


painter, judges = Painter(), nn.ModuleList([Whole(), Pieces()])
whole, pieces = judges
opt_painter = optim.Adam(painter.parameters(), lr=2e-3, betas=(0.5, 0.9))
opt_whole = optim.Adam(whole.parameters(), lr=2e-3, betas=(0.5, 0.9))
opt_pieces = optim.Adam(pieces.parameters(), lr=2e-3, betas=(0.5, 0.9))
codes = data.barcodes(3000)


def judge_loss(critic, real, fake):
    return F.relu(1 - critic(real)).mean() + F.relu(1 + critic(fake)).mean()


monitor = watch(
    painter,
    View(judges, call=lambda both, x: [d(x) for d in both]),
    loss="hinge",
    optimizers={"generator": opt_painter, "critic": [opt_whole, opt_pieces]},
    sample=lambda: painter(torch.randn(500, LATENT)),
    held_out=data.barcodes(500, "held"),
)
for step in range(steps):
    real = codes[torch.randint(3000, (BATCH,))]
    z = torch.randn(BATCH, LATENT)
    fake = painter(z).detach()
    for critic, opt in ((whole, opt_whole), (pieces, opt_pieces)):
        opt.zero_grad()
        judge_loss(critic, real, fake).backward()
        opt.step()
    z = torch.randn(BATCH, LATENT)
    opt_painter.zero_grad()
    fake = painter(z)
    loss = -whole(fake).mean() - pieces(fake).mean()
    loss.backward()
    opt_painter.step()
    monitor.step(real, z)
