"""Rows for the scripts: training rows and rows held out, made anew from a fixed seed at every call."""

from __future__ import annotations

import math

import torch
from sklearn.datasets import load_digits
from torch import Tensor


def _draw(part: str) -> torch.Generator:
    return torch.Generator().manual_seed({"train": 41, "held": 42}[part])


def digits(part: str = "train") -> tuple[Tensor, Tensor]:
    """Images ``[n, 1, 8, 8]`` in 0..16 as the file has them, and classes; the last 397 are held out."""
    raw = load_digits()
    images, labels = torch.tensor(raw.images).float()[:, None], torch.tensor(raw.target).long()
    return (images[:1400], labels[:1400]) if part == "train" else (images[1400:], labels[1400:])


def shapes(n: int, part: str = "train", size: int = 16) -> Tensor:
    """Bytes ``[n, size, size, 3]``: a coloured disc or square on a dark ground."""
    draw = _draw(part)
    grid = torch.arange(size).float()
    y, x = grid[None, :, None], grid[None, None, :]
    where = (torch.rand(n, 2, generator=draw) * 0.4 + 0.3) * size
    radius = (torch.rand(n, 1, 1, generator=draw) * 0.15 + 0.15) * size
    dy, dx = (y - where[:, 0, None, None]).abs(), (x - where[:, 1, None, None]).abs()
    round_ = (torch.rand(n, 1, 1, generator=draw) < 0.5).float()
    distance = round_ * (dy**2 + dx**2).sqrt() + (1 - round_) * torch.maximum(dy, dx)
    inside = ((radius - distance) + 0.5).clamp(0, 1)[..., None]
    palette = torch.tensor([[230.0, 60, 40], [250, 190, 40], [120, 200, 60]])
    colour = palette[torch.randint(0, 3, (n,), generator=draw)][:, None, None, :]
    ground = torch.tensor([25.0, 25, 60]) + 10 * torch.rand(n, 1, 1, 3, generator=draw)
    return (inside * colour + (1 - inside) * ground).round().clamp(0, 255).to(torch.uint8)


def outline(images: Tensor) -> Tensor:
    """Edges ``[n, 1, h, w]`` in -1..1 of images ``[n, 3, h, w]`` in -1..1."""
    grey = images.mean(1, keepdim=True)
    down = torch.nn.functional.pad((grey[:, :, 1:] - grey[:, :, :-1]).abs(), (0, 0, 0, 1))
    right = torch.nn.functional.pad((grey[..., 1:] - grey[..., :-1]).abs(), (0, 1))
    return (2 * (down + right)).clamp(0, 1) * 2 - 1


def spiral(n: int, part: str = "train") -> Tensor:
    """Points ``[n, 2]`` on two arms, of about unit scale."""
    draw = _draw(part)
    t = torch.rand(n, generator=draw).sqrt() * 3.2 + 0.6
    arm = torch.randint(0, 2, (n,), generator=draw) * math.pi
    points = torch.stack((t * torch.cos(t + arm), t * torch.sin(t + arm)), 1) / 2.5
    return points + 0.05 * torch.randn(n, 2, generator=draw)


def pinwheel(n: int, part: str = "train") -> Tensor:
    """Points ``[n, 2]`` in five bent arms, sorted by arm."""
    draw = _draw(part)
    arm = torch.randint(0, 5, (n,), generator=draw).sort().values
    radial = torch.randn(n, generator=draw) * 0.3 + 1
    across = torch.randn(n, generator=draw) * 0.08
    angle = arm * 2 * math.pi / 5 + 0.25 * radial.exp()
    return torch.stack((radial * angle.cos() - across * angle.sin(), radial * angle.sin() + across * angle.cos()), 1)


def moons(n: int, part: str = "train") -> Tensor:
    """Points ``[n, 2]`` on two half circles."""
    draw = _draw(part)
    t = torch.rand(n, generator=draw) * math.pi
    upper = torch.randint(0, 2, (n,), generator=draw).float()
    x = upper * t.cos() + (1 - upper) * (1 - t.cos()) - 0.5
    y = upper * t.sin() + (1 - upper) * (0.5 - t.sin()) - 0.25
    return torch.stack((x, y), 1) * 1.2 + 0.07 * torch.randn(n, 2, generator=draw)


def tones(n: int, part: str = "train", length: int = 96) -> Tensor:
    """Waves ``[n, 1, length]``: a fundamental with two overtones under an envelope, within -1..1."""
    draw = _draw(part)
    t = torch.arange(length) / length
    base = torch.rand(n, 1, generator=draw) * 8 + 5
    phase = torch.rand(n, 3, 1, generator=draw) * 2 * math.pi
    parts = [torch.sin(2 * math.pi * k * base * t + phase[:, k - 1]) / k for k in (1, 2, 3)]
    envelope = torch.exp(-t * (torch.rand(n, 1, generator=draw) * 2 + 0.5))
    return (0.5 * envelope * sum(parts))[:, None].clamp(-1, 1)


def table(n: int, part: str = "train") -> tuple[Tensor, Tensor]:
    """Three numbers ``[n, 3]`` of different units, and a class of four ``[n]`` that moves them."""
    draw = _draw(part)
    kind = torch.multinomial(torch.tensor([0.4, 0.3, 0.2, 0.1]), n, replacement=True, generator=draw)
    age = 25 + 10 * kind + 6 * torch.randn(n, generator=draw)
    income = (7 + 0.4 * kind + 0.3 * torch.randn(n, generator=draw)).exp()
    share = torch.sigmoid(kind - 1.5 + 0.5 * torch.randn(n, generator=draw))
    return torch.stack((age, income, share), 1), kind


def series(n: int, part: str = "train", length: int = 16) -> Tensor:
    """Sequences ``[n, length, 2]`` within 0..1: a wave of random phase and pace, and its smoothed square."""
    draw = _draw(part)
    t = torch.arange(length)[None]
    pace = torch.rand(n, 1, generator=draw) * 0.4 + 0.3
    phase = torch.rand(n, 1, generator=draw) * 2 * math.pi
    wave = torch.sin(pace * t + phase)
    both = torch.stack((0.5 + 0.4 * wave, 0.2 + 0.6 * wave**2), 2)
    return both + 0.02 * torch.randn(n, length, 2, generator=draw)


def expert(n: int, part: str = "train") -> tuple[Tensor, Tensor]:
    """States ``[n, 3]`` and an expert's actions ``[n, 2]`` in them."""
    draw = _draw(part)
    s = torch.randn(n, 3, generator=draw)
    mean = torch.stack((torch.tanh(1.5 * s[:, 0] - s[:, 1]), 0.8 * torch.sin(2 * s[:, 2])), 1)
    return s, mean + 0.15 * torch.randn(n, 2, generator=draw)
