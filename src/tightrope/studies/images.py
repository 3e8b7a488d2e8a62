"""Image GANs under a study's own networks, seen at checkpoints: distance, spread, the critic's estimate, its spectra.

``fashion_mnist`` lies in the folder ``../shared/data`` beside the checkout, or where ``TIGHTROPE_FASHION`` says.
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from tightrope import spectra
from tightrope.data import Sampler
from tightrope.methods import Method
from tightrope.networks.initialise import initialise_
from tightrope.studies.design import Cell
from tightrope.studies.pictures import estimated, judged, opened, rank
from tightrope.training import Run, start, train

FASHION = os.environ.get("TIGHTROPE_FASHION", "../shared/data/fashion_mnist")
Networks = Callable[[Cell, tuple[int, ...], torch.Generator], tuple[nn.Module, nn.Module]]


@dataclass(frozen=True)
class Checkpoint:
    """A run on its way.

    Attributes:
        step: Generator steps done.
        fd: Frechet distance to held-out images, see :func:`tightrope.studies.pictures.judged`.
        spread: Of samples relative to theirs.
        estimate: The critic's distance, mean over the steps since the last checkpoint.
        run: The run itself.
    """

    step: int
    fd: float
    spread: float
    estimate: float
    run: Run


def located(cell: Cell) -> str:
    """Where a cell's data lie, under which name they may not differ from machine to machine."""
    return FASHION if cell["data"] == "fashion_mnist" else str(cell["data"])


def checkpoints(
    method: Method, cell: Cell, seed: int, networks: Networks, *, half_life_images: float = 0.0
) -> Iterator[Checkpoint]:
    """Train as a cell says: ``data``, ``pixels``, ``latent``, ``batch``, ``steps``, ``checkpoints``.

    Weights, batches, latents and evaluation follow from the seed alone, so that arms with one seed share them. The
    last checkpoint is the last step. Distances are those of the generator as trained, whatever its average's half-life.
    """
    cell = {**cell, "data": located(cell)}
    latent, batch, steps = int(cell["latent"]), int(cell["batch"]), int(cell["steps"])
    data = opened(str(cell["data"]), int(cell["pixels"]), "train")
    G, D = networks(cell, data.shape, torch.Generator().manual_seed(1000 * seed))
    run = start(method, G, D, seed=seed, latent=latent, shape=data.shape, batch_size=batch,
                ema_half_life_images=half_life_images)  # fmt: skip
    count, judge = int(cell["checkpoints"]), torch.Generator().manual_seed(1000 * seed + 1)
    wanted = {max(round(steps * k / count), 1) for k in range(1, count + 1)}
    recent: list[float] = []
    for step in train(run, Sampler(data, batch, seed=seed), steps=steps):
        recent.append(estimated(method, step))
        if step.step in wanted:
            distance, spread = judged(G, latent, cell, judge)
            yield Checkpoint(step.step, distance, spread, math.fsum(recent) / len(recent), run)
            recent.clear()


def summary(seen: Sequence[Checkpoint]) -> dict[str, Any]:
    """What every image run measures: the end, the trails, and how the estimate follows the distance.

    Returns:
        ``log_fd``, ``spread``, ``collapsed`` (spread below half); ``fd`` and ``estimate`` along training, with the rank
        correlation of the two (``follows``) and of their changes (``follows_change``).
    """
    fd, estimate = [one.fd for one in seen], [one.estimate for one in seen]
    changes = [[b - a for a, b in itertools.pairwise(trail)] for trail in (estimate, fd)]
    return {
        "log_fd": math.log(fd[-1]),
        "spread": seen[-1].spread,
        "collapsed": float(seen[-1].spread < 0.5),
        "fd": fd,
        "estimate": estimate,
        "follows": rank(estimate, fd),
        "follows_change": rank(*changes),
    }


def drawn(network: nn.Module, law: str, rng: torch.Generator) -> nn.Module:
    """The network with weights N(0, 0.02) (``"n002"``), or with He's standard deviation (``"he"``), drawn anew."""
    initialise_(network, lambda _, w: 0.02 if law == "n002" else (2 / w[0].numel()) ** 0.5, norm_std=0.02, rng=rng)
    return network


def kernel_values(critic: nn.Module) -> list[torch.Tensor]:
    """Singular values of the kernels a critic computes with, from its first layer to its last."""
    return list(spectra.kernel_spectra(critic).values())
