"""Sample pictures for a run folder, whatever the kind of data: grids, scatters, or lines."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from tightrope.data import Dataset
from tightrope.drawing.samples import write_grid, write_lines, write_scatter

SCATTER_POINTS = 2000
GRID_SAMPLES, COLUMNS = 64, 8

PAIRS = 8
"""Generated images shown beside the training image that is nearest."""

SEARCHED, SHRUNK = 50_000, 16
"""Training images among which the nearest is searched, and pixels a side at which images are compared."""


def picture_size(dataset: Dataset) -> int:
    """How many samples one picture shows."""
    return SCATTER_POINTS if dataset.kind == "vectors" else GRID_SAMPLES


def picture_labels(dataset: Dataset) -> Tensor | None:
    """The classes of the images in a picture, class by class; None for what has no classes.

    Up to 16 classes have rows of their own; of more, each has a place or, beyond 64, one in so many has.

    Returns:
        Labels ``[n]``, those of the data alone, in rows of eight.
    """
    if dataset.kind != "images" or dataset.labels is None or len(dataset.classes) < 2:
        return None
    present = dataset.labels.unique()
    if len(present) <= 2 * COLUMNS:
        return present.repeat_interleave(COLUMNS * max(COLUMNS // len(present), 1))
    return present[torch.arange(GRID_SAMPLES) * len(present) // GRID_SAMPLES]


def write_samples(path: Path, x: Tensor, dataset: Dataset) -> Path:
    """Write samples as a PNG: a grid of images, a scatter of vectors over real ones, lines of signals.

    Signals ``[c, h, w]`` are drawn as images, -1 black and 1 white, the first channel alone unless there are 1 or 3.

    Args:
        path: Where it ends up.
        x: Samples ``[n, *shape]`` in training scale.
        dataset: Gives the kind and the real vectors behind a scatter.

    Returns:
        ``path``.
    """
    if dataset.kind == "images":
        return write_grid(path, dataset.to_units(x), columns=COLUMNS)
    if len(dataset.shape) == 3:
        levels = x.clamp(-1, 1).add(1).mul(127.5).round().byte()
        return write_grid(path, levels if levels.shape[1] in (1, 3) else levels[:, :1])
    if dataset.kind == "signals":
        real = real_examples(dataset)
        return write_lines(path, x[:16], limits=(float(real.min()), float(real.max())))
    return write_scatter(path, x.flatten(1), real_examples(dataset).flatten(1))


def real_examples(dataset: Dataset, *, by_class: bool = False) -> Tensor:
    """Real samples ``[n, *shape]`` in training scale, as many as a picture shows, as many of one class as of another.

    Args:
        dataset: Where they come from.
        by_class: Class by class, as :func:`picture_labels`; else mixed.
    """
    labels = picture_labels(dataset)
    if labels is None:
        return dataset.batch(shuffled_rows(dataset, picture_size(dataset))).x
    if not by_class:
        present = labels.unique()
        mixed = present.repeat(-(-GRID_SAMPLES // len(present)))[:GRID_SAMPLES]
        labels = mixed[torch.randperm(GRID_SAMPLES, generator=torch.Generator().manual_seed(1))]
    return dataset.batch(_rows_of(dataset, labels)).x


def _rows_of(dataset: Dataset, labels: Tensor) -> Tensor:
    """A row of the data for every label, drawn at random, again from the first where a class has too few."""
    assert dataset.labels is not None
    order = shuffled_rows(dataset, len(dataset))
    shuffled = dataset.labels[order]
    rows = torch.empty_like(labels)
    for label in labels.unique():
        places, found = labels == label, order[shuffled == label]
        rows[places] = found[torch.arange(int(places.sum())) % len(found)]
    return rows


def write_nearest(path: Path, x: Tensor, dataset: Dataset) -> Path:
    """Write generated images as a PNG, each with the training image that is nearest at its right.

    Nearest by the root mean square over pixels of images shrunk to :data:`SHRUNK` a side, among :data:`SEARCHED`
    training images at most.

    Args:
        path: Where it ends up.
        x: Generated images ``[n, c, h, w]`` in training scale, of which the first :data:`PAIRS` are taken.
        dataset: The training data.
    """
    fakes = x[:PAIRS]
    rows = nearest_rows(fakes, dataset)
    pairs = torch.stack([fakes.cpu(), dataset.batch(rows).x], 1).flatten(0, 1)
    return write_grid(path, dataset.to_units(pairs), columns=4)


def nearest_rows(x: Tensor, dataset: Dataset) -> Tensor:
    """The row of the nearest training image for each image ``[n, c, h, w]`` in training scale; see write_nearest."""
    small, best, rows = _shrunk(x.cpu()), torch.full((len(x),), torch.inf), torch.zeros(len(x), dtype=torch.int64)
    count = min(len(dataset), SEARCHED)
    for chunk in torch.linspace(0, len(dataset) - 1, count, dtype=torch.float64).round().long().split(512):
        distances = torch.cdist(small, _shrunk(dataset.batch(chunk).x))
        least, at = distances.min(dim=1)
        rows = torch.where(least < best, chunk[at], rows)
        best = torch.minimum(least, best)
    return rows


def _shrunk(x: Tensor) -> Tensor:
    height, width = x.shape[2:]
    return adaptive_avg_pool2d(x, (min(height, SHRUNK), min(width, SHRUNK))).flatten(1)


def shuffled_rows(dataset: Dataset, n: int) -> Tensor:
    """At most ``n`` rows drawn at random, the same ones each time.

    Data often lie class by class, and the first rows are of one class.
    """
    return torch.randperm(len(dataset), generator=torch.Generator().manual_seed(0))[:n]
