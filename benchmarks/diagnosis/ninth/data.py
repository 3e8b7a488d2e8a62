"""Rows for the scripts: training rows and rows held out, made anew from a fixed seed at every call."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def _draw(part: str) -> torch.Generator:
    return torch.Generator().manual_seed({"train": 91, "held": 92}[part])


def _grid(size: int = 8) -> tuple[Tensor, Tensor]:
    at = torch.arange(size, dtype=torch.float32)
    return at[None, :, None], at[None, None, :]


def _pick(values: tuple[float, ...], n: int, draw: torch.Generator, dims: int = 1) -> Tensor:
    kind = torch.randint(0, len(values), (n,), generator=draw)
    return torch.tensor(values)[kind].view(n, *[1] * dims)


def chevrons(n: int, part: str = "train") -> Tensor:
    """Images ``[n, 1, 8, 8]`` within -1..1: two broken bars, pointing up or down, at any height."""
    draw = _draw(part)
    i, j = _grid()
    side = _pick((-1.0, 1.0), n, draw, 2)
    shift = 6 * torch.rand(n, 1, 1, generator=draw)
    wave = torch.sin(2 * math.pi * (i + side * 0.8 * (j - 3.5).abs() + shift) / 6)
    return (0.85 * torch.tanh(2 * wave) + 0.05 * torch.randn(n, 8, 8, generator=draw)).clamp(-1, 1)[:, None]


def crosses(n: int, part: str = "train") -> Tensor:
    """Images ``[n, 1, 8, 8]`` within -1..1: an upright or a leaning cross somewhere."""
    draw = _draw(part)
    i, j = _grid()
    y, x = (2 + 3 * torch.rand(n, 1, 1, generator=draw) for _ in range(2))
    leaning = _pick((0.0, 1.0), n, draw, 2)
    across, down = (i - y).abs(), (j - x).abs()
    upright = torch.minimum(across, down)
    tilted = ((across - down).abs()) / 1.5
    near = (leaning * tilted + (1 - leaning) * upright) + 2 * (torch.maximum(across, down) > 3.2)
    return (1.7 * torch.exp(-(near**2)) - 0.85 + 0.04 * torch.randn(n, 8, 8, generator=draw)).clamp(-1, 1)[:, None]


def gaits(n: int, part: str = "train") -> Tensor:
    """Transitions ``[n, 4]``: two joints on a cycle, and the same joints one step later, at a walk or a run."""
    draw = _draw(part)
    phase = 2 * math.pi * torch.rand(n, 1, generator=draw)
    pace = _pick((0.5, 1.1), n, draw)
    reach = torch.where(pace > 0.8, 1.4, 0.8)

    def joints(at: Tensor) -> Tensor:
        return torch.cat((reach * at.sin(), 0.7 * reach * (at + 0.9).cos() + 0.2 * (2 * at).sin()), 1)

    return torch.cat((joints(phase), joints(phase + pace)), 1) + 0.04 * torch.randn(n, 4, generator=draw)


def ripples(n: int, part: str = "train", length: int = 16) -> Tensor:
    """Profiles ``[n, length]``: a wave that dies away, of one of two lengths."""
    draw = _draw(part)
    t = torch.arange(length)[None] / length
    turns = _pick((1.5, 3.0), n, draw)
    phase = 1.5 * torch.rand(n, 1, generator=draw)
    size = 0.8 + 0.6 * torch.rand(n, 1, generator=draw)
    wave = size * torch.exp(-1.5 * t) * torch.cos(2 * math.pi * turns * t + phase)
    return wave + 0.03 * torch.randn(n, length, generator=draw)


def glints(n: int, part: str = "train") -> Tensor:
    """Images ``[n, 1, 8, 8]`` within -1..1: two lights, opposite each other about the middle."""
    draw = _draw(part)
    i, j = _grid()
    angle = _pick((0.2, 1.8), n, draw, 2) + 0.6 * torch.rand(n, 1, 1, generator=draw)
    away = 1.8 + 0.8 * torch.rand(n, 1, 1, generator=draw)
    y, x = away * angle.sin(), away * angle.cos()
    lights = sum(torch.exp(-((i - 3.5 - s * y) ** 2 + (j - 3.5 - s * x) ** 2) / 2) for s in (-1, 1))
    return (1.8 * lights - 0.9 + 0.03 * torch.randn(n, 8, 8, generator=draw)).clamp(-1, 1)[:, None]


def bells(n: int, part: str = "train", length: int = 32) -> tuple[Tensor, Tensor]:
    """Waves ``[n, 1, length]`` within -1..1, struck once or twice, and what is coarse in them."""
    draw = _draw(part)
    t = torch.arange(length)[None] / length
    pitch = 3 + 1.5 * torch.rand(n, 1, generator=draw)
    phase = 1.2 * torch.rand(n, 1, generator=draw)
    second = _pick((0.0, 0.7), n, draw) * torch.exp(-6 * (t - 0.5).clamp(min=0)) * (t >= 0.5)
    loud = 0.8 * torch.exp(-4 * t) + second
    wave = loud * torch.sin(2 * math.pi * pitch * t + phase) + 0.02 * torch.randn(n, length, generator=draw)
    wave = wave.clamp(-1, 1)[:, None]
    return wave, coarse(wave)


def coarse(wave: Tensor) -> Tensor:
    """Means and speed of change in pieces of four samples ``[n, 2, length / 4]``."""
    pool = torch.nn.functional.avg_pool1d
    change = torch.nn.functional.pad(wave[:, :, 1:] - wave[:, :, :-1], (1, 0))
    return torch.cat((pool(wave, 4), pool(change.abs(), 4)), 1)


def phrases(n: int, part: str = "train", length: int = 6) -> Tensor:
    """Sentences ``[n, length, 6]`` as one-hot words: most of the time each word goes before the same."""
    draw = _draw(part)
    follow = torch.tensor([[1, 2], [3, 4], [4, 5], [0, 5], [0, 1], [2, 3]])
    word = (torch.rand(n, generator=draw) < 0.2) * 3
    words = [word]
    for _ in range(length - 1):
        word = follow[word, (torch.rand(n, generator=draw) < 0.2).long()]
        words.append(word)
    return torch.nn.functional.one_hot(torch.stack(words, 1), 6).float()


def codes(n: int, part: str = "train") -> Tensor:
    """Records ``[n, 18]`` of zeros and ones: codes of four kinds of patients, a few of them by chance."""
    draw = _draw(part)
    rates = torch.full((4, 18), 0.06)
    for kind in range(4):
        rates[kind, 4 * kind : 4 * kind + 5] = 0.85
    rates[0::2, 17] = 0.9
    kind = torch.multinomial(torch.tensor([0.35, 0.3, 0.2, 0.15]), n, replacement=True, generator=draw)
    return (torch.rand(n, 18, generator=draw) < rates[kind]).float()


def tides(n: int, part: str = "train", length: int = 24) -> tuple[Tensor, Tensor]:
    """Levels ``[n, 1, length]`` of two tides together, and masks that are 0 in a gap of twelve."""
    draw = _draw(part)
    t = torch.arange(length)[None].float()
    one, two = (2 * math.pi * torch.rand(n, 1, generator=draw) for _ in range(2))
    spring = _pick((0.25, 0.6), n, draw)
    level = 0.5 * torch.sin(2 * math.pi * t / 12 + one) + spring * torch.sin(2 * math.pi * t / 7 + two)
    start = torch.randint(2, length - 13, (n, 1), generator=draw)
    mask = 1 - ((t >= start) & (t < start + 12)).float()
    return (1 + level + 0.04 * torch.randn(n, length, generator=draw))[:, None], mask[:, None]


def checks(n: int, part: str = "train") -> Tensor:
    """Images ``[n, 3, 8, 8]`` within -1..1: boards of fields of two sizes, in one of three colours on one ground."""
    draw = _draw(part)
    i, j = _grid()
    size = _pick((2.0, 4.0), n, draw, 2)
    up, left = (torch.randint(0, 4, (n, 1, 1), generator=draw) for _ in range(2))
    board = ((((i + up) / size).floor() + ((j + left) / size).floor()) % 2)[:, None]
    palette = torch.tensor([[0.9, 0.4, -0.3], [-0.2, 0.8, 0.0], [0.7, -0.1, 0.3]])
    colour = palette[torch.randint(0, 3, (n,), generator=draw)][:, :, None, None]
    image = board * colour + (1 - board) * torch.tensor([0.2, -0.4, -0.8])[:, None, None]
    return (image + 0.05 * torch.randn(n, 3, 8, 8, generator=draw)).clamp(-1, 1)


def lissajous(n: int, part: str = "train") -> Tensor:
    """Points ``[n, 2]`` on a curve of two frequencies."""
    draw = _draw(part)
    t = 2 * math.pi * torch.rand(n, generator=draw)
    return 1.3 * torch.stack((t.sin(), (2 * t + 0.6).sin()), 1) + 0.04 * torch.randn(n, 2, generator=draw)


def clover(n: int, part: str = "train") -> Tensor:
    """Points ``[n, 2]`` on the outline of three leaves."""
    draw = _draw(part)
    t = math.pi * torch.rand(n, generator=draw)
    radius = 1.5 * (3 * t).cos()
    return torch.stack((radius * t.cos(), radius * t.sin()), 1) + 0.04 * torch.randn(n, 2, generator=draw)


def wedges(n: int, part: str = "train") -> Tensor:
    """Points ``[n, 2]`` in five wedges about the middle."""
    draw = _draw(part)
    angle = 2 * math.pi * (torch.randint(0, 5, (n,), generator=draw) + 0.4 * torch.rand(n, generator=draw)) / 5
    radius = 0.6 + 0.9 * torch.rand(n, generator=draw).sqrt()
    return torch.stack((radius * angle.cos(), radius * angle.sin()), 1) + 0.02 * torch.randn(n, 2, generator=draw)


def knots(n: int, part: str = "train") -> Tensor:
    """Points ``[n, 3]`` on a knot."""
    draw = _draw(part)
    t = 2 * math.pi * torch.rand(n, generator=draw)
    ring = 2 + (2 * t).cos()
    points = torch.stack((ring * (3 * t).cos(), ring * (3 * t).sin(), 2 * (4 * t).sin()), 1)
    return 0.5 * points + 0.05 * torch.randn(n, 3, generator=draw)


def leaves(n: int, part: str = "train") -> tuple[Tensor, Tensor]:
    """Measures ``[n, 4]`` of leaves of five kinds, and which."""
    draw = _draw(part)
    centres = torch.tensor([
        [1.2, 0.3, -0.8, 0.5], [-0.9, 1.1, 0.4, -0.6], [0.2, -1.2, 1, 0.8], [-1.1, -0.7, -0.9, -0.2],
        [0.9, 0.9, 0.9, -1.2],
    ])  # fmt: skip
    kind = torch.randint(0, 5, (n,), generator=draw)
    size = 0.35 * torch.randn(n, 1, generator=draw)
    lean = torch.tensor([1.0, 0.6, -0.4, 0.2])
    return centres[kind] + size * lean + 0.1 * torch.randn(n, 4, generator=draw), kind


def returns(n: int, part: str = "train", length: int = 16) -> Tensor:
    """Returns ``[n, 1, length]`` of days: calm or wild, where wild days follow wild ones, and falls are steeper."""
    draw = _draw(part)
    state = torch.rand(n, generator=draw) < 0.4
    out = []
    for _ in range(length):
        state = state ^ (torch.rand(n, generator=draw) < 0.12)
        shock = torch.randn(n, generator=draw)
        out.append(torch.where(state, 1.1, 0.3) * (shock - 0.25 * (shock**2 - 1)) + torch.where(state, -0.2, 0.1))
    return torch.stack(out, 1)[:, None]


def bows(n: int, part: str = "train") -> Tensor:
    """Points ``[n, 2]`` on a bow tie: two triangles that meet, and the knot between them."""
    draw = _draw(part)
    side = 2.0 * torch.randint(0, 2, (n,), generator=draw) - 1
    x = 1.5 * torch.rand(n, generator=draw).sqrt()
    y = 0.7 * x * (2.0 * torch.randint(0, 2, (n,), generator=draw) - 1)
    end = torch.rand(n, generator=draw) < 0.3
    x = torch.where(end, torch.full_like(x, 1.5), x)
    y = torch.where(end, 1.05 * (2 * torch.rand(n, generator=draw) - 1), y)
    return torch.stack((side * x, y), 1) + 0.04 * torch.randn(n, 2, generator=draw)


def showers(n: int, part: str = "train") -> Tensor:
    """Energies ``[n, 1, 8, 8]``, never below 0: a shower that begins at some depth and spreads."""
    draw = _draw(part)
    i, j = _grid()
    begin = 2.5 * torch.rand(n, 1, 1, generator=draw)
    energy = _pick((0.8, 1.8), n, draw, 2) * (0.9 + 0.2 * torch.rand(n, 1, 1, generator=draw))
    centre = 2.5 + 2 * torch.rand(n, 1, 1, generator=draw)
    depth = (i - begin).clamp(min=0)
    profile = energy * depth * torch.exp(-depth / 1.5) * torch.exp(-((j - centre) ** 2) / (1 + 0.5 * depth))
    noisy = profile * (1 + 0.15 * torch.randn(n, 8, 8, generator=draw))
    return torch.where(noisy > 0.05, noisy, torch.zeros(())).clamp(min=0)[:, None]
