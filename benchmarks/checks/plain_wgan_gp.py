"""WGAN-GP in plain PyTorch, none of this library's losses or penalties: is a negative estimate the method's or ours?

    OMP_NUM_THREADS=1 python benchmarks/checks/plain_wgan_gp.py circle --optimizer adam --offset 3 --steps 900
    OMP_NUM_THREADS=1 python benchmarks/checks/plain_wgan_gp.py gaussian --optimizer rmsprop --steps 3000

Networks of three hidden layers of 64, leaky ReLU 0.2, He initialisation, batch 128, five critic steps, penalty weight
10; Adam (1e-4, 0, .9) or RMSProp 5e-4. Prints the critic's estimate and the exact Wasserstein-1 distance of 512 points.
"""

from __future__ import annotations

import argparse
from itertools import pairwise

import torch
from torch import Tensor, nn

from tightrope.data.toy import TOYS
from tightrope.metrics.transport import wasserstein1

BATCH = 128


def mlp(*sizes: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for i, (a, b) in enumerate(pairwise(sizes)):
        last = i == len(sizes) - 2
        linear = nn.Linear(a, b)
        nn.init.kaiming_normal_(linear.weight, a=1.0 if last else 0.2)
        nn.init.zeros_(linear.bias)
        layers += [linear] if last else [linear, nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers)


def critic_loss(D: nn.Module, x: Tensor, f: Tensor) -> Tensor:
    mix = torch.rand(len(x), 1)
    h = (mix * x + (1 - mix) * f).requires_grad_()
    (g,) = torch.autograd.grad(D(h).sum(), h, create_graph=True)
    loss: Tensor = D(f).mean() - D(x).mean() + 10 * (g.norm(dim=1) - 1).square().mean()
    return loss


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", choices=("circle", "gaussian"))
    parser.add_argument("--optimizer", choices=("adam", "rmsprop"), default="adam")
    parser.add_argument("--offset", type=float, default=0.0)
    parser.add_argument("--steps", type=int, default=900)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(options.seed)
    rng = torch.Generator().manual_seed(options.seed)
    G, D = mlp(8, 64, 64, 64, 2), mlp(2, 64, 64, 64, 1)
    with torch.no_grad():
        G[-1].bias[0] = options.offset
    adam = options.optimizer == "adam"
    of_g, of_d = (
        torch.optim.Adam(n.parameters(), 1e-4, (0.0, 0.9)) if adam else torch.optim.RMSprop(n.parameters(), 5e-4)
        for n in (G, D)
    )
    for step in range(1, options.steps + 1):
        for _ in range(5):
            x, f = TOYS[options.data](BATCH, rng), G(torch.randn(BATCH, 8)).detach()
            of_d.zero_grad()
            critic_loss(D, x, f).backward()
            of_d.step()
        of_g.zero_grad()
        (-D(G(torch.randn(BATCH, 8))).mean()).backward()
        of_g.step()
        if step % max(options.steps // 15, 1) == 0:
            with torch.no_grad():
                x, f = TOYS[options.data](1000, rng), G(torch.randn(1000, 8))
                estimate = float(D(x).mean() - D(f).mean())
            print(f"step {step}: estimate {estimate:.3f}, W1 {wasserstein1(x[:512], f[:512]):.3f}", flush=True)


if __name__ == "__main__":
    main()
