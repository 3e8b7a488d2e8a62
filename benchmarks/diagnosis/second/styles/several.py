"""Critics at two scales with feature matching, and one forward pass over real and fake rows together."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional as F

from tightrope import View

from .. import networks, terms


def two_scales(h: Any) -> None:
    """As vocoders have it: lists of scores and of features, hinge, features matched."""
    G, D = networks.generator(h.case), networks.TwoScales(h.case)
    optim_g, optim_d = h.optimizer("generator", G, D), h.optimizer("critic", D, G)
    if h.has("second_critic_missed"):
        optim_d = torch.optim.Adam(D.scales[0].parameters(), 1e-3, (0.5, 0.9))
    terms.freeze_part(h, G, D)
    view = View(D, scores=lambda out: out[0])
    h.attach(G, view, (optim_g, optim_d), terms.sampler(h, G))
    matching = float(h.has("matching") or h.option("matching", 0.0))
    for _ in range(h.steps):
        real, z = h.rows()[0], h.latents()
        fake = G(z)
        optim_d.zero_grad()
        of_real, _ = D(h.shown(real))
        of_fake, _ = D(fake.detach())
        loss = terms.critic_loss(h, of_real, of_fake)
        if h.has("first_scale_only"):
            loss = terms.critic_loss(h, of_real[:1], of_fake[:1])
        loss.backward()
        optim_d.step()
        if not h.has("keep_g"):
            optim_g.zero_grad()
        scores, maps = D(fake.detach() if h.has("detach_g") else fake)
        loss = terms.generator_loss(h, scores)
        if h.has("detach_g"):
            loss = loss + 0.0 * fake.sum()
        if matching:
            with torch.no_grad():
                _, wanted = D(real)
            pairs = [(a, b) for m, w in zip(maps, wanted, strict=True) for a, b in zip(m, w, strict=True)]
            loss = loss + matching * torch.stack([F.l1_loss(a.mean(0), b.mean(0)) for a, b in pairs]).sum()
        if weight := h.has("spectrum"):  # drawn towards real waves' spectrum, which does not pass the critic
            size = torch.fft.rfft(fake.squeeze(1)).abs().mean(0) - torch.fft.rfft(real.squeeze(1)).abs().mean(0)
            loss = (0.0 if h.has("detach_g") else 1.0) * loss + weight * size.abs().mean()
        loss.backward()
        if not h.has("no_step_g"):
            optim_g.step()
        h.tell(real, z)


def joint(h: Any) -> None:
    """Real and fake rows go through the critic as one batch, with one vector of targets."""
    G, D = networks.generator(h.case), networks.critic(h.case)
    opt_g, opt_d = h.optimizer("generator", G, D), h.optimizer("critic", D, G)
    schedulers = h.schedules(opt_g, opt_d)
    terms.freeze_part(h, G, D)
    h.attach(G, D, (opt_g, opt_d), terms.sampler(h, G))
    n_critic = int(h.option("n_critic", 1))
    for _ in range(h.steps):
        for _ in range(n_critic):
            real, z = h.rows()[0], h.latents()
            fake = G(z)
            D.zero_grad()
            rows = torch.cat([h.shown(real), fake if h.has("undetached") else fake.detach()])
            of_real, of_fake = D(rows).chunk(2)
            loss = terms.critic_loss(h, of_real, of_fake)
            if h.option("gp"):
                loss = loss + terms.gradient_penalty(h, D, real, fake.detach())
            if h.has("rewrapped_d"):
                loss = terms.rewrapped(loss)
            loss.backward()
            opt_d.step()
        if not h.has("keep_g"):
            G.zero_grad()
        z = h.latents()
        fake = G(z)
        judged = fake.detach() if h.has("detach_g") else fake
        if h.option("joint_in_both") or h.has("coupled"):
            scores = D(torch.cat([real, judged])).chunk(2)[1]
        else:
            scores = D(judged)
        loss = terms.generator_loss(h, scores)
        if h.has("detach_g"):
            loss = loss + 0.0 * fake.sum()
        loss.backward()
        if not h.has("no_step_g"):
            opt_g.step()
        for s in schedulers:
            s.step()
        h.tell(real, z)
