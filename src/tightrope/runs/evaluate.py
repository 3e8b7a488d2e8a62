"""Measuring the run that is being trained, and writing down what was measured."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from tightrope.evaluation import Sample, evaluate, expected_seconds
from tightrope.metrics import Measurement
from tightrope.runs import rows as records
from tightrope.runs.assemble import Assembled
from tightrope.runs.config import network_mark
from tightrope.runs.folder import BEST
from tightrope.runs.serialize import write_tensors
from tightrope.runs.trained import TrainedGenerator

DISTANCES = ("frechet", "kernel", "sliced_wasserstein", "wasserstein1")
"""Metrics of which less is closer to the data, in the order in which one is chosen."""


def trained(assembled: Assembled) -> TrainedGenerator:
    """The averaged generator of a run in progress, ready to sample."""
    config = assembled.config
    classes = config.data.classes if config.data.conditional else ()
    return TrainedGenerator(assembled.run.average, config.training.latent, classes, config.data.shape, config)


def evaluate_run(assembled: Assembled, n: int | None) -> list[Measurement]:
    """Measure ``n`` samples of the averaged generator against the test split; the floor is the training split's."""
    settings = assembled.config.training
    with torch.random.fork_rng(devices=[]):
        return evaluate(
            sample_function(trained(assembled)),
            assembled.dataset,
            assembled.test,
            n=n,
            seed=settings.seed,
        )


def expected_of_run(assembled: Assembled, n: int | None) -> float:
    """About how many seconds :func:`evaluate_run` will take."""
    settings = assembled.config.training
    with torch.random.fork_rng(devices=[]):
        sample = sample_function(trained(assembled))
        return expected_seconds(sample, assembled.dataset, assembled.test, n=n, seed=settings.seed)


def sample_function(generator: TrainedGenerator) -> Sample:
    """A generator as the metrics call it."""

    def sample(n: int, seed: int) -> Tensor:
        return generator.sample(n, seed=seed)

    return sample


def record_evaluation(
    folder: Path, assembled: Assembled, measurements: list[Measurement], seconds: float, error: str = ""
) -> None:
    """Append an evaluation to ``RUN/evaluations.jsonl``, or why there is none at this step."""
    row = {
        "step": assembled.run.step,
        "images_seen": assembled.run.images_seen,
        "seconds": round(seconds, 3),
        "measurements": [m.to_json() for m in measurements],
        **({"error": error} if error else {}),
    }
    records.append(folder / records.EVALUATIONS, row)


def keep_if_best(folder: Path, assembled: Assembled) -> None:
    """Keep the averaged generator's weights as ``RUN/best.safetensors`` if no evaluation so far was closer to the data.

    What is compared is the first distance that evaluations of this run report, between those that were made alike:
    lower is closer. Of an evaluation that has no like, such as the larger one at the end, nothing is kept.
    """
    rows = records.decode(folder / records.EVALUATIONS, records.Evaluation)[0]
    made = [(row.step, m) for row in rows for m in row.measurements if m.name in DISTANCES]
    if not made:
        return
    first, last = made[0][1], next((m for m in rows[-1].measurements if m.name == made[0][1].name), None)
    if last is None or last.protocol != first.protocol:
        return
    values = [m.value for _, m in made if m.protocol == first.protocol]
    if last.value <= min(values):
        words = {"step": str(assembled.run.step), "metric": last.name, "value": repr(last.value)}
        words["network"] = network_mark(assembled.config)
        write_tensors(folder / BEST, assembled.run.average.state_dict(), words)
