"""Sample pictures for a run folder, whatever the kind of data: grids, scatters, or lines."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from tightrope.data import Dataset
from tightrope.drawing.samples import write_grid, write_lines, write_scatter

SCATTER_POINTS = 2000
GRID_SAMPLES = 64


def picture_size(dataset: Dataset) -> int:
    """How many samples one picture shows."""
    return SCATTER_POINTS if dataset.kind == "vectors" else GRID_SAMPLES


def write_samples(path: Path, x: Tensor, dataset: Dataset) -> Path:
    """Write samples as a PNG: a grid of images, a scatter of vectors over real ones, lines of signals.

    Args:
        path: Where it ends up.
        x: Samples ``[n, *shape]`` in training scale.
        dataset: Gives the kind and the real vectors behind a scatter.

    Returns:
        ``path``.
    """
    if dataset.kind == "images":
        return write_grid(path, dataset.to_units(x))
    if dataset.kind == "signals":
        real = real_examples(dataset)
        return write_lines(path, x[:16], limits=(float(real.min()), float(real.max())))
    return write_scatter(path, x.flatten(1), real_examples(dataset).flatten(1))


def real_examples(dataset: Dataset) -> Tensor:
    """Real samples ``[n, *shape]`` in training scale, as many as a picture shows."""
    return dataset.batch(shuffled_rows(dataset, picture_size(dataset))).x


def shuffled_rows(dataset: Dataset, n: int) -> Tensor:
    """At most ``n`` rows drawn at random, the same ones each time.

    Data often lie class by class, and the first rows are of one class.
    """
    return torch.randperm(len(dataset), generator=torch.Generator().manual_seed(0))[:n]
