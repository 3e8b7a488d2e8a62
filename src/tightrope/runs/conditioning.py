"""Generator conditioning of runs: followed while they train, and measured on what they have learnt."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tightrope import conditioning
from tightrope._plumbing.errors import UserError, said_by
from tightrope.metrics import Measurement, Protocol
from tightrope.runs import rows as records
from tightrope.runs.assemble import Assembled
from tightrope.runs.trained import TrainedGenerator

RECORD = records.CONDITIONING
"""File of a run folder with one row per measurement through training."""

LATENTS = 64
"""Latents at which a trained generator is measured by default."""

_STREAM = 0x5EED


def draw_latents(n: int, latent: int, classes: int, seed: int) -> tuple[Tensor, Tensor | None]:
    """Latents ``[n, latent]`` and, with classes, labels ``[n]``: the same ones each time for one seed."""
    rng = torch.Generator().manual_seed((seed * 1_000_003 + _STREAM) % 2**63)
    z = torch.randn(n, latent, generator=rng)
    return z, torch.randint(classes, (n,), generator=rng) if classes else None


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
        reason = said_by(error)
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


GENERATOR_MEASURES: dict[str, Callable[[TrainedGenerator, int], list[Measurement]]] = {"conditioning": measurements}
"""Measures of a generator itself rather than of its samples, by the name that ``--metrics`` asks for: function from a
trained generator and a seed."""
