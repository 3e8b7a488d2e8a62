"""What stands at the end of a loop: measures the damage, and in a monitored run asks the Monitor."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from .job import Job

ROWS, EVERY = 200, 10
READ = (1, 2, 3, 5, 8, 13, 21, 34, *range(40, 1000, 10))


def distance(x: Tensor, y: Tensor) -> float:
    """Energy distance of two samples in units of the second's mean distance; 10 for what is not finite."""
    x, y = x.flatten(1).double(), y.flatten(1).double()
    if x.shape[1:] != y.shape[1:] or not torch.isfinite(x).all():
        return 10.0
    n, m = len(x), len(y)
    within_x = torch.cdist(x, x).sum() / max(1, n * (n - 1))
    within_y = torch.cdist(y, y).sum() / (m * (m - 1))
    value = float((2 * torch.cdist(x, y).mean() - within_x - within_y) / within_y)
    return min(10.0, value) if value == value else 10.0


def by_class(x: Tensor, x_y: Tensor, y: Tensor, y_y: Tensor) -> float:
    """Mean over classes of the distance within the class, in units of the rows' mean distance over all classes."""
    unit = float(torch.pdist(y.flatten(1).double()).mean())
    values = []
    for k in y_y.unique():
        a, b = x[x_y == k], y[y_y == k]
        if len(a) > 1 and len(b) > 1:
            values.append(distance(a, b) * float(torch.pdist(b.flatten(1).double()).mean()) / unit)
    return min(10.0, sum(values) / len(values)) if values else 10.0


class Watch:
    """A run without Monitor: only the distance of the samples to held-out rows, every ten steps."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.trace: list[tuple[int, float]] = []
        self.now = 0
        self.aside = 0.0
        self.draws_only = False  # measure at the end alone, but draw as often: sampling is part of the run
        self.draw: Callable[[int], tuple[Tensor, Tensor | None]] | None = None

    def start(
        self,
        generator: nn.Module,
        critic: nn.Module,
        draw: Callable[[int], tuple[Tensor, Tensor | None]],
        **known: Any,
    ) -> None:
        """Before the loop: who plays, how samples are drawn, and what else is known."""
        self.draw = draw
        self.generator, self.critic = generator, critic
        self._look()

    def step(self, real: Tensor, z: Tensor, labels: Tensor | None = None) -> None:
        """At the end of each generator update."""
        self.now += 1
        if self.now % EVERY == 0:
            self._look()

    def finish(self) -> None:
        """After the loop."""

    def _look(self) -> None:
        began = time.process_time()
        assert self.draw is not None
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(7)
            fake, y = self.draw(ROWS)
        intact = self.job.intact
        real, real_y = intact.held[:ROWS], intact.held_y[:ROWS]
        if self.draws_only and self.now < self.job.steps:
            self.aside += time.process_time() - began
            return
        value = distance(fake.detach().float(), real) if y is None else by_class(fake.detach().float(), y, real, real_y)
        self.trace.append((self.now, round(value, 4)))
        self.aside += time.process_time() - began


class Monitored(Watch):
    """A run with the Monitor attached and asked at fixed steps."""

    def __init__(self, job: Job, access: str, **options: Any) -> None:
        super().__init__(job)
        self.access, self.options = access, options
        self.verdicts: list[tuple[int, list[list[Any]]]] = []
        self.problem = ""
        self.monitor: Any = None
        self.draws_only = True

    def start(self, generator, critic, draw, **known: Any) -> None:
        """Builds the Monitor with what this access allows it to know."""
        from tightrope.monitor import Monitor

        wanted = {"full": set(known), "optimizers": {"loss", "penalty", "optimizers"}, "real_z": {"loss", "penalty"}}[
            self.access
        ]
        given = {name: value for name, value in known.items() if name in wanted and value is not None}
        if self.access == "full":
            few = int(self.job.strength) if self.job.fault == "evaluation_small" else 0
            given["sample"] = lambda n=256: draw(few or n)[0]
        self.told = set(given)
        try:
            self.monitor = Monitor(generator, critic, **given, **self.options)
        except Exception as problem:
            self.problem = f"start: {type(problem).__name__}: {problem}"[:300]
        super().start(generator, critic, draw)

    def step(self, real: Tensor, z: Tensor, labels: Tensor | None = None) -> None:
        """At the end of each generator update."""
        if self.monitor is not None:
            try:
                if labels is not None and self.access == "full":
                    self.monitor.step(real, z, labels=labels)
                else:
                    self.monitor.step(real, z)
            except Exception as problem:
                self.problem = self.problem or f"step: {type(problem).__name__}: {problem}"[:300]
        super().step(real, z, labels)
        if self.monitor is not None and (self.now in READ or self.now == self.job.steps):
            self._ask()

    def finish(self) -> None:
        """Takes the Monitor's hooks away, so that the next run in this process is alone."""
        if self.monitor is not None:
            self.monitor.close()

    def _ask(self) -> None:
        began = time.process_time()
        try:
            found = [[f.cause, f.confidence, f.since, *f.candidates] for f in self.monitor.diagnose()]
        except Exception as problem:
            self.problem = self.problem or f"diagnose: {type(problem).__name__}: {problem}"[:300]
            found = []
        if not self.verdicts or self.verdicts[-1][1] != found:
            self.verdicts.append((self.now, found))
        self.aside += time.process_time() - began
