"""Where kernel spectral norm spends its time: each layer's forward and backward, timed inside the critic step.

    OMP_NUM_THREADS=1 python benchmarks/spectral_norm_inside.py [--rounds N] [--of "spectral norm, kernel"]

The step is that of `benchmarks/constraints.py`, in turns with the plain one, so that caches are as cold as they are in
training. Wall-clock medians in microseconds. The backward is told for this library's own node only; beside them, how
many of torch's operations one layer starts. One thread, nothing else running.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.profiler import ProfilerActivity, profile

from constraints import SHAPE, VARIANTS, stepper
from tightrope import constraints
from tightrope.constraints._normalise import AdvanceAndNormalise

Times = defaultdict[tuple[int, ...], list[float]]


@contextmanager
def watched() -> Iterator[tuple[Times, Times]]:
    """Times by weight shape that grow meanwhile: of every parametrisation and of the node's backward."""
    forward: Times = defaultdict(list)
    backward: Times = defaultdict(list)
    call, gradient = parametrize.ParametrizationList.__call__, AdvanceAndNormalise.backward

    def timed_call(self: Any, *inputs: Any) -> Tensor:
        started = time.perf_counter_ns()
        weight: Tensor = call(self, *inputs)
        forward[tuple(weight.shape)].append((time.perf_counter_ns() - started) / 1e3)
        return weight

    def timed_gradient(ctx: Any, g: Tensor | None, g_d: Tensor | None) -> tuple[Tensor | None, ...]:
        started = time.perf_counter_ns()
        gradients: tuple[Tensor | None, ...] = gradient(ctx, g, g_d)
        assert gradients[0] is not None
        backward[tuple(gradients[0].shape)].append((time.perf_counter_ns() - started) / 1e3)
        return gradients

    whole = patch.object(parametrize.ParametrizationList, "__call__", timed_call)
    with whole, patch.object(AdvanceAndNormalise, "backward", staticmethod(timed_gradient)):
        yield forward, backward


def operations() -> int:
    """Torch operations, nested ones counted, that one use and its backward start when an advance is due."""
    layer = constraints.spectral_norm(nn.Conv2d(64, 128, 4, 2, 1))
    gradient = torch.randn_like(layer.weight)
    with torch.no_grad():
        layer.get_parameter("parametrizations.weight.original").mul_(1.01)
    with profile(activities=[ProfilerActivity.CPU]) as record:
        layer.weight.backward(gradient)
    return sum(event.count for event in record.key_averages() if event.key.startswith("aten::"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--of", choices=list(VARIANTS), default="spectral norm, kernel")
    options = parser.parse_args()
    torch.set_num_threads(1)
    count = operations()
    rng = torch.Generator().manual_seed(0)
    real, fake = (torch.randn(64, *SHAPE, generator=rng) for _ in range(2))
    plain, constrained = (stepper("dcgan", variant, real, fake) for variant in ({}, VARIANTS[options.of]))
    with watched() as tables:
        for _ in range(options.rounds):
            plain()
            constrained()
    for name, times in zip(("forward", "backward"), tables, strict=True):
        medians = {shape: statistics.median(values) for shape, values in times.items()}
        for shape, median in medians.items():
            print(f"{name:<9} {shape!s:<20} {median:7.0f} us")
        print(f"{name:<9} {'together':<20} {sum(medians.values()):7.0f} us")
    print(f"operations of torch per layer, this library's kernel form: {count}")


if __name__ == "__main__":
    main()
