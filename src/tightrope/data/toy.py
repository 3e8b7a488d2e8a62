"""Two-dimensional distributions with a known answer, drawn once with a fixed seed.

**Source** Ring, grid and swiss roll: the toy experiments of Gulrajani et al. 2017 (1704.00028) with the constants of
their code: centres and noise are divided by 1.414, 2.828 and 7.5. Line, circle, segments and gaussian: the kinds of
2-D example in Mescheder et al. 2018 (1801.04406).

**Departures** The exact geometry of the segments (radius 0.5 to 1.5 along the four half axes) is our choice. Samples
are a fixed table of 20,000 (train) and 10,000 (test) points, not drawn anew for each batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from tightrope._plumbing.errors import UserError
from tightrope.data.dataset import Dataset, Mixture, fingerprint
from tightrope.data.splits import limited

__all__ = ["MIXTURES", "TOYS", "circle", "gaussian", "grid", "line", "open_toy", "ring", "segments", "swissroll"]

POINTS = {"train": 20_000, "test": 10_000}
_SEEDS = {"train": 20_170, "test": 20_180}

RING_SCALE, RING_STD = 1.414, 0.02
GRID_SCALE, GRID_STD = 2.828, 0.05
ROLL_SCALE, ROLL_NOISE = 7.5, 0.25


def ring(n: int, rng: torch.Generator) -> Tensor:
    """Eight Gaussians on a circle of radius 2/1.414, sd 0.02/1.414; ``[n, 2]``."""
    return _draw(MIXTURES["ring"], n, rng)


def grid(n: int, rng: torch.Generator) -> Tensor:
    """Twenty-five Gaussians on the grid 2 {-2..2}^2 / 2.828, sd 0.05/2.828; ``[n, 2]``."""
    return _draw(MIXTURES["grid"], n, rng)


def swissroll(n: int, rng: torch.Generator) -> Tensor:
    """Swiss roll t (cos t, sin t)/7.5 with t uniform on [1.5 pi, 4.5 pi] and noise of sd 0.25/7.5; ``[n, 2]``."""
    t = 1.5 * math.pi * (1 + 2 * torch.rand(n, generator=rng))
    roll = torch.stack([t * t.cos(), t * t.sin()], dim=1)
    return (roll + ROLL_NOISE * torch.randn(n, 2, generator=rng)) / ROLL_SCALE


def circle(n: int, rng: torch.Generator) -> Tensor:
    """Uniform on the unit circle, a set of measure zero in the plane; ``[n, 2]``."""
    angle = 2 * math.pi * torch.rand(n, generator=rng)
    return torch.stack([angle.cos(), angle.sin()], dim=1)


def line(n: int, rng: torch.Generator) -> Tensor:
    """Uniform on the segment from (-1, 0) to (1, 0): y is exactly 0; ``[n, 2]``."""
    x = 2 * torch.rand(n, generator=rng) - 1
    return torch.stack([x, torch.zeros(n)], dim=1)


def segments(n: int, rng: torch.Generator) -> Tensor:
    """Uniform on four radial segments, radius 0.5 to 1.5 along the half axes; ``[n, 2]``."""
    radius = 0.5 + torch.rand(n, generator=rng)
    axes = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
    return radius[:, None] * axes[torch.randint(4, (n,), generator=rng)]


def gaussian(n: int, rng: torch.Generator) -> Tensor:
    """Standard normal in the plane, the absolutely continuous case; ``[n, 2]``."""
    return torch.randn(n, 2, generator=rng)


def open_toy(name: str, split: str, limit: int | None = None) -> Dataset:
    """The fixed table of one toy distribution.

    Args:
        name: one of :data:`TOYS`, without the ``toy:`` in front.
        split: ``train`` (20,000 points) or ``test`` (10,000 other points).
        limit: keep at most this many points.

    Raises:
        UserError: on an unknown name.
    """
    if name not in TOYS:
        known = ", ".join(f"toy:{known}" for known in TOYS)
        raise UserError(f"Expected one of {known}, got toy:{name}; choose a name from the list.")
    values = TOYS[name](POINTS[split], torch.Generator().manual_seed(_SEEDS[split]))
    values = values[torch.from_numpy(limited(torch.arange(len(values)).numpy(), limit))]
    return Dataset(
        name=f"toy:{name}",
        source=f"toy:{name}",
        split=split,
        kind="vectors",
        values=values,
        labels=None,
        classes=(),
        fingerprint=fingerprint(values, None, f"toy:{name}"),
        mixture=MIXTURES.get(name),
    )


def _draw(mixture: Mixture, n: int, rng: torch.Generator) -> Tensor:
    modes = torch.randint(len(mixture.means), (n,), generator=rng)
    return mixture.means[modes] + mixture.std * torch.randn(n, 2, generator=rng)


def _ring_means() -> Tensor:
    angle = torch.arange(8, dtype=torch.float64) * (2 * math.pi / 8)
    return (2 / RING_SCALE * torch.stack([angle.cos(), angle.sin()], dim=1)).float()


def _grid_means() -> Tensor:
    steps = torch.arange(-2, 3, dtype=torch.float64)
    return (2 / GRID_SCALE * torch.cartesian_prod(steps, steps)).float()


MIXTURES = {
    "ring": Mixture(_ring_means(), RING_STD / RING_SCALE),
    "grid": Mixture(_grid_means(), GRID_STD / GRID_SCALE),
}

TOYS: dict[str, Callable[[int, torch.Generator], Tensor]] = {
    "ring": ring,
    "grid": grid,
    "swissroll": swissroll,
    "circle": circle,
    "line": line,
    "segments": segments,
    "gaussian": gaussian,
}
