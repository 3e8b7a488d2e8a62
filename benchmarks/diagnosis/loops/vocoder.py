"""A vocoder's loop: critics that return lists, least squares of 0 and 1, feature matching, a reconstruction."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..job import Job
from ..watch import Watch


class Vocoder(nn.Module):
    """From a coarse signal and noise to the signal."""

    def __init__(self, job: Job, coarse: int) -> None:
        super().__init__()
        w, self.long = job.plan.net.width, job.shape[1]
        self.gain = job.strength if job.fault == "latent_ignored" else 1.0
        self.inner = nn.Sequential(
            nn.Linear(coarse + job.plan.net.latent, w * self.long // 4), nn.Unflatten(1, (w, self.long // 4))
        )
        self.up = nn.Sequential(
            nn.LeakyReLU(0.1),
            nn.ConvTranspose1d(w, w, 4, 2, 1),
            nn.LeakyReLU(0.1),
            nn.ConvTranspose1d(w, 1, 4, 2, 1),
            nn.Tanh() if job.fault != "generator_range" else nn.Sigmoid(),
        )

    def forward(self, h: Tensor) -> Tensor:
        return self.up(self.inner(h * self.gain))


def feature_loss(real: list[list[Tensor]], fake: list[list[Tensor]]) -> Tensor:
    loss = torch.zeros(())
    for a, b in zip(real, fake, strict=True):
        for x, y in zip(a, b, strict=True):
            loss = loss + (x.detach() - y).abs().mean()
    return loss


def discriminator_loss(real: list[Tensor], fake: list[Tensor], job: Job) -> Tensor:
    loss = torch.zeros(())
    for r, f in zip(real, fake, strict=True):
        if job.fault == "sign_critic":
            r, f = f, r
        a, b = ((1 - r) ** 2).mean(), (f**2).mean()
        if job.hp.loss == "hinge":
            a, b = F.relu(1 - r).mean(), F.relu(1 + f).mean()
        if job.fault == "half_real_only":
            b = b.detach()
        if job.fault == "half_fake_only":
            a = a.detach()
        loss = loss + a + b
    return loss


def generator_loss(fake: list[Tensor], job: Job) -> Tensor:
    wish = 0.0 if job.fault == "sign_generator" else 1.0
    if job.hp.loss == "hinge":
        return sum(((1 if wish == 0 else -1) * f.mean() for f in fake), torch.zeros(()))
    return sum((((wish - f) ** 2).mean() for f in fake), torch.zeros(()))


def coarse_of(x: Tensor, job: Job) -> Tensor:
    mel = F.avg_pool1d(x, 8).flatten(1)
    return torch.cat([mel, job.latents(len(x))], 1)


def train(job: Job, watch: Watch) -> None:
    hp, fault = job.hp, job.fault
    coarse = job.shape[1] // 8
    generator, msd = Vocoder(job, coarse), job.build.critics_at_rates(2)
    optim_g, optim_d = job.optimizers(generator, msd)
    held = job.intact.held

    def draw(n):
        h = coarse_of(held[-n:], job)
        if fault == "latent_scale":
            h = h * job.strength
        return generator(h), None

    watch.start(generator, msd, draw, loss=job.loss, penalty=job.penalty, optimizers=(optim_g, optim_d), held_out=held)
    lambda_mel, lambda_fm, lambda_adv = 5.0 * job.auxiliary(), 1.0, 1.0
    if fault == "adversary_drowns":
        lambda_adv = job.strength
    for step, (y, _) in enumerate(job.batches(hp.batch), 1):
        if step > job.steps:
            break
        h = coarse_of(y, job)
        y_hat = generator(h)
        if fault not in ("gradient_left_critic", "generator_gradient_left"):
            optim_d.zero_grad()
        real_scores, _ = msd(y)
        fake_scores, _ = msd(y_hat.detach())
        loss_d = discriminator_loss(real_scores, fake_scores, job)
        loss_d.backward()
        if fault != "critic_step_missing" or step % int(job.strength) == 0:
            optim_d.step()
        if fault == "generator_gradient_left":
            optim_d.zero_grad()
        for _ in range(hp.g_steps):
            if fault != "gradient_left_generator":
                optim_g.zero_grad()
            y_hat = generator(h)
            shown = y_hat.detach() if fault == "generator_detached" else y_hat
            with torch.no_grad():
                _, real_features = msd(y)
            fake_scores, fake_features = msd(shown)
            loss_mel = (F.avg_pool1d(y, 4) - F.avg_pool1d(y_hat, 4)).abs().mean() * lambda_mel
            loss_fm = feature_loss(real_features, fake_features) * lambda_fm
            loss_g = lambda_adv * generator_loss(fake_scores, job) + loss_fm + loss_mel
            loss_g.backward()
            if fault != "generator_step_missing" or step % int(job.strength) == 0:
                optim_g.step()
        job.end_of_step(step, optim_g, optim_d, generator, msd)
        watch.step(y, h)
