"""Batches in a shuffled order that can be written down in one number.

The order of the samples is an endless sequence of permutations, one per epoch, each drawn by a generator seeded from
``(seed, epoch)``. Batch k is the k-th window of that sequence, so it depends on ``(seed, k)`` alone; a window over
the end of an epoch is filled from the next permutation, and a set smaller than a batch is gone through several
times within it.
"""

from __future__ import annotations

from numbers import Integral

import torch
from torch import Tensor

from tightrope._plumbing.checks import check_whole
from tightrope._plumbing.errors import UserError, UserTypeError
from tightrope.data.dataset import Batch, Dataset

__all__ = ["Sampler"]

_ORDER, _FLIP = 0, 1  # which of the two independent random streams
_WORD = (1 << 64) - 1


class Sampler:
    """Endless shuffled batches; the k-th is a pure function of ``(seed, k)``.

    Attributes:
        batches: how many batches were taken, the whole state.

    Example:
        >>> from tightrope.data import Sampler, open_data
        >>> sampler = Sampler(open_data("toy:ring"), 64, seed=0)
        >>> sampler.next().x.shape
        torch.Size([64, 2])
    """

    def __init__(
        self, dataset: Dataset, batch_size: int, *, seed: int, flip: bool = False, part: tuple[int, int] = (0, 1)
    ) -> None:
        """Set up the order; nothing is drawn yet.

        Args:
            dataset: what to draw from.
            batch_size: samples in every batch.
            seed: any integer from 0.
            flip: mirror each image left to right with probability 1/2.
            part: which part of every batch to hand out, and of how many: ``(rank, ranks)`` where several processes
                train together.

        Raises:
            UserError: on an empty set, a batch size below 1 or not divisible into parts, a negative seed, or flips of
                something that is no image.
        """
        if not isinstance(dataset, Dataset):
            raise UserTypeError(
                f"Expected a Dataset, got a {type(dataset).__name__}; open one with data.open_data, or hand your own "
                "batches to training.train as an iterable."
            )
        for name, number in (("batch size", batch_size), ("seed", seed)):
            if not isinstance(number, Integral) or isinstance(number, bool):
                raise UserTypeError(f"Expected the {name} as a whole number, got {number!r}; give an integer.")
        if len(dataset) < 1:
            raise UserError(f"A sampler needs at least 1 sample, but {dataset.name} is empty; check the data source.")
        if batch_size < 1:
            raise UserError(f"The batch size must be at least 1, got {batch_size}; give a positive number.")
        if seed < 0:
            raise UserError(f"The seed must not be negative, got {seed}; give an integer from 0.")
        if flip and dataset.kind != "images":
            raise UserError(f"Flips need images, but {dataset.name} holds {dataset.kind}; set flip=False.")
        number, parts = part
        if not 0 <= number < parts or batch_size % parts:
            raise UserError(
                f"Expected one of the parts 0 to {parts - 1} of a batch that divides into {parts}, got part {number} "
                f"of {batch_size} samples; choose a batch size that is a multiple of the number of ranks."
            )
        batch_size, seed = int(batch_size), int(seed)  # NumPy's integers run over
        self.dataset, self.batch_size, self.seed, self.flip = dataset, batch_size, seed, flip
        self.batches = 0
        size = batch_size // parts
        self._part = slice(number * size, (number + 1) * size)
        self._rng = torch.Generator()  # holds no state of its own: seeded anew for every draw
        self._epoch, self._order = -1, torch.empty(0, dtype=torch.int64)

    def next(self) -> Batch:
        """The next batch, ``batch_size`` samples or this part of them, in training scale on the CPU."""
        k = self.batches
        self.batches += 1
        flips = self._flips(k)
        return self.dataset.batch(self.indices(k)[self._part], None if flips is None else flips[self._part])

    def indices(self, k: int) -> Tensor:
        """Rows of all parts of batch k, int64 ``[batch_size]``; does not move the sampler."""
        if k < 0:
            raise UserError(f"Expected the number of a batch, 0 for the first, got {k}; batches are not counted back.")
        k = int(k)
        position, stop, pieces = k * self.batch_size, (k + 1) * self.batch_size, []
        while position < stop:
            epoch, start = divmod(position, len(self.dataset))
            piece = self._permutation(epoch)[start : start + stop - position]
            pieces.append(piece)
            position += len(piece)
        return pieces[0] if len(pieces) == 1 else torch.cat(pieces)

    def state_dict(self) -> dict[str, int]:
        """Everything needed to go on from here with the same seed and batch size."""
        return {"batches": self.batches}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on from a saved :meth:`state_dict`.

        Raises:
            UserError: if the state has no ``batches`` counter.
        """
        if "batches" not in state:
            raise UserError(f"A sampler state holds 'batches', got {sorted(state)}; pass a Sampler's own state_dict.")
        check_whole("batches", state["batches"], 0, 0)
        self.batches = int(state["batches"])

    def _permutation(self, epoch: int) -> Tensor:
        if epoch != self._epoch:
            self._order = torch.randperm(len(self.dataset), generator=self._seeded(_ORDER, epoch))
            self._epoch = epoch
        return self._order

    def _flips(self, k: int) -> Tensor | None:
        if not self.flip:
            return None
        return torch.rand(self.batch_size, generator=self._seeded(_FLIP, k)) < 0.5

    def _seeded(self, stream: int, number: int) -> torch.Generator:
        return self._rng.manual_seed(_mixed(self.seed, stream, number))


def _mixed(*key: int) -> int:
    """A 64-bit seed that depends on every number of the key and on their order (SplitMix64 steps)."""
    state = 0
    for number in key:
        state = (state + number + 0x9E3779B97F4A7C15) & _WORD
        state = ((state ^ state >> 30) * 0xBF58476D1CE4E5B9) & _WORD
        state = ((state ^ state >> 27) * 0x94D049BB133111EB) & _WORD
        state ^= state >> 31
    return state
