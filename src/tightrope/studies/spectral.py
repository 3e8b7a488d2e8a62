"""Spectral normalization (1802.05957) on images: ways to hold a critic, at two optimiser settings of the paper.

Fashion-MNIST at 16 pixels, the paper's standard CNN with an eighth of its channels, 240 generator steps at setting D
and 400 at C where the paper makes 100,000. N(0, 0.02) weights suit width 64; every arm therefore runs with those or
He's, whichever did better on a seed of its own (part ``choose``).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import nn

from tightrope import constraints, losses, penalties
from tightrope.data import Sampler
from tightrope.methods import Alternating, Constraint, Method, Projection
from tightrope.networks import NETWORKS
from tightrope.networks.layers import Head
from tightrope.optimizers.settings import Adam
from tightrope.penalties import Penalty
from tightrope.spectra import evenly_picked, stable_rank_fraction
from tightrope.studies.design import Cell, Part, Row, Scale, cells
from tightrope.studies.images import checkpoints, drawn, kernel_values, located, summary
from tightrope.studies.pictures import opened
from tightrope.training import start, train

PAPER, WHEN = "1802.05957", "2026-11-27"
SETTINGS: dict[str, dict[str, Any]] = {
    "C": {"rate": 2e-4, "beta1": 0.5, "beta2": 0.999, "n_critic": 1},
    "D": {"rate": 1e-3, "beta1": 0.5, "beta2": 0.9, "n_critic": 5},
}
COSTS = {"none": 1.0, "sn": 1.1, "clip": 1.1, "wn": 1.2, "orthonormal": 1.3, "wgan_gp": 1.85}


def _arms(part: str, setting: str, arms: Mapping[str, str], steps: int, **other: Any) -> tuple[Cell, ...]:
    """Cells of one setting; ``arms`` maps each arm to its initialisation."""
    image: dict[str, Any] = {"data": "fashion_mnist", "pixels": 16, "width": 8, "latent": 64, "batch": 64}
    shared = {"part": part, "setting": setting, **SETTINGS[setting], "loss": "standard", "wide": 1, "steps": steps}
    shared |= {**image, "checkpoints": 10}
    return tuple(
        cell
        for arm, init in arms.items()
        for cell in cells(**{**shared, "arm": arm, "init": init, "cost": COSTS[arm], **other})
    )


def _choose(setting: str, steps: int, arms: Sequence[str], seeds: Sequence[int], each: float, **other: Any) -> Part:
    both = tuple(cell for init in ("n002", "he") for cell in
                 _arms("choose", setting, dict.fromkeys(arms, init), steps, **other))  # fmt: skip
    return Part(both, tuple(seeds), fixed=True, seconds=steps * each)


GRID = {
    "smoke": (
        Part(_arms("time", "D", {"none": "he"}, 2, data="digits", batch=8, n_critic=1), (7490,), seconds=2),
        Part(_arms("main", "C", dict.fromkeys(COSTS, "n002"), 4, data="digits", checkpoints=2), (7490,), seconds=2),
    ),
    "cpu": (
        _choose("D", 200, ("none", "sn", "clip", "wn", "wgan_gp"), (7490,), 0.14),
        _choose("C", 300, ("none", "sn", "clip", "wgan_gp"), (7490,), 0.05),
    ),
    "paper": (),
}


def run_one(cell: Cell, seed: int, scale: Scale) -> Mapping[str, Any]:
    """One image GAN, or the time of a step of several arms in turn."""
    return _turns(cell, seed) if cell["part"] == "time" else _trained(cell, seed)


def _method(cell: Cell) -> Method:
    """An arm as the paper runs it: all but WGAN-GP with the standard loss, one Adam for both players."""
    arm, adam = str(cell["arm"]), Adam(float(cell["rate"]), (float(cell["beta1"]), float(cell["beta2"])))
    loss = losses.hinge if cell["loss"] == "hinge" else losses.non_saturating
    if arm == "wgan_gp":
        loss = losses.wasserstein
    soft = Penalty(penalties.soft_orthogonality, {"weight": 1.0}, per_sample=False)
    ways: dict[str, dict[str, Any]] = {
        "none": {},
        "sn": {"constraint": Constraint(constraints.spectral_norm)},
        "wn": {"constraint": Constraint(constraints.weight_norm)},
        "clip": {"projection": Projection(partial(constraints.clip_weights_, bound=0.05))},
        "orthonormal": {"constraint": Constraint(partial(constraints.bound_singular_values_, epsilon=0.0)),
                        "penalties": (soft,)},
        "wgan_gp": {"penalties": (Penalty(penalties.gradient_penalty, {"weight": 10.0}),)},
    }  # fmt: skip
    return Method(arm, loss, adam, adam, Alternating(int(cell["n_critic"])), **ways[arm])


def _networks(cell: Cell, shape: tuple[int, ...], rng: torch.Generator) -> tuple[nn.Module, nn.Module]:
    """The paper's standard CNN; ``wide`` times as many channels in the critic's last map."""
    width, unused = int(cell["width"]), torch.Generator().manual_seed(0)
    G = NETWORKS["sn_cnn"].generator(shape, latent=int(cell["latent"]), width=width, rng=rng)
    D: Any = NETWORKS["sn_cnn"].critic(shape, width=width, rng=unused)
    if (wide := int(cell["wide"])) > 1:
        channels = 8 * width * wide
        D.body[-2] = nn.Conv2d(4 * width, channels, 3, 1, 1)
        D.head = Head(channels * (shape[1] // 8) ** 2)
    return G, drawn(D, str(cell["init"]), rng)


def _trained(cell: Cell, seed: int) -> Mapping[str, Any]:
    """Distances, and of the critic's kernels: the largest values of all checkpoints, the spectra and ranks at the end.

    Returns:
        Beside :func:`summary`: ``sigma`` (layers by checkpoints), its ends after the first checkpoint, the stable-rank
        fraction of the six hidden convolutions and of the last two, and ``squares``, squared values over the largest.
    """
    seen, sigma = [], []
    for one in checkpoints(_method(cell), cell, seed, _networks):
        seen.append(one)
        values = kernel_values(one.run.critic)[:-1]
        sigma.append([float(layer[0]) for layer in values])
    ranks = [float(stable_rank_fraction(layer)) for layer in values[1:]]
    tops = [top for row in sigma[1:] for top in row]
    return {**summary(seen), "sigma": sigma, "sigma_low": min(tops), "sigma_high": max(tops),
            "rank": sum(ranks) / len(ranks), "rank_last": sum(ranks[-2:]) / 2,
            "squares": [((evenly_picked(v, 16) / v[0]) ** 2).tolist() for v in values]}  # fmt: skip


def _turns(cell: Cell, seed: int) -> Mapping[str, Any]:
    """Processor time of a generator step of each arm over that of none, all in turn in one process."""
    data, batch, latent = opened(located(cell), int(cell["pixels"]), "train"), int(cell["batch"]), int(cell["latent"])
    names, spent = ("none", "sn", "wn", "clip", "orthonormal", "wgan_gp"), dict[str, list[float]]()
    loops = {}
    for name in names:
        one = {**cell, "arm": name}
        G, D = _networks(one, data.shape, torch.Generator().manual_seed(seed))
        run = start(_method(one), G, D, seed=seed, latent=latent, batch_size=batch, ema_half_life_images=0.0)
        loops[name] = train(run, Sampler(data, batch, seed=seed), steps=2 + int(cell["steps"]))
    for turn in range(2 + int(cell["steps"])):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            began = time.process_time()
            next(loops[name])
            if turn > 1:
                spent.setdefault(name, []).append(time.process_time() - began)
    medians = {name: sorted(times)[len(times) // 2] for name, times in spent.items()}
    return {"time_" + name: median / medians["none"] for name, median in medians.items()}


CLAIMS: tuple[Any, ...] = ()


def figures(rows: Sequence[Row]) -> Mapping[str, str]:
    """None yet."""
    return {}
