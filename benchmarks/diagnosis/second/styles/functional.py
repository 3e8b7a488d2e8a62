"""Loops of functions: closures given to the optimisers, one optimiser with a reversed gradient, gradients by hand."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from .. import networks, terms


def closures(h: Any) -> None:
    """Each optimiser gets a closure that clears, computes and differentiates, as LBFGS asks for."""
    G, D = networks.generator(h.case), networks.critic(h.case)
    kind = h.option("optimizer", "adam")
    opt_g, opt_d = h.optimizer("generator", G, D, kind), h.optimizer("critic", D, G, kind)
    terms.freeze_part(h, G, D)
    h.attach(G, D, (opt_g, opt_d), terms.sampler(h, G))
    repeats = {"critic": int(h.option("n_critic", 2)), "generator": 1}
    if times := h.has("swapped"):
        repeats = {"critic": 1, "generator": times}
    gp = bool(h.option("gp"))

    def of_critic(real: Tensor, fake: Tensor) -> Any:
        def closure() -> Tensor:
            if not h.has("keep_d"):
                opt_d.zero_grad()
            if h.has("scores_without_grad"):
                with torch.no_grad():
                    loss = terms.critic_loss(h, D(real), D(fake))
            else:
                loss = terms.critic_loss(h, D(h.shown(real)), D(fake))
            if gp:
                loss = loss + terms.gradient_penalty(h, D, real, fake)
            if h.has("rewrapped_d"):
                loss = terms.rewrapped(loss)
            loss.backward()
            return loss

        return closure

    def of_generator(z: Tensor) -> Any:
        def closure() -> Tensor:
            if not h.has("keep_g"):
                opt_g.zero_grad()
            fake = G(z)
            scores = D(fake.detach() if h.has("detach_g") else fake)
            if h.has("detach_g"):
                scores = scores + 0.0 * fake.sum()
            loss = terms.generator_loss(h, scores)
            loss.backward()
            return loss

        return closure

    for step in range(h.steps):
        if h.resumed(step):  # the state of the optimisers was not in the checkpoint
            if h.has("resumed_rightly"):
                state = opt_d.state_dict()
                opt_d.load_state_dict(state)
            else:
                opt_g.state.clear()
                opt_d.state.clear()
        for _ in range(repeats["critic"]):
            real, z = h.rows()[0], h.latents()
            with torch.no_grad():
                fake = G(z)
            opt_d.step(of_critic(real, fake))
        for _ in range(repeats["generator"]):
            z = h.latents()
            opt_g.step(of_generator(z))
            h.tell(real, z)


class Reverse(torch.autograd.Function):
    """The identity, whose gradient has the other sign."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, factor: float) -> Tensor:
        """The identity."""
        ctx.factor = factor
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        """The gradient reversed."""
        return -ctx.factor * gradient, None


def reversal(h: Any) -> None:
    """One loss, one backward, one optimiser with two groups: minimax play at once."""
    G, D = networks.generator(h.case), networks.critic(h.case)
    rates = {"generator": h.option("lr", 2e-3), "critic": h.option("lr_critic", 2e-3)}
    for player in rates:
        rates[player] *= h.has(f"rate_{player}") or 1.0
    groups = [{"params": list(G.parameters()), "lr": rates["generator"]}]
    if h.has("group_missing") == "generator":
        groups = []
    if h.has("group_missing") != "critic":
        groups.append({"params": list(D.parameters()), "lr": rates["critic"]})
    optimizer = torch.optim.Adam(groups, betas=(h.has("momentum") or h.option("beta1", 0.5), 0.99))
    if decay := h.has("weight_decay"):
        optimizer = torch.optim.AdamW(groups, betas=(h.option("beta1", 0.5), 0.99), weight_decay=decay)
    schedulers = h.schedules(optimizer)
    terms.freeze_part(h, G, D)
    h.attach(G, D, (optimizer, optimizer), terms.sampler(h, G))
    factor = -1.0 if h.has("not_reversed") else h.has("weak_reversal") or 1.0
    for _ in range(h.steps):
        real, z = h.rows()[0], h.latents()
        fake = G(z)
        if h.has("detach_g"):
            fake = fake.detach() + 0.0 * fake
        loss = terms.critic_loss(h, D(h.shown(real)), D(Reverse.apply(fake, factor)))
        if not h.has("keep_d"):
            optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        for s in schedulers:
            s.step()
        h.tell(real, z)


def by_hand(h: Any) -> None:
    """Gradients of both players at the same point by autograd.grad, written into .grad."""
    G, D = networks.generator(h.case), networks.critic(h.case)
    kind = h.option("optimizer", "adam")
    opt_g, opt_d = h.optimizer("generator", G, D, kind), h.optimizer("critic", D, G, kind)
    schedulers = h.schedules(opt_g, opt_d)
    h.attach(G, D, (opt_g, opt_d), terms.sampler(h, G))
    theta, psi = list(G.parameters()), list(D.parameters())
    for step in range(h.steps):
        if h.resumed(step) and h.has("schedule_lost"):
            for o in (opt_g, opt_d):
                o.param_groups[0]["lr"] = o.param_groups[0]["initial_lr"]
            schedulers = h.schedules(opt_g, opt_d)
        real, z = h.rows()[0], h.latents()
        fake = G(z)
        score_real, score_fake = D(h.shown(real)), D(fake)
        loss_d = terms.critic_loss(h, score_real, score_fake)
        if h.option("r1"):
            loss_d = loss_d + terms.r1(h, D, real)
        loss_g = terms.generator_loss(h, score_fake)
        if h.has("adversarial_detached"):
            loss_g = loss_g.detach() + F.mse_loss(fake.mean(0), real.mean(0))
        grads_d = torch.autograd.grad(loss_d, psi, retain_graph=True, allow_unused=True)
        grads_g = torch.autograd.grad(loss_g, theta)
        if h.has("exchanged_signs"):  # one sign for both lists: the generator climbs
            grads_g = tuple(-g for g in grads_g)
        for p, g in [*zip(psi, grads_d, strict=True), *zip(theta, grads_g, strict=True)]:
            p.grad = (p.grad + g if p.grad is not None else g) if h.has("added_up") else g
        opt_d.step()
        if not h.has("no_step_g"):
            opt_g.step()
        for s in schedulers:
            s.step()
        h.tell(real, z)
