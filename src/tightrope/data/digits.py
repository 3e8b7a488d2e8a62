"""The one real image set that comes with the package: 1,797 handwritten digits of 8x8 pixels.

``digits.npz`` beside this file holds the pixels as published (0 to 16) in a fixed shuffled order, 1,400 for training
and the last 397 for testing; ``README.md`` says where they come from and under which terms.
"""

from __future__ import annotations

from importlib import resources

import numpy as np
import torch

from tightrope.data.dataset import Dataset, fingerprint
from tightrope.data.source import ImageSource, Pixels, pixel_reader
from tightrope.data.splits import Rows, limited

__all__ = ["digit_images", "open_digits"]

TRAIN = 1_400
CLASSES = tuple(str(digit) for digit in range(10))


def open_digits(split: str, limit: int | None = None) -> Dataset:
    """The embedded digits, ``[n, 1, 8, 8]`` with ten labels, ready without any file of the user's.

    Args:
        split: ``train`` (1,400 images) or ``test`` (the other 397).
        limit: keep at most this many images.
    """
    pixels, numbers = _table(split)
    rows = limited(np.arange(len(pixels), dtype=np.int64), limit)
    values, labels = torch.from_numpy(pixels[rows]).unsqueeze(1), torch.from_numpy(numbers[rows])
    return Dataset(
        name="digits",
        source="digits",
        split=split,
        kind="images",
        values=values,
        labels=labels,
        classes=CLASSES,
        fingerprint=fingerprint(values, labels, "digits: round(pixel * 255 / 16)"),
    )


def digit_images(split: str) -> ImageSource:
    """The digits as a source like any other, to be had at another resolution or in RGB."""
    pixels, labels = _table(split)
    return ImageSource(
        "digits", "digits", len(pixels), pixel_reader(pixels[..., None], "digits"), labels, CLASSES, encoded=False
    )


def _table(split: str) -> tuple[Pixels, Rows]:
    """Pixels ``[n, 8, 8]`` from 0 to 255 and labels of a split."""
    with resources.files("tightrope.data").joinpath("digits.npz").open("rb") as file:
        stored = np.load(file, allow_pickle=False)
        part = slice(TRAIN) if split == "train" else slice(TRAIN, None)
        pixels, labels = stored["x"][part], stored["y"][part]
    return ((pixels.astype(np.uint16) * 255 + 8) // 16).astype(np.uint8), labels.astype(np.int64)
