"""How often a run logs, draws, saves and measures: at least ten times, whatever its budget is counted in."""

from __future__ import annotations

import math
from typing import Any

from tightrope.data import Dataset
from tightrope.runs.config import TrainingSettings
from tightrope.runs.wishes import Wishes

DEFAULT_STEPS = 10_000

SHARE = 0.02
"""Share of the training time that following the generator's conditioning is planned to take by default."""

FOLLOWED = 16
"""Most latents per measurement while a run trains: enough for a mean, and no long pause before the first step."""

BETWEEN, BETWEEN_VECTORS = 1000, 500
"""Generated samples of an evaluation before the end: images, and vectors whose points are matched one by one."""


def cadence(wishes: Wishes, dataset: Dataset, *, n_critic: int, latent: int, batch_size: int) -> dict[str, Any]:
    """Budget, and how often to log, sample, save, evaluate and measure.

    A budget of steps or images has a length in steps, and so have the pauses; a budget of time has none, and everything
    that was not chosen comes at tenths of it.

    Args:
        wishes: What was chosen.
        dataset: The training data.
        n_critic: Critic steps per step.
        latent: Size of the latents.
        batch_size: Real samples per critic step.
    """
    steps = wishes.steps
    if steps is None and wishes.images is None and wishes.minutes is None:
        steps = DEFAULT_STEPS
    length = steps
    if length is None and wishes.images is not None:
        length = wishes.images // (batch_size * n_critic)
    timed = wishes.minutes is not None
    length = DEFAULT_STEPS if length is None else max(length, 1)
    every, latents = plan(length, wishes.conditioning_every or None, latent=latent, batch_size=batch_size)
    tenth = None if timed else max(length // 10, 1)
    chosen = {
        "log": wishes.log_every,
        "sample": wishes.sample_every,
        "checkpoint": wishes.checkpoint_every,
        "evaluate": wishes.evaluate_every,
    }
    return {
        "steps": steps,
        "images": wishes.images,
        "minutes": wishes.minutes,
        "log_every": wishes.log_every or max(length // 200, min(length // 10, 10), 1),
        "sample_every": wishes.sample_every or tenth,
        "checkpoint_every": wishes.checkpoint_every or tenth,
        "evaluate_every": tenth if wishes.evaluate_every is None else wishes.evaluate_every or None,
        "at_tenths": tuple(name for name, every in chosen.items() if timed and every is None),
        "between_n": None if wishes.evaluate_every == 0 else wishes.between_n or between(dataset, wishes.evaluate_n),
        "conditioning_every": None if wishes.conditioning_every == 0 else every,
        "conditioning_n": latents,
    }


def between(dataset: Dataset, full: int | None) -> int | None:
    """Generated samples of the evaluations before the end; None where those of the end are hardly more.

    Args:
        dataset: The training data.
        full: Generated samples of the evaluation at the end, None for as many as there are, up to its own limit.
    """
    few = BETWEEN_VECTORS if dataset.kind == "vectors" else BETWEEN
    return few if min(len(dataset), full or len(dataset)) >= 2 * few else None


def spent(settings: TrainingSettings, *, step: int, images: int, seconds: float, reserved: float = 0.0) -> float:
    """Share of the budget for training that is spent: of that of its parts which ends first.

    Args:
        settings: The budget.
        step: Where the run stands, in steps.
        images: In real images.
        seconds: In time.
        reserved: Seconds of the time that are kept for what comes after training.
    """
    parts = (
        (settings.steps, step),
        (settings.images, images),
        (None if settings.minutes is None else max(60 * settings.minutes - reserved, 0.0), seconds),
    )
    return max((done / total if total else 1.0 for total, done in parts if total is not None), default=0.0)


def plan(length: int, every: int | None, *, latent: int, batch_size: int) -> tuple[int, int]:
    """How often, in steps, and at how many latents to measure, for at most about :data:`SHARE` of the training time.

    The plan counts work instead of measuring time, so that a run's records follow from its configuration: one Jacobian
    is about 1.5 forwards of ``latent`` samples, one step about 6.5 of a batch (DCGAN-32; more with a larger critic or
    more critic steps). What it really took stands in every row.

    Args:
        length: Steps of the whole run.
        every: Steps between measurements where the user has chosen them, None to choose.
        latent: Size of the latents.
        batch_size: Samples per step.

    Returns:
        Steps between measurements, and latents per measurement, 2 to 16.
    """
    cost = 0.23 * latent / batch_size  # steps per latent
    if every is None:
        affordable = SHARE * length / (4 * cost)
        every = max(length // 20, math.ceil(length / max(affordable, 1.0)), 1)
    times = length // every + 1
    return every, max(2, min(int(SHARE * length / (times * cost)), FOLLOWED))
