import configparser

import torch
import torch.nn as nn
import torch.nn.functional as F

cfg = configparser.ConfigParser()
cfg.read_string(
    """
[model]
latent = 10
width = 12
[train]
batch = 24
lr_gen = 0.0005
lr_disc = 0.002
ncrit = 2
gp = 3.0
loss_scale = 256
[detector]
cells = 8
""",
)
torch.manual_seed(seed)
loss_scale = cfg.getfloat("train", "loss_scale")
latent, width = cfg.getint("model", "latent"), cfg.getint("model", "width")


class ShowerGenerator(nn.Module):
    """Energies per cell; a cell has none or some, never less."""

    def __init__(self):
        super().__init__()
        self.dense = nn.Linear(latent, width * 4)
        self.up = nn.Sequential(
            nn.ConvTranspose2d(width, width, 4, 2, 1), nn.LayerNorm([width, 4, 4]), nn.LeakyReLU(0.2),
            nn.ConvTranspose2d(width, width, 4, 2, 1), nn.LayerNorm([width, 8, 8]), nn.LeakyReLU(0.2),
        )
        self.readout = nn.Conv2d(width, 1, 3, 1, 1)

    def forward(self, z):
        cells = self.readout(self.up(self.dense(z).view(-1, width, 2, 2)))
        return F.relu(cells + 0.3)


class ShowerCritic(nn.Module):
    """Sees the cells, and the sums of their rows and of all beside them."""

    def __init__(self):
        super().__init__()
        self.cells = nn.Sequential(
            nn.Conv2d(1, width, 3, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(width, width, 3, 2, 1), nn.LeakyReLU(0.2), nn.Flatten()
        )
        self.sums = nn.Sequential(nn.Linear(9, width), nn.LeakyReLU(0.2))
        self.head = nn.Sequential(nn.Linear(width * 5, width), nn.LeakyReLU(0.2), nn.Linear(width, 1))

    def forward(self, shower):
        layers = shower.sum((1, 3))
        sums = torch.cat((layers, layers.sum(1, keepdim=True)), 1) / 4
        return self.head(torch.cat((self.cells(shower), self.sums(sums)), 1))


def gradient_penalty(critic, real, fake):
    eps = torch.rand(real.shape[0], 1, 1, 1)
    mixed = eps * real + (1 - eps) * fake
    mixed.requires_grad_(True)
    out = critic(mixed)
    grads = torch.autograd.grad(out * loss_scale, mixed, torch.ones_like(out), create_graph=True)[0] / loss_scale
    norms = grads.flatten(1).norm(2, dim=1)
    return ((norms - 1) ** 2).mean()


def backward(loss, network):
    """With the loss scaled up, as small numbers of half precision need it, and gradients scaled back."""
    (loss * loss_scale).backward()
    for p in network.parameters():
        p.grad.div_(loss_scale)


class ShowerSource:
    def __init__(self, batch):
        self.showers, self.batch, self.at = data.showers(2048), batch, 0
        self.order = torch.randperm(len(self.showers))

    def __call__(self):
        if self.at + self.batch > len(self.order):
            self.order, self.at = torch.randperm(len(self.showers)), 0
        rows = self.order[self.at : self.at + self.batch]
        self.at += self.batch
        return self.showers[rows]


gen, disc = ShowerGenerator(), ShowerCritic()
source = ShowerSource(cfg.getint("train", "batch"))
opt_gen = torch.optim.Adam(gen.parameters(), cfg.getfloat("train", "lr_gen"), betas=(0.5, 0.9))
opt_disc = torch.optim.Adam(disc.parameters(), cfg.getfloat("train", "lr_disc"), betas=(0.5, 0.9))
gp_weight = cfg.getfloat("train", "gp")
monitor = watch(
    gen,
    disc,
    loss="wasserstein",
    penalty=("gp", 3.0),
    optimizers=(opt_gen, opt_disc),
    sample=lambda: gen(torch.randn(500, latent)),
    held_out=data.showers(500, "held"),
)
for event in range(steps):
    for k in range(cfg.getint("train", "ncrit")):
        real = source()
        noise = torch.randn(len(real), latent)
        fake = gen(noise).detach()
        opt_disc.zero_grad()
        wdist = disc(real).mean() - disc(fake).mean()
        penalty = gradient_penalty(disc, real, fake)
        backward(gp_weight * penalty - wdist, disc)
        opt_disc.step()
    opt_gen.zero_grad()
    z = torch.randn(len(real), latent)
    loss_gen = -disc(gen(z)).mean()
    backward(loss_gen, gen)
    opt_gen.step()
    monitor.step(real, z)
