"""Small functions and closures: a joint batch for the critic, lazy R1, auxiliary terms."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from ..job import Job
from ..watch import Watch

CRITIC = {
    "ns": lambda r, f: F.softplus(-r).mean() + F.softplus(f).mean(),
    "hinge": lambda r, f: (1 - r).clamp_min(0).mean() + (1 + f).clamp_min(0).mean(),
    "lsgan": lambda r, f: 0.5 * ((r - 1) ** 2).mean() + 0.5 * (f**2).mean(),
    "wgan": lambda r, f: f.mean() - r.mean(),
}
GENERATOR = {
    "ns": lambda f: F.softplus(-f).mean(),
    "hinge": lambda f: -f.mean(),
    "lsgan": lambda f: 0.5 * ((f - 1) ** 2).mean(),
    "wgan": lambda f: -f.mean(),
}


def squared_slope(job: Job, critic, x: Tensor) -> Tensor:
    x = x.detach().clone().requires_grad_(True)
    graph = job.fault != "penalty_detached"
    g = torch.autograd.grad(critic(x).sum(), x, create_graph=graph)[0].flatten(1)
    if job.fault == "penalty_axes":
        return g.pow(2).sum(0).mean()
    if job.fault == "penalty_centre":
        return (g.norm(dim=1) - 1).pow(2).mean()
    return g.pow(2).sum(1).mean()


def scores(job: Job, critic, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    if job.hp.joint:
        return critic(torch.cat([real, fake])).split([len(real), len(fake)])
    return critic(real), critic(fake)


def critic_loss(job: Job, critic, real: Tensor, fake: Tensor, k: int) -> Tensor:
    fault = job.fault
    r, f = scores(job, critic, real, fake)
    if fault == "sign_critic":
        r, f = f, r
    if fault == "half_real_only":
        f = f.detach()
    if fault == "half_fake_only":
        r = r.detach()
    if job.odd == "both_flipped":
        r, f = -r, -f
    loss = CRITIC[job.hp.loss](r, f)
    if job.odd == "sum_loss":
        loss = loss * len(real)
    if job.hp.penalty == "r1" and fault != "penalty_absent" and k % job.hp.lazy == 0:
        where = fake if fault == "penalty_place" else real
        gamma = job.hp.weight * (1 if fault == "lazy_unscaled" else job.hp.lazy)
        term = 0.5 * gamma * squared_slope(job, critic, where)
        loss = loss + (term * len(real) if job.odd == "sum_loss" else term)
    return loss


def generator_loss(job: Job, critic, fake: Tensor) -> Tensor:
    s = critic(fake)
    if job.fault == "sign_generator":
        s = -s
    if job.odd == "both_flipped":
        s = -s
    if job.fault == "saturating":
        return -F.softplus(s).mean()
    loss = GENERATOR[job.hp.loss](s)
    return loss * len(fake) if job.odd == "sum_loss" else loss


def update(optimizer, closure, clear: bool = True, move: bool = True) -> None:
    if clear:
        optimizer.zero_grad(set_to_none=True)
    closure().backward()
    if move:
        optimizer.step()


def train(job: Job, watch: Watch) -> None:
    hp, fault = job.hp, job.fault
    generator, critic = job.build.generator(), job.build.critic()
    opt_g, opt_d = job.optimizers(generator, critic)
    bank = torch.zeros(0, *job.shape)

    def draw(n):
        if fault == "sampled_in_eval" or job.odd == "sampled_in_eval":
            generator.eval()
            made = generator(job.latents(n, sampling=True))
            generator.train()
            return made, None
        return generator(job.latents(n, sampling=True)), None

    watch.start(
        generator, critic, draw, loss=job.loss, penalty=job.penalty, optimizers=(opt_g, opt_d), held_out=job.intact.held
    )
    stream = job.batches(hp.batch)
    period = max(1, int(job.strength))
    for k in range(1, job.steps + 1):
        for _ in range(hp.n_critic):
            rows, _ = next(stream)
            real = rows
            if fault == "noise_on_real":
                real = real + job.strength * torch.randn_like(real)
            if job.odd == "augmented":
                real = real + 0.1 * torch.randn(len(real), *(1,) * (real.dim() - 1))
            with torch.no_grad():
                fake = generator(job.latents(len(real)))
            if job.odd == "augmented":
                fake = fake + 0.1 * torch.randn(len(fake), *(1,) * (fake.dim() - 1))
            if job.odd == "replay_bank":
                half = len(fake) // 2
                bank = torch.cat([bank, fake])[-256:]
                fake = torch.cat([fake[:half], bank[torch.randint(len(bank), (len(fake) - half,))]])
            if job.odd == "micro_batches":
                opt_d.zero_grad()
                for a, b in zip(real.chunk(2), fake.chunk(2), strict=True):
                    (critic_loss(job, critic, a, b, k) / 2).backward()
                opt_d.step()
                continue
            update(
                opt_d,
                partial(critic_loss, job, critic, real, fake, k),
                clear=fault not in ("gradient_left_critic", "generator_gradient_left"),
                move=fault != "critic_step_missing" or k % period == 0,
            )
            if fault == "generator_gradient_left":
                opt_d.zero_grad()
        for _ in range(hp.g_steps):
            z = job.latents(len(real))

            def objective(z=z):
                y = generator(z)
                if job.odd == "augmented":
                    y = y + 0.1 * torch.randn(len(y), *(1,) * (y.dim() - 1))
                if fault == "generator_detached":
                    anchor = 1e-4 * y.square().mean()  # an auxiliary term keeps the gradient from being none
                    return generator_loss(job, critic, y.detach()) + anchor
                loss = generator_loss(job, critic, y)
                return loss + 1e-3 * y.square().mean() if job.odd == "output_decay" else loss

            update(
                opt_g,
                objective,
                clear=fault != "gradient_left_generator",
                move=fault != "generator_step_missing" or k % period == 0,
            )
        job.end_of_step(k, opt_g, opt_d, generator, critic)
        watch.step(rows, z)
