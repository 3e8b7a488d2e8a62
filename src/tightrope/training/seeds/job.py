"""What is to be trained for every seed, and each by itself: in processes of one thread, or one after another."""

from __future__ import annotations

import io
import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import nn

from tightrope._plumbing.errors import UserError
from tightrope.methods import Method
from tightrope.training.half_steps import scalars
from tightrope.training.loop import train
from tightrope.training.nonfinite import NonFiniteError
from tightrope.training.run import Half, Run
from tightrope.training.seeds.feed import Source, source_for
from tightrope.training.starting import start

Networks = Callable[[int], tuple[nn.Module, nn.Module]]
"""Gives a seed its networks, a generator and a critic; torch's global random state is that of the seed."""

Measure = Callable[[Run, int], Any]
"""Looks at a run and its seed; what it returns is kept."""


@dataclass
class Seed:
    """One seed's training.

    Attributes:
        seed: Its number.
        run: An ordinary run, where it ended; ``run.state_dict()`` is its checkpoint.
        rows: What was recorded: step, images seen, and both players' scalars as ``critic_loss``, ``generator_loss`` ...
        measured: What ``measure`` gave, by step.
        error: Why it stopped early; None if it did not.
        how: Whether it was trained in a ``"stack"`` or by itself, in ``"processes"``.
        why: What decided it.
    """

    seed: int
    run: Run
    rows: list[dict[str, float]] = field(default_factory=list)
    measured: dict[int, Any] = field(default_factory=dict)
    error: NonFiniteError | None = None
    how: str = ""
    why: str = ""


@dataclass(frozen=True)
class Job:
    """What every seed has in common.

    Attributes:
        networks: Of a seed.
        data: Of all seeds, or of each.
        steps: Generator updates.
        record: Steps from one row of scalars to the next; 0 for none.
        measure: Called with the run and its seed at the steps ``at``.
        at: Steps.
        options: Further arguments of ``training.start``.
    """

    networks: Networks
    data: Source
    steps: int
    record: int
    measure: Measure | None
    at: frozenset[int]
    options: dict[str, Any]

    def begin(self, method: Method, seed: int) -> Run:
        """A run of this seed at step 0; torch's global random state becomes that of the seed.

        Raises:
            UserError: ``networks`` gave no pair of networks.
        """
        torch.manual_seed(seed)
        pair = self.networks(seed)
        if not isinstance(pair, tuple | list) or len(pair) != 2 or not all(isinstance(n, nn.Module) for n in pair):
            raise UserError(
                f"Expected networks(seed) to give a generator and a critic, got {type(pair).__name__}; return both: "
                "lambda seed: (generator, critic)."
            )
        return start(method, *pair, seed=seed, **self.options)

    def note(self, found: Seed, step: int, images: int, halves: Callable[[], dict[str, dict[str, float]]]) -> None:
        """Record and measure what is due after a step."""
        if self.record and step and step % self.record == 0:
            row: dict[str, float] = {"step": step, "images_seen": images}
            for player, values in halves().items():
                row |= {f"{player}_{name}": value for name, value in values.items()}
            found.rows.append(row)
        if self.measure is not None and step in self.at:
            found.measured[step] = self.measure(found.run, found.seed)

    def alone(self, method: Method, seed: int) -> Seed:
        """Train one seed by itself."""
        run = self.begin(method, seed)
        found = Seed(seed, run)
        self.note(found, 0, 0, dict)
        try:
            for step in train(run, source_for(self.data, seed, run.batch_size), steps=self.steps):
                halves = {"critic": step.critic, "generator": step.generator}
                self.note(found, step.step, step.images_seen, partial(_numbers, halves))
        except NonFiniteError as error:
            found.error = error
        return found


def _numbers(halves: dict[str, Half]) -> dict[str, dict[str, float]]:
    return {player: scalars(half) for player, half in halves.items()}


_JOB: tuple[Job, list[Method], list[int]] | None = None  # read by forked workers, which need not pickle it


def each(job: Job, methods: Sequence[Method], seeds: Sequence[int], workers: int | None) -> list[Seed]:
    """Train every seed by itself, in as many processes as there are cores where processes can be forked."""
    count = min(len(seeds), cores() if workers is None else workers)
    forks = "fork" in multiprocessing.get_all_start_methods() and not torch.cuda.is_initialized()
    if count < 2 or not forks:
        with torch.random.fork_rng():
            return [job.alone(method, seed) for method, seed in zip(methods, seeds, strict=True)]
    global _JOB
    _JOB = job, list(methods), list(seeds)
    try:
        with ProcessPoolExecutor(count, multiprocessing.get_context("fork"), _one_thread) as pool:
            parts = list(pool.map(_work, range(len(seeds))))
    except BrokenProcessPool as problem:
        raise RuntimeError(
            "A process that trained a seed died, most likely for want of memory; pass fewer workers."
        ) from problem
    finally:
        _JOB = None
    with torch.random.fork_rng():
        return [_unpacked(job, *each_of) for each_of in zip(methods, seeds, parts, strict=True)]


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _one_thread() -> None:
    torch.set_num_threads(1)


def _work(place: int) -> bytes:
    assert _JOB is not None
    job, methods, seeds = _JOB
    found = job.alone(methods[place], seeds[place])
    error = None if found.error is None else vars(found.error)
    buffer = io.BytesIO()
    torch.save((found.run.state_dict(), found.rows, found.measured, error), buffer)
    return buffer.getvalue()


def _unpacked(job: Job, method: Method, seed: int, packed: bytes) -> Seed:
    state, rows, measured, error = torch.load(io.BytesIO(packed), weights_only=False)
    run = job.begin(method, seed)
    run.load_state_dict(state)
    return Seed(seed, run, rows, measured, None if error is None else NonFiniteError(**error))
