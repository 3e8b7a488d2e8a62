"""A script of the WGAN line: several critic steps, the penalty as a function, or clipping in place."""

from __future__ import annotations

import torch
from torch import autograd

from ..job import Job
from ..watch import Watch


def calc_gradient_penalty(job: Job, netD, real_data, fake_data):
    fault, weight = job.fault, job.hp.weight
    if fault == "penalty_absent":
        return real_data.new_zeros(())
    shape = (len(real_data),) + (1,) * (real_data.dim() - 1)
    alpha = torch.rand(shape)
    interpolates = alpha * real_data + (1 - alpha) * fake_data
    if fault == "penalty_place":
        interpolates = real_data if job.strength == 1 else fake_data
    interpolates = interpolates.detach().requires_grad_(True)
    disc = netD(interpolates)
    (gradients,) = autograd.grad(
        disc,
        interpolates,
        grad_outputs=torch.ones_like(disc),
        create_graph=fault != "penalty_detached",
        retain_graph=True,
    )
    if fault == "penalty_axes":  # per pixel or per column in place of per sample, or over the batch
        norms = gradients.norm(2, dim=1) if gradients.dim() > 2 and job.strength == 1 else gradients.norm(2, dim=0)
        return ((norms - 1) ** 2).mean() * weight
    norms = gradients.reshape(len(gradients), -1).norm(2, dim=1)
    centre = 0.0 if fault == "penalty_centre" else 1.0
    gradient_penalty = ((norms - centre) ** 2).mean() * weight
    if job.odd == "one_sided":
        gradient_penalty = ((norms - 1).clamp(min=0) ** 2).mean() * weight
    return gradient_penalty


def train(job: Job, watch: Watch) -> None:
    hp, fault = job.hp, job.fault
    netG = job.build.generator()
    netD = job.build.critic()
    optimizerG, optimizerD = job.optimizers(netG, netD)
    flip = -1.0 if job.odd == "both_flipped" else 1.0
    d_sign = -flip if fault == "sign_critic" else flip
    g_sign = -flip if fault == "sign_generator" else flip

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
    data = job.batches(hp.batch)
    for iteration in range(1, job.steps + 1):
        for p in netD.parameters():
            if fault not in ("frozen_critic",):
                p.requires_grad_(True)
        for _ in range(hp.n_critic):
            real, _ = next(data)
            real_data = real
            if fault == "noise_on_real":
                real_data = real_data + job.strength * torch.randn_like(real_data)
            if fault not in ("gradient_left_critic", "generator_gradient_left"):
                netD.zero_grad()
            D_real = netD(real_data).mean() if fault != "half_fake_only" else real_data.new_zeros(())
            noise = job.latents(len(real_data))
            with torch.no_grad():
                fake = netG(noise)
            D_fake = netD(fake).mean() if fault != "half_real_only" else real_data.new_zeros(())
            D_cost = d_sign * (D_fake - D_real)
            if hp.penalty == "gp":
                D_cost = D_cost + calc_gradient_penalty(job, netD, real_data, fake)
            if job.odd == "drift":
                D_cost = D_cost + 1e-3 * D_real**2
            D_cost.backward()
            if job.odd == "clip_gradients":
                torch.nn.utils.clip_grad_norm_(netD.parameters(), 1.0)
            if fault != "critic_step_missing" or iteration % int(job.strength) == 0:
                optimizerD.step()
            if fault == "generator_gradient_left":
                netD.zero_grad()  # here, after the step: what the generator leaves stays
            if hp.penalty == "clip" and fault not in ("penalty_absent", "constraint_partly"):
                for p in netD.parameters():
                    p.data.clamp_(-hp.weight, hp.weight)
            if fault == "constraint_partly" and hp.penalty == "clip":
                for p in list(netD.parameters())[: int(job.strength)]:
                    p.data.clamp_(-hp.weight, hp.weight)
        if fault != "generator_gradient_left":
            for p in netD.parameters():
                p.requires_grad_(fault != "never_unfrozen" and job.odd == "no_toggle")
        for _ in range(hp.g_steps):
            if fault != "gradient_left_generator":
                netG.zero_grad()
            noise = job.latents(hp.batch)
            fake = netG(noise)
            if fault == "generator_detached":
                fake = fake.data.requires_grad_(True)
            G_cost = -g_sign * netD(fake).mean()
            G_cost.backward()
            if fault != "generator_step_missing" or iteration % int(job.strength) == 0:
                optimizerG.step()
        job.end_of_step(iteration, optimizerG, optimizerD, netG, netD)
        watch.step(real, noise)
