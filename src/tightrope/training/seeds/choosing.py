"""One stack, or each seed by itself: which of the two is quicker here and now."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from tightrope.autodiff import labelled, samples_of
from tightrope.methods import Method
from tightrope.training.loop import train
from tightrope.training.nonfinite import NonFiniteError
from tightrope.training.run import Run
from tightrope.training.seeds.job import Job, Seed, cores
from tightrope.training.seeds.obstacles import UnstackableError
from tightrope.training.seeds.plan import convolves
from tightrope.training.seeds.stack import Stack

_PROBED = 4  # seeds of the stack that is tried
_STEPS = 2
_SHORT = 200  # steps of all seeds together that are not worth a trial

Advance = Callable[[Stack, Any, list[Seed]], object]
"""Takes one step of a stack on batches from a feed, as :func:`tightrope.training.seeds.train` does."""


class Choice(NamedTuple):
    """How seeds are trained, ``"stack"`` or ``"processes"``, and why."""

    how: str
    why: str


def choice(
    job: Job, methods: Sequence[Method], seeds: Sequence[int], first: Run, workers: int | None, advance: Advance
) -> Choice:
    """What is quicker for these seeds.

    Convolutions of many networks at once may take more processor time than those of one after the other, or, on small
    maps, less: a few steps of both are timed on samples of an untrained generator, by processor time, which a busy
    machine does not distort; runs and samples of the trial are thrown away. Processes gain as many times as there are
    cores that nobody else uses.

    Args:
        job: What all seeds have in common.
        methods: One per seed.
        seeds: Theirs.
        first: A run of the first seed at step 0, used up.
        workers: Processes that the caller allows; one per core if None.
        advance: One step of a stack.
    """
    if len(seeds) == 1:
        return Choice("processes", "one seed")
    if not convolves(first):
        return Choice("stack", "no convolution on a CPU, so many networks at once are quicker")
    if job.steps * len(seeds) < _SHORT:
        return Choice("processes", "convolutions on a CPU, and too few steps to try a stack")
    free = max(1.0, cores() + 1 - os.getloadavg()[0]) if hasattr(os, "getloadavg") else float(cores())
    apart = min(len(seeds), free, cores() if workers is None else workers)
    try:
        gain = _gain(job, methods[:_PROBED], seeds[:_PROBED], first, advance)
    except UnstackableError as problem:
        return Choice("processes", str(problem))
    except NonFiniteError:
        return Choice("processes", "not tried, since a seed diverges at once")
    how = "stack" if gain > apart else "processes"
    return Choice(
        how, f"a stack is {gain:.2f} times as fast as the seeds one by one, processes about {apart:.2f} times"
    )


def _gain(job: Job, methods: Sequence[Method], seeds: Sequence[int], first: Run, advance: Advance) -> float:
    """Processor time of steps one by one over those of a stack, per seed and on one thread."""
    batch = _batch(first)
    runs = [job.begin(method, seed) for method, seed in zip(methods, seeds, strict=True)]
    there = [Seed(seed, run) for seed, run in zip(seeds, runs, strict=True)]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        stack, feed = Stack(runs), _Feed(len(runs), *batch)
        spent = {"alone": [0.0], "stack": [0.0]}
        for turn in range(3):  # the first one warms up
            began = time.process_time()
            for _ in train(first, [batch], steps=first.step + _STEPS):
                pass
            middle = time.process_time()
            for _ in range(_STEPS if there else 0):
                advance(stack, feed, there)
            if turn:
                spent["alone"].append(middle - began)
                spent["stack"].append((time.process_time() - middle) / len(runs))
    finally:
        torch.set_num_threads(threads)
    return sum(spent["alone"]) / sum(spent["stack"])


def _batch(run: Run) -> tuple[Tensor, Tensor | None]:
    """Samples of a run's own generator, and labels if it has classes."""
    classes = getattr(run.generator, "classes", 0) or getattr(run.critic, "classes", 0)
    labels = torch.zeros(run.batch_size, dtype=torch.long, device=run.device) if classes else None
    with torch.no_grad():
        return samples_of(labelled(run.generator, labels)(run.latents(run.batch_size))), labels


class _Feed:
    """One batch for every run of a stack, again and again."""

    def __init__(self, runs: int, real: Tensor, labels: Tensor | None) -> None:
        self._runs, self._given = runs, (real, labels)

    def next(self) -> tuple[Tensor, Tensor | None]:
        """The batches, ``[runs, batch, ...]``."""
        real, labels = (None if x is None else x.expand(self._runs, *x.shape).clone() for x in self._given)
        assert real is not None
        return real, labels

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with these runs."""
        self._runs = len(rows)
