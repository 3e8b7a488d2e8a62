"""What watching costs: CPU time of a loop with a Monitor over the same loop without, interleaved in one process.

A small MLP in the plane is the worst case, since a step there takes a millisecond; DCGAN-32 is what people train.
Beside the ratio over the run stand its parts: what a step costs between windows (ratio of medians), and what a window
costs, in plain steps, with the ledger (the first three, then every fourth) and without it.

The Monitor's own clock, by which it keeps its budget, is wound forward over the steps of the loop without it.

    python benchmarks/monitor_cost.py [--plane 1500] [--images 300]
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import nn

from tightrope import losses
from tightrope.doctor import preflight
from tightrope.monitor import Monitor
from tightrope.networks import NETWORKS
from timing import Row, options, record

PARTS = 5
"""Of a run, the lowest and highest ratio of which is its range."""


def plane() -> tuple[nn.Module, nn.Module, torch.Tensor, int]:
    def mlp(*sizes: int) -> nn.Module:
        layers = [part for a, b in pairwise(sizes) for part in (nn.Linear(a, b), nn.ReLU())]
        return nn.Sequential(*layers[:-1])

    return mlp(8, 96, 96, 2), mlp(2, 96, 96, 1), torch.randn(4096, 2), 8


def images() -> tuple[nn.Module, nn.Module, torch.Tensor, int]:
    dcgan, shape = NETWORKS["dcgan"], (3, 32, 32)
    return dcgan.generator(shape, latent=64), dcgan.critic(shape), torch.rand(256, *shape) * 2 - 1, 64


class Training:
    """A plain loop of the non-saturating loss, 64 samples a batch, watched or not."""

    def __init__(self, build: Callable[[], tuple[nn.Module, nn.Module, torch.Tensor, int]], watched: bool) -> None:
        torch.manual_seed(0)
        self.g, self.d, self.data, self.latent = build()
        self.opt_g, self.opt_d = (torch.optim.Adam(n.parameters(), 2e-4, betas=(0.5, 0.999)) for n in (self.g, self.d))
        both = (self.opt_g, self.opt_d)
        self.monitor = Monitor(self.g, self.d, loss="non_saturating", optimizers=both) if watched else None
        self.spent = 0.0

    def step(self) -> None:
        """One update of both players."""
        began = time.process_time()
        real = self.data[torch.randint(len(self.data), (64,))]
        self.opt_d.zero_grad()
        fake = self.g(torch.randn(64, self.latent)).detach()
        losses.non_saturating.critic(self.d(real), self.d(fake)).backward()
        self.opt_d.step()
        z = torch.randn(64, self.latent)
        self.opt_g.zero_grad()
        losses.non_saturating.generator(self.d(self.g(z))).backward()
        self.opt_g.step()
        if self.monitor is not None:
            self.monitor.step(real, z)
        self.spent += time.process_time() - began


def measured(name: str, build: Callable[[], tuple[nn.Module, nn.Module, torch.Tensor, int]], steps: int) -> list[Row]:
    """What watching costs over a run, and between windows."""
    watched, plain = Training(build, True), Training(build, False)
    monitor = watched.monitor
    assert monitor is not None
    took: dict[str, list[float]] = {"plain": [], "watched": [], "between": [], "ledger": [], "light": []}
    for k in range(steps):
        inside, before = monitor._observer.open, (watched.spent, plain.spent)
        for one in (watched, plain) if k % 2 else (plain, watched):
            began = time.perf_counter()
            one.step()
            if one is plain and monitor._began:
                monitor._began += time.perf_counter() - began
        ledger = inside and bool(monitor.history.windows[-1].critic.accounts)
        took["watched"].append(watched.spent - before[0])
        took["plain"].append(plain.spent - before[1])
        took["ledger" if ledger else "light" if inside else "between"].append(took["watched"][-1])
    one = statistics.median(took["plain"])
    for kind in ("ledger", "light"):
        if took[kind]:
            dearer = statistics.median(took[kind]) / one - 1
            print(f"{name}: {len(took[kind])} windows, {kind}, cost {dearer:.2f} plain steps each")
    print(f"{name}: {100 * monitor.cost / (1 - monitor.cost):.1f} % by its own clock; {1e3 * one:.2f} ms a plain step")
    began = time.perf_counter()
    preflight(plain.g, plain.d, plain.data[:64], "non_saturating", (plain.opt_g, plain.opt_d))
    print(f"{name}: preflight {time.perf_counter() - began:.2f} s")
    cut = range(0, steps, -(-steps // PARTS))
    parts = [[sum(took[kind][k : k + cut.step]) for kind in ("watched", "plain")] for k in cut]
    ratios = [a / b for a, b in parts]
    whole = sum(took["watched"]) / sum(took["plain"])
    target = {"2-D MLP": 1.10, "DCGAN-32": 1.03}[name]
    ms = 1e3 * one
    quartiles = [q / one for q in statistics.quantiles(took["between"], n=4)]
    return [
        Row(f"{name}, {steps:,} steps", whole, min(ratios), max(ratios), "at most", target, ms, ms * whole),
        Row(
            f"{name}, a step between windows (quartiles)",
            quartiles[1], quartiles[0], quartiles[2], "at most", None, ms, ms * quartiles[1],
        ),
    ]  # fmt: skip


def main() -> None:
    parser = options(__doc__, rounds=1)
    parser.add_argument("--plane", type=int, default=1500)
    parser.add_argument("--images", type=int, default=300)
    given = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for name, build, steps in (("2-D MLP", plane, given.plane), ("DCGAN-32", images, given.images)):
        if steps:
            rows += measured(name, build, steps)
            print(*rows[-2:], sep="\n", flush=True)
    record(given.out, "What watching a training costs", "the same loop without a Monitor", rows)


if __name__ == "__main__":
    main()
