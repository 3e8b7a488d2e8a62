from dataclasses import dataclass, field

import torch
import torch.nn as nn


def zero_centered_gradient_penalty(samples, critics):
    (gradient,) = torch.autograd.grad(outputs=critics.sum(), inputs=samples, create_graph=True)
    return gradient.square().sum(dim=1)


@dataclass
class Config:
    z_dim: int = 8
    width: int = 64
    batch: int = 64
    lr: float = 2e-3
    gamma: float = 0.5
    beta2: float = 0.99
    steps: int = 100
    seed: int = 0


@dataclass
class AdversarialTraining:
    generator: nn.Module
    discriminator: nn.Module

    def accumulate_generator_gradients(self, noise, real_samples, scale=1.0):
        fake_samples = self.generator(noise)
        real_samples = real_samples.detach()
        fake_logits = self.discriminator(fake_samples)
        real_logits = self.discriminator(real_samples)
        relativistic_logits = fake_logits - real_logits
        adversarial_loss = nn.functional.softplus(-relativistic_logits)
        (scale * adversarial_loss.mean()).backward()
        return adversarial_loss.detach(), relativistic_logits.detach()

    def accumulate_discriminator_gradients(self, noise, real_samples, gamma, scale=1.0):
        real_samples = real_samples.detach().requires_grad_(True)
        fake_samples = self.generator(noise).detach().requires_grad_(True)
        real_logits = self.discriminator(real_samples)
        fake_logits = self.discriminator(fake_samples)
        r1_penalty = zero_centered_gradient_penalty(real_samples, real_logits)
        r2_penalty = zero_centered_gradient_penalty(fake_samples, fake_logits)
        relativistic_logits = real_logits - fake_logits
        adversarial_loss = nn.functional.softplus(-relativistic_logits)
        discriminator_loss = adversarial_loss.squeeze(1) + (gamma / 2) * (r1_penalty + r2_penalty)
        (scale * discriminator_loss.mean()).backward()
        return adversarial_loss.detach(), r1_penalty.detach(), r2_penalty.detach()


class ResidualMLP(nn.Module):
    def __init__(self, n_in, n_out, width):
        super().__init__()
        self.inp, self.out = nn.Linear(n_in, width), nn.Linear(width, n_out)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.LeakyReLU(0.2), nn.Linear(width, width), nn.LeakyReLU(0.2), nn.Linear(width, width))
            for _ in range(2)
        )

    def forward(self, x):
        x = self.inp(x)
        for block in self.blocks:
            x = x + 0.5 * block(x)
        return self.out(x)


@dataclass
class Trainer:
    cfg: Config
    history: list = field(default_factory=list)

    def __post_init__(self):
        torch.manual_seed(self.cfg.seed)
        self.G = ResidualMLP(self.cfg.z_dim, 2, self.cfg.width)
        self.D = ResidualMLP(2, 1, self.cfg.width)
        self.trainer = AdversarialTraining(self.G, self.D)
        self.opt_G = torch.optim.Adam(self.G.parameters(), lr=self.cfg.lr, betas=(0.0, self.cfg.beta2))
        self.opt_D = torch.optim.Adam(self.D.parameters(), lr=self.cfg.lr, betas=(0.0, self.cfg.beta2))
        self.data = data.spiral(4000)

    def lr_at(self, step):
        return self.cfg.lr * min(1.0, (step + 1) / 10) * (1 - 0.7 * step / self.cfg.steps)

    def batch(self):
        return self.data[torch.randint(0, len(self.data), (self.cfg.batch,))]

    def sample(self, n=500):
        return self.G(torch.randn(n, self.cfg.z_dim))

    def run(self, monitor):
        for step in range(self.cfg.steps):
            for opt in (self.opt_G, self.opt_D):
                for group in opt.param_groups:
                    group["lr"] = self.lr_at(step)
            self.G.requires_grad_(False)
            self.D.requires_grad_(True)
            self.opt_D.zero_grad(set_to_none=True)
            real = self.batch()
            d_stats = self.trainer.accumulate_discriminator_gradients(
                torch.randn(self.cfg.batch, self.cfg.z_dim), real, self.cfg.gamma
            )
            self.opt_D.step()
            self.G.requires_grad_(True)
            self.D.requires_grad_(False)
            self.opt_G.zero_grad(set_to_none=True)
            z = torch.randn(self.cfg.batch, self.cfg.z_dim)
            real = self.batch()
            g_stats = self.trainer.accumulate_generator_gradients(z, real)
            self.opt_G.step()
            self.history.append((d_stats[0].mean().item(), g_stats[0].mean().item()))
            monitor.step(real, z)


trainer = Trainer(Config(steps=steps, seed=seed))
trainer.run(
    watch(
        trainer.G,
        trainer.D,
        loss="relativistic",
        penalty=[("r1", trainer.cfg.gamma), ("r2", trainer.cfg.gamma)],
        optimizers=(trainer.opt_G, trainer.opt_D),
        sample=trainer.sample,
        held_out=data.spiral(500, "held"),
    )
)
