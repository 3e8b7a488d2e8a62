"""Layers and networks that the tests of constraints share."""

from __future__ import annotations

import torch
from torch import nn


def zoo() -> dict[str, nn.Module]:
    return {
        "linear": nn.Linear(7, 5),
        "wide linear": nn.Linear(5, 9),
        "embedding": nn.Embedding(6, 4),
        "conv1d": nn.Conv1d(3, 4, 3),
        "conv2d": nn.Conv2d(3, 8, 4, 2, 1),
        "conv3d": nn.Conv3d(2, 3, 3),
        "grouped": nn.Conv2d(4, 6, 3, groups=2),
        "depthwise": nn.Conv2d(4, 4, 3, groups=4),
        "dilated circular": nn.Conv2d(2, 3, 3, dilation=2, padding=2, padding_mode="circular"),
        "transposed": nn.ConvTranspose2d(3, 4, 4, 2, 1),
        "grouped transposed": nn.ConvTranspose2d(4, 6, 3, groups=2),
        "transposed 1d": nn.ConvTranspose1d(3, 2, 3),
    }


def small_critic(seed: int = 0, dtype: torch.dtype = torch.float64) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(2, 6, 3, padding=1),
        nn.LeakyReLU(0.1),
        nn.Conv2d(6, 8, 4, 2, 1),
        nn.LeakyReLU(0.1),
        nn.Flatten(),
        nn.Linear(8 * 16, 1),
    ).to(dtype)


def block_diagonal(layer: nn.Module) -> torch.Tensor:
    """Kernel matrix by the definition: one row per output channel, built entry by entry from slices of the weight."""
    weight = layer.weight.detach()
    groups = getattr(layer, "groups", 1)
    if isinstance(layer, (nn.ConvTranspose1d, nn.ConvTranspose2d)):
        per_group = weight.shape[0] // groups
        blocks = [
            torch.stack([weight[g * per_group : (g + 1) * per_group, o].flatten() for o in range(weight.shape[1])])
            for g in range(groups)
        ]
    else:
        per_group = weight.shape[0] // groups
        blocks = [torch.stack([weight[g * per_group + o].flatten() for o in range(per_group)]) for g in range(groups)]
    return torch.block_diag(*blocks)
