"""Small networks for each source; what a fault or an oddity changes in them is asked of the case."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from .data import CLASSES, SHAPES

WIDTH = 64
SIDES = {"shapes": (3, 3)}


def norm_of(on: bool, width: int, two: bool = False) -> list[nn.Module]:
    return [(nn.BatchNorm2d if two else nn.BatchNorm1d)(width)] if on else []


def generator(case: Any, inputs: int | None = None) -> nn.Module:
    bn = bool(case.option("norm_g"))
    z, kind = inputs or case.latent, case.data
    if kind in SIDES:
        colours, side = SIDES[kind]
        layers: list[nn.Module] = [
            nn.Linear(z, 24 * side * side), *norm_of(bn, 24 * side * side), nn.ReLU(),
            nn.Unflatten(1, (24, side, side)),
            nn.ConvTranspose2d(24, 16, 4, 2, 1), *norm_of(bn, 16, True), nn.ReLU(),
            nn.ConvTranspose2d(16, colours, 4, 2, 1), nn.Tanh(),
        ]  # fmt: skip
    else:
        out = int(torch.Size(SHAPES[kind]).numel())
        layers = [nn.Linear(z, WIDTH), *norm_of(bn, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), *norm_of(bn, WIDTH),
                  nn.ReLU(), nn.Linear(WIDTH, out)]  # fmt: skip
        if len(SHAPES[kind]) > 1:
            layers += [nn.Tanh(), nn.Unflatten(1, SHAPES[kind])]
    if case.has("rectified_samples"):
        layers.append(nn.ReLU())
    if spread := case.has("stretched_latents"):
        layers.insert(0, Stretch(z, spread))
    if case.has("blind_generator"):
        layers.insert(0, Blind(case.has("blind_generator")))
    return nn.Sequential(*layers)


class Stretch(nn.Module):
    """Multiplies latents by factors that span several orders of magnitude."""

    def __init__(self, inputs: int, orders: float) -> None:
        super().__init__()
        self.register_buffer("scale", torch.logspace(0, -orders, inputs))

    def forward(self, z: Tensor) -> Tensor:
        """See above."""
        return z * self.scale


class Blind(nn.Module):
    """Lets only a trace of the latents through."""

    def __init__(self, trace: float) -> None:
        super().__init__()
        self.trace = trace

    def forward(self, z: Tensor) -> Tensor:
        """See above."""
        return z * self.trace


class Scale(nn.Module):
    """Scores times a factor."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        """See above."""
        return x * self.factor


ENDS = {"sigmoid_end": nn.Sigmoid, "tanh_end": nn.Tanh, "relu_end": nn.ReLU}


def body(case: Any, features: bool = False) -> tuple[list[nn.Module], int]:
    """Layers up to the features, and how many there are."""
    bn, dropout = bool(case.option("norm_d")), case.option("dropout")
    drop = [nn.Dropout(dropout)] if dropout else []
    kind, wide = case.data, int(case.has("tiny_critic") or 0)
    if kind in SIDES:
        colours, side = SIDES[kind]
        a, b = (wide, wide) if wide else (12, 24)
        layers: list[nn.Module] = [
            nn.Conv2d(colours, a, 4, 2, 1), nn.LeakyReLU(0.2), *drop, nn.Conv2d(a, b, 4, 2, 1), *norm_of(bn, b, True),
            nn.LeakyReLU(0.2), nn.Flatten(),
        ]  # fmt: skip
        return layers, b * side * side
    w = wide or WIDTH
    if kind == "waves":
        c = wide or 8
        layers = [nn.Conv1d(1, c, 5, 2, 2), nn.LeakyReLU(0.2), *drop, nn.Conv1d(c, 2 * c, 5, 2, 2), nn.LeakyReLU(0.2),
                  nn.Flatten()]  # fmt: skip
        return layers, 2 * c * 8
    flat = [nn.Flatten()] if len(SHAPES[kind]) > 1 else []
    inputs = int(torch.Size(SHAPES[kind]).numel())
    layers = [*flat, nn.Linear(inputs, w), nn.LeakyReLU(0.2), *drop, nn.Linear(w, w), *norm_of(bn, w),
              nn.LeakyReLU(0.2)]  # fmt: skip
    return layers, w


def constrained(case: Any, layers: list[nn.Module]) -> list[nn.Module]:
    """Spectral norm on the layers that have a weight, as far as the case has it."""
    if not case.option("sn") or case.has("norm_forgotten"):
        return layers
    weighted = [m for m in layers if isinstance(m, (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Embedding))]
    if case.has("norm_on_first_only"):
        weighted = weighted[:1]
    for m in weighted:
        spectral_norm(m)
    return layers


def critic(case: Any) -> nn.Module:
    layers, n = body(case)
    layers = constrained(case, [*layers, nn.Linear(n, 1)])
    if factor := case.has("scaled_scores"):
        layers.append(Scale(factor))
    for name, end in ENDS.items():
        if case.has(name):
            layers.append(end())
    if case.has("zero_last_layer"):
        last = next(m for m in reversed(layers) if isinstance(m, nn.Linear))
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
    return nn.Sequential(*layers)


class ClassGenerator(nn.Module):
    """G(z, y) with a learned table of classes."""

    def __init__(self, case: Any) -> None:
        super().__init__()
        self.table = nn.Embedding(CLASSES[case.data], 8)
        self.net = generator(case, case.latent + 8)

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        """See above."""
        return self.net(torch.cat([z, self.table(y)], 1))


class ProjectionCritic(nn.Module):
    """D(x, y) = w h(x) + <e(y), h(x)>."""

    def __init__(self, case: Any) -> None:
        super().__init__()
        layers, n = body(case)
        last, table = nn.Linear(n, 1), nn.Embedding(CLASSES[case.data], n)
        constrained(case, [*layers, last, table])
        self.body, self.last, self.table = nn.Sequential(*layers), last, table
        self.factor = float(case.has("scaled_scores") or 1.0)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """See above."""
        h = self.body(x)
        return self.factor * (self.last(h).squeeze(1) + (self.table(y) * h).sum(1))


class OneScale(nn.Module):
    """Scores along a wave, with the features of two layers."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv1d(1, width, 5, 2, 2)
        self.second = nn.Conv1d(width, 2 * width, 5, 2, 2)
        self.score = nn.Conv1d(2 * width, 1, 3, 1, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """See above."""
        a = F.leaky_relu(self.first(x), 0.1)
        b = F.leaky_relu(self.second(a), 0.1)
        return self.score(b).flatten(1), [a, b]


class TwoScales(nn.Module):
    """Scores and features of a wave at full and at half resolution, as two lists."""

    def __init__(self, case: Any) -> None:
        super().__init__()
        width = int(case.has("tiny_critic") or 8)
        self.scales = nn.ModuleList([OneScale(width), OneScale(width)])

    def forward(self, x: Tensor) -> tuple[list[Tensor], list[list[Tensor]]]:
        """See above."""
        both = [scale(part) for scale, part in zip(self.scales, (x, F.avg_pool1d(x, 2)), strict=True)]
        return [b[0] for b in both], [b[1] for b in both]
