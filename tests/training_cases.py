"""Small players, runs and batches that the tests of training share."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tightrope.methods import Method, build
from tightrope.networks import NETWORKS
from tightrope.training import Run, start

MLP = NETWORKS["mlp"]
BATCH = 32


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def networks(seed: int = 0, classes: int = 0) -> tuple[nn.Module, nn.Module]:
    size = {"width": 32, "depth": 2, "classes": classes}
    return MLP.generator((2,), latent=4, rng=rng(seed), **size), MLP.critic((2,), rng=rng(seed + 1), **size)


def begin(method: Method | str, seed: int = 0, classes: int = 0, **options: object) -> Run:
    method = build(method) if isinstance(method, str) else method
    return start(method, *networks(seed, classes), seed=seed, batch_size=BATCH, **options)


def batches(ring: Tensor, first: int = 0) -> list[Tensor]:
    return list(ring.split(BATCH))[first:]
