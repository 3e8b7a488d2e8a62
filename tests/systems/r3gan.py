"""A baseline as R3GAN has it: convolutions called as functions of a weight, classes, a relativistic loss, R1 and R2."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from systems.system import Pair, System, normal, seeded, sum_of_squared_slopes
from tightrope import View, losses, penalties

LATENT, CLASSES, SIDE = 6, 3, 8


class Functional(nn.Module):
    """A convolution whose module holds the weight and never runs."""

    def __init__(self, inputs: int, outputs: int, size: int, groups: int = 1) -> None:
        super().__init__()
        self.held = nn.Conv2d(inputs, outputs, size, padding=size // 2, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.held.weight.to(x.dtype), padding=self.held.padding, groups=self.held.groups)


class Block(nn.Module):
    """Residual: widen, grouped convolution, narrow."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.one, self.two, self.three = (
            Functional(channels, 2 * channels, 1),
            Functional(2 * channels, 2 * channels, 3, groups=4),
            Functional(2 * channels, channels, 1),
        )
        self.bias = nn.Parameter(torch.zeros(2 * channels))

    def forward(self, x: Tensor) -> Tensor:
        h = F.leaky_relu(self.one(x) + self.bias[:, None, None], 0.2)
        return x + self.three(F.leaky_relu(self.two(h), 0.2))


class ClassCritic(nn.Module):
    """Scores ``[batch]`` of images and one-hot classes, by an inner product with the class's embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.block = Functional(3, 4, 1), Block(4)
        self.basis = nn.Conv2d(4, 4, SIDE // 2, groups=4, bias=False)
        self.out, self.embedding = nn.Linear(4, 5, bias=False), nn.Linear(CLASSES, 5, bias=False)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        h = F.avg_pool2d(self.block(self.first(x)), 2)
        return (self.out(self.basis(h).flatten(1)) * self.embedding(y)).sum(1)


class ClassGenerator(nn.Module):
    """Latents and one-hot classes to images, from a learnt basis."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.linear = nn.Linear(CLASSES, 4, bias=False), nn.Linear(LATENT + 4, 4, bias=False)
        self.basis, self.block, self.last = nn.Parameter(torch.randn(4, 4, 4)), Block(4), Functional(4, 3, 1)

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        h = self.basis * self.linear(torch.cat((z, self.embedding(y)), 1))[:, :, None, None]
        return self.last(F.interpolate(self.block(h), scale_factor=2.0, mode="bilinear", align_corners=False))


def labels(n: int, classes: int = CLASSES) -> Tensor:
    return F.one_hot(torch.arange(n) % classes, classes).to(torch.float64)


def judge_of(critic: nn.Module, classes: int = CLASSES) -> View:
    return View(critic, call=lambda critic, x: critic(x, labels(len(x), classes).to(x.dtype)))


def maker_of(generator: nn.Module, classes: int = CLASSES) -> View:
    return View(generator, call=lambda generator, z: generator(z, labels(len(z), classes).to(z.dtype)))


def their_losses(system: System, real: Tensor, fake: Tensor) -> dict[str, Pair]:
    r, f = system.judge(real), system.judge(fake)
    return {
        "critic": (losses.relativistic.critic(r, f), F.softplus(f - r).mean()),
        "generator": (losses.relativistic.generator(f, r), F.softplus(r - f).mean()),
    }


def their_penalties(system: System, real: Tensor, fake: Tensor) -> dict[str, Pair]:
    def theirs(x: Tensor) -> Tensor:
        x = x.clone().requires_grad_()
        return 0.5 * sum_of_squared_slopes(system.judge(x), x)

    return {
        "R1": (penalties.r1(system.judge, real, gamma=1.0), theirs(real)),
        "R2": (penalties.r2(system.judge, None, fake, gamma=1.0), theirs(fake)),
    }


def system() -> System:
    with seeded():
        critic, generator = ClassCritic(), ClassGenerator()
    return System(
        critic, generator, judge_of(critic), maker_of(generator), normal(6, 3, SIDE, SIDE), normal(6, LATENT, seed=1),
        their_losses, their_penalties, losses.relativistic,
    )  # fmt: skip
