"""What a step costs, counted and measured: operations, memory, messages between ranks, and seconds by a short probe.

All of it works on a run that is thrown away: steps are taken and not undone.
"""

from __future__ import annotations

import math
import os
import statistics
import sys
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.autograd.profiler import profile
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from tightrope.methods import Method
from tightrope.optimizers.settings import UpdateRule
from tightrope.training.half_steps import critic_step, generator_step
from tightrope.training.joint import joint_step
from tightrope.training.messages import counted
from tightrope.training.ranks import Ranks
from tightrope.training.run import Run

REPEATED = 64
"""Critic steps after which the pattern of lazy penalties and projections is taken to repeat at the latest."""


@dataclass(frozen=True)
class Part:
    """One kind of half-step.

    Attributes:
        player: ``"critic"``, ``"generator"``, or ``"both"`` for a step that moves both at once.
        index: A critic step at which it occurs; penalties and projections that are lazy are due at some and not others.
        share: How often, per critic step or, for the generator, per step.
    """

    player: str
    index: int
    share: float


class _Still:
    """An optimiser that stands still, for counting: torch's take two seconds to import before the first is built."""

    def __init__(self, parameters: list[Tensor]) -> None:
        self.param_groups: list[dict[str, Any]] = [{"params": parameters, "lr": 0.0}]
        self.state: dict[Tensor, Any] = {}

    def zero_grad(self, set_to_none: bool = True) -> None:
        for p in self.param_groups[0]["params"]:
            p.grad = None

    def step(self) -> None:
        pass


class _StillRule(UpdateRule):
    kind = "sgd"

    def _build(self, parameters: list[Tensor], rate: float) -> Any:
        return _Still(parameters)


def standing_still(method: Method) -> Method:
    """The same losses without updates, quick to build, if a step takes its gradients at one point."""
    if method.critic_optimizer.extrapolates:
        return method
    rule = _StillRule()
    play = replace(method.play, lookahead=None)
    return replace(method, critic_optimizer=rule, generator_optimizer=rule, play=play)


@dataclass(frozen=True)
class Counts:
    """What a half-step needs on one device.

    Attributes:
        flops: Multiplications and additions of matrix products and convolutions, forwards and backwards; those of
            decompositions and elementwise operations are not counted.
        memory: Bytes that come and go within it, at most: activations above all.
        messages: Sums over all devices, where there is more than one.
        message_bytes: Length of them all.
    """

    flops: float
    memory: float
    messages: int = 0
    message_bytes: int = 0


def parts(method: Method) -> list[Part]:
    """The kinds of half-steps that a method takes, and how often."""
    if method.simultaneous:
        return [Part("both", 0, 1.0)]
    every = [penalty.every for penalty in method.penalties]
    every += [] if method.projection is None else [method.projection.every]
    period = min(math.lcm(*every), REPEATED) if every else 1
    kinds: dict[tuple[bool, ...], list[int]] = {}
    for index in range(period):
        due = tuple(penalty.due(index) for penalty in method.penalties)
        due += () if method.projection is None else (method.projection.due(index + 1),)
        kinds.setdefault(due, []).append(index)
    critics = [Part("critic", indices[0], len(indices) / period) for indices in kinds.values()]
    return [*critics, Part("generator", 0, 1.0)]


def half_step(run: Run, part: Part, real: Tensor, labels: Tensor | None) -> Callable[[], object]:
    """The half-step of this kind on one batch, in place."""
    conditional = run.method.loss.paired or labels is not None

    def take() -> object:
        if part.player == "generator":
            return generator_step(run, real, labels) if conditional else generator_step(run)
        run.critic_steps = part.index
        return (joint_step if part.player == "both" else critic_step)(run, real, labels)

    return take


def count(
    run: Run, part: Part, batch: Callable[[int], tuple[Tensor, Tensor | None]], size: int, *, rows: int, ranks: int = 1
) -> Counts:
    """Operations, memory and messages of a half-step on ``size`` samples, from steps on a few.

    Operations grow by a straight line with the batch: constraints cost the same at every size. So does memory, but for
    small batches with another slope, so that it is a lower bound here; :func:`probe` has torch's own record of it.

    Args:
        run: Takes three half-steps.
        part: Which.
        batch: Gives so many real samples and labels.
        size: Samples on one device.
        rows: The fewest samples that the networks take.
        ranks: Devices of which this is one.
    """
    few = min(2 * rows, size)
    try:
        _counted(run, part, *batch(few), ranks)  # the first step of a network also looks at what network it is
        low, high = (_counted(run, part, *batch(n), ranks) for n in (few, 2 * few))
    except (RuntimeError, ValueError):  # such as a layer that wants whole groups of samples
        few = size
        low, high = (_counted(run, part, *batch(n), ranks) for n in (few, 2 * few))
    grown = (size - few) / few
    return Counts(
        low.flops + (high.flops - low.flops) * grown,
        low.memory + (high.memory - low.memory) * grown,
        low.messages,
        low.message_bytes,
    )


def _counted(run: Run, part: Part, real: Tensor, labels: Tensor | None, ranks: int) -> Counts:
    before = run.batch_size, run.ranks
    run.batch_size = len(real) * ranks
    run.ranks = None if ranks == 1 else Ranks(0, ranks, run.device)
    try:
        with counted(ranks) as sent, _Watched() as watched:
            half_step(run, part, real, labels)()
    finally:
        run.batch_size, run.ranks = before
    return Counts(float(watched.flops), float(watched.peak), sent.messages, sent.bytes)


class _Watched(TorchDispatchMode):
    """Adds up the operations, by torch's table of formulas, and follows the memory of what they return.

    Torch's own counter also follows modules, and meets ``autograd.grad`` inside a loss with an error.
    """

    def __init__(self) -> None:
        super().__init__()
        self.flops, self.live, self.peak = 0, 0, 0
        self._held: set[int] = set()

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # the compiler takes two seconds to import, and is not used here

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if func._overloadpacket in flop_registry:
            self.flops += flop_registry[func._overloadpacket](*args, **(kwargs or {}), out_val=out)
        given = {id(x.untyped_storage()) for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)}
        for x in tree_leaves(out):
            if isinstance(x, Tensor) and id(storage := x.untyped_storage()) not in self._held | given:
                self._held.add(id(storage))
                self.live += storage.nbytes()
                weakref.finalize(storage, self._gone, id(storage), storage.nbytes())
        self.peak = max(self.peak, self.live)
        return out

    def _gone(self, storage: int, size: int) -> None:
        self._held.discard(storage)
        self.live -= size


def state_bytes(run: Run) -> int:
    """Memory of weights, statistics, gradients, the average and, after a step of both, the optimisers' moments."""
    networks = [*run.generator.parameters(), *run.critic.parameters()]
    held: list[Any] = [p.data for p in networks] + [p for p in networks if p.requires_grad]  # and as many gradients
    held += [*run.generator.buffers(), *run.critic.buffers(), *run.average.parameters(), *run.average.buffers()]
    optimizers = (run.critic_optimizer, run.generator_optimizer, *(() if run.lookahead is None else (run.lookahead,)))
    for optimizer in optimizers:
        held += [value for state in optimizer.state.values() for value in state.values() if isinstance(value, Tensor)]
    return sum(tensor.numel() * tensor.element_size() for tensor in held)


@dataclass(frozen=True)
class Timed:
    """What a short probe found of one half-step.

    Attributes:
        wall: Median of its seconds by the clock.
        cpu: Of this process's threads on the CPU.
        memory: Bytes that come and go within it, at most.
    """

    wall: float
    cpu: float
    memory: float = 0.0


def probe(run: Run, kinds: list[Part], real: Tensor, labels: Tensor | None, seconds: float) -> list[Timed]:
    """Time each kind of half-step on a batch, in turns, for about so many seconds in all.

    Args:
        run: Takes the steps.
        kinds: What to time.
        real: A batch of one device.
        labels: Its labels.
        seconds: For all; each kind is timed three times at least, after two steps that are not.
    """
    steps = [half_step(run, kind, real, labels) for kind in kinds]
    for step in steps:
        step()
    memory = [most_held(step, run.device) for step in steps]
    taken: list[list[Timed]] = [[] for _ in steps]
    end = time.monotonic() + seconds
    while len(taken[-1]) < 3 or time.monotonic() < end:
        for times, step in zip(taken, steps, strict=True):
            times.append(_timed(run, step))
    return [
        Timed(statistics.median(t.wall for t in times), statistics.median(t.cpu for t in times), held)
        for times, held in zip(taken, memory, strict=True)
    ]


def most_held(step: Callable[[], object], device: torch.device) -> int:
    """Bytes that torch holds above what was there, at most, while ``step`` runs: by its own record of allocations.

    That has what operations hold for themselves, which no look at their results shows: half of it in a small network.
    """
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        step()
        return int(torch.cuda.max_memory_allocated(device)) - before
    with _silenced(), profile(use_device=None, profile_memory=True) as record:
        step()
    assert record.kineto_results is not None
    events = [event for event in record.kineto_results.events() if event.name() == "[memory]"]
    held = most = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        held += event.nbytes()
        most = max(most, held)
    return most


@contextmanager
def _silenced() -> Iterator[None]:
    """Keep what the profiler's own library writes of its beginning and end from the process's error output."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _timed(run: Run, step: Callable[[], object]) -> Timed:
    wall, cpu = time.perf_counter(), time.process_time()
    step()
    if run.device.type == "cuda":
        torch.cuda.synchronize(run.device)
    return Timed(time.perf_counter() - wall, time.process_time() - cpu)
