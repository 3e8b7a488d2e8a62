"""Exponential moving average of the generator: parameters and buffers, with its half-life in images."""

from __future__ import annotations

import copy

import torch
from torch import nn


def averaged_copy(generator: nn.Module) -> nn.Module:
    """A copy of ``generator`` in eval mode that takes no gradients, to be moved by :func:`update_average_`."""
    average = copy.deepcopy(generator)
    for p in average.parameters():
        p.requires_grad_(False)
    return average.eval()


def decay_for(images: int, images_seen: int, *, half_life_images: float, ramp_up: float | None = 0.05) -> float:
    """Decay over ``images`` images: ``0.5 ** (images / half_life)``.

    Args:
        images: Real images since the last update.
        images_seen: Real images seen so far; early in training the half-life is at most ``ramp_up`` of it.
        half_life_images: Half-life; 0 means no averaging.
        ramp_up: Share of ``images_seen`` that caps the half-life, None for no cap.

    Source: Karras et al. 2020 (1912.04958), half-life; its code, ramp-up 0.05.
    """
    half_life = half_life_images if ramp_up is None else min(half_life_images, ramp_up * images_seen)
    return 0.5 ** (images / half_life) if half_life > 0 else 0.0


@torch.no_grad()
def update_average_(average: nn.Module, generator: nn.Module, decay: float) -> None:
    """Move ``average`` towards ``generator`` in place: ``average <- decay * average + (1 - decay) * generator``.

    Floating-point buffers (batch-norm statistics) are averaged as parameters are; other buffers are copied.
    """
    targets = [*average.parameters(), *average.buffers()]
    sources = [*generator.parameters(), *generator.buffers()]
    floating = [(t, s) for t, s in zip(targets, sources, strict=True) if t.is_floating_point()]
    if floating:
        torch._foreach_lerp_([t for t, _ in floating], [s for _, s in floating], 1 - decay)
    for target, source in zip(targets, sources, strict=True):
        if not target.is_floating_point():
            target.copy_(source)
