"""Samples written for others to use: a picture, an npz file, or a folder of images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from torch import Tensor

from tightrope._plumbing.errors import UserError
from tightrope._plumbing.files import write_atomically
from tightrope.drawing.dataset import write_samples
from tightrope.drawing.samples import write_grid
from tightrope.runs.assemble import open_dataset
from tightrope.runs.config import Config


def to_units(x: Tensor, config: Config) -> Tensor:
    """Samples in the data's own units: uint8 images, or vectors and signals as they were given.

    Args:
        x: Samples ``[n, *shape]`` in training scale.
        config: Configuration of the run; non-image data is opened for its scale.
    """
    if config.data.kind == "images":
        return ((x.clamp(-1, 1) + 1) * 127.5).round().byte()
    return open_dataset(config.data, progress=False).to_units(x)


def write_picture(path: Path, x: Tensor, config: Config) -> Path:
    """Write samples ``[n, *shape]`` in training scale as one PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if config.data.kind == "images":
        return write_grid(path, to_units(x, config))
    return write_samples(path, x, open_dataset(config.data, progress=False))


def write_npz(path: Path, x: Tensor, config: Config) -> Path:
    """Write samples ``[n, *shape]`` as ``x`` of an npz file, in the data's own units."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = to_units(x, config).numpy()
    return write_atomically(path, lambda file: np.savez_compressed(file, x=values))


def write_folder(path: Path, x: Tensor, config: Config) -> Path:
    """Write one PNG per image into a folder.

    Raises:
        UserError: The samples are no images.
    """
    if config.data.kind != "images":
        raise UserError(f"Expected images for a folder of PNG files, got {config.data.kind}; use --out samples.npz.")
    path.mkdir(parents=True, exist_ok=True)
    for i, image in enumerate(to_units(x, config)):
        write_grid(path / f"{i:06d}.png", image[None], columns=1, scale=1)
    return path
