"""Critic generalisation: fresh critics on a frozen pair of distributions, held-out against training estimate.

    OMP_NUM_THREADS=1 python studies/critic_generalisation.py [--steps N] [--seeds 5] [--out FILE]

Pairs: a ring of eight Gaussians against N(0, I/4) (400 training and 400 held-out samples; exact distance by
assignment), and scikit-learn's digits, 400 training and 800 held-out images, against a Gaussian fitted to the training
images. Every method trains the same network (64-64-64 hidden units) for the same number of critic steps at one
learning rate, Adam (0, 0.9). Registered two-sided before it was run: no order of the methods is expected.
Seeds 200 onwards were not used while this was written.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from tightrope.critics.generalisation import generalisation_scores, table
from tightrope.data import open_data
from tightrope.methods import Method, build
from tightrope.networks.activations import GroupSort
from tightrope.optimizers.settings import Optimizer

RATE = 2e-3
Fakes = Callable[[int, torch.Generator], Tensor]


def critic(seed: int, *, inputs: int, sort: bool) -> nn.Sequential:
    torch.manual_seed(seed)
    layers: list[nn.Module] = [nn.Flatten()]
    for before in (inputs, 64, 64):
        layers += [nn.Linear(before, 64), GroupSort(4) if sort else nn.LeakyReLU(0.1)]
    return nn.Sequential(*layers, nn.Linear(64, 1))


def contenders() -> dict[str, tuple[Method, bool]]:
    """Method, and whether its critic sorts."""
    return {
        "clip 0.01": (build("wgan"), False),
        "gradient penalty 10": (build("wgan_gp"), False),
        "gradient penalty 10, one-sided": (build("wgan_gp", one_sided=True), False),
        "spectral norm, leaky ReLU": (build("sn_wgan"), False),
        "spectral norm, GroupSort": (build("sn_wgan"), True),
        "orthogonal hard, leaky ReLU": (build("orthogonal_wgan"), False),
        "orthogonal hard, GroupSort": (build("orthogonal_wgan"), True),
        "orthogonal soft 10, GroupSort": (build("orthogonal_wgan", way="soft"), True),
        "orthogonal svd 0.05 every 10, GroupSort": (build("orthogonal_wgan", way="svd", every=10), True),
    }


def ring() -> tuple[Tensor, Tensor, Fakes]:
    rng = torch.Generator().manual_seed(0)
    angle = torch.randint(8, (800,), generator=rng) * (2 * math.pi / 8)
    x = 2 * torch.stack([angle.cos(), angle.sin()], 1) + 0.02 * torch.randn(800, 2, generator=rng)
    return x[:400], x[400:], lambda n, rng: 0.5 * torch.randn(n, 2, generator=rng)


def digits() -> tuple[Tensor, Tensor, Fakes]:
    data = open_data("digits")
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(0))
    x = data.batch(order[:1200]).x
    train, test = x[:400], x[400:1200]
    flat = train.flatten(1).double()
    mean, covariance = flat.mean(0), torch.cov(flat.T) + 1e-4 * torch.eye(flat.shape[1], dtype=torch.float64)
    root = torch.linalg.cholesky(covariance)

    def fakes(n: int, rng: torch.Generator) -> Tensor:
        z = torch.randn(n, flat.shape[1], generator=rng, dtype=torch.float64)
        return (mean + z @ root.T).float().reshape(n, *x.shape[1:])

    return train, test, fakes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    record: dict[str, object] = {"steps": options.steps, "learning_rate": RATE, "torch": torch.__version__}
    optimizer = Optimizer("adam", RATE, (0.0, 0.9))
    for name, pair in (("ring", ring), ("digits", digits)):
        train, test, fakes = pair()
        inputs = math.prod(train.shape[1:])
        entries = {
            key: (dataclasses.replace(method, critic_optimizer=optimizer), partial(critic, inputs=inputs, sort=sort))
            for key, (method, sort) in contenders().items()
        }
        started = time.process_time()
        scores = generalisation_scores(
            entries, train, test, fakes, steps=options.steps, seeds=range(200, 200 + options.seeds)
        )
        print(f"{name}: {len(train)} training, {len(test)} held-out samples, {options.seeds} seeds")
        print(table(scores), f"\n{time.process_time() - started:.0f} s\n", flush=True)
        record[name] = [dataclasses.asdict(score) for score in scores]
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
