"""Where kernel spectral norm spends its time: each layer's forward and backward, timed inside the critic step.

    OMP_NUM_THREADS=1 python benchmarks/spectral_norm_inside.py [--rounds N] [--of "spectral norm, kernel"]

The step is that of `benchmarks/constraints.py`, in turns with the plain one, so that caches are as cold as they are in
training. Shares of the plain step. The backward is told for this library's own node only; beside them, how many of
torch's operations one layer starts.
"""

from __future__ import annotations

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
from timing import dearer, interleaved, options, record, row

Times = defaultdict[tuple[int, ...], list[float]]


@contextmanager
def watched() -> Iterator[tuple[Times, Times]]:
    """Times by weight shape that grow meanwhile: of every parametrisation and of the node's backward."""
    forward: Times = defaultdict(list)
    backward: Times = defaultdict(list)
    call, gradient = parametrize.ParametrizationList.__call__, AdvanceAndNormalise.backward

    def timed_call(self: Any, *inputs: Any) -> Tensor:
        started = time.process_time()
        weight: Tensor = call(self, *inputs)
        forward[tuple(weight.shape)].append(time.process_time() - started)
        return weight

    def timed_gradient(ctx: Any, g: Tensor | None, g_d: Tensor | None) -> tuple[Tensor | None, ...]:
        started = time.process_time()
        gradients: tuple[Tensor | None, ...] = gradient(ctx, g, g_d)
        assert gradients[0] is not None
        backward[tuple(gradients[0].shape)].append(time.process_time() - started)
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
    parser = options(__doc__, rounds=60)
    parser.add_argument("--of", choices=list(VARIANTS), default="spectral norm, kernel")
    given = parser.parse_args()
    torch.set_num_threads(1)
    count = operations()
    rng = torch.Generator().manual_seed(0)
    real, fake = (torch.randn(64, *SHAPE, generator=rng) for _ in range(2))
    plain, constrained = (stepper("dcgan", name, real, fake) for name in ("plain", given.of))
    with watched() as tables:
        spent = interleaved({"plain": plain, "constrained": constrained}, rounds=given.rounds, warm_up=0)
    rows = [dearer("the whole step", spent, "constrained", "plain")]
    step = statistics.median(spent["plain"])
    for name, times in zip(("forward", "backward"), tables, strict=True):
        for shape, taken in times.items():
            rows.append(row(f"{name}, weight {shape}, share", [t / step for t in taken], [step], taken))
        together = [sum(one) for one in zip(*times.values(), strict=False)]
        rows.append(row(f"{name}, all layers, share", [t / step for t in together], [step], together))
    claim = f"Where a constraint spends its time inside the critic step: {given.of}"
    said = f"Operations of torch that one layer's use and backward start, nested ones counted: {count}."
    record(given.out, claim, "the plain step of the DCGAN-32 critic", rows, said=said)


if __name__ == "__main__":
    main()
