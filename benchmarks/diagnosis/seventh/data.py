"""Rows for the scripts: training rows and rows held out, made anew from a fixed seed at every call."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def _draw(part: str) -> torch.Generator:
    return torch.Generator().manual_seed({"train": 71, "held": 72}[part])


def petals(n: int, part: str = "train") -> Tensor:
    """Points ``[n, 2]`` within -1..1 on the four leaves of a rose."""
    draw = _draw(part)
    t = 2 * math.pi * torch.rand(n, generator=draw)
    radius = 0.9 * (2 * t).cos()
    return torch.stack((radius * t.cos(), radius * t.sin()), 1) + 0.02 * torch.randn(n, 2, generator=draw)


def glyphs(n: int, part: str = "train") -> tuple[Tensor, Tensor]:
    """Bytes ``[n, 1, 8, 8]`` as floats in 0..255, and which of four letters: strokes, shifted, of unequal ink."""
    draw = _draw(part)
    rows = (
        ("111111", "001100", "001100", "001100", "001100", "001100"),
        ("110000", "110000", "110000", "110000", "111111", "111111"),
        ("011110", "110011", "100001", "100001", "110011", "011110"),
        ("100001", "110011", "011110", "011110", "110011", "100001"),
    )
    letters = torch.tensor([[[float(c) for c in line] for line in letter] for letter in rows])
    kind = torch.randint(0, 4, (n,), generator=draw)
    shift = torch.randint(0, 3, (n, 2), generator=draw)
    ink = 150 + 90 * torch.rand(n, generator=draw)
    page = 20 * torch.rand(n, 8, 8, generator=draw)
    for k in range(n):
        i, j = int(shift[k, 0]), int(shift[k, 1])
        page[k, i : i + 6, j : j + 6] += ink[k] * letters[kind[k]]
    return page[:, None].clamp(0, 255).round(), kind


def fabrics(n: int, part: str = "train") -> Tensor:
    """Images ``[n, 1, 8, 8]`` within -1..1: letters, and a fine weave of either sign that averages of 2 x 2 hide."""
    images, _ = glyphs(n, part)
    draw = torch.Generator().manual_seed(73 + (part == "held"))
    sign = 2.0 * torch.randint(0, 2, (n, 1, 1, 1), generator=draw) - 1
    board = ((torch.arange(8)[:, None] + torch.arange(8)[None]) % 2 * 2 - 1).float()
    return (0.6 * (images / 127.5 - 1) + 0.35 * sign * board).clamp(-1, 1)


def domains(n: int, part: str = "train") -> tuple[Tensor, Tensor, Tensor]:
    """Rows ``[n, 6]`` of a source with its classes of three, and of a target: turned, stretched and shifted."""
    draw = _draw(part)
    centres = torch.tensor([[2.0, 0, 1, -1, 0, 1], [-1, 2, 0, 1, -1, 0], [0, -2, -1, 0, 2, -1]])
    kind = torch.randint(0, 3, (n,), generator=draw)
    source = centres[kind] + 0.5 * torch.randn(n, 6, generator=draw)
    other = centres[torch.randint(0, 3, (n,), generator=draw)] + 0.5 * torch.randn(n, 6, generator=draw)
    angle = torch.tensor(0.9)
    turn = torch.eye(6)
    turn[:2, :2] = torch.stack((torch.stack((angle.cos(), -angle.sin())), torch.stack((angle.sin(), angle.cos()))))
    return source, kind, 0.7 * other @ turn + torch.tensor([1.5, -1.0, 0.8, 0.0, -1.2, 0.6])


def drives(n: int, part: str = "train", length: int = 5) -> tuple[Tensor, Tensor]:
    """First states ``[n, 2]`` and what an expert does from there: ``[n, length, 3]``, state and action."""
    draw = _draw(part)
    state = torch.randn(n, 2, generator=draw)
    first, path = state, []
    for _ in range(length):
        action = torch.tanh(-1.6 * state[:, :1] - 1.1 * state[:, 1:]) + 0.1 * torch.randn(n, 1, generator=draw)
        path.append(torch.cat((state, action), 1))
        state = torch.stack((state[:, 0] + 0.4 * state[:, 1], 0.9 * state[:, 1] + 0.8 * action[:, 0]), 1)
    return first, torch.stack(path, 1)


def ribbon(n: int, part: str = "train") -> Tensor:
    """Points ``[n, 3]`` on a band with half a turn in it."""
    draw = _draw(part)
    t = 2 * math.pi * torch.rand(n, generator=draw)
    across = 0.4 * (2 * torch.rand(n, generator=draw) - 1)
    radius = 1 + across * (t / 2).cos()
    return torch.stack((radius * t.cos(), radius * t.sin(), across * (t / 2).sin()), 1)


def clouds(n: int, part: str = "train", points: int = 10) -> Tensor:
    """Sets ``[n, points, 2]`` on ellipses of their own size, tilt and place."""
    draw = _draw(part)
    t = 2 * math.pi * torch.rand(n, points, generator=draw)
    wide, tall = 0.7 + 0.5 * torch.rand(n, 1, generator=draw), 0.2 + 0.3 * torch.rand(n, 1, generator=draw)
    tilt = math.pi / 3 * torch.rand(n, 1, generator=draw)
    x, y = wide * t.cos(), tall * t.sin()
    turned = torch.stack((x * tilt.cos() - y * tilt.sin(), x * tilt.sin() + y * tilt.cos()), 2)
    return turned + 0.4 * torch.randn(n, 1, 2, generator=draw)


def hums(n: int, part: str = "train", length: int = 32) -> Tensor:
    """Waves ``[n, 1, length]`` within -1..1: one of three tones, any phase, its second overtone."""
    draw = _draw(part)
    t = torch.arange(length) / length
    tone = torch.tensor([2.0, 3.0, 4.0])[torch.randint(0, 3, (n, 1), generator=draw)]
    phase = 2 * math.pi * torch.rand(n, 1, generator=draw)
    loud = 0.45 + 0.3 * torch.rand(n, 1, generator=draw)
    wave = loud * (torch.sin(2 * math.pi * tone * t + phase) + 0.3 * torch.sin(4 * math.pi * tone * t + 2 * phase))
    return (wave + 0.02 * torch.randn(n, length, generator=draw)).clamp(-1, 1)[:, None]


def credit(n: int, part: str = "train") -> Tensor:
    """A table ``[n, 8]``: three numbers of about unit scale, then a grade of three and a home of two as one-hot."""
    draw = _draw(part)
    grade = torch.multinomial(torch.tensor([0.5, 0.3, 0.2]), n, replacement=True, generator=draw)
    home = (torch.rand(n, generator=draw) < 0.3 + 0.2 * grade).long()
    noise = torch.randn(n, 3, generator=draw)
    income = 0.8 * grade - 0.7 + 0.3 * noise[:, 0]
    debt = -0.6 * income + 0.5 * home + 0.3 * noise[:, 1]
    age = 0.5 * (noise[:, 2] + 0.8 * income)
    hot = torch.nn.functional.one_hot
    return torch.cat((torch.stack((income, debt, age), 1), hot(grade, 3).float(), hot(home, 2).float()), 1)


def spokes(n: int, part: str = "train") -> tuple[Tensor, Tensor]:
    """Points ``[n, 2]`` on six bent spokes of unit length, and which."""
    draw = _draw(part)
    kind = torch.randint(0, 6, (n,), generator=draw)
    radius = 0.3 + 0.7 * torch.rand(n, generator=draw)
    angle = kind * math.pi / 3 + 0.5 * radius
    return torch.stack((radius * angle.cos(), radius * angle.sin()), 1) + 0.03 * torch.randn(n, 2, generator=draw), kind


def helix(n: int, part: str = "train") -> Tensor:
    """Points ``[n, 3]`` on two turns of a screw."""
    draw = _draw(part)
    t = torch.rand(n, generator=draw)
    angle = 4 * math.pi * t
    return torch.stack((angle.cos(), angle.sin(), 2 * t - 1), 1) + 0.05 * torch.randn(n, 3, generator=draw)


def vees(n: int, part: str = "train") -> Tensor:
    """Points ``[n, 2]`` on two letters V side by side."""
    draw = _draw(part)
    side = torch.randint(0, 2, (n,), generator=draw) * 2.0 - 1
    t = 2 * torch.rand(n, generator=draw) - 1
    return torch.stack((side + 0.7 * t, 1.6 * t.abs() - 0.8), 1) + 0.05 * torch.randn(n, 2, generator=draw)


def trefoil(n: int, part: str = "train") -> Tensor:
    """Points ``[n, 3]`` on a knot."""
    draw = _draw(part)
    t = 2 * math.pi * torch.rand(n, generator=draw)
    x, y = t.sin() + 2 * (2 * t).sin(), t.cos() - 2 * (2 * t).cos()
    return torch.stack((x, y, -(3 * t).sin()), 1) / 2 + 0.05 * torch.randn(n, 3, generator=draw)


def wreath(n: int, part: str = "train") -> Tensor:
    """Codes ``[n, 2]``: a ring of radius 1.5."""
    draw = torch.Generator().manual_seed(75 + (part == "held"))
    t = 2 * math.pi * torch.rand(n, generator=draw)
    radius = 1.5 + 0.1 * torch.randn(n, generator=draw)
    return torch.stack((radius * t.cos(), radius * t.sin()), 1)


def ticks(n: int, part: str = "train", length: int = 10) -> Tensor:
    """Series ``[n, length, 2]``: a price that turns back to its mean, and its last change."""
    draw = _draw(part)
    x = 0.8 * torch.randn(n, generator=draw)
    level = torch.where(torch.rand(n, generator=draw) < 0.5, 0.7, -0.7)
    path, before = [], x
    for _ in range(length):
        x = x + 0.4 * (level - x) + 0.12 * torch.randn(n, generator=draw)
        path.append(torch.stack((x, x - before), 1))
        before = x
    return torch.stack(path, 1)


def barcodes(n: int, part: str = "train", length: int = 24) -> Tensor:
    """Signals ``[n, length]`` within 0..1: two bars, the second eight places after the first."""
    draw = _draw(part)
    place = 2 + 10 * torch.rand(n, 1, generator=draw)
    at = torch.arange(length)[None]
    bars = torch.exp(-((at - place) ** 2) / 3) + 0.7 * torch.exp(-((at - place - 8) ** 2) / 3)
    return (0.1 + 0.75 * bars + 0.02 * torch.randn(n, length, generator=draw)).clamp(0, 1)


def molecules(n: int, part: str = "train", atoms: int = 5) -> tuple[Tensor, Tensor]:
    """Bonds ``[n, atoms, atoms]`` and kinds ``[n, atoms, 3]``: a chain or a ring, of atoms of three kinds."""
    draw = _draw(part)
    chain = torch.diag(torch.ones(atoms - 1), 1)
    bonds = (chain + chain.T).repeat(n, 1, 1)
    closed = (torch.rand(n, generator=draw) < 0.5).float()
    bonds[:, 0, -1] = bonds[:, -1, 0] = closed
    first = torch.randint(0, 3, (n, 1), generator=draw)
    kinds = torch.nn.functional.one_hot((first + torch.arange(atoms) % 2) % 3, 3).float()
    return bonds, kinds
