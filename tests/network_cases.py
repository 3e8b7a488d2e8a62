"""Small reference networks that the network tests share."""

from __future__ import annotations

import inspect

import torch
from torch import nn

from tightrope.networks import NETWORKS

SMALL = {
    "mlp": {"width": 8},
    "dcgan": {"width": 8},
    "sn_cnn": {"width": 8},
    "sn_resnet": {"width": 4},
    "mescheder_resnet": {"width": 4, "max_width": 8},
    "deep_resnet": {"width": 8},
    "r3gan": {"width": 8},
}
CASES = [
    ("mlp", (2,)),
    ("mlp", (3, 16)),
    ("mlp", (1, 8, 8)),
    ("mlp", (2, 5, 9)),
    ("dcgan", (1, 8, 8)),
    ("dcgan", (3, 28, 28)),
    ("dcgan", (2, 48, 48)),
    ("dcgan", (3, 128, 128)),
    ("sn_cnn", (1, 8, 8)),
    ("sn_cnn", (3, 32, 32)),
    ("sn_cnn", (3, 48, 48)),
    ("sn_resnet", (3, 32, 32)),
    ("sn_resnet", (1, 48, 48)),
    ("sn_resnet", (3, 64, 64)),
    ("sn_resnet", (3, 128, 128)),
    ("mescheder_resnet", (1, 8, 8)),
    ("mescheder_resnet", (3, 28, 28)),
    ("mescheder_resnet", (3, 64, 64)),
    ("deep_resnet", (1, 8, 8)),
    ("deep_resnet", (3, 32, 32)),
    ("r3gan", (1, 8, 8)),
    ("r3gan", (3, 28, 28)),
]
ONE_EACH = [
    ("mlp", (3, 16)),
    ("dcgan", (1, 8, 8)),
    ("sn_cnn", (1, 16, 16)),
    ("sn_resnet", (1, 32, 32)),
    ("mescheder_resnet", (1, 8, 8)),
    ("deep_resnet", (1, 8, 8)),
    ("r3gan", (1, 8, 8)),
]


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def options(name, role):
    """The small widths, without what this role's builder does not know."""
    return {k: v for k, v in SMALL[name].items() if k in inspect.signature(getattr(NETWORKS[name], role)).parameters}


def make(name, role, shape, seed=0, **more):
    return getattr(NETWORKS[name], role)(shape, **{**options(name, role), **more}, rng=rng(seed))


def pair(name, shape, classes=0, seed=0):
    return make(name, "generator", shape, seed, classes=classes), make(name, "critic", shape, seed, classes=classes)


def batch(shape, classes, n=3, seed=1):
    x = torch.rand(n, *shape, generator=rng(seed)) * 2 - 1
    return x, (torch.arange(n) % classes if classes else None)


@torch.no_grad()
def shake_(network, seed=5):
    """Move every parameter off its starting value, so that zeros and ones of the initialisation hide nothing."""
    r = rng(seed)
    for parameter in network.parameters():
        parameter.add_(0.05 * torch.randn(parameter.shape, generator=r))
    return network


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


def convs(network):
    return [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
