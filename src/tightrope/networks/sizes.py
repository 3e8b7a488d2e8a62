"""Which image sizes a network can be built for, and the sentences that refuse the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from numbers import Integral
from typing import TypeAlias

from tightrope._plumbing.checks import short
from tightrope._plumbing.errors import UserError, UserTypeError

Image: TypeAlias = tuple[int, int, int]
"""Channels, height and width."""

LARGEST_SIZE = 1024

RULE = "4, 5, 6 or 7 times a power of two (8, 16, 28, 32, 48, 64, 96, 128, ...)"
"""The sizes ``factor`` can write, in words."""


def factor(size: int) -> tuple[int, int] | None:
    """Write ``size`` as ``base * 2**doublings`` with base 4 to 7 (3 only for 6 = 3 * 2) and at least one doubling.

    Returns:
        ``(base, doublings)``, or None where no such pair exists, for example for 30 = 15 * 2.
    """
    for base in (4, 5, 6, 7, 3):
        quotient, remainder = divmod(size, base)
        if remainder == 0 and quotient >= 2 and quotient & (quotient - 1) == 0:
            return base, quotient.bit_length() - 1
    return None


def factored(size: int) -> tuple[int, int]:
    """``factor`` of a size that is known to have one."""
    parts = factor(size)
    assert parts is not None, size
    return parts


def require_sizes(name: str, shape: tuple[int, ...]) -> None:
    """Refuse what is no sequence of whole numbers.

    Raises:
        UserTypeError: It is none.
    """
    if not isinstance(shape, Sequence) or not all(isinstance(n, Integral) and not isinstance(n, bool) for n in shape):
        raise UserTypeError(
            f"network '{name}' is built for a sample shape of whole numbers without the batch, got {short(shape)}; "
            "e.g. (3, 32, 32)."
        )


def require_factored(name: str, shape: tuple[int, ...]) -> Image:
    """``require_image`` for a network of the sizes that ``factor`` can write."""
    return require_image(name, shape, lambda size: factor(size) is not None, RULE)


def require_image(name: str, shape: tuple[int, ...], buildable: Callable[[int], bool], rule: str) -> Image:
    """Refuse sample shapes that are not square images of a buildable size.

    Args:
        name: The network's name, for the sentence.
        shape: Sample shape without the batch axis.
        buildable: Whether the network can be built for an image of this height and width in pixels.
        rule: The sizes it can be built for, in words.

    Returns:
        The shape.

    Raises:
        UserError: In one sentence: what can be built, what was asked for, and which neighbouring sizes work.
    """
    require_sizes(name, shape)
    if len(shape) != 3:
        raise UserError(
            f"network '{name}' builds images of shape (channels, height, width), got the sample shape {tuple(shape)}: "
            "use --network mlp, which builds any shape."
        )
    channels, height, width = shape
    if channels < 1:
        raise UserError(f"network '{name}' needs at least one channel, got the sample shape {tuple(shape)}.")
    if height == width and buildable(height):
        return channels, height, width
    neighbours = " or ".join(f"--resolution {size}" for size in _neighbours(min(height, width), buildable))
    raise UserError(
        f"network '{name}' builds square images of {rule} pixels, got {height}x{width}: "
        f"use {neighbours}, or --network mlp."
    )


def _neighbours(size: int, buildable: Callable[[int], bool]) -> list[int]:
    """The nearest buildable size at or below ``size`` and the nearest above it, where they exist."""
    below = [candidate for candidate in range(min(size, LARGEST_SIZE), 0, -1) if buildable(candidate)][:1]
    above = [candidate for candidate in range(size + 1, LARGEST_SIZE + 1) if buildable(candidate)][:1]
    return below + above
