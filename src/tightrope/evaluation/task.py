"""The one engine of evaluation: a source of generated samples against a reference, planned, timed, then measured.

`evaluate` and `compare` each describe their arguments as a :class:`Task` and hand it to :func:`run`; how long it will
take is asked of the same task, so that what is announced is what will be done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from tightrope._plumbing.errors import UserError
from tightrope._plumbing.progress import Progress
from tightrope.autodiff import samples_of
from tightrope.data.cache import fits_in_memory
from tightrope.evaluation.features.network import BATCH, FeatureNetwork
from tightrope.evaluation.features.small_classifier import (
    classifier,
    classifier_path,
    training_steps,
    untrained_classifier,
)
from tightrope.evaluation.gather import Networks, Reference, features_of, measured, networks_for
from tightrope.evaluation.plan import Plan
from tightrope.evaluation.samples import Samples
from tightrope.metrics.result import Measurement

if TYPE_CHECKING:
    from tightrope.data import Dataset

TRAINING_STEP = 1.5  # one training step on 128 samples, in forward passes of 256

SHARE = 0.25
"""Of the memory that features of generated samples may take: what works on them needs as much again."""

Sample = Callable[[int, int], Tensor]
"""A generator as metrics see it: ``sample(n, seed)`` returns n samples in training scale [n, *shape]."""


@dataclass(frozen=True, eq=False)
class Generated:
    """A generator, asked for as many samples as are wanted.

    Attributes:
        sample: The generator.
        like: Real samples of the same kind and shape, whose units generated images are rounded to.
    """

    sample: Sample
    like: Dataset

    def features(
        self, networks: Networks, n: int, seed: int, cache: Path | None, progress: Progress
    ) -> dict[str, Tensor]:
        """Features of new samples, at most 256 at a time, with seeds derived from ``seed``."""
        parts: dict[str, list[Tensor]] = {what: [] for what in networks}
        progress.stage("generated samples and their features", n)
        for x in self.portions(n, seed):
            for what, network in networks.items():
                parts[what].append(network(x))
            progress.advance(len(x))
        return {what: torch.cat(found) for what, found in parts.items()}

    def portions(self, n: int, seed: int) -> Iterator[Tensor]:
        """Yield generated samples [<=256, *shape] until there are n, images rounded to 8 bits as stored ones are."""
        for count, own in calls(n, seed):
            x = samples_of(self.sample(count, own)).detach().to("cpu", torch.float32)
            if x.shape != (count, *self.like.shape):
                raise UserError(
                    f"The generator must return samples of shape {(count, *self.like.shape)}, but it returned "
                    f"{tuple(x.shape)}; build it for the data's shape."
                )
            bad = int((~torch.isfinite(x).flatten(1).all(dim=1)).sum())
            if bad:
                raise UserError(
                    f"Generated samples must be finite, but {bad} of {count} hold NaN or infinity; the weights have "
                    "diverged, so evaluate an earlier checkpoint."
                )
            yield self.like.to_units(x).to(torch.float32).div(127.5).sub(1.0) if self.like.kind == "images" else x


def calls(n: int, seed: int) -> Iterator[tuple[int, int]]:
    """Yield the number (at most 256) and the seed of the samples that an evaluation asks for, call by call."""
    seeds = np.random.SeedSequence(seed).generate_state(-(-n // BATCH))
    for index, start in enumerate(range(0, n, BATCH)):
        yield min(BATCH, n - start), int(seeds[index])


@dataclass(frozen=True, eq=False)
class Stored:
    """Samples that are there already, whatever made them.

    Attributes:
        samples: The samples.
    """

    samples: Samples

    def features(
        self, networks: Networks, n: int, seed: int, cache: Path | None, progress: Progress
    ) -> dict[str, Tensor]:
        """Features of chosen samples, from the cache where they are known."""
        return {
            what: features_of(network, self.samples, n, seed, cache, progress, "generated samples")
            for what, network in networks.items()
        }


@dataclass(frozen=True, eq=False)
class Learnt:
    """A classifier of the data's own labels.

    Attributes:
        train: What it learns from.
        test: What its accuracy is measured on.
    """

    train: Dataset
    test: Dataset

    def network(self, cache: Path | None, progress: Progress) -> FeatureNetwork:
        """The classifier, trained now or read from the cache."""
        return classifier(self.train, self.test, cache=cache, progress=progress)

    def as_fast(self, cache: Path | None) -> tuple[FeatureNetwork, float]:
        """An untrained one, and what training costs in samples passed through."""
        trained = classifier_path(self.train, self.test, cache).exists()
        cost = 0.0 if trained else training_steps(len(self.train)) * TRAINING_STEP * BATCH
        return untrained_classifier(self.train), cost


@dataclass(frozen=True, eq=False)
class Task:
    """What is measured against what, decided before anything is computed.

    Attributes:
        plan: Metrics and sizes.
        reference: What the samples are measured against.
        source: Where the samples come from.
        choice: The feature network, or the classifier to be learnt.
        seed: Seed of the samples and of the chosen subsets.
        cache: Folder of cached files, or None for the user's.
    """

    plan: Plan
    reference: Reference
    source: Generated | Stored
    choice: FeatureNetwork | Learnt
    seed: int
    cache: Path | None


def run(task: Task, *, progress: bool) -> list[Measurement]:
    """Measure: one measurement for each metric of the plan, in order.

    Raises:
        UserError: More samples than memory holds features of.
    """
    plan, seed, cache = task.plan, task.seed, task.cache
    _refuse_too_many(task)
    shown = Progress(show=progress)
    choice = task.choice
    network = (
        None if not plan.on("features") else choice.network(cache, shown) if isinstance(choice, Learnt) else choice
    )
    networks = networks_for(plan, task.reference.real.shape, network, seed)
    fakes = task.source.features(networks, plan.n_fake, seed, cache, shown)
    return measured(networks, fakes, plan, task.reference, seed, cache, shown)


def _refuse_too_many(task: Task) -> None:
    """Refuse more generated samples than memory holds features of, before any is made."""
    if not isinstance(task.source, Generated):
        return
    plan, choice = task.plan, task.choice
    network = choice.as_fast(task.cache)[0] if isinstance(choice, Learnt) else choice
    networks = networks_for(plan, task.reference.real.shape, network if plan.on("features") else None, task.seed)
    numbers = sum(one.dimension for one in networks.values())
    if not fits_in_memory(4 * plan.n_fake * numbers, SHARE):
        raise UserError(
            f"Expected features of the samples, {numbers:,} numbers of each, to fit into memory, got "
            f"{plan.n_fake:,} samples; give a smaller n, some thousands are usual."
        )
