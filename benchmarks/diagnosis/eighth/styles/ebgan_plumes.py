import torch
from torch import nn
from torch.optim import Adam
from torch.utils.data import DataLoader

torch.manual_seed(seed)

MARGIN, PT_WEIGHT = 0.15, 0.02
BATCH, ZDIM, LENGTH = 48, 6, 16


class Generator(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(ZDIM, 48), nn.LeakyReLU(0.2), nn.Linear(48, 48), nn.LeakyReLU(0.2), nn.Linear(48, LENGTH)
        )

    def forward(self, z):
        return self.net(z)


class AutoEncoderCritic(nn.Module):
    """The energy of a profile is how badly it is put together again."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(LENGTH, 48), nn.LeakyReLU(0.2), nn.Linear(48, 5))
        self.decoder = nn.Sequential(nn.LeakyReLU(0.2), nn.Linear(5, 48), nn.LeakyReLU(0.2), nn.Linear(48, LENGTH))

    def forward(self, x):
        code = self.encoder(x)
        return (self.decoder(code) - x).square().mean(1), code


def pullaway(code):
    unit = code / code.norm(dim=1, keepdim=True)
    similarity = (unit @ unit.T) ** 2
    n = len(code)
    return (similarity.sum() - n) / (n * (n - 1))


def d_objective(energy_real, energy_fake):
    return energy_real.mean() + (MARGIN - energy_fake).clamp(min=0).mean()


def g_objective(energy_fake):
    return energy_fake.mean()


def claim(d_real, d_fake):
    return d_objective(d_real, d_fake), g_objective(d_fake)


G, D = Generator(), AutoEncoderCritic()
g_opt, d_opt = Adam(G.parameters(), 1e-3, (0.5, 0.99)), Adam(D.parameters(), 1e-3, (0.5, 0.99))
loader = DataLoader(data.plumes(3000), BATCH, shuffle=True, drop_last=True)

import tightrope

monitor = watch(
    G,
    tightrope.View(D, scores=lambda out: out[0]),
    loss=claim,
    optimizers=(g_opt, d_opt),
    sample=lambda: G(torch.randn(500, ZDIM)),
    held_out=data.plumes(500, "held"),
)


def epochs():
    while True:
        yield from loader


def train_critic(x):
    d_opt.zero_grad()
    with torch.no_grad():
        y = G(torch.randn(len(x), ZDIM))
    energy_real, _ = D(x)
    energy_fake, _ = D(y)
    loss = d_objective(energy_real, energy_fake)
    loss.backward()
    d_opt.step()


def train_generator():
    g_opt.zero_grad()
    z = torch.randn(BATCH, ZDIM)
    energy, code = D(G(z))
    loss = g_objective(energy) + PT_WEIGHT * pullaway(code)
    loss.backward()
    g_opt.step()
    return z


for _, x in zip(range(steps), epochs()):
    train_critic(x)
    z = train_generator()
    monitor.step(x, z)
