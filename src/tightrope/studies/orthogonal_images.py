"""Orthogonal WGAN (1911.13060) on images, every way of holding the critic beside WGAN-GP with the same activation.

Fashion-MNIST at 16 pixels, DCGAN of width 16, five critic steps (WGAN-TTUR: one). What the paper measures could be
read in part only; formulas and settings are our reading. Gradients are compared where the samples are equally far from
the data, since they get noisier as samples get better.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from tightrope import methods
from tightrope.methods import Method
from tightrope.networks import NETWORKS
from tightrope.studies.design import Cell, Part, Row, Scale, cells
from tightrope.studies.images import checkpoints, drawn, kernel_values, summary
from tightrope.training import Run

PAPER, WHEN = "1911.13060", "2026-11-27"
COSTS = {"hard": 3.3, "soft": 3.2, "svd": 3.0, "gp": 4.4, "ttur": 1.0}
BATCHES = 8


def _arms(part: str, arms: Sequence[tuple[str, str, str]], steps: int, **other: Any) -> tuple[Cell, ...]:
    """Cells of arm, activation and initialisation."""
    shared = {"part": part, "rate": 5e-4, "budget": "steps", "steps": steps, "data": "fashion_mnist", "pixels": 16,
              "width": 16, "latent": 64, "batch": 64, "checkpoints": 10}  # fmt: skip
    return tuple(
        cell
        for arm, activation, init in arms
        for cell in cells(**{**shared, "arm": arm, "activation": activation, "init": init, "cost": COSTS[arm], **other})
    )


def _choose(seeds: Sequence[int]) -> tuple[Part, ...]:
    """Which weights an arm that does not start orthogonal begins with, on a seed of its own."""
    gp = _arms("choose", [("gp", "groupsort", init) for init in ("n002", "he")], 100)
    ttur = _arms("choose", [("ttur", "leaky_relu", init) for init in ("n002", "he")], 300)
    return (Part((*gp, *ttur), tuple(seeds), fixed=True, seconds=12),)


GRID = {"smoke": (), "cpu": _choose((7590,)), "paper": ()}
CLAIMS = ()


def run_one(cell: Cell, seed: int, scale: Scale) -> Mapping[str, Any]:
    """One image WGAN, with its critic's kernels and the generator's gradient at every checkpoint.

    Returns:
        Beside the summary: by checkpoint ``error`` (largest distance of a kernel's singular value from 1), ``noise``
        (log of the gradient's signal to noise), ``strength`` and ``variation`` (of the gradient at the samples).
    """
    seen, error, gradients = [], [], []
    rng = torch.Generator().manual_seed(1000 * seed + 2)
    for one in checkpoints(_method(cell), cell, seed, _networks):
        seen.append(one)
        error.append(max(float((values - 1).abs().max()) for values in kernel_values(one.run.critic)))
        gradients.append(_gradient(one.run, int(cell["batch"]), int(cell["latent"]), rng))
    noise, strength, variation = map(list, zip(*gradients, strict=True))
    return {**summary(seen), "error": error, "noise": noise, "strength": strength, "variation": variation}


def _method(cell: Cell) -> Method:
    arm, rate = str(cell["arm"]), float(cell["rate"])
    if arm == "gp":
        return methods.build("wgan_gp", learning_rate=rate)
    if arm == "ttur":
        return methods.build("wgan_ttur", critic_learning_rate=2 * rate, generator_learning_rate=rate)
    return methods.build("orthogonal_wgan", way=arm, learning_rate=rate)


def _networks(cell: Cell, shape: tuple[int, ...], rng: torch.Generator) -> tuple[nn.Module, nn.Module]:
    width, unused = int(cell["width"]), torch.Generator().manual_seed(0)
    G = NETWORKS["dcgan"].generator(shape, latent=int(cell["latent"]), width=width, rng=rng)
    D = NETWORKS["dcgan"].critic(shape, width=width, activation=str(cell["activation"]), rng=unused)
    return G, drawn(D, str(cell["init"]), rng)


def _gradient(run: Run, batch: int, latent: int, rng: torch.Generator) -> tuple[float, float, float]:
    """Log of squared mean over trace of covariance of the generator's gradient; mean norm at samples; its variation."""
    generator = copy.deepcopy(run.generator)
    parameters, rows, norms = list(generator.parameters()), [], []
    for _ in range(BATCHES):
        fake = generator(torch.randn(batch, latent, generator=rng))
        (slopes,) = torch.autograd.grad(-run.critic(fake).sum(), fake, retain_graph=True)
        norms.append(slopes.flatten(1).norm(dim=1))
        found = torch.autograd.grad(fake, parameters, slopes / batch)
        rows.append(torch.cat([g.flatten() for g in found]).double())
    every, lengths = torch.stack(rows), torch.cat(norms)
    scatter = every.var(0).sum()
    signal = (every.mean(0).square().sum() - scatter / BATCHES).clamp(min=1e-3 * float(scatter))
    return float((signal / scatter).log()), float(lengths.mean()), float(lengths.std() / lengths.mean())


def figures(rows: Sequence[Row]) -> Mapping[str, str]:
    """None yet."""
    return {}
