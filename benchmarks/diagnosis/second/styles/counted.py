"""One flat loop over batches: the critic in each, the generator in every n-th; weights clipped."""

from __future__ import annotations

from typing import Any

import torch

from .. import networks, terms


def counted(h: Any) -> None:
    generator, critic = networks.generator(h.case), networks.critic(h.case)
    optimizer_G = h.optimizer("generator", generator, critic, h.option("optimizer", "rmsprop"))
    optimizer_D = h.optimizer("critic", critic, generator, h.option("optimizer", "rmsprop"))
    schedulers = h.schedules(optimizer_G, optimizer_D)
    terms.freeze_part(h, generator, critic)
    h.attach(generator, critic, (optimizer_G, optimizer_D), terms.sampler(h, generator))
    n_critic = int(h.option("n_critic", 3))
    clip = float(h.has("clip_other") or h.option("clip") or 0.0)
    batches, end = 0, h.steps * (1 if h.has("swapped") else n_critic)
    while batches < end:
        batches += 1
        imgs, z = h.rows()[0], h.latents()
        if not h.has("swapped") or batches % n_critic == 0:
            optimizer_D.zero_grad()
            fake = generator(z)
            fake = fake if h.has("undetached") else fake.detach()
            loss_D = terms.critic_loss(h, critic(h.shown(imgs)), critic(fake))
            loss_D.backward()
            if h.has("wrong_optimizer"):
                optimizer_G.step()
            else:
                optimizer_D.step()
            if h.option("clip") and not h.has("clip_absent"):
                with torch.no_grad():
                    for p in critic.parameters():
                        p.clamp_(-clip, clip)
        if h.has("swapped") or batches % n_critic == 0:
            if not h.has("keep_g"):
                optimizer_G.zero_grad()
            z = h.latents()
            gen = generator(z)
            loss_G = terms.generator_loss(h, critic(gen.detach() if h.has("detach_g") else gen))
            if h.has("detach_g"):
                loss_G = loss_G + 0.0 * gen.sum()
            loss_G.backward()
            optimizer_G.step()
            h.tell(imgs, z)
        for s in schedulers:
            s.step()
