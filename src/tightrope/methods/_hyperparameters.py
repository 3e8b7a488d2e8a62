"""What the builders share: schedules of several hyperparameters, and options that another choice leaves unread."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from tightrope._plumbing.errors import UserError
from tightrope.schedules import Value, ramp


def ramps(images: int | None, *pairs: tuple[float, float | None], shape: str = "cosine") -> list[Value]:
    """Schedules of one length for those hyperparameters that were given a final value; the others stay constant."""
    if images is not None and all(final is None for _, final in pairs):
        raise UserError(
            f"A schedule over {images} images needs a final value, got none; set one or drop schedule_images."
        )
    return [ramp(first, final, None if final is None else images, shape) for first, final in pairs]


def refuse_idle(
    builder: Callable[..., object], given: Mapping[str, Any], reads: Mapping[str, tuple[bool, str]]
) -> None:
    """Refuse values that nothing would read. Defaults pass: run folders keep those of all options.

    Args:
        builder: Whose defaults they are.
        given: Values by name.
        reads: For each option that is not always read whether it is now, and with which choice it would be.

    Raises:
        UserError: A value other than the default for an option that is not read.
    """
    for name, (read, choice) in reads.items():
        value = tuple(given[name]) if isinstance(given[name], list) else given[name]  # JSON has no tuples
        if not read and value != inspect.signature(builder).parameters[name].default:
            raise UserError(
                f"Option {name} is read with {choice} alone: expected none here, got {value!r}; leave it out."
            )
