"""Autocast with a lazy R1, and a script with an averaged generator, a sampling function and WGAN-GP."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from .. import networks, terms


def autocast(h: Any) -> None:
    """bfloat16 forwards, the R1 term in float32 each k-th step with k times the weight."""
    G, D = networks.generator(h.case), networks.critic(h.case)
    opt_g, opt_d = h.optimizer("generator", G, D), h.optimizer("critic", D, G)
    scaling = any(h.has(name) for name in ("penalty_unscaled", "penalty_of_scaled", "scaler_on"))
    scaler = torch.amp.GradScaler("cpu", enabled=scaling, init_scale=1024.0, growth_interval=10**6)
    terms.freeze_part(h, G, D)
    h.attach(G, D, (opt_g, opt_d), terms.sampler(h, G))
    every = int(h.has("lazy") or h.option("lazy", 4))
    for step in range(h.steps):
        real, z = h.rows()[0], h.latents()
        if not h.has("keep_d"):
            opt_d.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16):
            fake = G(z)
            loss = terms.critic_loss(h, D(h.shown(real)), D(fake.detach()))
        if h.option("r1") and step % every == 0:
            factor = 1.0 if h.has("lazy") else float(every)
            penalty = factor * terms.r1(h, D, real)
            if h.has("penalty_unscaled"):
                penalty.backward()
            else:
                loss = loss + penalty
        scaler.scale(loss).backward()
        if limit := h.has("clipped_gradients"):
            scaler.unscale_(opt_d)
            torch.nn.utils.clip_grad_norm_(D.parameters(), limit)
        scaler.step(opt_d)
        opt_g.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16):
            z = h.latents()
            fake = G(z)
            loss = terms.generator_loss(h, D(fake.detach() if h.has("detach_g") else fake))
        if h.has("detach_g"):
            loss = loss + 0.0 * fake.sum()
        scaler.scale(loss).backward()
        if not h.has("no_step_g"):
            scaler.step(opt_g)
        scaler.update()
        h.tell(real, z)


def endless(h: Any) -> Iterator[Tensor]:
    while True:
        yield h.rows()[0]


def averaged(h: Any) -> None:
    """A flat script: WGAN-GP, an averaged generator that is the one sampled from."""
    netG, netD = networks.generator(h.case), networks.critic(h.case)
    netG_ema = netG if h.has("average_aliased") else copy.deepcopy(netG)
    optimizerG, optimizerD = h.optimizer("generator", netG, netD), h.optimizer("critic", netD, netG)
    schedulers = h.schedules(optimizerG, optimizerD)
    terms.freeze_part(h, netG, netD)
    sample = terms.sampler(h, netG_ema)
    h.attach(netG, netD, (optimizerG, optimizerD), sample, netG_ema)
    data = endless(h)
    n_critic = int(h.option("n_critic", 2))
    for i in range(h.steps):
        for _ in range(n_critic):
            real = next(data)
            noise = h.latents()
            fake = netG(noise).detach()
            netD.zero_grad()
            loss_D = terms.critic_loss(h, netD(h.shown(real)), netD(fake))
            loss_D.backward()
            terms_gp = terms.gradient_penalty(h, netD, h.shown(real), fake)
            if terms_gp.requires_grad:
                terms_gp.backward()
            if not h.has("no_step_d"):
                optimizerD.step()
        if h.has("zero_grad_of_critic"):
            netD.zero_grad()
        elif not h.has("keep_g"):
            netG.zero_grad()
        noise = h.latents()
        fake = netG(noise)
        loss_G = terms.generator_loss(h, netD(fake))
        loss_G.backward()
        optimizerG.step()
        for s in schedulers:
            s.step()
        terms.average(h, netG_ema, netG)
        if i % 25 == 24:  # a picture now and then
            if h.has("eval_left_on"):
                netG.eval()
            netG_ema.eval()
            sample(16)
        h.tell(real, noise)
