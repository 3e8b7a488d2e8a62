"""The one real image set that comes with the package: 1,797 handwritten digits of 8x8 pixels.

``digits.npz`` beside this file holds the pixels as published (0 to 16) in a fixed shuffled order, 1,400 for training and
the last 397 for testing; ``README.md`` says where they come from and under which terms.
"""

from __future__ import annotations

from importlib import resources

import numpy as np
import torch

from tightrope.data.dataset import Dataset, fingerprint
from tightrope.data.splits import limited

__all__ = ["open_digits"]

TRAIN = 1_400


def open_digits(split: str, limit: int | None = None) -> Dataset:
    """The embedded digits, ``[n, 1, 8, 8]`` with ten labels, ready without any file of the user's.

    Args:
        split: ``train`` (1,400 images) or ``test`` (the other 397).
        limit: keep at most this many images.
    """
    with resources.files("tightrope.data").joinpath("digits.npz").open("rb") as file:
        table = np.load(file, allow_pickle=False)
        pixels, classes = table["x"], table["y"]
    rows = np.arange(TRAIN) if split == "train" else np.arange(TRAIN, len(pixels))
    rows = limited(rows, limit)
    grey = (pixels[rows].astype(np.uint16) * 255 + 8) // 16
    values = torch.from_numpy(grey.astype(np.uint8)).unsqueeze(1)
    labels = torch.from_numpy(classes[rows].astype(np.int64))
    return Dataset(
        name="digits",
        source="digits",
        split=split,
        kind="images",
        values=values,
        labels=labels,
        classes=tuple(str(digit) for digit in range(10)),
        fingerprint=fingerprint(values, labels, "digits: round(pixel * 255 / 16)"),
    )
