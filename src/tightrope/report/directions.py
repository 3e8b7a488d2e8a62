"""Pictures of what the generator's strongest latent directions do to a sample."""

from __future__ import annotations

import math
from pathlib import Path

import torch

from tightrope import conditioning
from tightrope.drawing.samples import write_grid
from tightrope.runs.conditioning import draw_latents
from tightrope.runs.trained import TrainedGenerator

STRIP = 9
"""Samples on each line of :func:`write_directions`."""


REACH = 3.0
"""How far the lines go, in latent units to each side."""


def write_directions(path: Path, generator: TrainedGenerator, *, seed: int = 0, shown: int = 2) -> tuple[Path, str]:
    """Write samples along the latent directions of largest and smallest gain as one PNG, a row per direction.

    Every row goes through the same latent, in the middle; the upper half follows the largest gains, the lower half the
    smallest ones that the outputs leave room for. Where the lower rows do not change, latent directions are wasted.

    Args:
        path: Where the picture ends up.
        generator: Of images.
        seed: Of the latent, and of its class where there are classes.
        shown: Directions at each end.

    Returns:
        The file, and a sentence that says what it shows.
    """
    z, labels = draw_latents(1, generator.latent, len(generator.classes), seed)
    label = None if labels is None else int(labels)
    values, directions = conditioning.latent_directions(generator.generator, z[0], label=label)
    alive = min(generator.latent, math.prod(generator.shape))
    shown = max(1, min(shown, alive // 2))
    chosen = [*range(shown), *range(alive - shown, alive)]
    reach = torch.linspace(-REACH, REACH, STRIP)
    points = torch.cat([z + reach[:, None] * directions[index].to(z)[None] for index in chosen])
    given = None if label is None else torch.full((len(points),), label)
    with torch.no_grad():
        images = generator(points, given).float().cpu()
    write_grid(path, ((images.clamp(-1, 1) + 1) * 127.5).round().byte(), columns=STRIP)
    gains = [f"{float(values[index]):.3g}" for index in chosen]
    return path, (
        f"From {-REACH:g} to {REACH:g} latent units through one latent; rows: the {shown} directions of largest gain "
        f"({', '.join(gains[:shown])}) and the {shown} of smallest ({', '.join(gains[shown:])})."
    )
