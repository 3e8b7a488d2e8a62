"""Phases over toggled networks: Gmain, Dmain, Dreg on a schedule, an average; labels if the method has them."""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.nn import functional as F

from ..job import Job
from ..watch import Watch


def run(net: nn.Module, x, c):
    return net(x, c) if c is not None else net(x)


def accumulate(phase: str, job: Job, G, D, real, real_c, z, c) -> None:
    """Adds a phase's gradients."""
    fault, hp = job.fault, job.hp
    if phase == "Gmain":
        made = run(G, z, c)
        if fault == "generator_detached":
            made = made.detach().requires_grad_()
        logits = run(D, made, c)
        if fault == "sign_generator":
            logits = -logits
        loss = F.softplus(-logits) if fault != "saturating" else -F.softplus(logits)
        loss = -logits if hp.loss == "hinge" else loss
        loss.mean().backward()
    elif phase == "Dmain":
        with torch.no_grad():
            made = run(G, z, c)
        s = -1 if fault == "sign_critic" else 1
        link = (lambda t: F.relu(1 + t)) if hp.loss == "hinge" else F.softplus
        if fault != "half_real_only":
            link(s * run(D, made, c)).mean().backward()
        if fault != "half_fake_only":
            link(-s * run(D, real, real_c)).mean().backward()
    elif phase == "Dreg":
        x = real.detach().requires_grad_(True)
        logits = run(D, x, real_c)
        (grads,) = torch.autograd.grad([logits.sum()], [x], create_graph=fault != "penalty_detached", retain_graph=True)
        axes = tuple(range(1, grads.dim())) if fault != "penalty_axes" else (0,)
        r1 = grads.square().sum(axes) * (hp.weight / 2)
        gain = 1 if fault == "lazy_unscaled" else hp.lazy
        if fault == "penalty_sign":
            gain = -gain
        loss = (logits.flatten()[: r1.numel()] * 0).sum() + r1.mean()
        loss.mul(gain).backward()


def train(job: Job, watch: Watch) -> None:
    hp, fault = job.hp, job.fault
    G, D = job.build.generator(), job.build.critic()
    G_ema = copy.deepcopy(G).eval() if hp.ema else None
    G_opt, D_opt = job.optimizers(G, D)
    if fault != "frozen_critic":
        D.requires_grad_(False)
    frozen = [p for p in G.parameters() if not p.requires_grad]

    def classes(n):
        return torch.randint(job.classes, (n,)) if hp.conditional else None

    def draw(n):
        c = classes(n)
        net = G_ema if G_ema is not None else G
        if fault == "ema_train_mode":
            net.train()
        return run(net, job.latents(n, sampling=True), c), c

    watch.start(
        G, D, draw, loss=job.loss, penalty=job.penalty, optimizers=(G_opt, D_opt), ema=G_ema, held_out=job.intact.held
    )
    data = job.batches(hp.batch)
    for batch in range(1, job.steps + 1):
        real, real_c = next(data)
        c_real = job.labels_for(real_c) if hp.conditional else None
        plan = [("Gmain", G, G_opt)] * hp.g_steps + [("Dmain", D, D_opt)] * hp.n_critic
        if hp.penalty == "r1" and fault != "penalty_absent" and batch % hp.lazy == 0:
            plan.append(("Dreg", D, D_opt))
        for phase, module, opt in plan:
            if phase == "Dmain" and hp.n_critic > 1:
                real, real_c = next(data)
                c_real = job.labels_for(real_c) if hp.conditional else None
            latents, c = job.latents(len(real)), classes(len(real))
            if fault != "gradient_left_" + ("generator" if module is G else "critic"):
                opt.zero_grad(set_to_none=True)
            if not (fault == "frozen_critic" and module is D):
                module.requires_grad_(True)
            for p in frozen:
                p.requires_grad_(False)
            accumulate(phase, job, G, D, real, c_real, latents, c)
            if phase == "Gmain":
                z = latents
            module.requires_grad_(False)
            if job.odd == "nan_to_num":
                for p in module.parameters():
                    if p.grad is not None:
                        torch.nan_to_num(p.grad, nan=0, posinf=1e5, neginf=-1e5, out=p.grad)
            missing = {"Gmain": "generator_step_missing", "Dmain": "critic_step_missing"}.get(phase)
            if fault != missing or batch % int(job.strength) == 0:
                opt.step()
        if G_ema is not None and fault != "ema_never":
            with torch.no_grad():
                for p_ema, p in zip(G_ema.parameters(), G.parameters(), strict=True):
                    p_ema.copy_(p.lerp(p_ema, hp.ema))
                for b_ema, b in zip(G_ema.buffers(), G.buffers(), strict=True):
                    if fault != "ema_without_buffers":
                        b_ema.copy_(b)
        job.end_of_step(batch, G_opt, D_opt, G, D)
        watch.step(real, z, real_c if hp.conditional else None)
