"""What every source becomes: a table of samples in memory or on disk, and batches of it in training scale.

Images are stored as ``uint8 [n, c, h, w]`` and reach training as ``value / 127.5 - 1``, so 0 is -1, 255 is +1 and
:meth:`Dataset.to_units` is the exact inverse. Everything else is stored as ``float32 [n, ...]`` in its own units and
reaches training as ``(value - offset) / scale``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from tightrope._plumbing.checks import check_number, short
from tightrope._plumbing.errors import UserError, UserTypeError, printable
from tightrope.data.labels import class_index

__all__ = ["Batch", "Dataset", "Mixture", "fingerprint"]

HALF_RANGE = 127.5
_HASH_BYTES = 1 << 24  # how much of a memory map is hashed at a time


@dataclass(frozen=True, eq=False)
class Batch:
    """Samples as training sees them.

    Attributes:
        x: float32 ``[batch, *shape]``; images in [-1, 1], NCHW.
        labels: int64 ``[batch]``, or None without labels.
    """

    x: Tensor
    labels: Tensor | None

    def __post_init__(self) -> None:
        x, labels = self.x, self.labels
        if not isinstance(x, Tensor) or not x.dim():
            raise UserTypeError(f"Expected samples x as a tensor [batch, *shape], got {short(x)}; pass the tensor.")
        _check_labels(labels, len(x))


@dataclass(frozen=True, eq=False)
class Mixture:
    """The known modes of a synthetic set, in training scale.

    Attributes:
        means: float32 ``[modes, d]``.
        std: standard deviation of every mode along every axis.
    """

    means: Tensor
    std: float

    def __post_init__(self) -> None:
        means = self.means
        if not isinstance(means, Tensor) or means.dim() != 2 or not means.is_floating_point():
            raise UserTypeError(
                f"Expected the means of the modes in floating point [modes, d], got {short(means)}; pass such a tensor."
            )
        check_number("std", self.std, 0.02)


@dataclass(frozen=True, eq=False)
class Dataset:
    """One split of one data source, decoded.

    Attributes:
        name: short name, such as ``digits``, ``toy:ring`` or a folder's name.
        source: what the user gave.
        split: ``train`` or ``test``.
        kind: ``images``, ``signals`` (``[channels, length]``) or ``vectors``.
        values: uint8 ``[n, c, h, w]`` for images, float32 ``[n, ...]`` otherwise; may be a memory map.
        labels: int64 ``[n]``, or None.
        classes: class names in label order; empty without labels.
        fingerprint: SHA-256 (hex) of values, labels and preprocessing.
        offset: for non-images, broadcastable to one sample; None is 0.
        scale: for non-images, broadcastable to one sample; None is 1.
        mixture: the modes of a synthetic set, if it has any.
        broken: names of the files that could not be read and were skipped.
        notes: sentences the user should see, such as how the test split was made.
        reopen: opens another split of the same source in the same way, called with ``split``; None for a set that was
            made by hand.

    Names, classes and notes are made fit for a terminal; see ``printable``.

    Example:
        >>> from tightrope.data import open_data
        >>> batch = open_data("digits").batch(torch.arange(4))
        >>> batch.x.shape, batch.x.min().item(), batch.labels.shape
        (torch.Size([4, 1, 8, 8]), -1.0, torch.Size([4]))
    """

    name: str
    source: str
    split: str
    kind: Literal["images", "signals", "vectors"]
    values: Tensor = field(repr=False)
    labels: Tensor | None = field(repr=False)
    classes: tuple[str, ...]
    fingerprint: str
    offset: Tensor | None = field(default=None, repr=False)
    scale: Tensor | None = field(default=None, repr=False)
    mixture: Mixture | None = field(default=None, repr=False)
    broken: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    reopen: Callable[..., Dataset] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        self._check()
        for name in ("classes", "broken", "notes"):
            object.__setattr__(self, name, tuple(printable(text) for text in getattr(self, name)))
        object.__setattr__(self, "name", printable(self.name))

    def _check(self) -> None:
        """Refuse parts that do not fit together."""
        if self.kind not in ("images", "signals", "vectors"):
            raise UserError(f"Expected the kind images, signals or vectors, got {short(self.kind)}; choose one.")
        values, dtype = self.values, torch.uint8 if self.kind == "images" else torch.float32
        if not isinstance(values, Tensor) or values.dim() < 2 or values.dtype != dtype:
            raise UserTypeError(
                f"Expected the values of {self.kind} as a tensor [n, *shape] of {dtype}, got {short(values)}; convert "
                "them, or save them as .npz and give that to open_data."
            )
        _check_labels(self.labels, len(values))
        for name in ("offset", "scale"):
            part = getattr(self, name)
            if part is not None and not isinstance(part, Tensor):
                raise UserTypeError(
                    f"Expected the {name} as a tensor or None, got {short(part)}; use torch.tensor(...)."
                )

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one sample, such as ``(3, 32, 32)`` or ``(2,)``."""
        return tuple(self.values.shape[1:])

    def __len__(self) -> int:
        return int(self.values.shape[0])

    def fingerprints(self) -> dict[str, str]:
        """The fingerprint of every split of the source, ``train`` and ``test``, to see later whether one has changed.

        Cost: opens the other split, which decodes it if it is not in the cache.
        """
        prints = {self.split: self.fingerprint}
        if self.reopen is not None:
            other = "test" if self.split == "train" else "train"
            prints[other] = self.reopen(split=other).fingerprint
        return prints

    def class_index(self, wanted: str | int) -> int:
        """The number of a class by its name or, if no class is called so, by its number.

        Raises:
            UserError: if it is neither.
        """
        return class_index(self.classes, wanted)

    def batch(self, indices: Tensor, flips: Tensor | None = None) -> Batch:
        """Gather samples and bring them to training scale.

        Args:
            indices: int64 ``[batch]``, rows of :attr:`values`.
            flips: bool ``[batch]``; True mirrors that image left to right. Images only.

        Returns:
            A :class:`Batch` of newly allocated tensors.

        Raises:
            UserError: if flips are asked for something that is not an image, or indices are none.
        """
        if flips is not None and self.kind != "images":
            raise UserError(f"Flips need images, but {self.name} holds {self.kind}; leave flips out.")
        if indices.dim() != 1 or indices.dtype not in (torch.int64, torch.int32):
            raise UserError(
                f"Expected indices as whole numbers [batch], got shape {list(indices.shape)}, {indices.dtype}; pass "
                "torch.arange(8), for example."
            )
        rows = self.values.index_select(0, indices)
        labels = None if self.labels is None else self.labels.index_select(0, indices)
        if self.kind != "images":
            return Batch(self._standardised(rows), labels)
        if flips is not None:
            pixels, flipped = rows.numpy(), flips.numpy()  # the same memory; NumPy is faster than torch.where on bytes
            pixels[flipped] = pixels[flipped][..., ::-1]
        return Batch(rows.to(torch.float32).div_(HALF_RANGE).sub_(1.0), labels)

    def to_units(self, x: Tensor) -> Tensor:
        """Undo the training scale: what a sample is in the data's own units.

        Args:
            x: float ``[batch, *shape]`` in training scale; images are clipped to [-1, 1].

        Returns:
            uint8 ``[batch, c, h, w]`` for images, float otherwise.

        Raises:
            UserError: Images hold no numbers of the training scale: NaN, which would become black, or whole numbers.
        """
        if self.kind == "images":
            if not x.is_floating_point() or bool(x.isnan().any()):
                got = f"{x.dtype}, which are in the data's own units already" if not x.is_floating_point() else "NaN"
                raise UserError(f"Expected images on the training scale, from -1 to 1, got {got}; look at the samples.")
            return x.add(1.0).mul_(HALF_RANGE).round_().clamp_(0, 255).to(torch.uint8)
        if self.scale is not None:
            x = x * self.scale.to(x)
        return x if self.offset is None else x + self.offset.to(x)

    def _standardised(self, rows: Tensor) -> Tensor:
        if self.offset is not None:
            rows = rows - self.offset
        return rows if self.scale is None else rows / self.scale


def _check_labels(labels: Tensor | None, n: int) -> None:
    if labels is None:
        return
    if not isinstance(labels, Tensor) or labels.dtype != torch.int64 or labels.shape != (n,):
        raise UserTypeError(
            f"Expected labels as int64 [{n}], one per sample, or None, got {short(labels)}; convert them."
        )


def fingerprint(values: Tensor, labels: Tensor | None, preprocessing: str) -> str:
    """SHA-256 (hex) of a set's numbers and of how they were made, read a piece at a time.

    Args:
        values: ``[n, ...]``, in memory or mapped.
        labels: int64 ``[n]``, or None.
        preprocessing: a sentence or key that names every choice that changed the numbers.
    """
    digest = hashlib.sha256(f"{preprocessing}|{tuple(values.shape)}|{values.dtype}".encode())
    rows = max(1, _HASH_BYTES * max(1, len(values)) // max(1, values.numel() * values.element_size()))
    for start in range(0, len(values), rows):
        digest.update(np.ascontiguousarray(values[start : start + rows].numpy()).data)
    digest.update(b"" if labels is None else np.ascontiguousarray(labels.numpy()).data)
    return digest.hexdigest()
