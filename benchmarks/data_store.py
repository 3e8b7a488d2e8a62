"""Claim: a batch of 64 CIFAR-size images, gathered, converted and flipped, takes under 1 ms on one thread.

The same uint8 tensor is read by ``tightrope.data.Sampler`` and by a ``torch.utils.data.DataLoader`` whose samples are
converted and flipped one by one and then stacked, which is how images are usually fed. The two are interleaved in one
process; medians over many batches, wall clock and processor time. A second comparison gives the DataLoader a
dataset that fetches and converts a whole batch at once, the fastest that class can do.

    python benchmarks/data_store.py [--out data_store.json]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch.utils.data import BatchSampler, DataLoader, RandomSampler
from torch.utils.data import Dataset as TorchDataset

from tightrope.data import Dataset, Sampler

IMAGES, BATCH, BATCHES, WARM_UP = 50_000, 64, 400, 20


class OneByOne(TorchDataset):
    """What a DataLoader is usually given: one converted, randomly flipped sample at a time."""

    def __init__(self, values, labels):
        self.values, self.labels = values, labels

    def __len__(self):
        return len(self.values)

    def __getitem__(self, index):
        image = self.values[index].to(torch.float32) / 127.5 - 1
        return (image.flip(-1) if torch.rand(()) < 0.5 else image), self.labels[index]


class WholeBatch(OneByOne):
    """The fastest a DataLoader can be fed: a list of indices is gathered at once."""

    def __getitem__(self, indices):
        images = self.values[indices]
        flips = torch.rand(len(indices)) < 0.5
        images = torch.cat([images, images.flip(-1)])[torch.arange(len(images)) + len(images) * flips]
        return images.to(torch.float32).div_(127.5).sub_(1), self.labels[indices]


def loader_batches(dataset, whole: bool) -> Iterator:
    while True:
        if whole:
            batches = BatchSampler(RandomSampler(dataset), BATCH, drop_last=True)
            yield from DataLoader(dataset, sampler=batches, batch_size=None)
        else:
            yield from DataLoader(dataset, batch_size=BATCH, shuffle=True, drop_last=True)


def measure(takers: dict[str, Callable]) -> dict[str, dict[str, float]]:
    times = {name: ([], []) for name in takers}
    for step in range(WARM_UP + BATCHES):
        for name, take in takers.items():
            wall, cpu = time.perf_counter(), time.process_time()
            take()
            if step >= WARM_UP:
                times[name][0].append(time.perf_counter() - wall)
                times[name][1].append(time.process_time() - cpu)
    return {
        name: {"wall_ms": 1e3 * statistics.median(wall), "cpu_ms": 1e3 * statistics.median(cpu)}
        for name, (wall, cpu) in times.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("data_store.json"))
    out = parser.parse_args().out
    torch.set_num_threads(1)
    rng = torch.Generator().manual_seed(0)
    values = torch.randint(256, (IMAGES, 3, 32, 32), dtype=torch.uint8, generator=rng)
    labels = torch.randint(10, (IMAGES,), generator=rng)
    dataset = Dataset("noise", "noise", "train", "images", values, labels, tuple("0123456789"), "")
    sampler = Sampler(dataset, BATCH, seed=0, flip=True)
    one, whole = loader_batches(OneByOne(values, labels), False), loader_batches(WholeBatch(values, labels), True)
    results = measure(
        {"tightrope": sampler.next, "DataLoader": lambda: next(one), "DataLoader, whole batches": lambda: next(whole)}
    )
    ours = results["tightrope"]
    for name, result in results.items():
        ratio = result["cpu_ms"] / ours["cpu_ms"]  # on one thread; unlike wall clock, other jobs do not distort it
        print(f"{name:26} {result['wall_ms']:7.3f} ms wall {result['cpu_ms']:7.3f} ms cpu  {ratio:6.1f} x tightrope")
    facts = {"batch": BATCH, "shape": [3, 32, 32], "images": IMAGES, "batches": BATCHES, "threads": 1}
    facts |= {
        "torch": torch.__version__,
        "claim": "tightrope under 1 ms",
        "holds": ours["wall_ms"] < 1,
        "median": results,
    }
    out.write_text(json.dumps(facts, indent=2) + "\n")
    print(f"claim holds: {facts['holds']}; written to {out}")


if __name__ == "__main__":
    main()
