"""How long an evaluation will take, said before it starts."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tightrope.evaluation.features.network import FeatureNetwork, pixels
from tightrope.evaluation.gather import Reference, features_key, sets_key
from tightrope.evaluation.measures import BOOTSTRAP_WORK, GROUPS, HALVINGS, MEASURES, RESAMPLES
from tightrope.evaluation.plan import Plan
from tightrope.evaluation.references import reference_path
from tightrope.evaluation.samples import Samples
from tightrope.evaluation.sets import floor_key
from tightrope.evaluation.task import Generated, Learnt, Stored, Task
from tightrope.metrics.transport import wasserstein1

PROBE = 64  # samples made to see how long that takes


def expected(task: Task) -> float:
    """About how many seconds :func:`tightrope.evaluation.task.run` would take for a task."""
    plan, seconds = task.plan, 0.0
    if isinstance(task.source, Generated):
        count = min(PROBE, plan.n_fake)
        seconds += _timed(task.source.sample, count, task.seed) * plan.n_fake / count
    if plan.on("features"):
        network, training = task.choice.as_fast(task.cache) if isinstance(task.choice, Learnt) else (task.choice, 0.0)
        fresh = _fresh(task, network, trained=not training)
        one = task.reference.real.batch(torch.arange(1))
        seconds += _forward(network, one) * (fresh + training) + _operations(plan, network.dimension) / _speed()
    return seconds + _points(plan, task.reference, task.seed, task.cache)


def _forward(network: FeatureNetwork, one: Tensor) -> float:
    """Return seconds per sample of a network, given one sample [1, *shape]."""
    batch = one.expand(network.batch, *one.shape[1:])
    network(batch)  # the first pass of a network is slower than the others
    return _timed(network, batch) / network.batch


def _fresh(task: Task, network: FeatureNetwork, *, trained: bool) -> int:
    """How many samples still have to pass through the network; of one that is not trained yet nothing is known."""
    plan, reference, generated = task.plan, task.reference, 0
    wanted: list[tuple[Samples, int]] = [(reference.real, plan.n_real)]
    if reference.training is not None:
        wanted.append((reference.training, plan.n_training))
        wanted.append((reference.training, plan.n_fake if plan.control == "training" else 0))
    if isinstance(task.source, Stored):
        wanted.append((task.source.samples, plan.n_fake))
    else:
        generated = plan.n_fake
    if network.cheap:
        return generated
    paths = [reference_path(features_key(network, *each, task.seed), task.cache) for each in wanted]
    unknown = (n for (_, n), path in zip(wanted, paths, strict=True) if not (trained and path.exists()))
    return generated + sum(unknown)


def _points(plan: Plan, reference: Reference, seed: int, cache: Path | None) -> float:
    """Return the seconds of the exact assignment."""
    if "wasserstein1" not in plan.names:
        return 0.0
    floor = floor_key("wasserstein1", sets_key(pixels(reference.real.shape), plan, reference, seed))
    runs = 1 + (bool(plan.control) and not reference_path(floor, cache).exists())
    points = torch.rand(2, 300, 2, generator=torch.Generator().manual_seed(0))
    wasserstein1(*points)  # the first call imports SciPy
    return runs * _timed(wasserstein1, *points) * (min(plan.n_real, plan.n_fake) / 300) ** 2.5


def _operations(plan: Plan, d: int) -> float:
    """Return about how many multiplications and additions the metrics of features need."""
    n, m, sides = plan.n_real, plan.n_fake, 1 + bool(plan.control)
    frechet = 2 * (n + m) * d**2 + 40 * d**3
    pairs = 2 * (n**2 + m**2 + n * m) * (d + 20)
    total = 0.0
    if "frechet" in plan.names:
        total += sides * frechet + (RESAMPLES * frechet if (n + m) * d**2 <= BOOTSTRAP_WORK else 0)
    total += 2 * frechet * ("held_out_gap" in plan.names)
    total += sides * (1 + 2 * HALVINGS) * frechet * ("frechet_extrapolated" in plan.names)
    total += sides * pairs * ("kernel" in plan.names)
    total += sides * pairs * bool(set(GROUPS["prdc"]).intersection(plan.names))
    total += 2 * (n + m) * plan.n_training * (d + 20) * ("memorisation" in plan.names)
    return total + 1e4 * (n + m) * any(MEASURES[name].needs == "head" for name in plan.names)


def _speed() -> float:
    """Return operations per second of a product of float64 matrices."""
    matrix = torch.rand(384, 384, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    _timed(torch.mm, matrix, matrix)
    return 2 * 384**3 / _timed(torch.mm, matrix, matrix)


def _timed(function: Callable[..., Any], *arguments: Any) -> float:
    start = time.perf_counter()
    function(*arguments)
    return max(time.perf_counter() - start, 1e-9)
