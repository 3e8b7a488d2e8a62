"""Hooks of a well known kind, without the library."""
from dataclasses import dataclass

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.nn.utils.parametrizations import spectral_norm


@dataclass
class HParams:
    latent_dim: int = 8
    lr_g: float = 1e-3
    lr_d: float = 4e-3
    beta1: float = 0.0
    beta2: float = 0.9
    batch_size: int = 64
    gamma: float = 0.9
    epoch_length: int = 40


class PointData:
    def __init__(self, hparams):
        self.hparams = hparams

    def setup(self):
        self.train, self.val = data.trefoil(4096), data.trefoil(500, "held")

    def train_dataloader(self):
        return torch.utils.data.DataLoader(self.train, batch_size=self.hparams.batch_size, shuffle=True, drop_last=True)


class LitGAN(nn.Module):
    def __init__(self, hparams):
        super().__init__()
        self.hparams = hparams
        h = 64
        self.generator = nn.Sequential(nn.Linear(hparams.latent_dim, h), nn.ReLU(), nn.Linear(h, h), nn.ReLU(), nn.Linear(h, 3))
        sn = spectral_norm
        self.discriminator = nn.Sequential(
            sn(nn.Linear(3, 2 * h)), nn.LeakyReLU(0.1), sn(nn.Linear(2 * h, 2 * h)), nn.LeakyReLU(0.1), sn(nn.Linear(2 * h, 1))
        )

    def forward(self, z):
        return self.generator(z)

    def configure_optimizers(self):
        p = self.hparams
        opt_d = torch.optim.Adam(self.discriminator.parameters(), lr=p.lr_d, betas=(p.beta1, p.beta2))
        opt_g = torch.optim.Adam(self.generator.parameters(), lr=p.lr_g, betas=(p.beta1, p.beta2))
        scheds = [torch.optim.lr_scheduler.ExponentialLR(o, p.gamma) for o in (opt_d, opt_g)]
        return [opt_d, opt_g], scheds

    def toggle(self, which):
        for p in self.discriminator.parameters():
            p.requires_grad_(which == 0)
        for p in self.generator.parameters():
            p.requires_grad_(which == 1)

    def training_step(self, batch, batch_idx, optimizer_idx):
        z = torch.randn(len(batch), self.hparams.latent_dim)
        self.last_z = z
        if optimizer_idx == 0:
            real_logit = self.discriminator(batch)
            fake_logit = self.discriminator(self(z))
            return F.relu(1.0 - real_logit).mean() + F.relu(1.0 + fake_logit).mean()
        return -self.discriminator(self(z)).mean()


class Fitter:
    def __init__(self, max_steps):
        self.max_steps, self.global_step = max_steps, 0

    def fit(self, model, dm):
        dm.setup()
        optimizers, schedulers = model.configure_optimizers()
        monitor = watch(
            model.generator,
            model.discriminator,
            loss="hinge",
            penalty="spectral_norm",
            optimizers=(optimizers[1], optimizers[0]),
            sample=lambda: model(torch.randn(500, model.hparams.latent_dim)),
            held_out=dm.val,
        )
        while self.global_step < self.max_steps:
            for batch_idx, batch in enumerate(dm.train_dataloader()):
                if self.global_step == self.max_steps:
                    return
                for k, opt in enumerate(optimizers):
                    model.toggle(k)
                    loss = model.training_step(batch, batch_idx, k)
                    opt.zero_grad()
                    loss.backward()
                    opt.step()
                self.global_step += 1
                monitor.step(batch, model.last_z)
                if self.global_step % model.hparams.epoch_length == 0:
                    for s in schedulers:
                        s.step()


torch.manual_seed(seed)
hp = HParams()
Fitter(max_steps=steps).fit(LitGAN(hp), PointData(hp))
