"""The data of many runs: one source per seed, read together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from tightrope._plumbing.errors import UserError, UserTypeError
from tightrope.data.dataset import Dataset
from tightrope.data.sampler import Sampler
from tightrope.training.loop import Batches, reader

Source = Dataset | Callable[[int], Batches | Iterable[Any]]
"""A data set, of which every seed draws in an order of its own, or a function that gives a seed its batches."""


def source_for(data: Source, seed: int, batch_size: int) -> Any:
    """What a run of this seed trains on.

    Raises:
        UserTypeError: ``data`` is neither a data set nor a function of the seed.
    """
    if isinstance(data, Dataset):
        return Sampler(data, batch_size, seed=seed)
    if not callable(data):
        raise UserTypeError(
            f"Expected data as a Dataset or as a function that gives a seed its batches, got a {type(data).__name__}; "
            "pass lambda seed: batches."
        )
    return data(seed)


class Feed:
    """Batches of runs side by side.

    Args:
        data: Where they come from.
        seeds: In the order of the runs.
        batch_size: Of a data set's batches.
        states: Torch's global random state of each seed, which a loader may draw from.
    """

    def __init__(self, data: Source, seeds: Sequence[int], batch_size: int, states: Sequence[Tensor]) -> None:
        self._dataset = data if isinstance(data, Dataset) else None
        self._samplers: list[Sampler] = []
        self._readers: list[Callable[[], Any]] = []
        self._states = list(states)
        if self._dataset is not None:
            self._samplers = [source_for(data, seed, batch_size) for seed in seeds]
            return
        for k, seed in enumerate(seeds):
            self._readers.append(self._own(k, partial(_opened, data, seed, batch_size)))

    def next(self) -> tuple[Tensor, Tensor | None]:
        """The next batch of every run, ``[runs, batch, *shape]``, and classes ``[runs, batch]`` if there are any.

        Raises:
            UserError: The batches are of different sizes.
        """
        if self._dataset is not None:  # one gather for all
            rows = torch.stack([sampler.indices(sampler.batches) for sampler in self._samplers])
            for sampler in self._samplers:
                sampler.batches += 1
            batch = self._dataset.batch(rows.flatten())
            labels = None if batch.labels is None else batch.labels.unflatten(0, rows.shape)
            return batch.x.unflatten(0, rows.shape), labels
        found = [self._own(k, read) for k, read in enumerate(self._readers)]
        return _joined("samples", [x for x, _ in found]), _joined("labels", [labels for _, labels in found])

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with these runs."""
        self._states = [self._states[k] for k in rows]
        self._samplers = [self._samplers[k] for k in rows] if self._samplers else []
        self._readers = [self._readers[k] for k in rows] if self._readers else []

    def _own(self, k: int, call: Callable[[], Any]) -> Any:
        """``call`` with torch's global random state being that of run ``k``, and going on as such."""
        torch.set_rng_state(self._states[k])
        found = call()
        self._states[k] = torch.get_rng_state()
        return found


def _opened(data: Source, seed: int, batch_size: int) -> Callable[[], Any]:
    return reader(source_for(data, seed, batch_size))


def _joined(what: str, parts: Sequence[Any]) -> Any:
    if parts[0] is None:
        return None
    shapes = {tuple(part.shape) if isinstance(part, Tensor) else None for part in parts}
    if len(shapes) > 1 or None in shapes:
        raise UserError(
            f"Expected {what} of one shape from every seed's data, got {' and '.join(sorted(map(str, shapes)))}; hand "
            "out batches of one size (drop_last=True), or pass how='processes'."
        )
    return torch.stack(list(parts))
