"""Which rows of a source make up a split: the same rows on every machine and with every library version."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from tightrope._plumbing.errors import UserError

__all__ = ["HELD_OUT", "Rows", "check_size", "held_out", "limited", "shuffled", "without_split"]

_UNSPLIT = "The source has no test split"
HELD_OUT = 0.1
"""Share of a source without a test split that becomes its test split (rounded down, at least one sample)."""

Rows = npt.NDArray[np.int64]


def shuffled(n: int, salt: int) -> Rows:
    """The numbers 0..n-1 in a fixed order that looks random: sorted by a 64-bit integer hash (SplitMix64)."""
    with np.errstate(over="ignore"):
        x = (np.arange(1, n + 1, dtype=np.uint64) + np.uint64(salt) * np.uint64(n + 1)) * np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.argsort(x ^ (x >> np.uint64(31)), kind="stable").astype(np.int64)


def held_out(n: int, split: str) -> tuple[Rows, str]:
    """Rows of a split of a source that has no test split of its own, ascending, and the sentence that says so.

    Args:
        n: samples in the whole source, at least 2.
        split: ``train`` or ``test``; the two are disjoint and together the whole source.
    """
    count = max(1, int(n * HELD_OUT))
    order = shuffled(n, salt=0)
    rows = np.sort(order[:count] if split == "test" else order[count:])
    return rows, f"{_UNSPLIT}: {count:,} of {n:,} samples are held out as one and not trained on."


def without_split(notes: Iterable[str]) -> tuple[str, ...]:
    """Notes without the sentence of :func:`held_out`, for whoever uses both splits alike."""
    return tuple(note for note in notes if not note.startswith(_UNSPLIT))


def limited(rows: Rows, limit: int | None) -> Rows:
    """At most ``limit`` of the rows, chosen across the whole source, ascending."""
    if limit is None or limit >= len(rows):
        return rows
    return np.sort(rows[shuffled(len(rows), salt=1)[:limit]])


def check_size(n: int, source: str) -> None:
    """Refuse a source with fewer than two samples.

    Raises:
        UserError: if n is 0 or 1.
    """
    if n < 2:
        raise UserError(f"Expected at least 2 samples, but {source} holds {n}; add more data.")
