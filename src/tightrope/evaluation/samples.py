"""A set of samples to be measured, read in portions: one split of a data source, or several as one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tightrope.evaluation.features.network import BATCH

if TYPE_CHECKING:
    from tightrope.data import Dataset


@dataclass(frozen=True, eq=False)
class Samples:
    """Numbered samples in training scale, of which no more than a portion is held at a time.

    Attributes:
        parts: Splits of one source, in order; all of one kind and sample shape.
        split: What to call them in a protocol.
        decoding: What was done to each sample when it was read, in words; empty for nothing.
    """

    parts: tuple[Dataset, ...]
    split: str
    decoding: str = ""

    def __len__(self) -> int:
        return sum(len(part) for part in self.parts)

    @property
    def name(self) -> str:
        """Name of the source."""
        return self.parts[0].name

    @property
    def kind(self) -> str:
        """``images``, ``signals`` or ``vectors``."""
        return self.parts[0].kind

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one sample."""
        return self.parts[0].shape

    @property
    def fingerprint(self) -> str:
        """SHA-256 in hexadecimal of the content."""
        prints = [part.fingerprint for part in self.parts]
        return prints[0] if len(prints) == 1 else hashlib.sha256(" ".join(prints).encode()).hexdigest()

    @property
    def label(self) -> str:
        """Name and the start of the fingerprint, as a protocol records it."""
        return f"{self.name} ({self.fingerprint[:12]})"

    def batch(self, rows: Tensor) -> Tensor:
        """Return samples [batch, *shape] in training scale.

        Args:
            rows: int64 [batch], numbered through all parts.
        """
        if len(self.parts) == 1:
            return self.parts[0].batch(rows).x
        out, start = torch.empty(len(rows), *self.shape), 0
        for part in self.parts:
            mine = (rows >= start) & (rows < start + len(part))
            if bool(mine.any()):
                out[mine] = part.batch(rows[mine] - start).x
            start += len(part)
        return out

    def chosen(self, count: int, seed: int) -> Tensor:
        """Return ``count`` rows drawn without replacement, in random order, so that any first part is random too.

        All rows come in one order, whatever the seed.
        """
        rng = torch.Generator().manual_seed(0 if count == len(self) else seed)
        return torch.randperm(len(self), generator=rng)[:count]

    def portions(self, rows: Tensor) -> Iterator[Tensor]:
        """Yield samples [<=256, *shape] until all rows have come."""
        for part in rows.split(BATCH):
            if len(part):
                yield self.batch(part)
