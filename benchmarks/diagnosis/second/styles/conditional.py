"""A class-conditional generator against a projection critic with spectral norm."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .. import networks, terms
from ..data import CLASSES


def projection(h: Any) -> None:
    G, D = networks.ClassGenerator(h.case), networks.ProjectionCritic(h.case)
    G.optim = h.optimizer("generator", G, D)
    D.optim = h.optimizer("critic", D, G)
    terms.freeze_part(h, G, D)

    def sample(n: int) -> Tensor:
        was = G.training
        G.train(not h.option("norm_g"))
        with torch.no_grad():
            out = G(h.sampling_latents(n), h.y[torch.randint(len(h.y), (n,))])
        G.train(was)
        return out

    h.attach(G, D, (G.optim, D.optim), sample)
    n_d = int(h.option("n_critic", 2))
    for _ in range(h.steps):
        terms.requires_grad(D, True)
        terms.requires_grad(G, False)
        if h.has("critic_in_eval"):
            D.eval()
        for _ in range(n_d):
            x, y = h.rows()
            z, y_fake = h.latents(), y[torch.randperm(len(y))]
            fake = G(z, y_fake)
            D.optim.zero_grad()
            judged_as = torch.randint(CLASSES[h.case.data], y_fake.shape) if h.has("labels_differ") else y_fake
            loss = terms.critic_loss(h, D(h.shown(x), y), D(fake, judged_as))
            loss.backward()
            if not h.has("no_step_d"):
                D.optim.step()
        terms.requires_grad(D, False)
        terms.requires_grad(G, True)
        if not h.has("keep_g"):
            G.optim.zero_grad()
        z, y_fake = h.latents(), y[torch.randperm(len(y))]
        fake = G(z, y_fake)
        judged_as = torch.randint(CLASSES[h.case.data], y_fake.shape) if h.has("labels_differ") else y_fake
        loss = terms.generator_loss(h, D(fake.detach() if h.has("detach_g") else fake, judged_as))
        if h.has("detach_g"):
            loss = loss + 0.0 * fake.sum()
        loss.backward()
        if not h.has("no_step_g"):
            G.optim.step()
        h.tell(x, z, y)
