"""Trainings with and without clamping, many seeds at once, and what `studies/jacobian_clamping.py` measures of them.

Parameters are stacked and the library's two half-steps mapped over them by ``torch.func``.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, vmap

from tightrope import conditioning, methods
from tightrope.data import open_data
from tightrope.methods import Method
from tightrope.methods.game import critic_objective, generator_objective
from tightrope.metrics import frechet_distance, mode_coverage, wasserstein1
from tightrope.networks import NETWORKS
from tightrope.penalties import Penalty, jacobian_clamping

SEEDS = tuple(range(100, 120))
POINTS = 800
LATENTS = 256
Parameters = dict[str, Tensor]


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


def stacked(modules: list[nn.Module]) -> Parameters:
    """Parameters of equal modules with a leading seed axis, as leaves."""
    names = dict(modules[0].named_parameters())
    return {k: torch.stack([dict(m.named_parameters())[k].detach() for m in modules]).requires_grad_() for k in names}


class Stack:
    """Networks of many seeds that train together; the seeds share nothing but the clock."""

    def __init__(self, setup: Setup, method: Method, seeds: tuple[int, ...], real: Tensor, randomness: str) -> None:
        pairs = [networks(setup, tuple(real.shape[1:]), seed) for seed in seeds]
        self.setup, self.method, self.real, self.seeds = setup, method, real, seeds
        (self.generator, self.critic) = pairs[0]
        self.g, self.c = stacked([g for g, _ in pairs]), stacked([c for _, c in pairs])
        self.g_adam = self._adam(self.g, method.generator_optimizer.learning_rate)
        self.c_adam = self._adam(self.c, method.critic_optimizer.learning_rate)
        self.streams = [torch.Generator().manual_seed(1_000_003 * seed + 1) for seed in seeds]
        self.critic_gradient = vmap(grad_and_value(self._critic_loss), randomness=randomness)
        self.generator_gradient = vmap(grad_and_value(self._generator_loss), randomness=randomness)
        self.samples = vmap(lambda g, z: functional_call(self.generator, g, (z,)))

    def _adam(self, parameters: Parameters, rate: Any) -> torch.optim.Optimizer:
        betas = self.method.generator_optimizer.betas
        return torch.optim.Adam(list(parameters.values()), rate, betas=(float(betas[0]), float(betas[1])), foreach=True)

    def _critic_loss(self, c: Parameters, real: Tensor, fake: Tensor) -> Tensor:
        return critic_objective(self.method, lambda x: functional_call(self.critic, c, (x,)), real, fake).total

    def _generator_loss(self, g: Parameters, c: Parameters, z: Tensor) -> Tensor:
        return generator_objective(
            self.method,
            lambda z: functional_call(self.generator, g, (z,)),
            lambda x: functional_call(self.critic, c, (x,)),
            z,
        ).total

    def latents(self) -> Tensor:
        """Latents [seeds, batch, latent], each seed's from its own stream."""
        size = (self.setup.batch, self.setup.latent)
        return torch.stack([torch.randn(size, generator=rng) for rng in self.streams])

    def step(self) -> None:
        """One generator update with its critic updates, of every seed."""
        for _ in range(self.method.n_critic):
            rows = torch.stack([torch.randint(len(self.real), (self.setup.batch,), generator=r) for r in self.streams])
            with torch.no_grad():
                fake = self.samples(self.g, self.latents())
            self._update(self.c_adam, self.c, self.critic_gradient(self.c, self.real[rows], fake)[0])
        self._update(self.g_adam, self.g, self.generator_gradient(self.g, self.c, self.latents())[0])

    def _update(self, adam: torch.optim.Optimizer, parameters: Parameters, gradients: Parameters) -> None:
        for name, p in parameters.items():
            p.grad = gradients[name].detach().contiguous()
        adam.step()

    def generators(self) -> list[nn.Module]:
        """One module per seed, holding copies of its weights."""
        found = []
        for i, _ in enumerate(self.seeds):
            module, _ = networks(self.setup, tuple(self.real.shape[1:]), 0)
            module.load_state_dict({name: p.detach()[i] for name, p in self.g.items()})
            found.append(module)
        return found


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


def run(
    setup: Setup, method: Method, seeds: tuple[int, ...] = SEEDS, *, track: tuple[int, ...] = ()
) -> tuple[list[dict[str, Any]], float]:
    """Train all seeds and judge each; the second value is the processor time of the training alone."""
    torch.manual_seed(seeds[0])  # directions of the clamping and interpolation coefficients, drawn inside vmap
    stack = Stack(setup, method, seeds, table(setup.data, "train"), "different")
    test = table(setup.data, "test")
    curves: list[list[float]] = [[] for _ in seeds]
    seconds = 0.0
    for step in range(setup.steps + 1):
        if step in track:
            for curve, generator in zip(curves, stack.generators(), strict=True):
                curve.append(score(generator, setup.latent).mean)
        if step < setup.steps:
            began = time.process_time()
            stack.step()
            seconds += time.process_time() - began
    rows = [judge(setup, generator, test) for generator in stack.generators()]
    for row, seed, curve in zip(rows, seeds, curves, strict=True):
        row["seed"] = seed
        if track:
            row["curve"] = curve
    return rows, seconds
