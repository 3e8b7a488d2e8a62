"""How often does Jacobian clamping act? Gains outside of its bounds, in the setups of docs/conditioning.md.

    OMP_NUM_THREADS=1 python benchmarks/checks/clamping_gains.py [--only JC-3 ...]

Writes docs/results/clamping_gains.json: networks, data, rates, steps, bounds and epsilon of JC-3, JC-4, JC-6 and of
their repetitions with ReLU networks, five seeds from 300 on, trained without and with clamping. Of each generator the
gains of 4,096 latents, one direction each, as the penalty takes them: the shares below and above the bounds.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from torch import Tensor, nn

from tightrope import conditioning, methods, training
from tightrope.data import open_data
from tightrope.networks import NETWORKS
from tightrope.penalties import Penalty, jacobian_clamping

OUT = Path(__file__).parents[2] / "docs" / "results" / "clamping_gains.json"
SEEDS, WIDTH, BATCH, EPSILON, LATENTS = tuple(range(300, 305)), 128, 64, 0.5, 4096
SETUPS: dict[str, tuple[str, int, float, int, tuple[float, float], bool]] = {
    "JC-3": ("blobs", 4, 2e-3, 1500, (0.5, 5.0), False),
    "JC-4": ("toy:grid", 2, 3e-3, 1500, (0.5, 3.0), False),
    "JC-6": ("toy:ring", 2, 1e-3, 2500, (0.5, 3.0), False),
    "JC-3R": ("blobs", 4, 2e-3, 1500, (0.5, 5.0), True),
    "JC-4R": ("toy:grid", 2, 3e-3, 1500, (0.5, 3.0), True),
}
"""Data, latent, rate, steps, bounds, and whether the networks have ReLU and torch's initialisation."""


def blobs(n: int, seed: int) -> Tensor:
    """Images [n, 1, 10, 10] in [-1, 1] of one Gaussian bump: centre U[2, 7]^2, width U[0.8, 1.6], height U[0.4, 1]."""
    u = torch.rand(n, 4, generator=torch.Generator().manual_seed(seed))[:, :, None, None]
    at = torch.arange(10.0)
    squares = (at[None, None, :] - 2 - 5 * u[:, 0]) ** 2 + (at[None, :, None] - 2 - 5 * u[:, 1]) ** 2
    height, width = 0.4 + 0.6 * u[:, 3], 0.8 + 0.8 * u[:, 2]
    return (2 * height * (-squares / (2 * width**2)).exp() - 1)[:, None]


def samples(name: str) -> Tensor:
    """All training samples."""
    if name == "blobs":
        return blobs(20_000, 7)
    data = open_data(name, split="train")
    return data.batch(torch.arange(len(data))).x


def networks(shape: tuple[int, ...], latent: int, relu: bool, seed: int) -> tuple[nn.Module, nn.Module]:
    """Generator and critic of two hidden layers."""
    if not relu:
        rng, build = torch.Generator().manual_seed(seed), NETWORKS["mlp"]
        made = build.generator(shape, latent=latent, width=WIDTH, depth=2, rng=rng)
        return made, build.critic(shape, width=WIDTH, depth=2, rng=rng)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        d = torch.Size(shape).numel()
        ends = [nn.Tanh(), nn.Unflatten(1, shape)] if len(shape) == 3 else []

        def body(i: int, o: int) -> list[nn.Module]:
            return [nn.Linear(i, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, o)]

        return nn.Sequential(*body(latent, d), *ends), nn.Sequential(nn.Flatten(), *body(d, 1))


def shares(name: str, clamp: bool) -> dict[str, Any]:
    """The shares of gains below and above the bounds after training, a value per seed."""
    data, latent, rate, steps, bounds, relu = SETUPS[name]
    real = samples(data)
    method = methods.build("dcgan", learning_rate=rate)
    if clamp:
        settings = {"low": bounds[0], "high": bounds[1], "epsilon": EPSILON}
        method = replace(method, generator_penalties=(Penalty(jacobian_clamping, settings, player="generator"),))

    def batches(seed: int) -> Iterator[Tensor]:
        rng = torch.Generator().manual_seed(seed)
        while True:
            yield real[torch.randint(len(real), (BATCH,), generator=rng)]

    def measure(run: training.Run, seed: int) -> dict[str, float]:
        rng = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            z = torch.randn(LATENTS, latent, generator=rng)
            gain = conditioning.finite_gain(run.generator, z, epsilon=EPSILON, rng=rng)
        return {"below": float((gain < bounds[0]).double().mean()), "above": float((gain > bounds[1]).double().mean())}

    trained = training.seeds.train(
        method,
        lambda seed: networks(tuple(real.shape[1:]), latent, relu, seed),
        batches,
        SEEDS,
        steps=steps,
        batch_size=BATCH,
        latent=latent,
        measure=measure,
        at={steps},
        how="stack",
        ema_half_life_images=0.0,
    )
    return {side: [round(one.measured[steps][side], 4) for one in trained] for side in ("below", "above")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", choices=list(SETUPS), default=list(SETUPS))
    torch.set_num_threads(1)
    found = json.loads(OUT.read_text()) if OUT.is_file() else {}
    for name in parser.parse_args().only:
        found[name] = {"plain": shares(name, False), "clamped": shares(name, True)}
        OUT.write_text(json.dumps(found, indent=1) + "\n")
        print(name, {arm: {side: round(fmean(v), 4) for side, v in of.items()} for arm, of in found[name].items()})


if __name__ == "__main__":
    main()
