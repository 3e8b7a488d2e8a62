"""Features of which samples keep to one side of zero while the data lie on both, and samples that are copies."""

from __future__ import annotations

import torch
from torch import Tensor

WIDEST, MANY = 4096, 16
"""Most features that are looked at; up to how many one alone counts."""
LIES, TOUCHES, ZEROS = 0.2, 0.02, 0.01
"""Share of the data beyond zero that counts, how near to zero samples must come in spreads of the data, and the share
of samples that are exactly zero."""
WIDE = 0.25
"""Spread of samples over the data's from which their end is one of the generator's reach and not of where they lie."""
FEW, MOST = 0.25, 128
"""Share of different samples below which what they were made from counts, and rows that are looked at."""
SAME = 1e-5
"""Difference of samples, in spreads of a feature, up to which they are copies."""


class Sides:
    """What samples of all windows so far reached, by feature."""

    def __init__(self) -> None:
        self.rows, self.real_rows, self.over = 0, 0, False
        self.low = self.high = self.zero = self.below = self.above = torch.zeros(0)

    def read(self, real: Tensor, fake: Tensor) -> dict[str, float]:
        """Take a window's rows and say how many features are cut off at zero.

        A feature counts whose samples all lie on one side of zero, some of them at it, while a fifth of the data lies
        on the other side.

        Args:
            real: Real rows ``[n, features]``.
            fake: Samples ``[m, features]``.

        Returns:
            ``"sided_rows"``, the samples seen so far; ``"sided"``, features cut off; ``"sided_share"``, the largest
            share of real values beyond zero among them; nothing for rows of more than :data:`WIDEST` numbers, and once
            samples were on both sides in every feature.
        """
        width = real.shape[1]
        if self.over:  # no feature can count any more
            return {}
        if width != fake.shape[1] or width > WIDEST or not bool(torch.isfinite(fake).all()):
            return {}
        real, fake = real.float(), fake.float()
        low, high = fake.amin(0), fake.amax(0)
        zero, below, above, spread = (fake == 0).sum(0), (real < 0).sum(0), (real > 0).sum(0), real.std(0)
        if self.low.shape != low.shape:
            self.rows, self.real_rows = 0, 0
            self.low, self.high, self.zero, self.below, self.above = low, high, zero, below, above
        else:
            self.low, self.high = torch.minimum(self.low, low), torch.maximum(self.high, high)
            self.zero, self.below, self.above = self.zero + zero, self.below + below, self.above + above
        self.rows, self.real_rows = self.rows + len(fake), self.real_rows + len(real)
        kept = (self.low >= 0) | (self.high <= 0)
        if not bool(kept.any()):
            self.over = True
            return {"sided_rows": float(self.rows), "sided": 0.0, "sided_share": 0.0}
        sided, share = 0, 0.0
        for end, beyond in ((self.low, self.below), (-self.high, self.above)):
            part = beyond / self.real_rows
            exactly = self.zero > ZEROS * self.rows
            wide = fake.std(0) > WIDE * spread  # a narrow cloud that lies near to zero is not cut off there
            cut = (end >= 0) & (part > LIES) & (exactly | (wide & (end < TOUCHES * spread))) & (self.zero < self.rows)
            if width > MANY and int(cut.sum()) < 0.25 * int((part > LIES).sum()):
                cut &= exactly
            sided += int(cut.sum())
            share = max(share, float(part[cut].max()) if bool(cut.any()) else 0.0)
        return {"sided_rows": float(self.rows), "sided": float(sided), "sided_share": share}


def copies(given: Tensor, fake: Tensor) -> dict[str, float]:
    """Share of samples that differ, beside the share of what the generator was given that does.

    Args:
        given: What the generator was called with ``[n, ...]``.
        fake: Its samples ``[n, ...]``.

    Returns:
        ``"distinct_fakes"`` and, where few are, ``"distinct_given"``; nothing for rows that are not finite.
    """
    y = _some(fake)
    if len(y) < 8 or not y.shape[1] or not bool(torch.isfinite(y).all()):
        return {}
    found = {"distinct_fakes": _different((y / y.std(0).clamp_min(1e-12) / SAME).round())}
    if found["distinct_fakes"] < FEW:
        found["distinct_given"] = _different(_some(given))
    return found


def _some(rows: Tensor) -> Tensor:
    """The first rows, of many features every so-manieth."""
    flat = rows.detach().flatten(1)[:MOST]
    return flat[:, :: max(1, flat.shape[1] // MOST)].double()


def _different(rows: Tensor) -> float:
    """Share of rows that differ, by a sum of each with weights that are always the same."""
    weights = torch.rand(rows.shape[1], generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return len(torch.unique((rows.cpu() * weights).sum(1))) / len(rows)
