"""Long curves made short enough for a page, without losing what was extreme or what was typical."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def downsample(x: Floats, y: Floats, most: int = 600) -> tuple[Floats, Floats]:
    """Fewer points of a curve with the same extremes.

    The inner points are cut into groups of equal size, and each leaves its smallest and its largest value in their
    order, so that a spike of one row survives. The ends stay.

    Args:
        x: ``[n]``, ascending.
        y: ``[n]``.
        most: the largest number of points to return, at least 4.

    Returns:
        The kept points, ``[min(n, about most)]`` each.
    """
    if len(y) <= most:
        return x, y
    groups = np.array_split(np.arange(1, len(y) - 1), (most - 2) // 2)
    kept = {0, len(y) - 1}
    for group in groups:
        kept |= {int(group[y[group].argmin()]), int(group[y[group].argmax()])}
    places = np.asarray(sorted(kept))
    return x[places], y[places]


def medians(x: Floats, y: Floats, groups: int = 40) -> tuple[Floats, Floats]:
    """The calm course of a noisy curve: the medians of ``groups`` equal parts of its rows."""
    parts = np.array_split(np.arange(len(y)), min(groups, len(y)))
    return np.asarray([x[part].mean() for part in parts]), np.asarray([np.median(y[part]) for part in parts])
