"""Samples written for others to use: a picture, an npz file, or a folder of images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tightrope._plumbing.errors import UserError
from tightrope._plumbing.files import make_folder, write_atomically
from tightrope.data import Dataset
from tightrope.drawing.dataset import write_samples
from tightrope.drawing.samples import ENDINGS, MOVING, require_film, write_animation, write_grid
from tightrope.evaluation.task import calls
from tightrope.runs.assemble import open_data_of
from tightrope.runs.config import Config
from tightrope.runs.trained import TrainedGenerator

FRAMES = 24
"""Frames per second, and from one point of a walk to the next."""


def draw(
    generator: TrainedGenerator,
    n: int,
    *,
    seed: int = 0,
    label: int | None = None,
    truncation: float | None = None,
    by_class: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Draw the samples that an evaluation of the run with the same number and seed measures.

    Args:
        generator: Of the run.
        n: How many.
        seed: Of the latents.
        label: Class of all, for conditional generators; each sample's own if None.
        truncation: See :meth:`TrainedGenerator.sample`; with one they are other samples.
        by_class: As many samples of each class, class by class.

    Returns:
        Samples ``[n, *shape]`` in training scale, on the CPU, and their classes ``[n]``, None without classes.

    Raises:
        UserError: A label for an unconditional generator or out of range, more samples than memory holds, or a number
            of samples that the classes do not divide.
    """
    generator.check_size(n)
    wanted = torch.full((n,), label) if label is not None else _balanced(generator, n) if by_class else None
    parts, done = [], 0
    for count, own in calls(n, seed):
        part = None if wanted is None else wanted[done : done + count]
        parts.append(generator.drawn(count, seed=own, labels=part, truncation=truncation))
        done += count
    labels = [of for _, of in parts if of is not None]
    return torch.cat([generator.decode(z, of) for z, of in parts]), torch.cat(labels) if labels else None


def _balanced(generator: TrainedGenerator, n: int) -> Tensor:
    classes = len(generator.classes)
    if not classes or n % classes:
        got = f"{n} samples of {classes} classes" if classes else "an unconditional run"
        raise UserError(f"Expected as many samples of each class for --by-class, got {got}; choose another --n.")
    return torch.arange(classes).repeat_interleave(n // classes)


def walk(
    generator: TrainedGenerator,
    path: Path,
    n: int,
    keys: int,
    *,
    seed: int = 0,
    label: int | None = None,
    truncation: float | None = None,
) -> Path:
    """A moving picture of ``n`` samples, each on a closed way through latent space by ``keys`` points.

    Between points the way is an arc on which normal latents keep their length (White 2016, 1609.04468).

    Args:
        generator: Of a run of images.
        path: A .gif, a .webp, or an .mp4 (needs ``pip install 'tightrope[video]'``).
        n: Samples side by side.
        keys: Points on the way, at least 2.
        seed: Of the points.
        label: Class of all; each sample keeps one drawn class if None.
        truncation: See :meth:`TrainedGenerator.sample`.

    Raises:
        UserError: A run of no images, fewer than two points, another ending, or no package for films.

    Cost: ``24 * keys * n`` forwards of one sample.
    """
    if generator.config.data.kind != "images":
        raise UserError(
            f"Expected a run of images to walk through, got {generator.config.data.kind}; leave --walk out."
        )
    if keys < 2:
        raise UserError(f"Expected at least 2 points to walk by, got {keys}; 6 will do.")
    if path.suffix.lower().removeprefix(".") not in MOVING:
        raise UserError(f"Expected --out as {ENDINGS} for a walk, got {path}; change its ending.")
    if path.suffix.lower() == ".mp4":
        require_film()
    generator.check_size(FRAMES * keys * n)
    z, labels = generator.drawn(keys * n, seed=seed, labels=label, truncation=truncation)
    points = z.view(keys, n, -1)
    kept = None if labels is None else labels[:n]
    frames = (
        _bytes(generator.decode(arc(points[k], points[(k + 1) % keys], i / FRAMES), kept))
        for k in range(keys)
        for i in range(FRAMES)
    )
    make_folder(path.parent)
    return write_animation(path, frames, seconds=1 / FRAMES)


def arc(start: Tensor, end: Tensor, share: float) -> Tensor:
    """Points ``[n, latent]`` at a share of the way from start to end along great arcs, lengths interpolated."""
    first, second = start.norm(dim=1, keepdim=True), end.norm(dim=1, keepdim=True)
    cos = ((start / first) * (end / second)).sum(1, keepdim=True).clamp(-1, 1)
    angle = torch.acos(cos)
    near = angle.sin() < 1e-6
    safe = torch.where(near, torch.ones_like(angle), angle)
    a = torch.where(near, torch.full_like(angle, 1 - share), ((1 - share) * safe).sin() / safe.sin())
    b = torch.where(near, torch.full_like(angle, share), (share * safe).sin() / safe.sin())
    return (a * start / first + b * end / second) * ((1 - share) * first + share * second)


def write(path: Path, x: Tensor, config: Config, labels: Tensor | None = None, columns: int | None = None) -> Path:
    """Write samples ``[n, *shape]`` in training scale, in the form that the ending of the path asks for.

    Args:
        path: A .png for one picture, an .npz for ``x`` in the data's own units, no ending for a folder of images.
        x: The samples.
        config: Of the run; data that are no images are opened for their scale, and must be those it began with.
        labels: Their classes ``[n]``, written into an npz as ``labels``.
        columns: Images per row of a picture, about as many as rows if None.

    Raises:
        UserError: Another ending, a folder of what is no image, or one that holds something already.
    """
    check_form(path, config)
    dataset = None if config.data.kind == "images" else open_data_of(config, progress=False)
    make_folder(path.parent)
    if path.suffix.lower() == ".png":
        return write_grid(path, _bytes(x), columns) if dataset is None else write_samples(path, x, dataset)
    if path.suffix.lower() == ".npz":
        values = _in_units(x, dataset).numpy()
        named: dict[str, Any] = {"x": values} if labels is None else {"x": values, "labels": labels.numpy()}
        return write_atomically(path, lambda file: np.savez_compressed(file, **named))
    make_folder(path)
    for i, image in enumerate(_bytes(x).permute(0, 2, 3, 1).numpy()):
        _write_image(path / f"{i:06d}.png", image)
    return path


def check_form(path: Path, config: Config) -> None:
    """Raise unless samples of a run can be written there, before any are drawn.

    Raises:
        UserError: See :func:`write`.
    """
    if path.suffix.lower().removeprefix(".") in MOVING:
        raise UserError(f"Expected --walk for a moving picture, got --out {path} alone; add --walk 6.")
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
