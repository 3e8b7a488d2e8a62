"""Small image GANs as several studies train them: a Frechet distance that needs no training, and signs of collapse."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import torch
from scipy.stats import spearmanr
from torch import Tensor, nn
from torch.nn.functional import interpolate, softplus

from tightrope import losses
from tightrope.data import Dataset, Sampler, open_data
from tightrope.evaluation.features import FeatureNetwork
from tightrope.evaluation.features.network import random_convolutions
from tightrope.methods import Method
from tightrope.metrics import frechet_distance
from tightrope.networks import NETWORKS
from tightrope.studies.design import Cell
from tightrope.training import Step, start, train

SAMPLES = 500


@functools.cache
def opened(source: str, pixels: int, split: str) -> Dataset:
    """A data set; ``digits`` keep their eight pixels."""
    return open_data(source, split=split, resolution=None if source == "digits" else pixels, progress=False)


@functools.cache
def features(channels: int) -> FeatureNetwork:
    """Random convolutions, the same in every process."""
    return random_convolutions((channels, 16, 16))


@functools.cache
def real_images(source: str, pixels: int) -> Tensor:
    """Held-out images in training scale, ``[at most 2000, c, h, w]``."""
    data = opened(source, pixels, "test")
    return data.batch(torch.arange(min(len(data), 2 * SAMPLES))).x


@functools.cache
def _real_features(source: str, pixels: int) -> Tensor:
    x = real_images(source, pixels)
    return features(x.shape[1])(_at_least_16(x))


def _at_least_16(x: Tensor) -> Tensor:
    return x if x.shape[-1] >= 16 else interpolate(x, scale_factor=16 // x.shape[-1])


def spread(x: Tensor) -> float:
    """Mean distance between two images."""
    flat = x.flatten(1)
    half = len(flat) // 2
    return float((flat[:half] - flat[half : 2 * half]).norm(dim=1).mean())


def judged(generator: nn.Module, latent: int, cell: Cell, rng: torch.Generator) -> tuple[float, float]:
    """Frechet distance to held-out images, and the spread of samples relative to theirs."""
    source, pixels = str(cell["data"]), int(cell["pixels"])
    generator.eval()
    with torch.no_grad():
        fake = generator(torch.randn(SAMPLES, latent, generator=rng))
    generator.train()
    found = features(fake.shape[1])(_at_least_16(fake))
    distance = frechet_distance(_real_features(source, pixels), found)
    return float(distance), spread(fake) / spread(real_images(source, pixels)[:SAMPLES])


def train_images(method: Method, cell: Cell, seed: int, *, networks: Any = None) -> dict[str, Any]:
    """Train as a cell says: ``data``, ``pixels``, ``generator``, widths, ``latent``, ``batch``, ``steps``.

    Weights, batches, latents and evaluation follow from the seed alone, so that arms with one seed share them.

    Returns:
        ``log_fd``, ``spread``, ``collapsed``, and along training ``fd`` and ``estimate`` (of Wasserstein's or the
        Jensen-Shannon distance, mean over the steps before a checkpoint), with their rank correlation.
    """
    source, pixels, latent = str(cell["data"]), int(cell["pixels"]), int(cell["latent"])
    data, rng = opened(source, pixels, "train"), torch.Generator().manual_seed(1000 * seed)
    G, D = (networks or build)(cell, data.shape, rng)
    batch, steps = int(cell["batch"]), int(cell["steps"])
    run = start(method, G, D, seed=seed, latent=latent, shape=data.shape, batch_size=batch, ema_half_life_images=0.0)
    every, judge = max(steps // int(cell["checkpoints"]), 1), torch.Generator().manual_seed(1000 * seed + 1)
    trail: list[tuple[float, float, float]] = []
    recent: list[float] = []
    for step in train(run, Sampler(data, batch, seed=seed), steps=steps):
        recent.append(estimated(method, step))
        if step.step % every == 0:
            trail.append((*judged(G, latent, cell, judge), math.fsum(recent) / len(recent)))
            recent.clear()
    distances, spreads, estimates = map(list, zip(*trail, strict=True))
    return {"log_fd": math.log(distances[-1]), "spread": spreads[-1], "collapsed": float(spreads[-1] < 0.5),
            "fd": distances, "estimate": estimates, "follows": rank(estimates, distances)}  # fmt: skip


def build(cell: Cell, shape: Sequence[int], rng: torch.Generator) -> tuple[nn.Module, nn.Module]:
    """Generator ``mlp``, ``dcgan`` (without batch norm) or ``dcgan_bn``, and a DCGAN critic without batch norm."""
    size, latent, width = tuple(shape), int(cell["latent"]), int(cell["width"])
    kind = str(cell["generator"])
    if kind == "mlp":
        G = NETWORKS["mlp"].generator(size, latent=latent, width=256, depth=3, activation="relu", rng=rng)
    else:
        G = NETWORKS["dcgan"].generator(size, latent=latent, width=width, batch_norm=kind == "dcgan_bn", rng=rng)
    return G, NETWORKS["dcgan"].critic(size, width=width, rng=rng)


def estimated(method: Method, step: Step) -> float:
    """The distance that the critic's last loss stands for: Wasserstein's, or Jensen and Shannon's."""
    now = step.critic.objective
    real, fake = now.d_real, now.d_fake
    assert isinstance(real, Tensor) and isinstance(fake, Tensor)
    if method.loss is losses.wasserstein:
        return float(real.mean() - fake.mean())
    return math.log(2) - 0.5 * float(softplus(-real).mean() + softplus(fake).mean())


def rank(a: Sequence[float], b: Sequence[float]) -> float:
    """Spearman's correlation of two series; 0 where one is constant."""
    if len(a) < 3 or len(set(a)) == 1 or len(set(b)) == 1:
        return 0.0
    return float(spearmanr(a, b).statistic)
