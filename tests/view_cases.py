"""Critics with several outputs, and their scores and slopes by hand."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from tightrope.autodiff import View

SHAPE = (1, 6, 6)
CONDITION = torch.tensor([0.3, -1.2, 0.7, 2.0], dtype=torch.float64)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=rng(seed), dtype=torch.float64)


class Three(nn.Module):
    """Two patch maps of different sizes and a vector, as multi-scale critics return them."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.fine, self.coarse, self.dense = nn.Conv2d(1, 1, 3), nn.Conv2d(1, 2, 4, 2), nn.Linear(36, 1)

    def forward(self, x: Tensor) -> list[Tensor]:
        return [self.fine(x).tanh(), 2 * self.coarse(x).sin(), self.dense(x.flatten(1).tanh())[:, 0]]


class WithFeatures(Three):
    def forward(self, x: Tensor) -> tuple[list[Tensor], list[Tensor]]:  # type: ignore[override]
        return super().forward(x), [x, 5 * x.square()]


class Conditional(Three):
    def forward(self, condition: Tensor, x: Tensor) -> list[Tensor]:  # type: ignore[override]
        return super().forward(x * condition.mean())


def critic(kind: str) -> tuple[nn.Module, Three, float]:
    """A critic as the library gets it, the plain one behind it, and what its samples are multiplied by."""
    if kind == "list":
        net = Three().double()
        return net, net, 1.0
    if kind == "features":
        net = WithFeatures().double()
        return View(net, scores=lambda out: out[0]), net, 1.0
    net = Conditional().double()
    return View(net, call=lambda net, x: net(CONDITION, x)), net, float(CONDITION.mean())


KINDS = ("list", "features", "condition")


def by_hand(net: Three, x: Tensor) -> list[Tensor]:
    """Each critic's scores as ``[batch, outputs]``, without the network's own forward."""
    fine = nn.functional.conv2d(x, net.fine.weight, net.fine.bias).tanh().flatten(1)
    coarse = 2 * nn.functional.conv2d(x, net.coarse.weight, net.coarse.bias, stride=2).sin().flatten(1)
    return [fine, coarse, x.flatten(1).tanh() @ net.dense.weight.T + net.dense.bias]


def slopes(net: Three, x: Tensor, scale: float) -> list[list[float]]:
    """Per critic and sample the norm of the gradient of that critic's summed score, one sample at a time."""
    found = []
    for k in range(3):
        row = []
        for i in range(len(x)):
            point = x[i : i + 1].clone().requires_grad_()
            (g,) = torch.autograd.grad(by_hand(net, scale * point)[k].sum(), point)
            row.append(math.sqrt(math.fsum(v * v for v in g.flatten().tolist())))
        found.append(row)
    return found


def data() -> tuple[Tensor, Tensor]:
    return normal(4, *SHAPE, seed=1), normal(4, *SHAPE, seed=2) + 0.5
