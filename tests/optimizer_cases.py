"""Update rules for games, and one step of each."""

from __future__ import annotations

import torch

from tightrope import losses, toys
from tightrope.optimizers import (
    SIMULTANEOUS,
    ExtraAdam,
    ExtraSGD,
    Momentum,
    OptimisticAdam,
    OptimisticSGD,
    extragradient_step,
    outer_step,
)

F64 = torch.float64
OPTIMIZERS = {
    "momentum": lambda p: Momentum(p, lr=0.1, momentum=-0.4, dampening=0.2),
    "extra_sgd": lambda p: ExtraSGD(p, lr=0.1),
    "extra_adam": lambda p: ExtraAdam(p, lr=0.1),
    "optimistic_sgd": lambda p: OptimisticSGD(p, lr=0.1),
    "optimistic_adam": lambda p: OptimisticAdam(p, lr=0.1),
}


def bilinear(theta=1.0, psi=0.5):
    return toys.dirac_gan(losses.wasserstein, theta=theta, psi=psi)


def game_step(name, made):
    optimizers = [OPTIMIZERS[name](player.parameters()) for player in made.players]
    build = extragradient_step if name.startswith("extra") else outer_step
    return build(made.losses, made.players, optimizers, SIMULTANEOUS), optimizers


def values(made):
    return [next(p.parameters()).item() for p in made.players]


def adam(gradients, beta1=0.5, beta2=0.9, eps=1e-8):
    """Directions of Adam along a sequence of scalar gradients."""
    m = s = 0.0
    out = []
    for t, g in enumerate(gradients, start=1):
        m, s = beta1 * m + (1 - beta1) * g, beta2 * s + (1 - beta2) * g * g
        out.append(m / (1 - beta1**t) / ((s / (1 - beta2**t)) ** 0.5 + eps))
    return out
