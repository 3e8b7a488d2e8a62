"""The sets that metrics work on, as features of one network, with what a protocol has to say about them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tightrope._plumbing.errors import UserError
from tightrope.evaluation.features.inception import is_reference
from tightrope.evaluation.features.network import FeatureNetwork
from tightrope.evaluation.references import remembered_number
from tightrope.metrics.neighbours import NeighbourScores, precision_recall_density_coverage
from tightrope.metrics.result import Measurement, Protocol

if TYPE_CHECKING:
    from tightrope.data import Mixture

PUBLISHED = {
    "frechet": "fid",
    "frechet_extrapolated": "fid_infinity",
    "kernel": "kid",
    "classifier_score": "inception_score",
}
"""Names that the literature reserves for the Inception network."""


@dataclass(frozen=True)
class Control:
    """Real samples in the place of generated ones, for the floor.

    Attributes:
        real: Reference features [n, d].
        fake: Features of other real samples [m, d].
        note: What the reader must know of them, or nothing.
    """

    real: Tensor
    fake: Tensor
    note: str = ""


@dataclass(frozen=True, eq=False)
class Sets:
    """The sets that a metric works on, as features of one network.

    Attributes:
        real: Reference samples [n_real, d].
        fake: Generated samples [n_fake, d].
        control: The sets of the floor, or None.
        training: Training samples [n, d] that memorisation is looked for in; empty where it is not asked for.
        network: The network.
        preprocessing: What happened to a sample before the network's own preprocessing, in words.
        classes: Names of the classes.
        mixture: Known modes, or None.
        split: Split of the reference samples.
        seed: Seed of samples and subsets.
        data: Name and fingerprint of the reference data.
        key: What decides the real sets, for the cache of floors.
        cache: Folder of cached files, or None for the user's.
    """

    real: Tensor
    fake: Tensor
    control: Control | None
    training: Tensor
    network: FeatureNetwork
    preprocessing: str
    classes: tuple[str, ...]
    mixture: Mixture | None
    split: str
    seed: int
    data: str
    key: str
    cache: Path | None

    def measurement(
        self,
        metric: str,
        value: float,
        *,
        n_real: int | None = None,
        n_fake: int | None = None,
        interval: tuple[float, float] | None = None,
        floor: float | None = None,
        notes: tuple[str, ...] = (),
    ) -> Measurement:
        """Return a value with the protocol of these sets, of all samples unless said otherwise."""
        name = PUBLISHED.get(metric, metric) if is_reference(self.network) else metric
        protocol = Protocol(
            metric=name,
            features=self.network.label,
            preprocessing=", ".join(text for text in (self.preprocessing, self.network.preprocessing) if text),
            n_real=len(self.real) if n_real is None else n_real,
            n_fake=len(self.fake) if n_fake is None else n_fake,
            split=self.split,
            seed=self.seed,
            data=self.data,
        )
        if floor is not None and self.control is not None and self.control.note:
            notes = (*notes, self.control.note)
        return Measurement(name, value, protocol, interval=interval, floor=floor, notes=notes)

    def floor(self, metric: str, compute: Callable[[Tensor, Tensor], float]) -> float | None:
        """Return a metric of real samples in place of the generated ones, from the cache where it is known.

        Args:
            metric: Name of the metric.
            compute: The metric as a function of reference features and features in the place of generated ones.
        """
        control = self.control
        if control is None:
            return None
        return remembered_number(floor_key(metric, self.key), self.cache, lambda: compute(control.real, control.fake))

    @functools.cached_property
    def neighbours(self) -> NeighbourScores:
        """Precision, recall, density and coverage of the generated samples, computed once for all four."""
        return precision_recall_density_coverage(self.real, self.fake)

    @functools.cached_property
    def control_neighbours(self) -> NeighbourScores:
        """The same of the control."""
        if self.control is None:
            raise UserError("Floors need other real samples, but there are none; give training samples.")
        return precision_recall_density_coverage(self.control.real, self.control.fake)

    def rng(self) -> torch.Generator:
        """Return a new generator for what a metric draws itself."""
        return torch.Generator().manual_seed(self.seed)


def floor_key(metric: str, key: str) -> str:
    """Return what identifies a floor in the cache, given the key of its sets."""
    return f"floor {metric} {key}"
