"""Synthetic patients with WGAN-GP."""
from dataclasses import dataclass

import torch
from torch import nn
from torch.autograd import grad as torch_grad


@dataclass
class Config:
    z: int = 12
    batch: int = 64
    lr_g: float = 2e-3
    lr_d: float = 2e-3
    beta1: float = 0.0
    gp_weight: float = 1.0
    critic_iterations: int = 3
    decay: float = 0.0


class Standardiser:
    def fit(self, x):
        self.mean, self.std = x.mean(0), x.std(0)
        return self

    def __call__(self, x):
        return (x - self.mean) / self.std


def mlp(sizes, act):
    layers = []
    for i, o in zip(sizes[:-1], sizes[1:]):
        layers += [nn.Linear(i, o), act()]
    return nn.Sequential(*layers[:-1])


class Trainer:
    def __init__(self, cfg, generator, discriminator):
        self.cfg, self.G, self.D = cfg, generator, discriminator
        self.G_opt = torch.optim.Adam(self.G.parameters(), lr=cfg.lr_g, betas=(cfg.beta1, 0.9), foreach=True)
        self.D_opt = torch.optim.Adam(self.D.parameters(), lr=cfg.lr_d, betas=(cfg.beta1, 0.9), weight_decay=cfg.decay, foreach=True)
        self.losses = {"G": [], "D": [], "GP": []}

    def sample_latent(self, n):
        return torch.randn(n, self.cfg.z)

    def sample_generator(self, n):
        return self.G(self.sample_latent(n))

    def _critic_train_iteration(self, data):
        generated = self.sample_generator(len(data)).detach()
        d_real = self.D(data)
        d_generated = self.D(generated)
        gradient_penalty = self._gradient_penalty(data, generated)
        self.losses["GP"].append(gradient_penalty.item())
        self.D_opt.zero_grad()
        d_loss = d_generated.mean() - d_real.mean() + gradient_penalty
        d_loss.backward()
        self.D_opt.step()
        self.losses["D"].append(d_loss.item())

    def _generator_train_iteration(self, n):
        self.G_opt.zero_grad()
        self.z = self.sample_latent(n)
        generated = self.G(self.z)
        g_loss = -self.D(generated).mean()
        g_loss.backward()
        self.G_opt.step()
        self.losses["G"].append(g_loss.item())

    def _gradient_penalty(self, real, generated):
        alpha = torch.rand(len(real), 1)
        interpolated = alpha * real + (1 - alpha) * generated
        interpolated.requires_grad_(True)
        prob = self.D(interpolated)
        gradients = torch_grad(prob, interpolated, grad_outputs=torch.ones_like(prob), create_graph=True)[0]
        gradients_norm = gradients.norm(2, dim=1)
        return self.cfg.gp_weight * ((gradients_norm - 1) ** 2).mean()

    def train(self, table, monitor, n_steps):
        for step in range(n_steps):
            for _ in range(self.cfg.critic_iterations):
                batch = table[torch.randint(0, len(table), (self.cfg.batch,))]
                self._critic_train_iteration(batch)
            self._generator_train_iteration(self.cfg.batch)
            monitor.step(batch, self.z)


torch.manual_seed(seed)
config = Config()
raw = data.patients(3000)
scaler = Standardiser().fit(raw)
trainer = Trainer(config, mlp([config.z, 64, 64, 6], nn.ReLU), mlp([6, 64, 64, 1], nn.LeakyReLU))
monitor = watch(
    trainer.G,
    trainer.D,
    loss="wasserstein",
    penalty=("gp", config.gp_weight),
    optimizers=(trainer.G_opt, trainer.D_opt),
    sample=lambda: trainer.sample_generator(500),
    held_out=scaler(data.patients(500, "held")),
)
trainer.train(scaler(raw), monitor, steps)
