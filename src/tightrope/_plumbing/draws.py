"""Random draws of training in one place: from one generator, from one per run, or on one of several ranks of a run.

Whoever draws asks here, in the order in which a single run asks. With :class:`Streams` every run is answered from its
own stream, so that its numbers are those it would have drawn alone; with a :class:`RankGenerator` each process gets its
rows of what one process would have drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from tightrope._plumbing.beside import outside


class Streams:
    """The random streams of runs side by side; a draw from it is one draw per run, ``[runs, *shape]``.

    Under the ``vmap`` over the runs that axis is the mapped one.

    Args:
        generators: One per run, in the order of the runs; on the CPU.
    """

    device = torch.device("cpu")

    def __init__(self, generators: Sequence[Rng]) -> None:
        self.generators = list(generators)

    def get_state(self) -> Tensor:
        """``[runs, ...]``."""
        return torch.stack([generator.get_state() for generator in self.generators])

    def set_state(self, state: Tensor) -> object:
        """Give every run its own again."""
        return [generator.set_state(own) for generator, own in zip(self.generators, state, strict=True)]

    def drawn(self, fill: Callable[..., object], shape: Sequence[int], dtype: torch.dtype | None) -> Tensor:
        """``[runs, *shape]``, each part filled from its own stream by ``fill(part, generator=...)``."""

        def draw() -> Tensor:
            found = torch.empty(len(self.generators), *shape, dtype=dtype)
            for part, generator in zip(found.unbind(0), self.generators, strict=True):
                fill(part, generator=generator)
            return found

        return outside(draw)


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


def shared(rng: torch.Generator, rank: int, ranks: int, batch: int) -> RankGenerator:
    """A generator in the state of ``rng`` that one of several ranks draws from."""
    found = RankGenerator(rng.device)
    found.set_state(rng.get_state())
    found.rank, found.ranks, found.batch = rank, ranks, batch
    return found


Rng: TypeAlias = torch.Generator | Streams


def normal(shape: Sequence[int], rng: Rng, dtype: torch.dtype | None = None, *, per_sample: bool = True) -> Tensor:
    """Standard normal numbers of this shape, drawn on the device of ``rng``; the same on all ranks if of no sample."""
    if type(rng) is torch.Generator:  # what almost every run has
        return torch.randn(shape, generator=rng, device=rng.device, dtype=dtype)
    if isinstance(rng, Streams):
        return rng.drawn(Tensor.normal_, shape, dtype)

    def draw(size: tuple[int, ...]) -> Tensor:
        return torch.randn(size, generator=rng, device=rng.device, dtype=dtype)

    return _rows(draw, tuple(shape), rng) if per_sample else draw(tuple(shape))


def uniform(shape: Sequence[int], rng: Rng, dtype: torch.dtype | None = None) -> Tensor:
    """Numbers uniform in [0, 1) of this shape, drawn on the device of ``rng``."""
    if isinstance(rng, Streams):
        return rng.drawn(Tensor.uniform_, shape, dtype)
    return _rows(lambda size: torch.rand(size, generator=rng, device=rng.device, dtype=dtype), tuple(shape), rng)


def restartable(rng: Rng) -> Callable[[], Rng]:
    """A function that gives, at every call, a generator in one and the same new state, itself drawn from ``rng``."""
    if isinstance(rng, Streams):
        each = [restartable(generator) for generator in rng.generators]
        return lambda: Streams([fresh() for fresh in each])
    seed, device = int(torch.randint(2**62, (), generator=rng)), rng.device
    if isinstance(rng, RankGenerator):
        part = rng.rank, rng.ranks, rng.batch
        return lambda: shared(torch.Generator(device).manual_seed(seed), *part)
    return lambda: torch.Generator(device).manual_seed(seed)


def _rows(draw: Callable[[tuple[int, ...]], Tensor], shape: tuple[int, ...], rng: torch.Generator) -> Tensor:
    if not isinstance(rng, RankGenerator):
        return draw(shape)
    rows = shape[0]
    batches = rows // rng.batch if rng.batch and rows and rows % rng.batch == 0 else 1
    whole = draw((rows * rng.ranks, *shape[1:]))
    return whole.unflatten(0, (batches, rng.ranks, rows // batches))[:, rng.rank].flatten(0, 1)
