"""Samples written for others to use: a picture, an npz file, or a folder of images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tightrope._plumbing.errors import UserError
from tightrope._plumbing.files import make_folder, write_atomically
from tightrope.data import Dataset
from tightrope.drawing.dataset import write_samples
from tightrope.drawing.samples import write_grid
from tightrope.evaluation.task import calls
from tightrope.runs.assemble import open_data_of
from tightrope.runs.config import Config
from tightrope.runs.trained import TrainedGenerator


def draw(generator: TrainedGenerator, n: int, *, seed: int = 0, label: int | None = None) -> Tensor:
    """Draw the samples that an evaluation of the run with the same number and seed measures.

    Returns:
        Samples ``[n, *shape]`` in training scale, on the CPU.

    Raises:
        UserError: A label for an unconditional generator or out of range, or more samples than memory holds.
    """
    generator.check_size(n)
    return torch.cat([generator.sample(count, seed=own, labels=label) for count, own in calls(n, seed)])


def write(path: Path, x: Tensor, config: Config) -> Path:
    """Write samples ``[n, *shape]`` in training scale, in the form that the ending of the path asks for.

    Args:
        path: A .png for one picture, an .npz for ``x`` in the data's own units, no ending for a folder of images.
        x: The samples.
        config: Of the run; data that are no images are opened for their scale, and must be those it began with.

    Raises:
        UserError: Another ending, a folder of what is no image, or one that holds something already.
    """
    check_form(path, config)
    dataset = None if config.data.kind == "images" else open_data_of(config, progress=False)
    make_folder(path.parent)
    if path.suffix.lower() == ".png":
        return write_grid(path, _bytes(x)) if dataset is None else write_samples(path, x, dataset)
    if path.suffix.lower() == ".npz":
        values = _in_units(x, dataset).numpy()
        return write_atomically(path, lambda file: np.savez_compressed(file, x=values))
    make_folder(path)
    for i, image in enumerate(_bytes(x).permute(0, 2, 3, 1).numpy()):
        _write_image(path / f"{i:06d}.png", image)
    return path


def check_form(path: Path, config: Config) -> None:
    """Raise unless samples of a run can be written there, before any are drawn.

    Raises:
        UserError: See :func:`write`.
    """
    if path.suffix.lower() not in ("", ".png", ".npz"):
        raise UserError(f"Expected --out as a .png, an .npz or a folder, got {path}; change its ending.")
    if path.suffix:
        return
    if config.data.kind != "images":
        raise UserError(f"Expected images for a folder of PNG files, got {config.data.kind}; use --out samples.npz.")
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise UserError(
            f"Expected a new or empty folder, got {path}, where the samples would mix with what it holds; choose "
            "another --out."
        )


def _in_units(x: Tensor, dataset: Dataset | None) -> Tensor:
    return _bytes(x) if dataset is None else dataset.to_units(x)


def _bytes(x: Tensor) -> Tensor:
    """Images in training scale as uint8, rounded as an evaluation rounds them."""
    return x.add(1.0).mul(127.5).round().clamp(0, 255).to(torch.uint8)


def _write_image(path: Path, image: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> None:
    from PIL import Image

    picture = Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image)
    write_atomically(path, lambda file: picture.save(file, "png"))
