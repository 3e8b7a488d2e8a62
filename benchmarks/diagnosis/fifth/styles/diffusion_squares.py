"""Diffusion-GAN on a chess board: the critic sees both sides after a random number of noising steps, and which."""

import torch
import torch.nn.functional as F
from torch import nn
from tightrope import View

gen = torch.manual_seed(seed)
T_MAX = 8
betas = torch.linspace(0.0, 0.06, T_MAX)
alphas_bar = torch.cumprod(1 - betas, 0)
t_epl = torch.arange(T_MAX)


def diffuse(x):
    t = t_epl[torch.randint(0, len(t_epl), (len(x),))]
    a = alphas_bar[t].sqrt().unsqueeze(1)
    s = (1 - alphas_bar[t]).sqrt().unsqueeze(1)
    return a * x + s * torch.randn_like(x), t


class Critic(nn.Module):
    def __init__(self, width=96):
        super().__init__()
        self.t_embed = nn.Embedding(T_MAX, 8)
        self.net = nn.Sequential(
            nn.Linear(10, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, 1)
        )

    def forward(self, x, t):
        return self.net(torch.cat((x, self.t_embed(t)), dim=-1))


class SinMLP(nn.Module):
    def __init__(self, zdim=4, width=96):
        super().__init__()
        self.zdim = zdim
        self.layers = nn.ModuleList((nn.Linear(zdim, width), nn.Linear(width, width), nn.Linear(width, 2)))

    def forward(self, z):
        for layer in self.layers[:-1]:
            z = F.silu(layer(z))
        return torch.tanh(self.layers[-1](z)) * 1.1


def loop_forever(rows, size):
    while True:
        yield from rows[torch.randperm(len(rows))].split(size)


G, D = SinMLP(), Critic()
ema = torch.optim.swa_utils.AveragedModel(G, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.9))
opt = {
    "G": torch.optim.AdamW(G.parameters(), lr=2e-3, betas=(0.0, 0.99), weight_decay=1e-4),
    "D": torch.optim.AdamW(D.parameters(), lr=2e-3, betas=(0.0, 0.99), weight_decay=1e-4),
}
warm = [torch.optim.lr_scheduler.LinearLR(o, 0.2, 1.0, total_iters=10) for o in opt.values()]


def sampler(n=500):
    return ema(torch.randn(n, G.zdim))


watch = watch(
    G,
    View(D, call=lambda d, x: d(*diffuse(x))),
    loss="non_saturating",
    optimizers=(opt["G"], opt["D"]),
    sample=sampler,
    ema=ema.module,
    held_out=data.squares(500, "held"),
)
stream = loop_forever(data.squares(4096), 64)
for i in range(steps):
    real = next(stream)
    z = torch.randn(real.shape[0], G.zdim)
    # critic
    D.requires_grad_(True), G.requires_grad_(False)
    opt["D"].zero_grad(set_to_none=True)
    loss_real = F.softplus(-D(*diffuse(real))).mean()
    loss_real.backward()
    loss_fake = F.softplus(D(*diffuse(G(z)))).mean()
    loss_fake.backward()
    opt["D"].step()
    # generator
    D.requires_grad_(False), G.requires_grad_(True)
    opt["G"].zero_grad(set_to_none=True)
    z = torch.randn(real.shape[0], G.zdim)
    F.softplus(-D(*diffuse(G(z)))).mean().backward()
    opt["G"].step()
    ema.update_parameters(G)
    [s.step() for s in warm]
    watch.step(real, z)
