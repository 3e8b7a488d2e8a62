"""Affine maps of images: flips, turns, scalings and shifts of each sample, and bilinear resampling."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from tightrope._plumbing import draws
from tightrope._plumbing.draws import Rng
from tightrope.perturbations.diff_augment import uniform


def placed(x: Tensor, p: float, kinds: str, rng: Rng | None) -> Tensor:
    """Where each pixel of the result comes from: affine maps in pixels about the image's centre, ``[batch, 2, 3]``."""
    n, _, height, width = x.shape
    draw = _Draws(x, rng)
    whole = torch.eye(3, dtype=torch.float64).expand(n, 3, 3)
    if "b" in kinds:
        flip = draw.often(p) & (draw.u() < 0.5)
        whole = whole @ _scaling(torch.where(flip, -1.0, 1.0), torch.ones(n))
        whole = whole @ _turn(torch.where(draw.often(p), (draw.u() * 4).floor(), 0.0) * (math.pi / 2))
        often = draw.often(p)
        across, down = ((draw.u() * 2 - 1) * size / 8 for size in (width, height))
        whole = whole @ _shift(torch.where(often, across.round(), 0.0), torch.where(often, down.round(), 0.0))
    if "g" in kinds:
        once = 1 - math.sqrt(1 - p)  # of the turns before and after, so that either comes with probability p
        size = torch.where(draw.often(p), torch.exp2(0.2 * draw.normal()), 1.0)
        whole = whole @ _scaling(1 / size, 1 / size)
        whole = whole @ _turn(torch.where(draw.often(once), (draw.u() * 2 - 1) * math.pi, 0.0))
        stretch = torch.where(draw.often(p), torch.exp2(0.2 * draw.normal()), 1.0)
        whole = whole @ _scaling(1 / stretch, stretch)
        whole = whole @ _turn(torch.where(draw.often(once), (draw.u() * 2 - 1) * math.pi, 0.0))
        often = draw.often(p)
        across, down = (torch.where(often, draw.normal() * size / 8, 0.0) for size in (width, height))
        whole = whole @ _shift(across, down)
    return whole[:, :2]


class _Draws:
    """Random numbers per sample in float64 on the CPU."""

    def __init__(self, x: Tensor, rng: Rng | None) -> None:
        self.x, self.rng = x.detach(), rng

    def u(self) -> Tensor:
        return uniform(self.x, self.rng).to("cpu", torch.float64)

    def often(self, p: float) -> Tensor:
        return self.u() < p

    def normal(self) -> Tensor:
        size = (len(self.x),)
        return (torch.randn(size) if self.rng is None else draws.normal(size, self.rng)).to("cpu", torch.float64)


def _affine(a: Tensor, b: Tensor, c: Tensor, d: Tensor, across: Tensor, down: Tensor) -> Tensor:
    zero, one = torch.zeros_like(a), torch.ones_like(a)
    rows = [a, b, across, c, d, down, zero, zero, one]
    return torch.stack([row.double() for row in rows], 1).view(-1, 3, 3)


def _scaling(across: Tensor, down: Tensor) -> Tensor:
    zero = torch.zeros_like(across)
    return _affine(across, zero, zero, down, zero, zero)


def _turn(angle: Tensor) -> Tensor:
    zero = torch.zeros_like(angle)
    return _affine(angle.cos(), -angle.sin(), angle.sin(), angle.cos(), zero, zero)


def _shift(across: Tensor, down: Tensor) -> Tensor:
    zero, one = torch.zeros_like(across), torch.ones_like(across)
    return _affine(one, zero, zero, one, across, down)


def resampled(x: Tensor, maps: Tensor) -> Tensor:
    """Images ``[batch, channels, height, width]`` with each pixel taken from where ``maps`` ``[batch, 2, 3]`` say.

    Coordinates are in pixels about the centre; values between pixels are bilinear, borders reflected. A gather and a
    weighted sum: linear in ``x``, with derivatives of every order (``grid_sample`` has no second one).
    """
    n, channels, height, width = x.shape
    across = torch.arange(width, dtype=torch.float64) - (width - 1) / 2
    down = torch.arange(height, dtype=torch.float64) - (height - 1) / 2
    grid = torch.stack([across.expand(height, width), down[:, None].expand(height, width)]).view(2, -1)
    from_x, from_y = (maps[:, :, :2] @ grid + maps[:, :, 2:]).unbind(1)  # [batch, pixels]
    columns, rows = _between(from_x + (width - 1) / 2, width), _between(from_y + (height - 1) / 2, height)
    flat = x.reshape(n, channels, height * width)
    total = torch.zeros_like(flat)
    for row, down_share in rows:
        for column, across_share in columns:
            index = (row * width + column).to(x.device)[:, None].expand(n, channels, -1)
            share = (down_share * across_share).to(device=x.device, dtype=x.dtype)[:, None]
            total = total + share * flat.gather(2, index)
    return total.view(x.shape)


def _between(place: Tensor, size: int) -> list[tuple[Tensor, Tensor]]:
    """The two pixels around each place and their shares."""
    place = (place * 2**20).round() / 2**20  # a quarter turn's cosine is 6e-17, not 0
    first = place.floor()
    share = place - first
    return [(_reflected(first.long(), size), 1 - share), (_reflected(first.long() + 1, size), share)]


def _reflected(index: Tensor, size: int) -> Tensor:
    """Positions outside mirrored in the outermost pixels, as often as needed."""
    if size == 1:
        return torch.zeros_like(index)
    period = 2 * (size - 1)
    index = index.remainder(period)
    return torch.where(index < size, index, period - index)
