"""Random games with random optimisers near an equilibrium, and the rate at which the real steps move them."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import nn

from dirac_cases import descend
from tightrope import losses, penalties, toys
from tightrope.dynamics import predict
from tightrope.dynamics.players import flatten
from tightrope.optimizers import SIMULTANEOUS, Momentum, OptimisticSGD, alternating, outer_step
from tightrope.penalties import Penalty

F64 = torch.float64


def linear_game(rng):
    n, m = int(rng.integers(1, 4)), int(rng.integers(1, 4))
    P = torch.from_numpy(rng.standard_normal((m, n)))
    loss = [losses.minimax, losses.non_saturating, losses.wasserstein, losses.least_squares][rng.integers(4)]
    chosen = [(penalties.r1,), (penalties.r2,), (penalties.r1, penalties.r2)][rng.integers(3)]
    gamma = float(10 ** rng.uniform(-1, 0.7))
    return toys.dirac_gan(
        loss,
        theta=[0.0] * n,
        psi=[0.0] * m,
        coupling=P,
        penalties=tuple(Penalty(f, {"gamma": gamma}) for f in chosen),
    )


def quadratic_game(rng):
    loss = [losses.minimax, losses.non_saturating][rng.integers(2)]
    return toys.gaussian_quadratic(
        loss, penalties=(Penalty(penalties.r1, {"gamma": float(10 ** rng.uniform(-1.5, 0.3))}),)
    )


def network_game(rng):
    """Networks at an exact equilibrium: the generator makes the data and the critic's last layer is zero."""
    generator = nn.Sequential(nn.Linear(1, 1)).to(F64)
    critic = nn.Sequential(nn.Linear(1, 4), nn.Tanh(), nn.Linear(4, 1)).to(F64)
    with torch.no_grad():
        for p in [*generator.parameters(), *critic.parameters()]:
            p.copy_(torch.from_numpy(rng.standard_normal(p.shape)))
        for p in critic[2].parameters():
            p.zero_()
        generator[0].weight.fill_(1.0)
    z = torch.from_numpy(rng.standard_normal((8, 1)))
    real = generator(z).detach()
    gamma = float(10 ** rng.uniform(-1, 0.5))
    return toys.Toy(
        generator,
        critic,
        real,
        z,
        toys.under(losses.non_saturating, penalties=(Penalty(penalties.r1, {"gamma": gamma}),)),
    )


def random_training(seed):
    rng = np.random.default_rng(seed)
    made = [linear_game, linear_game, quadratic_game, network_game][seed % 4](rng)
    rates = [float(10 ** rng.uniform(-1.5, 0.4)) for _ in range(2)]
    kind = rng.integers(4)
    if kind == 0:
        beta = float(rng.uniform(-0.6, 0.6))
        optimizers = [Momentum(p.parameters(), lr=h, momentum=beta) for p, h in zip(made.players, rates, strict=True)]
    elif kind == 1:
        optimizers = [OptimisticSGD(p.parameters(), lr=h) for p, h in zip(made.players, rates, strict=True)]
    else:
        optimizers = descend(made.players, rates)
    order = SIMULTANEOUS if rng.random() < 0.4 else alternating(int(rng.integers(1, 4)))
    return outer_step(made.losses, made.players, optimizers, order), made.players, optimizers, rng


def observed_rate(step, players, rng, expected):
    """Factor per step of the distance moved, by a line through its logarithm over whole turns at the end."""
    parameters = [p for player in players for p in player.parameters()]
    with torch.no_grad():
        for p in parameters:
            p.add_(torch.from_numpy(rng.standard_normal(tuple(p.shape))) * 1e-7)
    steps = int(min(max(12 / abs(math.log(expected)), 30), 600))
    logs, before = [], flatten([p.detach() for p in parameters]).clone()
    for _ in range(steps):
        step()
        now = flatten([p.detach() for p in parameters]).clone()
        moved = float(torch.linalg.vector_norm(now - before))
        if not 1e-14 < moved < 1e-2:
            break
        logs.append(math.log(moved))
        before = now
    tail = logs[len(logs) // 2 :]
    return math.exp(np.polyfit(range(len(tail)), tail, 1)[0]) if len(tail) > 4 else float("nan")


def compare(seeds):
    agree, rates, counted = 0, [], 0
    for seed in seeds:
        step, players, optimizers, rng = random_training(seed)
        found = predict(step, players, optimizers)
        if abs(found.rate - 1) < 0.02 or found.rate < 0.3 or found.rate > 3:
            continue  # within 2 % of the boundary, or too fast to measure a rate
        seen = observed_rate(step, players, rng, found.rate)
        if math.isnan(seen):
            continue
        counted += 1
        agree += (seen < 1) == (found.verdict == "convergent")
        rates.append(math.log(seen) / math.log(found.rate) - 1)
    return counted, agree, np.abs(rates)
