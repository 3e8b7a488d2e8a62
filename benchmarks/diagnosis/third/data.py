"""Rows for the loops: points of the plane, digits, coloured flags, waves, a table. Always the same rows."""

from __future__ import annotations

import math

import torch

from tightrope.data.digits import open_digits


def _random(key: int) -> torch.Generator:
    return torch.Generator().manual_seed(7_000 + key)


def grid(n: int = 4000, key: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Nine narrow Gaussians on a 3 x 3 grid, and which of them."""
    r = _random(key)
    which = torch.randint(0, 9, (n,), generator=r)
    centres = torch.stack([which // 3 - 1, which % 3 - 1], 1).float() * 1.2
    return centres + 0.12 * torch.randn(n, 2, generator=r), which


def rings(n: int = 4000, key: int = 0) -> torch.Tensor:
    """Two circles about one centre."""
    r = _random(10 + key)
    angle = 2 * math.pi * torch.rand(n, generator=r)
    radius = torch.where(torch.rand(n, generator=r) < 0.4, 0.6, 1.6) + 0.05 * torch.randn(n, generator=r)
    return torch.stack([radius * angle.cos(), radius * angle.sin()], 1)


def moons(n: int = 4000, key: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Two interleaved half circles, and which of them."""
    r = _random(20 + key)
    which = torch.randint(0, 2, (n,), generator=r)
    angle = math.pi * torch.rand(n, generator=r)
    x = torch.where(which == 0, angle.cos(), 1 - angle.cos()) - 0.5
    y = torch.where(which == 0, angle.sin(), 0.5 - angle.sin()) - 0.25
    return 1.3 * torch.stack([x, y], 1) + 0.06 * torch.randn(n, 2, generator=r), which


def digits(split: str = "train") -> tuple[torch.Tensor, torch.Tensor]:
    """The embedded digits as bytes ``[n, 1, 8, 8]`` of 0 to 255, and their classes."""
    stored = open_digits(split)
    return torch.as_tensor(stored.values), torch.as_tensor(stored.labels)


def flags(n: int = 3000, key: int = 0) -> torch.Tensor:
    """Images ``[n, 3, 8, 8]`` in -1..1: a red sky that fades, a green bar somewhere, little blue."""
    r = _random(30 + key)
    rows = torch.linspace(0, 1, 8).view(1, 8, 1)
    sky = 0.5 + 0.5 * torch.rand(n, 1, 1, generator=r) - (0.3 + 0.5 * torch.rand(n, 1, 1, generator=r)) * rows
    at = 1 + 5 * torch.rand(n, 1, 1, generator=r)
    bar = torch.exp(-((torch.arange(8).view(1, 1, 8) - at) ** 2))
    red, green = sky.expand(n, 8, 8), bar.expand(n, 8, 8)
    blue = 0.1 + 0.1 * torch.rand(n, 8, 8, generator=r)
    return (2 * torch.stack([red, green, blue], 1) - 1).clamp(-1, 1)


def waves(n: int = 3000, key: int = 0) -> torch.Tensor:
    """Signals ``[n, 1, 32]`` within -1..1: one of three tones with a phase and a decay of its own."""
    r = _random(40 + key)
    t = torch.linspace(0, 1, 32)
    tone = 1 + torch.randint(0, 3, (n, 1), generator=r).float()
    phase, decay = 2 * math.pi * torch.rand(n, 1, generator=r), 1.5 * torch.rand(n, 1, generator=r)
    return (0.9 * torch.sin(2 * math.pi * tone * t + phase) * torch.exp(-decay * t)).unsqueeze(1)


def clients(n: int = 4000, key: int = 0) -> torch.Tensor:
    """A table ``[n, 7]``: four correlated standardised columns, one of them skew, and a class as one of three."""
    r = _random(50 + key)
    kind = torch.randint(0, 3, (n,), generator=r)
    base = torch.randn(n, 4, generator=r)
    age = base[:, 0] + 0.8 * (kind.float() - 1)
    income = (0.6 * base[:, 0] + 0.5 * base[:, 1]).exp() - 1.4
    debt = 0.7 * income + 0.5 * base[:, 2]
    visits = 0.4 * base[:, 3] - 0.9 * (kind == 2).float() + 0.3
    table = torch.stack([age, income, debt, visits], 1)
    table = (table - table.mean(0)) / table.std(0)
    return torch.cat([table.clamp(-3, 4), torch.nn.functional.one_hot(kind, 3).float()], 1)
