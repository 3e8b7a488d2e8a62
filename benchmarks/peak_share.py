"""Share of this machine's measured peak that whole critic steps reach, and what stands in the way, by operation.

    OMP_NUM_THREADS=1 python benchmarks/peak_share.py [--rounds 7] [--batch 64]

Peaks: matrix products and convolutions of the shapes that the networks use, forwards, both layouts; the peak of a
precision is the fastest convolution of the same round. Steps: critic steps with their optimiser, fakes from a tiny
generator. Operations are those of the whole step as it is executed, forwards and backwards, by torch's table of
formulas (matrix products and convolutions); the library's count from steps on a few images (`training/cost.py`) is told
over them. A 3x3 convolution followed by pooling is executed as a 4x4 one of stride 2; what the step
would take as published is told beside it. The table has processor time and operations of one bf16 SN ResNet-32 step.
"""

from __future__ import annotations

import copy
import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from penalty_cost import SHAPE, begun
from tightrope.training import Run, cost, critic_step
from timing import Row, interleaved, options, record, row

CONVOLUTIONS = {
    "3x3, 128 to 128, at 32": (128, 128, 32, 3, 1, 1),
    "3x3, 128 to 128, at 8": (128, 128, 8, 3, 1, 1),
    "4x4 of stride 2, 128 to 128, at 32": (128, 128, 32, 4, 2, 1),
    "4x4 of stride 2, 64 to 128, at 16": (64, 128, 16, 4, 2, 1),
}
PRODUCTS = {"square of 1,024": (1024, 1024, 1024), "of a 3x3 convolution at 16": (16384, 1152, 128)}
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}
STEPS = {
    "SN ResNet-32": ("sn_resnet", "sn_gan"),
    "DCGAN-32": ("dcgan", "dcgan"),
    "ResNet-32, R1": ("sn_resnet", "r1"),
    "ResNet-32, WGAN-GP": ("sn_resnet", "wgan_gp"),
}
TARGETS = {("SN ResNet-32", "bf16"): 0.40}
Kind = tuple[str, tuple[int, ...], tuple[int, ...]]


class Operations(TorchDispatchMode):
    """Calls, processor seconds and operations by kind while it is entered."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[Kind, list[float]] = defaultdict(lambda: [0, 0.0, 0.0])

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        began = time.process_time()
        out = func(*args, **kwargs)
        spent = time.process_time() - began
        formula = flop_registry.get(func._overloadpacket)
        entry = self.found[kind(func._overloadpacket.__name__, args)]
        entry[0] += 1
        entry[1] += spent
        entry[2] += formula(*args, **kwargs, out_val=out) if formula else 0
        return out


def kind(name: str, args: tuple[Any, ...]) -> Kind:
    """Of an operation: its name and, of a convolution, the shapes of map and kernel."""
    shapes = [tuple(x.shape) if isinstance(x, Tensor) else () for x in [*args[:3], None, None, None]]
    if name == "convolution":
        return ("gradient to the map" if args[6] else "convolution", shapes[0], shapes[1])
    if name == "convolution_backward":
        told = {(True, False): "gradient to the map", (False, True): "gradient to the kernel"}
        return told.get(tuple(args[-1][:2]), "both gradients"), shapes[1], shapes[2]
    return name.strip("_"), (), ()


def peaks(batch: int) -> tuple[dict[str, Callable[[], object]], dict[str, float]]:
    """What to time, by ``precision kind name layout``, and the operations of each."""
    calls: dict[str, Callable[[], object]] = {}
    flops: dict[str, float] = {}
    for precision, dtype in PRECISIONS.items():
        for name, (m, k, n) in PRODUCTS.items():
            calls[f"{precision}, product, {name}"] = partial(
                torch.mm, torch.randn(m, k).to(dtype), torch.randn(k, n).to(dtype)
            )
            flops[f"{precision}, product, {name}"] = 2.0 * m * k * n
        for name, (before, after, size, kernel, stride, padding) in CONVOLUTIONS.items():
            for layout, memory in (("NCHW", torch.contiguous_format), ("NHWC", torch.channels_last)):
                x = torch.randn(batch, before, size, size).to(dtype, memory_format=memory)
                weight = torch.randn(after, before, kernel, kernel).to(dtype, memory_format=memory)
                key = f"{precision}, convolution, {name}, {layout}"
                calls[key] = partial(nn.functional.conv2d, x, weight, None, stride, padding)
                flops[key] = 2.0 * batch * (size // stride) ** 2 * before * after * kernel**2
    return calls, flops


def executed(run: Run, batch: int) -> tuple[float, float]:
    """Operations of a whole step, and the library's count of it from steps on a few images over that."""
    run = copy.deepcopy(run)
    counted = cost.count(run, cost.parts(run.method)[0], lambda n: (torch.rand(n, *SHAPE) * 2 - 1, None), batch, rows=4)
    with Operations() as seen:
        critic_step(run, torch.rand(batch, *SHAPE) * 2 - 1)
    whole = sum(entry[2] for entry in seen.found.values())
    return whole, counted.flops / whole


def as_published(run: Run, batch: int) -> float:
    """The same with every convolution and pooling one by one: a layer that something listens to is not joined."""
    run = copy.deepcopy(run)
    for module in run.critic.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(lambda *_: None)
    with Operations() as seen:
        critic_step(run, torch.rand(batch, *SHAPE) * 2 - 1)
    return sum(entry[2] for entry in seen.found.values())


def by_operation(run: Run, real: Tensor, best: float, rounds: int) -> tuple[list[list[object]], str]:
    """The table of one step's operations, dearest first, and what it says in a sentence."""
    shares: dict[Kind, list[list[float]]] = defaultdict(list)
    for _ in range(rounds):
        with Operations() as seen:
            critic_step(run, real)
        for what, entry in seen.found.items():
            shares[what].append(entry)
    middle = {
        what: [statistics.median(column) for column in zip(*entries, strict=True)] for what, entries in shares.items()
    }
    total = sum(seconds for _, seconds, _ in middle.values())
    table: list[list[object]] = [["operation of one step", "calls", "ms", "share of time", "GFLOP/s", "of the peak"]]
    for (name, shape, kernel), (calls, seconds, flops) in sorted(middle.items(), key=lambda item: -item[1][1])[:18]:
        what = f"{name}, map {list(shape)}, kernel {list(kernel)}" if shape else f"`{name}`"
        rate = flops / seconds if flops else 0.0
        rates = (f"{rate / 1e9:.0f}", f"{rate / best:.0%}") if rate else ("", "")
        table.append([what, int(calls), f"{1e3 * seconds:.1f}", f"{seconds / total:.1%}", *rates])
    kinds: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for (name, shape, _), (_, seconds, flops) in middle.items():
        entry = kinds[name if shape else "everything that is no convolution"]
        entry[0] += seconds
        entry[1] += flops
    parts = [
        f"{name} {seconds / total:.0%} of the time" + (f" at {flops / seconds / best:.0%} of the peak" if flops else "")
        for name, (seconds, flops) in sorted(kinds.items(), key=lambda item: -item[1][0])
    ]
    return table, "What stands in the way of SN ResNet-32 in bf16: " + "; ".join(parts) + "."


def main() -> None:
    parser = options(__doc__, rounds=7)
    parser.add_argument("--batch", type=int, default=64)
    given = parser.parse_args()
    torch.set_num_threads(1)
    real = torch.rand(given.batch, *SHAPE) * 2 - 1
    calls, flops = peaks(given.batch)
    runs = {(t, p): begun(*names, p, given.batch) for t, names in STEPS.items() for p in PRECISIONS}
    both = {key: executed(run, given.batch) for key, run in runs.items()}
    counts = {key: whole for key, (whole, _) in both.items()}
    published = {p: as_published(runs["SN ResNet-32", p], given.batch) for p in PRECISIONS}
    steps = {f"{t}, {p}": partial(critic_step, run, real) for (t, p), run in runs.items()}
    spent = interleaved(calls | steps, rounds=given.rounds, warm_up=2)
    rates = {key: [flops[key] / seconds for seconds in spent[key]] for key in calls}
    best = {
        p: [max(rates[key][k] for key in calls if key.startswith(f"{p}, conv")) for k in range(given.rounds)]
        for p in PRECISIONS
    }
    rows: list[Row] = []
    for (title, precision), count in counts.items():
        kinds = [("", count, TARGETS.get((title, precision)))]
        if title == "SN ResNet-32":
            kinds.append((", operations as published", published[precision], None))
        for said, number, target in kinds:
            taken = spent[f"{title}, {precision}"]
            least = [number / peak for peak in best[precision]]
            shares = [a / b for a, b in zip(least, taken, strict=True)]
            rows.append(row(f"{title}, {precision}{said}", shares, least, taken, target=target, bound="at least"))
    peak = {p: statistics.median(best[p]) for p in PRECISIONS}
    table, told = by_operation(runs["SN ResNet-32", "bf16"], real, peak["bf16"], given.rounds)
    fastest = {key: statistics.median(values) / 1e9 for key, values in rates.items()}
    said = "Peaks, GFLOP/s (median): " + "; ".join(f"{key} {rate:.0f}" for key, rate in fastest.items())
    said += f".\n\n{told} The library's count over the executed operations: "
    said += ", ".join(f"{title} {precision} {over:.2f}" for (title, precision), (_, over) in both.items()) + "."
    claim = f"Share of the measured convolution peak in a critic step of batch {given.batch}"
    record(given.out, claim, "the fastest convolution of the same round", rows, said=said, table=table, details=fastest)


if __name__ == "__main__":
    main()
