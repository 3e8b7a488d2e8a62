"""Random draws of training in one place: from one generator, or from one per run where runs train side by side.

Whoever draws asks here, in the order in which a single run asks; with :class:`Streams` every run is answered from its
own stream, so that its numbers are those it would have drawn alone.
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

    def __init__(self, generators: Sequence[torch.Generator]) -> None:
        self.generators = list(generators)

    def drawn(self, fill: Callable[..., object], shape: Sequence[int], dtype: torch.dtype | None) -> Tensor:
        """``[runs, *shape]``, each part filled from its own stream by ``fill(part, generator=...)``."""

        def draw() -> Tensor:
            found = torch.empty(len(self.generators), *shape, dtype=dtype)
            for part, generator in zip(found.unbind(0), self.generators, strict=True):
                fill(part, generator=generator)
            return found

        return outside(draw)


Rng: TypeAlias = torch.Generator | Streams


def normal(shape: Sequence[int], rng: Rng, dtype: torch.dtype | None = None) -> Tensor:
    """Standard normal numbers of this shape, drawn on the device of ``rng``."""
    if isinstance(rng, Streams):
        return rng.drawn(Tensor.normal_, shape, dtype)
    return torch.randn(tuple(shape), generator=rng, device=rng.device, dtype=dtype)


def uniform(shape: Sequence[int], rng: Rng, dtype: torch.dtype | None = None) -> Tensor:
    """Numbers uniform in [0, 1) of this shape, drawn on the device of ``rng``."""
    if isinstance(rng, Streams):
        return rng.drawn(Tensor.uniform_, shape, dtype)
    return torch.rand(tuple(shape), generator=rng, device=rng.device, dtype=dtype)


def restartable(rng: Rng) -> Callable[[], Rng]:
    """A function that gives, at every call, a generator in one and the same new state, itself drawn from ``rng``."""
    if isinstance(rng, Streams):
        each = [restartable(generator) for generator in rng.generators]
        return lambda: Streams([fresh() for fresh in each])  # type: ignore[misc]
    seed, device = int(torch.randint(2**62, (), generator=rng)), rng.device
    return lambda: torch.Generator(device).manual_seed(seed)
