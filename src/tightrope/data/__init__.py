"""Data sources of every kind as one table of samples: built-in sets, images, signals and vectors.

``open_data(source)`` reads it, :class:`Dataset` holds it, :class:`Sampler` draws batches from it.
"""

from __future__ import annotations

from tightrope._plumbing.door import keep_door
from tightrope.data.dataset import Batch, Dataset, Mixture
from tightrope.data.labels import class_index
from tightrope.data.open import DATASETS, open_data
from tightrope.data.sampler import Sampler

__all__ = ["DATASETS", "Batch", "Dataset", "Mixture", "Sampler", "class_index", "open_data"]

keep_door(__name__, __all__)
