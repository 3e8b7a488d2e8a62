"""Rows for the scripts: training rows and rows held out, made anew from a fixed seed at every call."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def _draw(part: str) -> torch.Generator:
    return torch.Generator().manual_seed({"train": 81, "held": 82}[part])


def _grid(size: int = 8) -> tuple[Tensor, Tensor]:
    at = torch.arange(size, dtype=torch.float32)
    return at[None, :, None], at[None, None, :]


def tiles(n: int, part: str = "train") -> Tensor:
    """Images ``[n, 1, 8, 8]`` within -1..1: stripes of one of four directions, any phase."""
    draw = _draw(part)
    i, j = _grid()
    kind = torch.randint(0, 4, (n,), generator=draw)
    across = torch.tensor([1.0, 0.0, 0.7, 0.7])[kind][:, None, None]
    along = torch.tensor([0.0, 1.0, 0.7, -0.7])[kind][:, None, None]
    phase = 2 * math.pi * torch.rand(n, 1, 1, generator=draw)
    wave = torch.sin(2 * math.pi * (across * i + along * j) / 5 + phase)
    return (0.85 * torch.tanh(2.5 * wave) + 0.04 * torch.randn(n, 8, 8, generator=draw)).clamp(-1, 1)[:, None]


def swirl(n: int, part: str = "train") -> Tensor:
    """Points ``[n, 2]`` on a spiral of one turn and a half."""
    draw = _draw(part)
    t = torch.rand(n, generator=draw).sqrt()
    angle = 3 * math.pi * t
    return torch.stack((1.6 * t * angle.cos(), 1.6 * t * angle.sin()), 1) + 0.05 * torch.randn(n, 2, generator=draw)


def blobs(n: int, part: str = "train") -> Tensor:
    """Images ``[n, 1, 8, 8]`` within -1..1: a bright spot somewhere, of one of two widths."""
    draw = _draw(part)
    i, j = _grid()
    y, x = (1.5 + 4 * torch.rand(n, 1, 1, generator=draw) for _ in range(2))
    width = torch.tensor([1.0, 2.2])[torch.randint(0, 2, (n,), generator=draw)][:, None, None]
    spot = torch.exp(-((i - y) ** 2 + (j - x) ** 2) / (2 * width**2))
    return (1.8 * spot - 0.9 + 0.03 * torch.randn(n, 8, 8, generator=draw)).clamp(-1, 1)[:, None]


def frames(n: int, part: str = "train") -> tuple[Tensor, Tensor]:
    """Pairs ``[n, 1, 8, 8]`` within -1..1: the outline of a box, and the box filled, lit from one of two sides."""
    draw = _draw(part)
    i, j = _grid()
    top, left = (torch.randint(0, 3, (n, 1, 1), generator=draw).float() for _ in range(2))
    tall, wide = (torch.randint(4, 6, (n, 1, 1), generator=draw).float() for _ in range(2))
    inside = ((i >= top) & (i < top + tall) & (j >= left) & (j < left + wide)).float()
    core = ((i > top) & (i < top + tall - 1) & (j > left) & (j < left + wide - 1)).float()
    side = 2.0 * torch.randint(0, 2, (n, 1, 1), generator=draw) - 1
    light = 0.3 + 0.5 * torch.tanh(side * (j - left - wide / 2))
    filled = inside * (0.9 + light) - 0.9 + 0.03 * torch.randn(n, 8, 8, generator=draw)
    return (2 * (inside - core) - 1)[:, None], filled.clamp(-1, 1)[:, None]


def pupils(n: int, part: str = "train") -> tuple[Tensor, Tensor]:
    """Images ``[n, 1, 8, 8]`` within -1..1: drawn discs, and discs as a camera has them, not of the same scenes."""
    draw = _draw(part)
    i, j = _grid()
    out = []
    for camera in (False, True):
        y, x = (2.5 + 2 * torch.rand(n, 1, 1, generator=draw) for _ in range(2))
        radius = 1.5 + torch.rand(n, 1, 1, generator=draw)
        away = ((i - y) ** 2 + (j - x) ** 2).sqrt() - radius
        if camera:
            lid = 0.35 * torch.tanh(i - 2.5) + 0.15 * torch.sin(2.2 * j)
            image = 0.1 + 0.7 * torch.tanh(away) * 0.6 + lid + 0.08 * torch.randn(n, 8, 8, generator=draw)
        else:
            image = 0.8 * torch.sign(away)
        out.append(image.clamp(-1, 1)[:, None])
    return out[0], out[1]


def runes(n: int, part: str = "train") -> tuple[Tensor, Tensor]:
    """Images ``[n, 1, 8, 8]`` within -1..1 of five signs made of bars, and which of them."""
    draw = _draw(part)
    bars = torch.zeros(6, 8, 8)
    bars[0, 1:7, 1], bars[1, 1:7, 6], bars[2, 1, 1:7] = 1, 1, 1
    bars[3, 6, 1:7], bars[4, 3:5, 1:7], bars[5, 1:7, 3:5] = 1, 1, 1
    signs = torch.tensor(
        [[1, 1, 0, 0, 1, 0], [0, 0, 1, 1, 0, 1], [1, 0, 1, 1, 0, 0], [0, 1, 1, 0, 1, 0], [1, 1, 0, 1, 0, 0]]
    )
    kind = torch.randint(0, 5, (n,), generator=draw)
    image = torch.einsum("nb,bij->nij", signs[kind].float(), bars).clamp(max=1)
    ink = 1.2 + 0.6 * torch.rand(n, 1, 1, generator=draw)
    return (ink * image - 0.9 + 0.06 * torch.randn(n, 8, 8, generator=draw)).clamp(-1, 1)[:, None], kind


def beats(n: int, part: str = "train", length: int = 16) -> Tensor:
    """Series ``[n, length, 2]``: a pulse that comes again, at one of two paces, and its running mean."""
    draw = _draw(part)
    t = torch.arange(length)[None]
    period = torch.tensor([5.0, 8.0])[torch.randint(0, 2, (n, 1), generator=draw)]
    offset = 2.5 * torch.rand(n, 1, generator=draw)
    height = 1 + 0.6 * torch.rand(n, 1, generator=draw)
    phase = (t - offset) % period
    pulse = height * torch.exp(-((phase - 1.5) ** 2)) + 0.04 * torch.randn(n, length, generator=draw)
    mean = torch.cumsum(pulse, 1) / (t + 1)
    return torch.stack((pulse, mean), 2)


def arcs(n: int, part: str = "train") -> Tensor:
    """Points ``[n, 2]`` on four arcs, open to four sides."""
    draw = _draw(part)
    kind = torch.randint(0, 4, (n,), generator=draw)
    turn = kind * math.pi / 2
    t = turn + math.pi * (torch.rand(n, generator=draw) - 0.5)
    points = torch.stack((1.1 * turn.cos() + 0.6 * t.cos(), 1.1 * turn.sin() + 0.6 * t.sin()), 1)
    return points + 0.04 * torch.randn(n, 2, generator=draw)


def plumes(n: int, part: str = "train", length: int = 16) -> Tensor:
    """Profiles ``[n, length]`` about 0: a steep front and a long tail, at one of two heights."""
    draw = _draw(part)
    at = torch.arange(length)[None].float()
    front = 2 + 7 * torch.rand(n, 1, generator=draw)
    tail = 2 + 2 * torch.rand(n, 1, generator=draw)
    height = torch.tensor([0.9, 1.7])[torch.randint(0, 2, (n, 1), generator=draw)]
    shape = torch.sigmoid(3 * (at - front)) * torch.exp(-(at - front).clamp(min=0) / tail)
    return height * shape - 0.3 + 0.04 * torch.randn(n, length, generator=draw)


def commas(n: int, part: str = "train") -> Tensor:
    """Points ``[n, 2]`` in two commas that chase each other."""
    draw = _draw(part)
    side = 2.0 * torch.randint(0, 2, (n,), generator=draw) - 1
    t = torch.rand(n, generator=draw)
    angle, radius = 2.6 * t, 1.3 - 0.7 * t
    thick = 0.05 + 0.15 * (1 - t)
    spread = thick[:, None] * torch.randn(n, 2, generator=draw)
    return side[:, None] * torch.stack((radius * angle.cos(), radius * angle.sin()), 1) + spread


def motifs(n: int, part: str = "train") -> Tensor:
    """Signals ``[n, 1, 24]`` within -1..1: three of four motifs of eight places, one after the other."""
    draw = _draw(part)
    t = torch.arange(8) / 8
    shapes = torch.stack(
        (torch.sin(2 * math.pi * t), 1.6 * t - 0.8, (t < 0.5) * 1.4 - 0.7, torch.cos(4 * math.pi * t) * 0.8)
    )
    kind = torch.randint(0, 4, (n, 3), generator=draw)
    gain = 0.7 + 0.3 * torch.rand(n, 3, 1, generator=draw)
    signal = (gain * shapes[kind]).flatten(1)
    return (signal + 0.03 * torch.randn(n, 24, generator=draw)).clamp(-1, 1)[:, None]


def calls(n: int, part: str = "train", length: int = 48) -> tuple[Tensor, Tensor]:
    """Waves ``[n, 1, length]`` within -1..1, rising or falling in pitch, and what is coarse in them."""
    draw = _draw(part)
    t = torch.arange(length)[None] / length
    low, slope = 2 + 2 * torch.rand(n, 1, generator=draw), 3 * (2.0 * torch.randint(0, 2, (n, 1), generator=draw) - 1)
    turns = (low + 3) * t + slope * t**2
    loud = 0.5 + 0.3 * torch.rand(n, 1, generator=draw)
    wave = (loud * torch.sin(2 * math.pi * turns) + 0.02 * torch.randn(n, length, generator=draw)).clamp(-1, 1)
    return wave[:, None], bands(wave[:, None])


def bands(wave: Tensor) -> Tensor:
    """Means of four samples and of the steps between neighbours ``[n, 2, length / 4]``."""
    pool = torch.nn.functional.avg_pool1d
    steps = torch.nn.functional.pad((wave[:, :, 1:] - wave[:, :, :-1]).abs(), (1, 0))
    return torch.cat((pool(wave, 4), pool(steps, 4)), 1)


def orders(n: int, part: str = "train") -> tuple[Tensor, Tensor]:
    """A table ``[n, 9]``: two numbers, a channel of four and a state of three as one-hot; and the channel."""
    draw = _draw(part)
    channel = torch.multinomial(torch.tensor([0.4, 0.3, 0.2, 0.1]), n, replacement=True, generator=draw)
    state = (channel + (torch.rand(n, generator=draw) < 0.3)) % 3
    noise = torch.randn(n, 2, generator=draw)
    price = torch.tensor([-0.7, -0.1, 0.4, 0.8])[channel] + 0.12 * noise[:, 0]
    days = 0.6 * torch.tensor([-1.0, 0.2, 1.0])[state] - 0.3 * price + 0.1 * noise[:, 1]
    hot = torch.nn.functional.one_hot
    return torch.cat((torch.stack((price, days), 1), hot(channel, 4).float(), hot(state, 3).float()), 1), channel


def eights(n: int, part: str = "train") -> Tensor:
    """Points ``[n, 2]`` in eight spots on an ellipse."""
    draw = _draw(part)
    angle = torch.randint(0, 8, (n,), generator=draw) * math.pi / 4
    return torch.stack((1.5 * angle.cos(), 1.1 * angle.sin()), 1) + 0.07 * torch.randn(n, 2, generator=draw)


def stamps(n: int, part: str = "train") -> Tensor:
    """Images ``[n, 1, 8, 8]`` within -1..1: one quarter dark, one light, the rest between, with a fine border."""
    draw = _draw(part)
    first = torch.randint(0, 4, (n,), generator=draw)
    second = (first + torch.randint(1, 4, (n,), generator=draw)) % 4
    hot = torch.nn.functional.one_hot
    tone = hot(first, 4) - hot(second, 4) + 0.15 * torch.randn(n, 4, generator=draw)
    image = tone.view(n, 1, 2, 2).repeat_interleave(4, 2).repeat_interleave(4, 3) * 0.7
    board = ((torch.arange(8)[:, None] + torch.arange(8)[None]) % 2 * 2 - 1).float()
    edge = torch.ones(8, 8)
    edge[1:7, 1:7] = 0
    return (image + 0.3 * board * edge + 0.03 * torch.randn(n, 1, 8, 8, generator=draw)).clamp(-1, 1)


def hooks(n: int, part: str = "train") -> Tensor:
    """Points ``[n, 2]`` on a hook: a shaft and half a ring."""
    draw = _draw(part)
    u = torch.rand(n, generator=draw)
    shaft = u < 0.5
    t = torch.where(shaft, 2 * u, 2 * u - 1)
    x = torch.where(shaft, torch.full_like(t, 0.7), 0.7 * (math.pi * t).cos())
    y = torch.where(shaft, 1.4 * t - 0.2, -0.2 - 0.7 * (math.pi * t).sin())
    return torch.stack((x, y), 1) * 1.3 + 0.04 * torch.randn(n, 2, generator=draw)


def hexes(n: int, part: str = "train") -> Tensor:
    """Points ``[n, 2]`` on the sides of a hexagon and in its middle."""
    draw = _draw(part)
    k = torch.randint(0, 6, (n,), generator=draw) * math.pi / 3
    t = torch.rand(n, generator=draw)
    x = (1 - t) * k.cos() + t * (k + math.pi / 3).cos()
    y = (1 - t) * k.sin() + t * (k + math.pi / 3).sin()
    outside = (torch.rand(n, 1, generator=draw) < 0.8).float()
    return 1.4 * outside * torch.stack((x, y), 1) + 0.06 * torch.randn(n, 2, generator=draw)


def hearts(n: int, part: str = "train") -> Tensor:
    """Points ``[n, 2]`` within -1..1 on the outline of a heart."""
    draw = _draw(part)
    t = 2 * math.pi * torch.rand(n, generator=draw)
    x = t.sin() ** 3
    y = (13 * t.cos() - 5 * (2 * t).cos() - 2 * (3 * t).cos() - (4 * t).cos() + 2.5) / 16
    return (0.85 * torch.stack((x, y), 1) + 0.02 * torch.randn(n, 2, generator=draw)).clamp(-1, 1)


def saddle(n: int, part: str = "train") -> Tensor:
    """Points ``[n, 3]`` on the rim of a saddle and on its two lines."""
    draw = _draw(part)
    t = 2 * math.pi * torch.rand(n, generator=draw)
    rim = torch.stack((t.cos(), t.sin(), 0.7 * (2 * t).cos()), 1)
    line = torch.rand(n, 1, generator=draw) < 0.3
    u = 2 * torch.rand(n, generator=draw) - 1
    across = torch.stack((u, torch.zeros(n), 0.7 * u**2), 1)
    return 1.2 * torch.where(line, across, rim) + 0.04 * torch.randn(n, 3, generator=draw)


def sensors(n: int, part: str = "train") -> tuple[Tensor, Tensor, Tensor]:
    """Rows ``[n, 5]`` of a machine with its state of three, and of another machine: other gains and offsets."""
    draw = _draw(part)
    centres = torch.tensor([[1.5, 0, 1, -1, 0.5], [-1, 1.5, 0, 1, -0.5], [0, -1.5, -1, 0, 1.5]])
    kind = torch.randint(0, 3, (n,), generator=draw)
    one = centres[kind] + 0.4 * torch.randn(n, 5, generator=draw)
    two = centres[torch.randint(0, 3, (n,), generator=draw)] + 0.4 * torch.randn(n, 5, generator=draw)
    gain = torch.tensor([1.4, 0.7, 1.2, 0.8, 1.1])
    return one, kind, two * gain + torch.tensor([-1.0, 0.9, 0.6, -0.8, 0.7])
