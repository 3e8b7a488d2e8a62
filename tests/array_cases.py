"""Arrays on disk, opened as data."""

from __future__ import annotations

import numpy as np

from tightrope.data import open_data
from tightrope.data.splits import held_out


def saved(tmp_path, array=None, /, **arrays):
    path = tmp_path / ("a.npy" if array is not None else "a.npz")
    if array is not None:
        np.save(path, array)
    else:
        np.savez(path, **arrays)
    return str(path)


def opened(tmp_path, array=None, /, options=None, **arrays):
    return open_data(saved(tmp_path, array, **arrays), progress=False, **(options or {}))


def rows_of(n, split="train"):
    return held_out(n, split)[0]


def table(n=200, d=3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)) * np.arange(1, d + 1) + 10
