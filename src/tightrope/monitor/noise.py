"""Is what a generator is given noise, or is it data: images, spectra, rows of a table, conditions beside noise?"""

from __future__ import annotations

import torch
from torch import Tensor

COLUMNS, ROWS = 64, 512
"""At most so many of each are looked at."""


def like_noise(x: Tensor) -> bool:
    """Whether rows look drawn entry by entry from one distribution.

    Entries of noise are different numbers, their columns have one mean and one spread, and they are uncorrelated: the
    mean square of correlations between columns is ``1 / (rows - 1)``, and each statistic may leave what chance gives by
    five of its deviations. Neighbouring pixels, columns of a table or bands of a spectrum leave it by far.

    Args:
        x: Inputs ``[rows, *shape]``.

    Returns:
        False too where there are too few entries to tell.
    """
    rows = x.detach().float().flatten(1)[:ROWS].cpu()
    if rows.shape[1] > COLUMNS:  # neighbours beside each other, from the middle: edges are often constant
        start = (rows.shape[1] - COLUMNS) // 2
        rows = rows[:, start : start + COLUMNS]
    n, d = rows.shape
    if n < 4 or n * d < 16 or not bool(torch.isfinite(rows).all()):
        return False
    if len(torch.unique(rows)) < 0.9 * rows.numel():
        return False
    if d == 1:
        return True
    mean, variance = rows.mean(0), rows.var(0)
    if not bool((variance > 0).all()):
        return False
    slack = 5 * (2 / (d - 1)) ** 0.5
    centres = float(n * mean.var() / variance.mean())
    spreads = float(variance.var() / variance.mean().square()) * (n - 1) / 2
    correlations = (rows - mean) / variance.sqrt()
    matrix = (correlations.T @ correlations / (n - 1)).square()
    pairs = d * (d - 1)
    together = float((matrix.sum() - matrix.diagonal().sum()) / pairs) * (n - 1)
    return centres < 1 + slack and spreads < 2 + 2 * slack and together < 1 + 5 * (4 / pairs) ** 0.5


def noise_columns(x: Tensor) -> list[int]:
    """Which columns of rows are noise, where others hold conditions; all of them where the whole is noise.

    Args:
        x: Inputs ``[rows, *shape]``.

    Returns:
        Columns of ``x.flatten(1)``, empty where nothing of it is noise.
    """
    rows = x.detach().float().flatten(1)
    if like_noise(x):
        return list(range(rows.shape[1]))
    if x.dim() != 2 or len(rows) < 4:
        return []
    ordered = rows.sort(0).values
    distinct = ((ordered[1:] != ordered[:-1]).sum(0) + 1) >= 0.9 * len(rows)
    columns = distinct.nonzero().flatten().tolist()
    return columns if 1 < len(columns) < rows.shape[1] and like_noise(rows[:, columns]) else []
