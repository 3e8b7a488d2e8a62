"""Trainings with and without clamping, many seeds at once, and what `studies/jacobian_clamping.py` measures of them.

They train by ``training.seeds.train``. The results in ``docs/results/jacobian_clamping.json`` come from a stack of this
study's own, in which the directions of the clamping were drawn from one stream for all seeds; now each seed draws its
own, and the latents come from the run's seed, so that the same seeds give other runs of the same distribution.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from tightrope import conditioning, methods, training
from tightrope.data import open_data
from tightrope.methods import Method
from tightrope.metrics import frechet_distance, mode_coverage, wasserstein1
from tightrope.networks import NETWORKS
from tightrope.penalties import Penalty, jacobian_clamping

SEEDS = tuple(range(100, 120))
POINTS = 800
LATENTS = 256


@dataclass(frozen=True)
class Setup:
    """Data and training of one experiment."""

    data: str
    latent: int
    learning_rate: float
    steps: int
    bounds: tuple[float, float] = (0.5, 5.0)
    epsilon: float = 0.5
    width: int = 128
    batch: int = 64
    plain_relu: bool = False


def blobs(n: int, seed: int) -> Tensor:
    """Images [n, 1, 10, 10] in [-1, 1] of one Gaussian bump: centre U[2, 7]^2, width U[0.8, 1.6], height U[0.4, 1]."""
    rng = torch.Generator().manual_seed(seed)
    u = torch.rand(n, 4, generator=rng)
    x, y, w, a = 2 + 5 * u[:, 0], 2 + 5 * u[:, 1], 0.8 + 0.8 * u[:, 2], 0.4 + 0.6 * u[:, 3]
    grid = torch.arange(10.0)
    squares = (grid[None, None, :] - x[:, None, None]) ** 2 + (grid[None, :, None] - y[:, None, None]) ** 2
    return (2 * a[:, None, None] * (-squares / (2 * w[:, None, None] ** 2)).exp() - 1)[:, None]


def factors(images: Tensor) -> Tensor:
    """Centroid x and y, mass and spread of images in [-1, 1]: [n, 4]."""
    light = ((images[:, 0].double() + 1) / 2).clamp(min=0)
    mass = light.sum((1, 2)).clamp(min=1e-9)
    grid = torch.arange(10.0, dtype=torch.float64)
    x, y = (light.sum(1) * grid).sum(1) / mass, (light.sum(2) * grid).sum(1) / mass
    squares = (grid[None, None, :] - x[:, None, None]) ** 2 + (grid[None, :, None] - y[:, None, None]) ** 2
    return torch.stack([x, y, mass, ((light * squares).sum((1, 2)) / mass).sqrt()], 1)


def table(name: str, split: str) -> Tensor:
    """All real samples of a data set in training scale."""
    if name == "blobs":
        return blobs(20_000 if split == "train" else 10_000, {"train": 7, "test": 8}[split])
    data = open_data(name, split=split)
    return data.batch(torch.arange(len(data))).x


def networks(setup: Setup, shape: tuple[int, ...], seed: int) -> tuple[nn.Module, nn.Module]:
    if setup.plain_relu:
        return relu_networks(setup, shape, seed)
    rng = torch.Generator().manual_seed(seed)
    build = NETWORKS["mlp"]
    options = {"width": setup.width, "depth": 2, "rng": rng}
    return build.generator(shape, latent=setup.latent, **options), build.critic(shape, **options)


def relu_networks(setup: Setup, shape: tuple[int, ...], seed: int) -> tuple[nn.Module, nn.Module]:
    """Two hidden layers, ReLU, torch's default initialisation; images end in tanh."""
    d, w = torch.Size(shape).numel(), setup.width
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        ends = [nn.Tanh(), nn.Unflatten(1, shape)] if len(shape) == 3 else []
        hidden = [nn.Linear(setup.latent, w), nn.ReLU(), nn.Linear(w, w), nn.ReLU()]
        generator = nn.Sequential(*hidden, nn.Linear(w, d), *ends)
        scores = [nn.Linear(d, w), nn.ReLU(), nn.Linear(w, w), nn.ReLU(), nn.Linear(w, 1)]
        return generator, nn.Sequential(nn.Flatten(), *scores)


def build(setup: Setup, *, clamp: bool, name: str = "dcgan", **options: Any) -> Method:
    """A method of the library at the setup's rate, with or without clamping at the setup's bounds."""
    method = methods.build(name, learning_rate=setup.learning_rate, **options)
    if not clamp:
        return method
    bounds = {"low": setup.bounds[0], "high": setup.bounds[1], "epsilon": setup.epsilon}
    return replace(method, generator_penalties=(Penalty(jacobian_clamping, bounds, player="generator"),))


def score(generator: nn.Module, latent: int) -> conditioning.Conditioning:
    z = torch.randn(LATENTS, latent, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    return conditioning.measure(generator, z, dtype=torch.float64)


def judge(setup: Setup, generator: nn.Module, test: Tensor) -> dict[str, Any]:
    """Score and distance of one generator."""
    measured = score(generator, setup.latent)
    z = torch.randn(POINTS, setup.latent, generator=torch.Generator().manual_seed(6))
    with torch.no_grad():
        fake = generator(z)
    row: dict[str, Any] = {"score": measured.mean, "quantiles": measured.quantiles, "dead": int(measured.dead.sum())}
    row["spectrum"] = [float(v) for v in measured.mean_spectrum]
    if setup.data == "blobs":
        real = factors(test[:POINTS])
        scale = factors(test).std(0)
        row["w1"] = wasserstein1(real / scale, factors(fake) / scale)
    elif setup.data.startswith("toy:"):
        row["w1"] = wasserstein1(test[:POINTS], fake)
        mixture = open_data(setup.data, limit=10).mixture
        assert mixture is not None
        row["modes"] = int(mode_coverage(fake, mixture.means, mixture.std).covered)
    else:
        row["pixel_frechet"] = frechet_distance(test.flatten(1), fake.flatten(1))
    return row


def batches(real: Tensor, size: int, seed: int) -> Iterator[Tensor]:
    """Endless batches, drawn with replacement from a stream of the seed's own."""
    rng = torch.Generator().manual_seed(1_000_003 * seed + 1)
    while True:
        yield real[torch.randint(len(real), (size,), generator=rng)]


def run(
    setup: Setup, method: Method, seeds: tuple[int, ...] = SEEDS, *, track: tuple[int, ...] = ()
) -> tuple[list[dict[str, Any]], float]:
    """Train all seeds and judge each; the second value is the processor time of the training alone."""
    real, test = table(setup.data, "train"), table(setup.data, "test")
    judging = 0.0

    def measure(run: training.Run, seed: int) -> dict[str, Any]:
        nonlocal judging
        began = time.process_time()
        found: dict[str, Any] = {}
        if run.step in track:
            found["curve"] = score(run.generator, setup.latent).mean
        if run.step == setup.steps:
            found |= judge(setup, run.generator, test)
        judging += time.process_time() - began
        return found

    began = time.process_time()
    trained = training.seeds.train(
        method,
        lambda seed: networks(setup, tuple(real.shape[1:]), seed),
        lambda seed: batches(real, setup.batch, seed),
        seeds,
        steps=setup.steps,
        batch_size=setup.batch,
        latent=setup.latent,
        measure=measure,
        at={*track, setup.steps},
        how="stack",
        ema_half_life_images=0.0,
    )
    seconds = time.process_time() - began - judging
    rows = []
    for one in trained:
        if one.error is not None:
            raise one.error
        curve = [one.measured[step]["curve"] for step in track]
        rows.append(one.measured[setup.steps] | {"seed": one.seed} | ({"curve": curve} if track else {}))
    return rows, seconds
