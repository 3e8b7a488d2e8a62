"""From samples to the sets that metrics work on: features in portions, those of real data kept for the next time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tightrope._plumbing.errors import UserError
from tightrope._plumbing.progress import Progress
from tightrope.evaluation.features.network import FeatureNetwork, pixels, projections
from tightrope.evaluation.measures import measure
from tightrope.evaluation.plan import Plan
from tightrope.evaluation.references import remembered
from tightrope.evaluation.samples import Samples
from tightrope.evaluation.sets import Control, Sets
from tightrope.metrics.result import Measurement
from tightrope.metrics.uncertainty import extrapolation_least

if TYPE_CHECKING:
    from tightrope.data import Mixture

Networks = Mapping[str, FeatureNetwork]
"""The networks of a measurement, by what they give: ``features``, ``points`` or ``projections``."""


@dataclass(frozen=True, eq=False)
class Reference:
    """What generated samples are measured against.

    Attributes:
        real: Reference samples.
        training: What the generator has seen, or None.
        preprocessing: What happens to a generated sample before the network's own preprocessing, in words.
        classes: Names of the classes.
        mixture: Known modes, or None.
    """

    real: Samples
    training: Samples | None
    preprocessing: str
    classes: tuple[str, ...] = ()
    mixture: Mixture | None = None


def networks_for(plan: Plan, shape: tuple[int, ...], network: FeatureNetwork | None, seed: int) -> Networks:
    """Return the networks that a plan needs.

    Args:
        plan: The plan.
        shape: Shape of one sample.
        network: The one for ``features``; it may be None where no metric works on them.
        seed: Seed of the evaluation.

    Raises:
        UserError: There are fewer samples than a metric needs in the features of this network.
    """
    if network is not None and "frechet_extrapolated" in plan.names:
        least = extrapolation_least(torch.empty(0, network.dimension))
        if min(plan.n_real, plan.n_fake) < least:
            raise UserError(
                f"frechet_extrapolated needs at least {least:,} samples of each set in the "
                f"{network.dimension} features of {network.name}, but there are {plan.n_real:,} real and "
                f"{plan.n_fake:,} generated ones; draw more samples or leave it out."
            )
    made = {"points": pixels, "projections": lambda shape: projections(shape, seed=seed)}
    chosen = {what: make(shape) for what, make in made.items() if plan.on(what)}
    return chosen if network is None else {"features": network, **chosen}


def measured(
    networks: Networks,
    fakes: Mapping[str, Tensor],
    plan: Plan,
    reference: Reference,
    seed: int,
    cache: Path | None,
    progress: Progress,
) -> list[Measurement]:
    """Gather the real features and return one measurement for each metric of a plan.

    Args:
        networks: What `networks_for` gave.
        fakes: Features of the generated samples [n_fake, d], for each of the networks.
        plan: The plan.
        reference: What the samples are measured against.
        seed: Seed of the chosen subsets.
        cache: Folder of cached files.
        progress: Where to show it.
    """
    sets = {
        what: _sets(network, fakes[what], plan, reference, seed, cache, progress) for what, network in networks.items()
    }
    found = []
    progress.stage("metrics", len(plan.names))
    for name in plan.names:
        found.append(measure(name, sets[next(what for what in networks if name in plan.on(what))]))
        progress.advance()
    progress.close()
    return found


def _sets(
    network: FeatureNetwork,
    fake: Tensor,
    plan: Plan,
    reference: Reference,
    seed: int,
    cache: Path | None,
    progress: Progress,
) -> Sets:
    real = features_of(network, reference.real, plan.n_real, seed, cache, progress, "real samples")
    control, training = None, torch.empty(0, network.dimension)
    if plan.control == "training" and reference.training is not None:
        other = features_of(network, reference.training, plan.n_fake, seed, cache, progress, "training samples")
        control = Control(real, other)
    if plan.control == "halves":
        half = plan.n_real // 2
        control = Control(real[:half], real[half : half + plan.n_control], _halves_note(half, plan.n_control))
    if plan.n_training and reference.training is not None:
        count = plan.n_training
        training = features_of(network, reference.training, count, seed, cache, progress, "training samples")
    return Sets(
        real=real,
        fake=fake,
        control=control,
        training=training,
        network=network,
        preprocessing=reference.preprocessing,
        classes=reference.classes,
        mixture=reference.mixture,
        split=reference.real.split,
        seed=seed,
        data=reference.real.label,
        key=sets_key(network, plan, reference, seed),
        cache=cache,
    )


def _halves_note(n: int, m: int) -> str:
    return (
        f"The floor is of one half of the real samples against the other, {n:,} and {m:,}; of other real samples at "
        "the sizes of the value it would be a little lower for a distance."
    )


def network_key(network: FeatureNetwork) -> str:
    """Return what identifies a network's features in the cache."""
    return f"{network.name} {network.digest} {network.preprocessing}"


def sets_key(network: FeatureNetwork, plan: Plan, reference: Reference, seed: int) -> str:
    """Return what identifies the real sets of a measurement in the cache."""
    training = "" if reference.training is None else reference.training.fingerprint
    return (
        f"{network_key(network)} {training} {reference.real.fingerprint} {plan.n_real} {plan.n_fake} "
        f"{plan.n_training} {plan.control} {seed}"
    )


def features_key(network: FeatureNetwork, samples: Samples, count: int, seed: int) -> str:
    """Return what identifies the features of chosen rows of samples in the cache."""
    rows = "all" if count == len(samples) else f"{count} of seed {seed}"
    return f"features {network_key(network)} {samples.fingerprint} {rows}"


def features_of(
    network: FeatureNetwork,
    samples: Samples,
    count: int,
    seed: int,
    cache: Path | None,
    progress: Progress,
    what: str,
) -> Tensor:
    """Return features [count, d] of rows drawn without replacement, so that any first part is a random one too."""

    def compute() -> Tensor:
        progress.stage(f"features of {what}", count)
        parts = []
        for x in samples.portions(samples.chosen(count, seed)):
            parts.append(network(x))
            progress.advance(len(x))
        return torch.cat(parts) if parts else torch.empty(0, network.dimension)

    if network.cheap or count == 0:
        return compute()
    return remembered(features_key(network, samples, count, seed), cache, compute)
