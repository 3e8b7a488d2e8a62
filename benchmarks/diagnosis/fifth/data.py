"""Rows for the scripts: training rows and rows held out, made anew from a fixed seed at every call."""

from __future__ import annotations

import math

import torch
from benchmarks.diagnosis.fourth.data import digits
from torch import Tensor

__all__ = ["chirps", "digits", "flags", "rings", "squares", "walks", "words"]


def _draw(part: str) -> torch.Generator:
    return torch.Generator().manual_seed({"train": 51, "held": 52}[part])


def flags(n: int, part: str = "train", size: int = 8) -> tuple[Tensor, Tensor]:
    """Images ``[n, 3, size, size]`` of bytes as floats, and classes: tilted bands in one of three colours."""
    draw = _draw(part)
    kind = torch.randint(0, 3, (n,), generator=draw)
    grid = torch.arange(size) / size
    tilt = torch.rand(n, 1, 1, generator=draw) - 0.5
    phase = torch.rand(n, 1, 1, generator=draw)
    wave = torch.sin(2 * math.pi * (grid[None, :, None] + tilt * grid[None, None, :] + phase)) * 0.5 + 0.5
    colours = torch.tensor([[240.0, 90, 30], [200, 210, 60], [180, 60, 120]])[kind][:, :, None, None]
    images = wave[:, None] * colours + (1 - wave[:, None]) * torch.tensor([30.0, 20, 10])[None, :, None, None]
    return (images + 8 * torch.rand(n, 3, size, size, generator=draw)).clamp(0, 255).round(), kind


def rings(n: int, part: str = "train") -> Tensor:
    """Points ``[n, 2]`` on eight Gaussians on a circle of radius 1.5."""
    draw = _draw(part)
    angle = torch.randint(0, 8, (n,), generator=draw) * math.pi / 4
    return 1.5 * torch.stack((angle.cos(), angle.sin()), 1) + 0.08 * torch.randn(n, 2, generator=draw)


def squares(n: int, part: str = "train") -> Tensor:
    """Points ``[n, 2]`` on the black squares of a four by four chess board within -1..1."""
    draw = _draw(part)
    row = torch.randint(0, 4, (n,), generator=draw)
    column = torch.randint(0, 2, (n,), generator=draw) * 2 + row % 2
    return (torch.stack((column, row), 1) + torch.rand(n, 2, generator=draw)) / 2 - 1


def chirps(n: int, part: str = "train", length: int = 64) -> Tensor:
    """Waves ``[n, 1, length]`` within -1..1 whose pitch rises or falls."""
    draw = _draw(part)
    t = torch.arange(length) / length
    first, rise = (torch.rand(n, 1, generator=draw) * k for k in (4.0, 6.0))
    phase = torch.rand(n, 1, generator=draw) * 2 * math.pi
    wave = torch.sin(2 * math.pi * (2 + first) * t + math.pi * rise * t**2 + phase)
    return (0.7 * wave * torch.exp(-1.5 * t) + 0.02 * torch.randn(n, length, generator=draw)).clamp(-1, 1)[:, None]


def walks(n: int, part: str = "train", length: int = 12) -> Tensor:
    """Sequences ``[n, length, 3]`` within 0..1: three quantities that drift and follow each other."""
    draw = _draw(part)
    steps = torch.randn(n, length, 1, generator=draw) * 0.25
    lead = steps.cumsum(1) + torch.randn(n, 1, 1, generator=draw) * 0.5
    follow = 0.7 * lead.roll(1, 1) + 0.2 * torch.randn(n, length, 1, generator=draw)
    return torch.sigmoid(torch.cat((lead, follow, lead - follow), 2))


def words(n: int, part: str = "train", length: int = 8) -> Tensor:
    """Tokens ``[n, length]`` of six: chains that mostly go to the next token, seldom stay."""
    draw = _draw(part)
    stay = (torch.rand(n, length, generator=draw) < 0.25).long()
    return (torch.randint(0, 2, (n, 1), generator=draw) * 3 + (1 - stay).cumsum(1)) % 6
