"""What a gradient penalty adds to a critic step: WGAN-GP and R1 over the plain step of the same critic.

    OMP_NUM_THREADS=1 python benchmarks/penalty_cost.py

Whole critic steps with their optimiser, fakes from a tiny generator, batch 64. Before anything is timed, penalty and
gradient of each critic are compared with plain ``autograd.grad`` on a float64 copy.
"""

from __future__ import annotations

import copy
from functools import partial

import torch
from torch import Tensor, nn

from tightrope import methods
from tightrope.networks import NETWORKS
from tightrope.penalties import gradient_penalty, r1
from tightrope.training import Run, critic_step, start
from timing import Row, dearer, interleaved, options, record

SHAPE = (3, 32, 32)
TARGETS = {
    ("sn_resnet", "fp32"): (1.75, 1.6),
    ("sn_resnet", "bf16"): (1.75, 1.55),
    ("dcgan", "fp32"): (2.0, 1.6),
    ("dcgan", "bf16"): (1.95, 1.55),
}
TITLES = {"sn_resnet": "ResNet-32", "dcgan": "DCGAN-32"}


def begun(network: str, method: str, precision: str, batch: int) -> Run:
    rng = torch.Generator().manual_seed(0)
    generator = NETWORKS["dcgan"].generator(SHAPE, latent=16, width=4, rng=rng)
    critic = NETWORKS[network].critic(SHAPE, width=64, rng=rng)
    options = {"optimizer": "adam", "learning_rate": 2e-4} if method == "r1" else {}
    built = methods.build(method, **options)
    return start(built, generator, critic, seed=0, batch_size=batch, precision=precision)


def agree(critic: nn.Module) -> None:
    """Raise unless both penalties and their gradients are those of plain autograd."""
    critic = copy.deepcopy(critic).double()
    x = torch.rand(2, *SHAPE, dtype=torch.float64)
    parameters = list(critic.parameters())
    point = x.clone().requires_grad_()
    (g,) = torch.autograd.grad(critic(point).sum(), point, create_graph=True)
    squares = g.square().flatten(1).sum(1)
    plain = {"gp": 10 * (squares.sqrt() - 1).square().mean(), "r1": 5 * squares.mean()}
    ours: dict[str, Tensor] = {"gp": gradient_penalty(critic, x, x), "r1": r1(critic, x)}
    for name, value in plain.items():
        torch.testing.assert_close(ours[name], value, rtol=1e-10, atol=0)
        both = [torch.autograd.grad(v, parameters, allow_unused=True, retain_graph=True) for v in (ours[name], value)]
        for a, b in zip(*both, strict=True):
            if a is not None and b is not None:
                torch.testing.assert_close(a, b, rtol=1e-7, atol=1e-10)


def main() -> None:
    parser = options(__doc__, rounds=20)
    parser.add_argument("--batch", type=int, default=64)
    given = parser.parse_args()
    torch.set_num_threads(1)
    rows: list[Row] = []
    for (network, precision), (gp, zero) in TARGETS.items():
        runs = {
            name: begun(network, method, precision, given.batch)
            for name, method in (("plain", "dcgan"), ("gp", "wgan_gp"), ("r1", "r1"))
        }
        agree(runs["plain"].critic)
        real = torch.rand(given.batch, *SHAPE) * 2 - 1
        steps = {name: partial(critic_step, run, real) for name, run in runs.items()}
        spent = interleaved(steps, rounds=given.rounds)
        title = f"{TITLES[network]} {precision}"
        rows += [
            dearer(f"{title}, WGAN-GP over plain", spent, "gp", "plain", gp),
            dearer(f"{title}, R1 over plain", spent, "r1", "plain", zero),
        ]
    record(given.out, "What a gradient penalty adds to a critic step", "the plain step of the same critic", rows)


if __name__ == "__main__":
    main()
