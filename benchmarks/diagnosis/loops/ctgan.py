"""A table: rows in packs, the penalty backward on its own, weight decay in the generator, a residual generator."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from ..job import Job
from ..watch import Watch

PACK = 4


class Residual(nn.Module):
    def __init__(self, i: int, o: int, norm: bool) -> None:
        super().__init__()
        self.fc = nn.Linear(i, o)
        self.bn = nn.BatchNorm1d(o) if norm else nn.Identity()

    def forward(self, x):
        return torch.cat([F.relu(self.bn(self.fc(x))), x], dim=1)


class Generator(nn.Module):
    def __init__(self, job: Job) -> None:
        super().__init__()
        net, out = job.plan.net, job.shape[0]
        dim, layers = net.latent, []
        for _ in range(net.depth):
            layers.append(Residual(dim, net.width, net.norm_g == "bn"))
            dim += net.width
        layers.append(nn.Linear(dim, out))
        if job.fault == "generator_range":
            layers.append({1: nn.Sigmoid(), 0: nn.ReLU(), 2: nn.Tanh()}[int(job.strength)])
        self.gain = job.strength if job.fault == "latent_ignored" else 1.0
        self.seq = nn.Sequential(*layers)

    def forward(self, z):
        return self.seq(z * self.gain)


def penalty(job: Job, D, real, fake):
    if job.fault == "penalty_absent":
        return None
    n, cols = real.shape
    pac = 1 if job.fault == "penalty_packs" else PACK
    alpha = torch.rand(n // PACK, 1, 1).repeat(1, PACK, cols).view(-1, cols)
    x = (alpha * real + (1 - alpha) * fake).detach().requires_grad_(True)
    y = D(x)
    g = torch.autograd.grad(y, x, torch.ones_like(y), create_graph=job.fault != "penalty_detached", retain_graph=True)[
        0
    ]
    if job.fault == "penalty_axes":
        return ((g.norm(2, dim=0) - 1) ** 2).mean() * job.hp.weight
    centre = 0.0 if job.fault == "penalty_centre" else 1.0
    return ((g.view(-1, pac * cols).norm(2, dim=1) - centre) ** 2).mean() * job.hp.weight


def train(job: Job, watch: Watch) -> None:
    hp, fault = job.hp, job.fault
    G, D = Generator(job), job.build.critic(pack=PACK)
    optimizerG, optimizerD = job.optimizers(G, D)
    if job.odd == "decay_generator":
        for group in optimizerG.param_groups:
            group["weight_decay"] = 1e-6

    def draw(n):
        if fault == "sampled_in_eval" or job.odd == "sampled_in_eval":
            G.eval()
            made = G(job.latents(n, sampling=True))
            G.train()
            return made, None
        return G(job.latents(n, sampling=True)), None

    watch.start(
        G, D, draw, loss=job.loss, penalty=job.penalty, optimizers=(optimizerG, optimizerD), held_out=job.intact.held
    )
    data = job.batches(hp.batch)
    s = -1 if fault == "sign_critic" else 1
    for i in range(1, job.steps + 1):
        for _ in range(hp.n_critic):
            real = next(data)[0]
            fakez = job.latents(len(real))
            fake = G(fakez)
            y_fake, y_real = D(fake.detach() if job.odd != "no_detach" else fake), D(real)
            if fault not in ("gradient_left_critic", "generator_gradient_left"):
                optimizerD.zero_grad(set_to_none=False)
            if hp.loss == "hinge":
                loss_d = F.relu(1 - s * y_real).mean() + F.relu(1 + s * y_fake).mean()
            elif fault == "half_real_only":
                loss_d = -torch.mean(y_real)
            elif fault == "half_fake_only":
                loss_d = torch.mean(y_fake)
            else:
                loss_d = -s * (torch.mean(y_real) - torch.mean(y_fake))
            if hp.penalty == "gp":
                pen = penalty(job, D, real, fake)
                if pen is not None and pen.requires_grad:
                    pen.backward(retain_graph=True)
            loss_d.backward()
            if fault != "critic_step_missing" or i % int(job.strength) == 0:
                optimizerD.step()
            if fault == "generator_gradient_left":
                optimizerD.zero_grad()
        for _ in range(hp.g_steps):
            fakez = job.latents(hp.batch)
            fake = G(fakez)
            if fault == "generator_detached":
                fake = torch.tensor(fake.detach().numpy(), requires_grad=True)
            y_fake = D(fake)
            loss_g = -torch.mean(y_fake) if fault != "sign_generator" else torch.mean(y_fake)
            if fault != "gradient_left_generator":
                optimizerG.zero_grad(set_to_none=False)
            loss_g.backward()
            if fault != "generator_step_missing" or i % int(job.strength) == 0:
                optimizerG.step()
        job.end_of_step(i, optimizerG, optimizerD, G, D)
        watch.step(real, fakez)
