"""The tutorial: one file, nn.BCELoss, labels of ones and zeros, a backward for each half."""

from __future__ import annotations

import torch
from torch import nn

from ..job import Job
from ..watch import Watch


def train(job: Job, watch: Watch) -> None:
    hp, fault = job.hp, job.fault
    netG, netD = job.build.generator(), job.build.critic()
    optimizerG, optimizerD = job.optimizers(netG, netD)
    criterion = nn.BCELoss() if hp.loss == "prob" else nn.BCEWithLogitsLoss()
    real_label, fake_label = 1.0, 0.0
    if fault == "sign_critic" or job.odd == "both_flipped":
        real_label, fake_label = 0.0, 1.0
    if job.odd == "smooth_labels":
        real_label = 0.9
    wish = 1.0 if fault in ("sign_critic",) else real_label if job.odd != "smooth_labels" else 1.0
    if fault == "sign_generator":
        wish = 0.0

    def draw(n):
        return netG(job.latents(n, sampling=True)), None

    watch.start(
        netG,
        netD,
        draw,
        loss=job.loss,
        penalty=job.penalty,
        optimizers=(optimizerG, optimizerD),
        held_out=job.intact.held,
    )
    data = job.batches(hp.batch, loader=True)
    for step in range(1, job.steps + 1):
        for _ in range(hp.n_critic):
            if fault not in ("gradient_left_critic", "generator_gradient_left"):
                netD.zero_grad()
            real, _ = next(data)
            x = real.clone()
            if job.odd == "instance_noise":
                x = x + 0.05 * torch.randn_like(real)
            if fault == "noise_on_real":
                x = x + job.strength * torch.randn_like(real)
            x = x.requires_grad_(hp.penalty == "r1")
            output = netD(x).view(-1)
            label = torch.full((len(real),), real_label)
            errD_real = criterion(output, label)
            if hp.penalty == "r1" and step % hp.lazy == 0:
                errD_real = errD_real + penalty(job, output, x)
            if fault != "half_fake_only":
                errD_real.backward()
            noise = job.latents(len(real))
            fake = netG(noise)
            if job.odd == "instance_noise":
                fake = fake + 0.05 * torch.randn_like(fake)
            label.fill_(fake_label)
            output = netD(fake if job.odd == "no_detach" else fake.detach()).view(-1)
            errD_fake = criterion(output, label)
            if fault != "half_real_only":
                errD_fake.backward()
            if job.odd == "clip_gradients":
                nn.utils.clip_grad_norm_(netD.parameters(), 1.0)
            if fault == "gradient_left_critic" and step % int(job.strength) == 0:
                netD.zero_grad()
            if fault not in ("critic_step_missing",) or step % int(job.strength) == 0:
                optimizerD.step()
            if fault == "generator_gradient_left":
                netD.zero_grad()  # here, after the step: what the generator leaves stays
        for _ in range(hp.g_steps):
            if fault != "gradient_left_generator":
                netG.zero_grad()
            noise = job.latents(len(real))
            fake = netG(noise)
            if job.odd == "instance_noise":
                fake = fake + 0.05 * torch.randn_like(fake)
            shown = fake.detach().requires_grad_() if fault == "generator_detached" else fake
            output = netD(shown).view(-1)
            if fault == "saturating":
                errG = -criterion(output, torch.zeros_like(output))
            else:
                errG = criterion(output, torch.full_like(output, wish))
            errG.backward()
            if job.odd == "clip_gradients":
                nn.utils.clip_grad_norm_(netG.parameters(), 1.0)
            if fault != "generator_step_missing" or step % int(job.strength) == 0:
                optimizerG.step()
        job.end_of_step(step, optimizerG, optimizerD, netG, netD)
        watch.step(real, noise)


def penalty(job: Job, output: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
    """R1: half of gamma times the squared gradient at the real rows."""
    weight = job.hp.weight / 2 * (1 if job.fault == "lazy_unscaled" else job.hp.lazy)
    if job.fault == "penalty_absent":
        return output.sum() * 0
    (grad,) = torch.autograd.grad(output.sum(), real, create_graph=job.fault != "penalty_detached", retain_graph=True)
    grad = grad.flatten(1)
    if job.fault == "penalty_axes":
        return weight * grad.norm(2, 0).square().mean()
    if job.fault == "penalty_sign":
        return -weight * grad.square().sum(1).mean()
    return weight * grad.square().sum(1).mean()
