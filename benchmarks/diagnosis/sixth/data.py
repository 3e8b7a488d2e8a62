"""Rows for the scripts: training rows and rows held out, made anew from a fixed seed at every call."""

from __future__ import annotations

import math

import torch
from benchmarks.diagnosis.fourth.data import digits
from torch import Tensor

__all__ = ["beats", "crescents", "digits", "graphs", "lattice", "patients", "roll", "star", "tetra"]


def _draw(part: str) -> torch.Generator:
    return torch.Generator().manual_seed({"train": 61, "held": 62}[part])


def crescents(n: int, part: str = "train") -> tuple[Tensor, Tensor]:
    """Points ``[n, 2]`` within about -1..1 on two crescents, and which."""
    draw = _draw(part)
    kind = torch.randint(0, 2, (n,), generator=draw)
    t = math.pi * torch.rand(n, generator=draw)
    upper, lower = torch.stack((t.cos() - 0.5, t.sin() - 0.25), 1), torch.stack((0.5 - t.cos(), 0.25 - t.sin()), 1)
    points = torch.where(kind[:, None] == 0, upper, lower) + 0.06 * torch.randn(n, 2, generator=draw)
    return points / 1.7, kind


def lattice(n: int, part: str = "train") -> Tensor:
    """Points ``[n, 2]`` of nine Gaussians on a square lattice within -1..1."""
    draw = _draw(part)
    where = torch.randint(-1, 2, (n, 2), generator=draw).float()
    return 0.8 * where + 0.06 * torch.randn(n, 2, generator=draw)


def roll(n: int, part: str = "train") -> Tensor:
    """Points ``[n, 2]`` on one arm of a roll."""
    draw = _draw(part)
    t = 1.5 * math.pi * (1 + 2 * torch.rand(n, generator=draw))
    return torch.stack((t * t.cos(), t * t.sin()), 1) / 10 + 0.04 * torch.randn(n, 2, generator=draw)


def star(n: int, part: str = "train") -> Tensor:
    """Points ``[n, 2]`` on the five rays of a star, of about unit length."""
    draw = _draw(part)
    angle = torch.randint(0, 5, (n,), generator=draw) * 2 * math.pi / 5
    radius = 0.2 + torch.rand(n, generator=draw)
    return torch.stack((radius * angle.cos(), radius * angle.sin()), 1) + 0.04 * torch.randn(n, 2, generator=draw)


def tetra(n: int, part: str = "train") -> Tensor:
    """Points ``[n, 3]`` about the corners of a tetrahedron."""
    draw = _draw(part)
    corners = torch.tensor([[1.0, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])
    return corners[torch.randint(0, 4, (n,), generator=draw)] + 0.15 * torch.randn(n, 3, generator=draw)


def patients(n: int, part: str = "train") -> Tensor:
    """A table ``[n, 6]`` in units of its own: age, weight, two pressures, pulse, a score that follows them."""
    draw = _draw(part)
    age = 25 + 55 * torch.rand(n, 1, generator=draw)
    weight = 75 + 12 * torch.randn(n, 1, generator=draw)
    high = 95 + 0.5 * age + 0.1 * weight + 8 * torch.randn(n, 1, generator=draw)
    low = 0.6 * high + 5 * torch.randn(n, 1, generator=draw)
    pulse = 72 + 9 * torch.randn(n, 1, generator=draw)
    score = 0.05 * age + 0.02 * high + 0.4 * torch.randn(n, 1, generator=draw)
    return torch.cat((age, weight, high, low, pulse, score), 1)


def beats(n: int, part: str = "train", length: int = 16) -> Tensor:
    """Series ``[n, length, 1]`` within -1..1: a slow wave with a faster one on it."""
    draw = _draw(part)
    t = torch.arange(length) / length
    rate, phase, size = (torch.rand(n, 1, generator=draw) for _ in range(3))
    wave = torch.sin(2 * math.pi * ((1 + rate) * t + phase)) * (0.5 + 0.3 * size)
    return (wave + 0.1 * torch.sin(12 * math.pi * t) + 0.02 * torch.randn(n, length, generator=draw))[..., None]


def graphs(n: int, part: str = "train", nodes: int = 6) -> Tensor:
    """Adjacency matrices ``[n, nodes, nodes]``: a ring, one chord or two, edges of weight about 0.9."""
    draw = _draw(part)
    ring = torch.roll(torch.eye(nodes), 1, 0)
    chord = torch.zeros(n, nodes, nodes)
    start = torch.randint(0, nodes, (n,), generator=draw)
    chord[torch.arange(n), start, (start + 3) % nodes] = 1
    more = (torch.rand(n, generator=draw) < 0.5).float()[:, None, None]
    chord = chord + more * chord.roll(1, 1).roll(1, 2)
    either = (ring + ring.T + chord + chord.transpose(1, 2)).clamp(max=1)
    noise = 0.05 * torch.rand(n, nodes, nodes, generator=draw)
    noise = (noise + noise.transpose(1, 2)) / 2
    return (0.88 * either + noise) * (1 - torch.eye(nodes)) + 0.03 * torch.eye(nodes)
