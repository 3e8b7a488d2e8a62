"""Claim: a batch of 64 CIFAR-size images, gathered, converted and flipped, takes under 1 ms on one thread.

The same uint8 tensor is read by ``tightrope.data.Sampler`` and by a ``torch.utils.data.DataLoader`` whose samples are
converted and flipped one by one and then stacked, which is how images are usually fed. A second comparison gives the
DataLoader a dataset that fetches and converts a whole batch at once, the fastest that class can do.

    OMP_NUM_THREADS=1 python benchmarks/data_store.py [--rounds 400]
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch.utils.data import BatchSampler, DataLoader, RandomSampler
from torch.utils.data import Dataset as TorchDataset

from tightrope.data import Dataset, Sampler
from timing import dearer, faster, interleaved, options, record

IMAGES, BATCH, LIMIT = 50_000, 64, 1e-3


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


def agree(sampler: Sampler, values: torch.Tensor) -> None:
    """Raise unless every image of a batch is a stored one by the plain conversion, flipped or not."""
    for image in sampler.next().x:
        stored = (image + 1).mul(127.5).round().to(torch.uint8)
        as_it_is, flipped = (
            (values[:, :, 0] == x[:, 0]).flatten(1).all(1).nonzero() for x in (stored, stored.flip(-1))
        )
        row, turned = (as_it_is, False) if len(as_it_is) else (flipped, True)
        plain = values[int(row[0])].to(torch.float32) / 127.5 - 1
        torch.testing.assert_close(image, plain.flip(-1) if turned else plain, rtol=0, atol=2e-7)


def main() -> None:
    given = options(__doc__, rounds=400).parse_args()
    torch.set_num_threads(1)
    rng = torch.Generator().manual_seed(0)
    values = torch.randint(256, (IMAGES, 3, 32, 32), dtype=torch.uint8, generator=rng)
    labels = torch.randint(10, (IMAGES,), generator=rng)
    dataset = Dataset("noise", "noise", "train", "images", values, labels, tuple("0123456789"), "")
    sampler = Sampler(dataset, BATCH, seed=0, flip=True)
    agree(sampler, values)
    one, whole = loader_batches(OneByOne(values, labels), False), loader_batches(WholeBatch(values, labels), True)
    takers = {"ours": sampler.next, "one": lambda: next(one), "whole": lambda: next(whole)}
    spent = interleaved(takers, rounds=given.rounds, warm_up=20)
    spent["limit"] = [LIMIT] * given.rounds
    rows = [
        dearer("a batch, over 1 ms", spent, "ours", "limit", 1.0),
        faster("than a DataLoader, sample by sample", spent, "ours", "one"),
        faster("than a DataLoader that fetches whole batches", spent, "ours", "whole"),
    ]
    claim = "A batch of 64 images of 3x32x32, gathered, converted and flipped"
    record(given.out, claim, "1 ms of one core; torch's DataLoader", rows)


if __name__ == "__main__":
    main()
