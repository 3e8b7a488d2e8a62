"""Affine maps of colours: brightness, contrast, luma flip, hue and saturation of each sample."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from tightrope._plumbing.draws import Rng
from tightrope.perturbations.geometry import _Draws

LUMA = torch.full((3, 3), 1 / 3, dtype=torch.float64)
"""The projection of a colour onto grey."""


def mixed(x: Tensor, p: float, rng: Rng | None) -> Tensor:
    """What happens to each sample's colours, ``[batch, 3, 4]``: a matrix and, in the last column, what is added."""
    draw, n = _Draws(x, rng), len(x)
    unit = torch.eye(3, dtype=torch.float64)
    added = torch.where(draw.often(p), 0.2 * draw.normal(), 0.0)
    contrast = torch.where(draw.often(p), torch.exp2(0.5 * draw.normal()), 1.0)
    matrix = contrast[:, None, None] * unit
    added = added * contrast
    flipped = torch.where(draw.often(p) & (draw.u() < 0.5), 1.0, 0.0)
    mirror = unit - 2 * flipped[:, None, None] * LUMA
    matrix, offset = mirror @ matrix, (mirror @ added[:, None, None].expand(n, 3, 1))
    if x.shape[1] == 3:
        hue = _hue(torch.where(draw.often(p), (draw.u() * 2 - 1) * math.pi, 0.0))
        saturation = torch.where(draw.often(p), torch.exp2(draw.normal()), 1.0)
        change = (LUMA + saturation[:, None, None] * (unit - LUMA)) @ hue
        matrix, offset = change @ matrix, change @ offset
    return torch.cat([matrix, offset], 2)


def _hue(angle: Tensor) -> Tensor:
    """Rotations about the grey axis, by Rodrigues' formula: ``[batch, 3, 3]``."""
    unit = torch.eye(3, dtype=torch.float64)
    cross = torch.tensor([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]], dtype=torch.float64) / math.sqrt(3)
    cos, sin = angle.cos()[:, None, None], angle.sin()[:, None, None]
    return cos * unit + sin * cross + (1 - cos) * LUMA


def recoloured(x: Tensor, maps: Tensor) -> Tensor:
    """Images ``[batch, 1 or 3, height, width]`` under maps of colours ``[batch, 3, 4]``.

    Of a grey image, all of whose colours are equal, the grey of the result is kept.
    """
    maps = maps.to(device=x.device, dtype=x.dtype)
    if x.shape[1] == 1:
        grey = maps.mean(1)
        return x * grey[:, :3].sum(1)[:, None, None, None] + grey[:, 3][:, None, None, None]
    return torch.einsum("bij,bjhw->bihw", maps[:, :, :3], x) + maps[:, :, 3][:, :, None, None]
