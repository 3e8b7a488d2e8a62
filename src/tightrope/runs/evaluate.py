"""Measuring the run that is being trained, and writing down what was measured."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from tightrope.data import Dataset
from tightrope.evaluation import Sample, evaluate, expected_seconds
from tightrope.metrics import Measurement
from tightrope.runs import rows as records
from tightrope.runs.assemble import Assembled
from tightrope.runs.progress import clock
from tightrope.runs.trained import TrainedGenerator


def trained(assembled: Assembled) -> TrainedGenerator:
    """The averaged generator of a run in progress, ready to sample."""
    config = assembled.config
    classes = config.data.classes if config.data.conditional else ()
    return TrainedGenerator(assembled.run.average, config.training.latent, classes, config.data.shape, config)


def evaluate_run(assembled: Assembled, *, n: int | None = None) -> list[Measurement]:
    """Measure the averaged generator against the test split; the floor is the training split against it."""
    seed = assembled.config.training.seed
    with torch.random.fork_rng(devices=[]):
        return evaluate(sample_function(trained(assembled)), assembled.dataset, assembled.test, n=n, seed=seed)


def sample_function(generator: TrainedGenerator) -> Sample:
    """A generator as the metrics call it."""

    def sample(n: int, seed: int) -> Tensor:
        return generator.sample(n, seed=seed)

    return sample


def announce(
    generator: TrainedGenerator, train: Dataset, test: Dataset, say: Callable[[str], None], *, n: int | None = None
) -> None:
    """Say how long an evaluation will take before it starts, if that is more than a few seconds."""
    with torch.random.fork_rng(devices=[]):
        seconds = expected_seconds(sample_function(generator), train, test, n=n, seed=generator.config.training.seed)
    if seconds > 5:
        say(
            f"evaluating against {len(test):,} held-out samples, about {clock(seconds)} (features of the data, and the "
            "classifier that makes them, are computed once and cached)"
        )


def record_evaluation(folder: Path, assembled: Assembled, measurements: list[Measurement], seconds: float) -> None:
    """Append an evaluation to ``RUN/evaluations.jsonl``."""
    row = {
        "step": assembled.run.step,
        "images_seen": assembled.run.images_seen,
        "seconds": round(seconds, 3),
        "measurements": [m.to_json() for m in measurements],
    }
    records.append(folder / "evaluations.jsonl", row)
