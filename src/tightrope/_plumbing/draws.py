"""Random numbers of a batch, one row per sample: whole, or the rows of one rank of a run over several processes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


class RankGenerator(torch.Generator):
    """A stream that all ranks share: each draws the numbers of the global batch and keeps those of its own rows.

    The state depends on the global batch alone, so ranks stay in step with each other and with a single process. What
    is drawn from it by other ways than :func:`normal` and :func:`uniform` is the same on every rank.

    Attributes:
        rank: Number of this process.
        ranks: How many there are.
        batch: Samples of a batch on each rank; twice as many rows are two batches, each with its part of the global.
    """

    rank = 0
    ranks = 1
    batch = 0


def normal(shape: Sequence[int], rng: torch.Generator, dtype: torch.dtype | None = None) -> Tensor:
    """Standard normal numbers ``[rows, ...]`` on the device of ``rng``."""
    return _rows(lambda size: torch.randn(size, generator=rng, device=rng.device, dtype=dtype), shape, rng)


def uniform(shape: Sequence[int], rng: torch.Generator, dtype: torch.dtype | None = None) -> Tensor:
    """Uniform numbers in [0, 1) ``[rows, ...]`` on the device of ``rng``."""
    return _rows(lambda size: torch.rand(size, generator=rng, device=rng.device, dtype=dtype), shape, rng)


def shared(rng: torch.Generator, rank: int, ranks: int, batch: int) -> RankGenerator:
    """A generator in the state of ``rng`` that one of several ranks draws from."""
    found = RankGenerator(rng.device)
    found.set_state(rng.get_state())
    found.rank, found.ranks, found.batch = rank, ranks, batch
    return found


def seeded(like: torch.Generator, seed: int) -> torch.Generator:
    """A generator with this seed, on the device and for the rank of another one."""
    found = torch.Generator(like.device).manual_seed(seed)
    return shared(found, like.rank, like.ranks, like.batch) if isinstance(like, RankGenerator) else found


def _rows(draw: Callable[[Sequence[int]], Tensor], shape: Sequence[int], rng: torch.Generator) -> Tensor:
    if not isinstance(rng, RankGenerator):
        return draw(shape)
    rows = shape[0]
    batches = rows // rng.batch if rng.batch and rows and rows % rng.batch == 0 else 1
    whole = draw((rows * rng.ranks, *shape[1:]))
    return whole.unflatten(0, (batches, rng.ranks, rows // batches))[:, rng.rank].flatten(0, 1)
