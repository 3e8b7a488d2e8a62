"""Which R1 weight for my data? Short probe runs and the spectrum of the game at their end.

    python examples/choose_gamma.py

Half a minute on one core: five weights, two seeds, 300 steps each, on a ring of eight Gaussians.
"""

from __future__ import annotations

import torch
from torch import nn

from tightrope import methods
from tightrope.data import open_data
from tightrope.doctor import GammaAdvice, tune_gamma
from tightrope.networks import NETWORKS


def networks(seed: int) -> tuple[nn.Module, nn.Module]:
    """Fresh networks for a probe; put your own here."""
    rng = torch.Generator().manual_seed(seed)
    size = {"width": 32, "depth": 2, "rng": rng}
    return NETWORKS["mlp"].generator((2,), latent=8, **size), NETWORKS["mlp"].critic((2,), **size)


def main(steps: int = 300, gammas: tuple[float, ...] = (0.01, 0.1, 1.0, 10.0, 100.0)) -> GammaAdvice:
    data = open_data("toy:ring")
    advice = tune_gamma(
        lambda gamma: methods.build("r1", gamma=gamma, learning_rate=1e-3),
        networks,
        data.batch(torch.arange(2000)).x,
        latent=8,
        gammas=gammas,
        steps=steps,
        seeds=(0, 1),
    )
    print(advice)
    return advice


if __name__ == "__main__":
    main()
