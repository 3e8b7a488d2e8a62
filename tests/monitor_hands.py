"""Loops in which gradients do not come by one ``backward`` per player, for the tests of the Monitor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from monitor_loop import BATCH, CRITIC, GENERATOR, LATENT, bce, gp, mlp, ring
from monitor_setting import Setting
from tightrope.monitor import Monitor


class Reverse(torch.autograd.Function):
    """The identity forwards, and a factor backwards."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, factor: float) -> Tensor:
        ctx.factor = factor
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        return ctx.factor * gradient, None


def together(loss: str, rates: tuple[float, float] = (1e-3, 1e-3)) -> tuple[Setting, torch.optim.Optimizer]:
    """Two networks under one optimiser."""
    s = Setting(loss)
    groups = [{"params": list(n.parameters()), "lr": lr} for n, lr in zip((s.g, s.d), rates, strict=True)]
    optimizer = torch.optim.Adam(groups, betas=(0.5, 0.9))
    s.monitor.close()
    s.monitor = Monitor(s.g, s.d, loss=loss, every=5, budget=1e9, optimizers=(optimizer, optimizer))
    return s, optimizer


def reversal(steps: int = 20, factor: float = -1.0, cut: bool = False) -> Monitor:
    s, optimizer = together("minimax")
    for real, z in s.updates(steps):
        fake = s.g(z)
        fake = fake.detach() + 0.0 * fake if cut else fake
        loss = bce(s.d(real), 1.0) + bce(s.d(Reverse.apply(fake, factor)), 0.0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return s.monitor


def one_sum(steps: int = 20, sign: float = 1.0, unfrozen: bool = False) -> Monitor:
    """One optimiser, one backward of both losses."""
    s, optimizer = together("hinge")
    for real, z in s.updates(steps):
        fake = s.g(z)
        of_critic = CRITIC["hinge"](s.d(real), s.d(fake.detach()))
        s.d.requires_grad_(unfrozen)
        of_generator = -sign * s.d(fake).mean()
        s.d.requires_grad_(True)
        optimizer.zero_grad()
        (of_critic + of_generator).backward()
        optimizer.step()
    return s.monitor


def by_hand(
    steps: int = 20, claim: str = "least_squares", loss: str = "", sign: float = 1.0, first: str = "critic"
) -> Monitor:
    """Gradients of both players at one point by ``autograd.grad``, of the same scores, written into ``.grad``."""
    s = Setting(claim)
    for real, z in s.updates(steps):
        fake = s.g(z)
        r, f = s.d(real), s.d(fake)
        psi, theta = list(s.d.parameters()), list(s.g.parameters())
        of_critic = torch.autograd.grad(CRITIC[loss or claim](r, f), psi, retain_graph=True)
        of_generator = torch.autograd.grad(sign * GENERATOR[claim](f, r), theta)
        for p, g in zip([*psi, *theta], [*of_critic, *of_generator], strict=True):
            p.grad = g
        for optimizer in (s.opt_d, s.opt_g) if first == "critic" else (s.opt_g, s.opt_d):
            optimizer.step()
    return s.monitor


def retained(steps: int = 20, cleared: bool = True) -> Monitor:
    """Both backward passes go through the same scores before both steps; the critic's gradient is kept aside."""
    s = Setting()
    for real, z in s.updates(steps):
        fake = s.g(z)
        r, f = s.d(real), s.d(fake)
        s.opt_d.zero_grad()
        (bce(r, 1.0) + bce(f, 0.0)).backward(retain_graph=True)
        kept = [p.grad.clone() for p in s.d.parameters() if p.grad is not None]
        s.opt_g.zero_grad()
        bce(f, 1.0).backward()
        if cleared:
            for p, g in zip(s.d.parameters(), kept, strict=True):
                p.grad = g
        s.opt_d.step()
        s.opt_g.step()
    return s.monitor


def closures(steps: int = 20, scores: bool = True, loss: bool = True, sign: float = 1.0) -> Monitor:
    """Adam with closures, and a gradient penalty inside."""
    s = Setting("wgan", penalty=("gp", 10.0))
    for real, z in s.updates(steps):
        fake = s.g(z).detach()

        def of_critic(real: Tensor = real, fake: Tensor = fake) -> Tensor:
            s.opt_d.zero_grad()
            with torch.set_grad_enabled(scores):
                adversarial = s.d(fake).mean() - s.d(real).mean()
            value = adversarial + gp(10.0)(s.d, real, fake)
            value = value if loss else torch.tensor(value.item(), requires_grad=True)
            value.backward()
            return value

        def of_generator(z: Tensor = z) -> Tensor:
            s.opt_g.zero_grad()
            value = -sign * s.d(s.g(z)).mean()
            value.backward()
            return value

        s.opt_d.step(of_critic)
        s.opt_g.step(closure=of_generator)
    return s.monitor


def without_optimisers(steps: int = 20, sign: float = 1.0, half: bool = False, data: bool = False) -> Monitor:
    """Plain gradient descent written out."""
    s = Setting()
    s.monitor.close()
    s.monitor = Monitor(s.g, s.d, loss="bce", every=5, budget=1e9)

    def descend(module: nn.Module) -> None:
        with torch.no_grad():
            for p in module.parameters():
                assert p.grad is not None
                (p.data if data else p).sub_(0.02 * p.grad)
                p.grad = None

    for real, z in s.updates(steps):
        a = bce(s.d(real), 1.0)
        ((a.detach() if half else a) + bce(s.d(s.g(z).detach()), 0.0)).backward()
        descend(s.d)
        (sign * bce(s.d(s.g(z)), 1.0)).backward()
        s.d.zero_grad()
        descend(s.g)
    return s.monitor


def transformed(steps: int = 20) -> Monitor:
    """Gradients by ``torch.func``, copied into ``.grad``."""
    s = Setting()
    call = torch.func.functional_call

    def of_critic(psi: dict[str, Tensor], real: Tensor, fake: Tensor) -> Tensor:
        return bce(call(s.d, psi, (real,)), 1.0) + bce(call(s.d, psi, (fake,)), 0.0)

    def of_generator(theta: dict[str, Tensor], z: Tensor) -> Tensor:
        return bce(s.d(call(s.g, theta, (z,))), 1.0)

    for real, z in s.updates(steps):
        with torch.no_grad():
            fake = s.g(z)
        for net, optimizer, loss, given in (
            (s.d, s.opt_d, of_critic, (real, fake)),
            (s.g, s.opt_g, of_generator, (z,)),
        ):
            values = {name: p.detach() for name, p in net.named_parameters()}
            for name, g in torch.func.grad(loss)(values, *given).items():  # type: ignore[operator]
                net.get_parameter(name).grad = g
            optimizer.step()
    return s.monitor


def weights_of_its_own(steps: int = 20) -> Monitor:
    """The modules are only forms: weights live in dicts, and the optimisers hold those."""
    s = Setting()
    psi, theta = ({k: p.detach().clone().requires_grad_() for k, p in n.named_parameters()} for n in (s.d, s.g))
    opt_d, opt_g = (torch.optim.Adam(list(held.values()), 1e-3) for held in (psi, theta))
    s.monitor.close()
    s.monitor = Monitor(s.g, s.d, loss="bce", every=5, budget=1e9, optimizers=(opt_g, opt_d))
    call = torch.func.functional_call
    for real, z in s.updates(steps):
        fake = call(s.g, theta, (z,))
        opt_d.zero_grad()
        (bce(call(s.d, psi, (real,)), 1.0) + bce(call(s.d, psi, (fake.detach(),)), 0.0)).backward()
        opt_d.step()
        opt_g.zero_grad()
        bce(call(s.d, psi, (fake,)), 1.0).backward()
        opt_g.step()
    return s.monitor


def half_of_micro_batches(steps: int = 20, half: bool = True) -> Monitor:
    """Two batches are accumulated, of which the last is passed; the real half may be missing."""
    s = Setting()
    for real, _ in s.updates(steps):
        s.opt_d.zero_grad()
        for part in (ring(BATCH, s.rng), real):
            fake = s.g(torch.randn(BATCH, LATENT)).detach()
            a = bce(s.d(part), 1.0)
            (((a.detach() if half else a) + bce(s.d(fake), 0.0)) / 2).backward()
        s.opt_d.step()
        s.opt_g.zero_grad()
        for _ in range(2):
            (bce(s.d(s.g(torch.randn(BATCH, LATENT))), 1.0) / 2).backward()
        s.opt_g.step()
    return s.monitor


def lazy_r1_in_half_precision(steps: int = 110, every: int = 4, absent: bool = False) -> Monitor:
    s = Setting(penalty=("r1", 1.0), g=mlp(LATENT, 32, 2), d=mlp(2, 32, 1))
    for k, (real, z) in enumerate(s.updates(steps)):
        s.opt_d.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            loss = bce(s.d(real), 1.0) + bce(s.d(s.g(z).detach()), 0.0)
        if k % every == 0 and not absent:
            x = real.clone().requires_grad_()
            (slope,) = torch.autograd.grad(s.d(x).sum(), x, create_graph=True)
            loss = loss + every * 0.5 * slope.square().sum(1).mean()
        loss.backward()
        s.opt_d.step()
        s.opt_g.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            loss = bce(s.d(s.g(z)), 1.0)
        loss.backward()
        s.opt_g.step()
    return s.monitor


SOUND: dict[str, Callable[[], Monitor]] = {
    "one optimiser and a reversed gradient": reversal,
    "a weak reversal": lambda: reversal(factor=-0.1),
    "one backward of both losses": one_sum,
    "gradients by hand": by_hand,
    "gradients by hand, the generator first": lambda: by_hand(first="generator"),
    "one graph, two passes": retained,
    "closures": closures,
    "no optimisers": without_optimisers,
    "no optimisers, through data": lambda: without_optimisers(data=True),
    "function transforms": transformed,
    "weights of its own": weights_of_its_own,
    "micro-batches of which one is passed": lambda: half_of_micro_batches(half=False),
    "lazy r1 in half precision": lazy_r1_in_half_precision,
}
FAULTY: dict[str, tuple[str, Callable[[], Monitor]]] = {
    "not reversed": ("generator_sign_flipped", lambda: reversal(factor=1.0)),
    "cut off, times 0": ("generator_detached", lambda: reversal(cut=True)),
    "a sign in one sum": ("generator_sign_flipped", lambda: one_sum(sign=-1.0)),
    "the critic gets the generator's part of the sum": ("generator_gradient_in_critic", lambda: one_sum(unfrozen=True)),
    "a sign by hand": ("generator_sign_flipped", lambda: by_hand(sign=-1.0)),
    "another loss by hand": ("critic_loss_other", lambda: by_hand(loss="hinge")),
    "the second pass is added": ("generator_gradient_in_critic", lambda: retained(cleared=False)),
    "a closure without gradients of scores": ("critic_called_without_grad", lambda: closures(scores=False)),
    "a closure without a graph": ("critic_no_gradient", lambda: closures(loss=False)),
    "a sign in a closure": ("generator_sign_flipped", lambda: closures(sign=-1.0)),
    "a sign without an optimiser": ("generator_sign_flipped", lambda: without_optimisers(sign=-1.0)),
    "half of the loss without an optimiser": ("critic_real_half_missing", lambda: without_optimisers(half=True)),
    "half of the micro-batches": ("critic_real_half_missing", half_of_micro_batches),
    "r1 absent in half precision": ("penalty_absent", lambda: lazy_r1_in_half_precision(40, absent=True)),
    "r1 far too lazy": ("penalty_too_lazy", lambda: lazy_r1_in_half_precision(140, every=64)),
}
