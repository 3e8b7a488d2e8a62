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

    Signals ``[c, h, w]`` are drawn as images, -1 black and 1 white, the first channel alone unless there are 1 or 3.

    Args:
        path: Where it ends up.
        x: Samples ``[n, *shape]`` in training scale.
        dataset: Gives the kind and the real vectors behind a scatter.

    Returns:
        ``path``.
    """
    if dataset.kind == "images":
        return write_grid(path, dataset.to_units(x))
    if len(dataset.shape) == 3:
        levels = x.clamp(-1, 1).add(1).mul(127.5).round().byte()
        return write_grid(path, levels if levels.shape[1] in (1, 3) else levels[:, :1])
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
