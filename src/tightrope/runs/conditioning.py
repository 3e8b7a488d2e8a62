"""Generator conditioning of runs: followed while they train, and measured on what they have learnt."""

from __future__ import annotations

import dataclasses
import inspect
import math
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tightrope import conditioning
from tightrope._plumbing.errors import UserError
from tightrope.data import Dataset
from tightrope.methods import METHODS
from tightrope.metrics import Measurement, Protocol
from tightrope.runs import rows as records
from tightrope.runs.assemble import Assembled
from tightrope.runs.config import MethodSettings
from tightrope.runs.trained import TrainedGenerator

RECORD = "conditioning.jsonl"
"""File of a run folder with one row per measurement through training."""

LATENTS = 64
"""Latents at which a trained generator is measured by default."""

FOLLOWED = 16
"""Most latents per measurement while a run trains: enough for a mean, and no long pause before the first step."""

SHARE = 0.02
"""Share of the training time that following the conditioning is planned to take by default."""

SCALE_SAMPLES = 2000
"""Real samples from which the data's own scale is computed."""

_STREAM = 0x5EED


def draw_latents(n: int, latent: int, classes: int, seed: int) -> tuple[Tensor, Tensor | None]:
    """Latents ``[n, latent]`` and, with classes, labels ``[n]``: the same ones each time for one seed."""
    rng = torch.Generator().manual_seed((seed * 1_000_003 + _STREAM) % 2**63)
    z = torch.randn(n, latent, generator=rng)
    return z, torch.randint(classes, (n,), generator=rng) if classes else None


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


def follow(folder: Path, assembled: Assembled) -> str | None:
    """Measure the generator in training and append a row to ``RUN/conditioning.jsonl``; disturbs nothing.

    The weights being trained are measured, not their average, at the same latents each time, in eval mode and float32.

    Returns:
        Why the generator cannot be measured by forward mode, the only one cheap enough here; None if it was.
    """
    run, settings = assembled.run, assembled.config.training
    began = time.monotonic()
    classes = getattr(run.generator, "classes", 0)
    z, labels = draw_latents(settings.conditioning_n, settings.latent, classes, settings.seed)
    row: dict[str, Any] = {"step": run.step, "images_seen": run.images_seen}
    labels = None if labels is None else labels.to(run.device)
    try:
        found = conditioning.measure(run.generator, z.to(run.device), labels=labels, mode="forward")
    except (RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        records.append(folder / RECORD, row | {"error": reason})
        return reason
    records.append(folder / RECORD, row | found.to_json() | {"took_seconds": round(time.monotonic() - began, 4)})
    return None


def measure_trained(generator: TrainedGenerator, n: int = LATENTS, seed: int = 0) -> conditioning.Conditioning:
    """Conditioning of a run's averaged generator at ``n`` latents that follow from ``seed``.

    Raises:
        UserError: Fewer than two latents.
    """
    if n < 2:
        raise UserError(f"Expected at least 2 latents, got {n}; 64 are the default.")
    z, labels = draw_latents(n, generator.latent, len(generator.classes), seed)
    return conditioning.measure(generator.generator, z, labels=labels)


def measurements(generator: TrainedGenerator, seed: int) -> list[Measurement]:
    """Mean log condition number of ``J^T J`` and effective rank, as ``tightrope evaluate`` prints them."""
    found = measure_trained(generator, seed=seed)
    n = len(found.values)
    dead = int((found.dead > 0).sum())
    quantiles = ", ".join(f"{q:.4g}" for q in found.quantiles)
    notes = (
        f"Natural logarithm of the condition number of J^T J, mean over {n} latents, {found.std:.3g} standard "
        f"deviation; quantiles 5, 25, 50, 75, 95 %: {quantiles}.",
        *((f"{dead} of {n} latents have a dead direction and are left out of the mean.",) if dead else ()),
    )
    half = 1.96 * found.std / math.sqrt(max(n - dead, 1))
    interval = (found.mean - half, found.mean + half) if math.isfinite(half) else None
    rank = float(conditioning.effective_rank(found.values).mean())

    def made(name: str, value: float, interval: tuple[float, float] | None, notes: tuple[str, ...]) -> Measurement:
        protocol = Protocol(
            metric=name,
            features="Jacobian of the generator",
            preprocessing="averaged weights in eval mode, float64 singular values of the float32 Jacobian",
            n_real=0,
            n_fake=n,
            split="none",
            seed=seed,
        )
        return Measurement(name, value, protocol, interval=interval, notes=notes)

    rank_notes = [f"Of {generator.latent} latent directions, by the entropy of the squared singular values."]
    if found.surplus:
        rank_notes.append(f"{found.surplus} of them have no gain whatever the weights: there are fewer outputs.")
    if not math.isfinite(found.mean):
        rank_notes.append("Every latent has a direction without gain, so the condition number is infinite everywhere.")
        return [made("effective_rank", rank, None, tuple(rank_notes))]
    found_rank = made("effective_rank", rank, None, tuple(rank_notes))
    return [made("log_condition_number", found.mean, interval, notes), found_rank]


def with_data_scale(settings: MethodSettings, dataset: Dataset, latent: int) -> MethodSettings:
    """Fill in a clamped method's ``reference_gain`` from the data where its bounds are in the data's units.

    Bounds are absolute for images, as published, and in units of the data otherwise, unless ``units`` says more.

    Args:
        settings: Of any method; those without that hyperparameter come back as they are.
        dataset: Training data.
        latent: Size of the latents.
    """
    if settings.name not in METHODS or "reference_gain" not in inspect.signature(METHODS[settings.name]).parameters:
        return settings
    chosen = settings.hyperparameters
    units = chosen.get("units", "auto")
    absolute = units == "absolute" or (units == "auto" and dataset.kind == "images")
    if absolute or chosen.get("reference_gain") is not None:
        return settings
    rows = torch.linspace(0, len(dataset) - 1, min(SCALE_SAMPLES, len(dataset))).long()
    gain = conditioning.reference_gain(dataset.batch(rows).x, latent=latent)
    return dataclasses.replace(settings, hyperparameters={**chosen, "reference_gain": float(f"{gain:.6g}")})
