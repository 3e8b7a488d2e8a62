"""One adapter from the oracle file's cases to this library's losses, penalties, perturbations and optimisers."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import torch

from tightrope import losses, penalties, toys
from tightrope.constraints import clip_weights_
from tightrope.optimizers import (
    SIMULTANEOUS,
    ExtraSGD,
    Lookahead,
    Momentum,
    OptimisticSGD,
    consensus,
    extragradient_step,
    in_sequence,
    lead,
    outer_step,
    symplectic,
)
from tightrope.penalties import Penalty
from tightrope.perturbations import InstanceNoise

FILE = Path(__file__).parent / "oracles" / "dirac_gan.json"
LOSS = {
    "logistic": losses.minimax,
    "wasserstein": losses.wasserstein,
    "lsgan": losses.least_squares,
}
FLIP = torch.tensor([1.0, -1.0], dtype=torch.float64)  # the file's critic scores fakes high


def oracles():
    return json.loads(FILE.read_text())


def complex_values(case):
    return [complex(e["re"], e["im"]) for e in case["eigenvalues"]]


def gamma_penalty(function, gamma, **more):
    return Penalty(function, {"gamma": gamma, **more})


def one_centred(p, one_sided=False):
    return Penalty(penalties.gradient_penalty, {"weight": p["gamma"] / 2, "target": p["g0"], "one_sided": one_sided})


PENALTIES = {
    "r1": lambda p: (gamma_penalty(penalties.r1, p["gamma"]),),
    "r2": lambda p: (gamma_penalty(penalties.r2, p["gamma"]),),
    "r1r2": lambda p: (gamma_penalty(penalties.r1, p["gamma"]), gamma_penalty(penalties.r2, p["gamma"])),
    "ar1": lambda p: (gamma_penalty(penalties.finite_difference_r1, 2 * p["lam"] * p["sigma"] ** 2, sigma=p["sigma"]),),
    "wgan_gp": lambda p: (one_centred(p),),
    "wgan_lp": lambda p: (one_centred(p, one_sided=True),),
}
PENALTIES["ns_r1"] = PENALTIES["r1"]


def toy(method, params, theta=0.0, psi=0.0):
    """The game of a case as a Toy; ``psi`` in the file's sign."""
    loss = LOSS[params.get("f", "logistic")]
    if method in ("nsgan", "ns_r1") and loss is losses.minimax:
        loss = losses.non_saturating
    return toys.dirac_gan(
        loss,
        theta=theta,
        psi=-psi,
        penalties=PENALTIES[method](params) if method in PENALTIES else (),
        perturbation=InstanceNoise(params["sigma"]) if method == "instance_noise" else None,
        spread=params.get("s", 0.0),
    )


def game(method, params, theta=0.0, psi=0.0):
    """Losses, players and projections of a case."""
    made = toy(method, params, theta, psi)
    project = {1: partial(clip_weights_, made.critic, params["clip"])} if "clip" in params else None
    if method == "conopt":
        return consensus(made.losses, made.players, gamma=params["gamma"]), made.players, project
    if method == "conopt_refbug":
        return notebook(made, params["gamma"]), made.players, project
    return made.losses, made.players, project


def notebook(made, gamma):
    """The authors' notebook, not this library: its correction is half the true one plus half of ``f'^2 x``."""
    true = consensus(made.losses, made.players, gamma=gamma / 2)

    def corrected(i):
        score = made.critic(made.generator(made.z)).detach().requires_grad_()
        (slope,) = torch.autograd.grad(made.method.loss.generator(score), score, create_graph=True)
        (p,) = made.players[i].parameters()
        return true[i]() + gamma / 4 * (slope.detach().square().sum() * p.square()).sum()

    return tuple(partial(corrected, i) for i in range(2))


def descend(players, rates):
    return [torch.optim.SGD(player.parameters(), lr=h) for player, h in zip(players, rates, strict=True)]


def order(case):
    return SIMULTANEOUS if case["scheme"] == "sim" else ((0,),) * case.get("n_g", 1) + ((1,),) * case["n_d"]


def gradient_play(case, theta=0.0, psi=0.0):
    """Step, players and optimisers of an update-operator or trajectory case."""
    made, players, project = game(case["method"], case["params"], theta, psi)
    optimizers = descend(players, (case.get("h_g", case.get("h")), case.get("h_d", case.get("h"))))
    return outer_step(made, players, optimizers, order(case), project=project), players, optimizers


def optimizer_case(case):
    """Step, players and optimisers of a game-optimiser case: the linear game of strength ``a`` is a Dirac-GAN."""
    name, p = case["id"], case["params"]
    h = p["h"]
    method = "r1" if p.get("gamma") and "k" not in p else "gan"
    made = toy(method, {"f": "logistic" if p["a"] == 0.5 else "wasserstein", **p})
    players, both = made.players, [q for player in made.players for q in player.parameters()]
    alternate = ((0,), (1,))
    if name.startswith(("extragradient", "proximal")):
        optimizers = [ExtraSGD(player.parameters(), lr=h) for player in players]
        looks = 60 if name == "proximal_point" else 1
        return extragradient_step(made.losses, players, optimizers, extrapolations=looks), players, optimizers
    if name.startswith("OGDA"):
        optimizers = [OptimisticSGD(player.parameters(), lr=h) for player in players]
        return outer_step(made.losses, players, optimizers, SIMULTANEOUS), players, optimizers
    if name.startswith(("conopt", "SGA")):
        term = (
            partial(consensus, gamma=p.get("lam", 1.0))
            if "conopt" in name
            else partial(symplectic, weight=p.get("lam", 1.0))
        )
        optimizers = descend(players, (h, h))
        return outer_step(term(made.losses, players), players, optimizers, SIMULTANEOUS), players, optimizers
    if name.startswith("LEAD"):
        optimizers = [Momentum(player.parameters(), lr=h, momentum=p["beta"]) for player in players]
        corrected = lead(made.losses, players, optimizers, alpha=p["alpha"])
        return outer_step(corrected, players, optimizers, SIMULTANEOUS), players, optimizers
    if "momentum" in name:
        beta, averaged = p.get("beta", p.get("beta1")), "ema" in name
        optimizers = [
            Momentum(player.parameters(), lr=h, momentum=beta, dampening=beta if averaged else 0.0)
            for player in players
        ]
        scheme = SIMULTANEOUS if name.startswith("sim") else alternate
        return outer_step(made.losses, players, optimizers, scheme), players, optimizers
    optimizers = descend(players, (h, h))
    if name.startswith("lazy"):
        penalty = Penalty(penalties.r1, {"gamma": p["gamma"]}, every=p["k"])
        made = toys.dirac_gan(LOSS["logistic"], theta=0.0, psi=0.0, penalties=(penalty,))
        steps = [outer_step(made.losses_at(i), made.players, optimizers, alternate) for i in range(p["k"])]
        optimizers[:] = descend(made.players, (h, h))
        return in_sequence(*steps), made.players, optimizers
    scheme = SIMULTANEOUS if "simGD" in name else alternate
    step = outer_step(made.losses, players, optimizers, scheme)
    if name.startswith("lookahead"):
        slow = Lookahead(both, k=5, alpha=0.5)
        return in_sequence(*[step, slow.step] * 5), players, [*optimizers, slow]
    return step, players, optimizers
