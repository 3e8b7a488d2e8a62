"""What watching costs: CPU time of a loop with a Monitor over the same loop without, interleaved in one process.

A small MLP in the plane is the worst case, since a step there takes a millisecond; DCGAN-32 is what people train.
Beside the ratio over the run stand its parts: what a step costs between windows (ratio of medians), and what a window
costs, in plain steps, with the ledger (the first three, then every fourth) and without it.

    python benchmarks/monitor_cost.py [steps of the MLP] [steps of the DCGAN]
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import nn

from tightrope import losses
from tightrope.doctor import preflight
from tightrope.monitor import Monitor
from tightrope.networks import NETWORKS

PLANE, IMAGES = (int(a) for a in (sys.argv[1:3] if len(sys.argv) > 2 else ("1500", "150")))


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


def median(values: list[float]) -> float:
    return statistics.median(values) if values else float("nan")


def main() -> None:
    torch.set_num_threads(1)
    for name, build, steps in (("2-D MLP", plane, PLANE), ("DCGAN-32", images, IMAGES)):
        watched, plain = Training(build, True), Training(build, False)
        monitor = watched.monitor
        assert monitor is not None
        took: dict[str, list[float]] = {"plain": [], "between": [], "ledger": [], "light": []}
        for k in range(steps):
            inside, before = monitor._observer.open, (watched.spent, plain.spent)
            for one in (watched, plain) if k % 2 else (plain, watched):
                one.step()
            ledger = inside and bool(monitor.history.windows[-1].critic.accounts)
            kind = "ledger" if ledger else "light" if inside else "between"
            took[kind].append(watched.spent - before[0])
            took["plain"].append(plain.spent - before[1])
        one = median(took["plain"])
        print(
            f"{name}: x{watched.spent / plain.spent:.3f} over {steps} steps; "
            f"between windows x{median(took['between']) / one:.3f}; "
            f"{len(took['ledger'])} windows with the ledger cost "
            f"{median(took['ledger']) / one - 1:.2f} plain steps each, "
            f"{len(took['light'])} without {median(took['light']) / one - 1:.2f}; {1000 * one:.2f} ms a plain step; "
            f"by its own clock {100 * monitor.cost / (1 - monitor.cost):.1f} %"
        )
        began = time.perf_counter()
        preflight(plain.g, plain.d, plain.data[:64], "non_saturating", (plain.opt_g, plain.opt_d))
        print(f"{name}: preflight {time.perf_counter() - began:.2f} s")


if __name__ == "__main__":
    main()
