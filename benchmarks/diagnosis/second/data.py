"""Six small sources of rows, each split into training rows and held-out rows."""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor

from tightrope.data import open_data

ROWS, HELD = 1600, 500


def _ring(n: int, g: torch.Generator) -> tuple[Tensor, Tensor]:
    y = torch.randint(8, (n,), generator=g)
    angle = y * math.pi / 4
    return torch.stack([angle.cos(), angle.sin()], 1) + 0.06 * torch.randn(n, 2, generator=g), y


def _moons(n: int, g: torch.Generator) -> tuple[Tensor, Tensor]:
    y = torch.randint(2, (n,), generator=g)
    t = math.pi * torch.rand(n, generator=g)
    upper = torch.stack([t.cos() - 0.5, t.sin() - 0.25], 1)
    x = torch.where(y[:, None] == 0, upper, -upper)
    return x + 0.05 * torch.randn(n, 2, generator=g), y


def _table(n: int, g: torch.Generator) -> tuple[Tensor, Tensor]:
    y = torch.multinomial(torch.tensor([0.5, 0.3, 0.2]), n, True, generator=g)
    age = 0.5 * torch.randn(n, generator=g) + y * 0.6 - 0.5
    income = 0.7 * age + 0.3 * torch.randn(n, generator=g) ** 2 - 0.3
    debt = torch.sin(2 * income) + 0.2 * torch.randn(n, generator=g)
    soft = torch.nn.functional.one_hot(y, 3) * 0.9 + 0.1 * torch.rand(n, 3, generator=g)
    return torch.cat([torch.stack([age, income, debt], 1), soft], 1), y


def _waves(n: int, g: torch.Generator) -> tuple[Tensor, Tensor]:
    y = torch.randint(2, (n,), generator=g)
    t = torch.linspace(0, 1, 32)
    phase = 2 * math.pi * torch.rand(n, 1, generator=g)
    height = 0.4 + 0.4 * torch.rand(n, 1, generator=g)
    x = height * torch.sin(2 * math.pi * (1 + y[:, None]) * t + phase) + 0.03 * torch.randn(n, 32, generator=g)
    return x.clamp(-0.95, 0.95)[:, None], y


def _shapes(n: int, g: torch.Generator) -> tuple[Tensor, Tensor]:
    """Three shapes, each with colours of its own, on a dark ground, 12 x 12."""
    y = torch.randint(3, (n,), generator=g)
    row, column = torch.arange(12.0)[None, :, None], torch.arange(12.0)[None, None, :]
    centre = 4 + 3 * torch.rand(n, 2, 1, 1, generator=g)
    size = (2 + 1.5 * torch.rand(n, 1, 1, generator=g)).float()
    down, across = (row - centre[:, 0]).abs(), (column - centre[:, 1]).abs()
    square = torch.sigmoid(3 * (size - torch.maximum(down, across)))
    disc = torch.sigmoid(3 * (size - (down**2 + across**2).sqrt()))
    cross = torch.sigmoid(3 * (size / 2.5 - torch.minimum(down, across)))
    mask = torch.stack([square, disc, cross], 1)[torch.arange(n), y][:, None]
    tint = torch.tensor([[0.9, 0.1, -0.6], [-0.7, 0.8, 0.2], [0.5, -0.5, 0.9]])[y][:, :, None, None]
    x = mask * tint + (1 - mask) * -0.85 + 0.04 * torch.randn(n, 3, 12, 12, generator=g)
    return x.clamp(-1, 1), y


MADE = {"ring": _ring, "moons": _moons, "table": _table, "waves": _waves, "shapes": _shapes}
SHAPES = {"ring": (2,), "moons": (2,), "table": (6,), "waves": (1, 32), "shapes": (3, 12, 12), "digits": (1, 8, 8)}
CLASSES = {"ring": 8, "moons": 2, "table": 3, "waves": 2, "shapes": 3, "digits": 10}


@functools.cache
def rows(name: str) -> tuple[Tensor, Tensor, Tensor]:
    """Training rows, their classes, and held-out rows."""
    if name == "digits":
        parts = []
        for split in ("train", "test"):
            source = open_data("digits", split=split)
            batch = source.batch(torch.arange(len(source)))
            x = batch.x if hasattr(batch, "x") else batch[0]
            parts.append((x.float(), torch.as_tensor(source.labels)))
        return parts[0][0], parts[0][1].long(), parts[1][0]
    x, y = MADE[name](ROWS + HELD, torch.Generator().manual_seed(2611))
    return x[:ROWS].contiguous(), y[:ROWS], x[ROWS:].contiguous()


def energy_distance(a: Tensor, b: Tensor) -> float:
    """Square root of 2 E|a - b| - E|a - a'| - E|b - b'|, all pairs counted; not finite where a sample is not."""
    a, b = a.flatten(1).double(), b.flatten(1).double()
    if not torch.isfinite(a).all():
        return math.inf
    square = 2 * torch.cdist(a, b).mean() - torch.cdist(a, a).mean() - torch.cdist(b, b).mean()
    return float(square.clamp(min=0).sqrt())
