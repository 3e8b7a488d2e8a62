"""What the builders share: schedules of several hyperparameters."""

from __future__ import annotations

from tightrope._plumbing.errors import UserError
from tightrope.schedules import Value, ramp


def ramps(images: int | None, *pairs: tuple[float, float | None], shape: str = "cosine") -> list[Value]:
    """Schedules of one length for those hyperparameters that were given a final value; the others stay constant."""
    if images is not None and all(final is None for _, final in pairs):
        raise UserError(
            f"A schedule over {images} images needs a final value, got none; set one or drop schedule_images."
        )
    return [ramp(first, final, None if final is None else images, shape) for first, final in pairs]
