"""DiffAugment: colour, translation and cutout, each sample its own."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn.functional import pad

from tightrope._plumbing import draws
from tightrope._plumbing.checks import check_rng, check_samples
from tightrope._plumbing.draws import Rng
from tightrope._plumbing.errors import UserError
from tightrope._plumbing.words import closest

Uniform = Callable[..., Tensor]


def diff_augment(x: Tensor, *, policy: str = "color,translation,cutout", rng: Rng | None = None) -> Tensor:
    """Change each image's colours, shift it by up to an eighth and cut out a box of half its sides.

    Both half-steps need it, on real and fake samples: otherwise the generator learns the augmentation. The numbers are
    for images from -1 to 1; what is shifted in or cut out is 0, grey.

    Source: Zhao et al. 2020 (2006.10738), section 3.2, with the ranges of the authors' code.

    Args:
        x: Images ``[batch, channels, height, width]``.
        policy: ``color``, ``translation`` and ``cutout``, some of them, with commas between; done in this order.
        rng: Source of the draws; it may live on the CPU whatever the device of ``x``.

    Returns:
        Images of the same shape.

    Raises:
        UserError: ``x`` are no images, or a word of the policy is unknown.

    Example:
        >>> from tightrope.perturbations import diff_augment
        >>> x = torch.ones(2, 3, 8, 8)
        >>> diff_augment(x, policy="cutout", rng=torch.Generator().manual_seed(0)).flatten(1).mean(1) < 1
        tensor([True, True])
    """
    check_images(x)
    check_rng(rng)
    for word in words_of(policy):
        for step in STEPS[word]:
            x = step(x, partial(uniform, x, rng))
    return x


def words_of(policy: Any) -> list[str]:
    """The steps of a policy.

    Raises:
        UserError: One is unknown, or there is none.
    """
    words = [word.strip() for word in policy.split(",")] if isinstance(policy, str) else []
    unknown = [word for word in words if word not in STEPS]
    if unknown or not words:
        near = closest(unknown[0], STEPS) if unknown else ""
        raise UserError(f"Expected a policy of {', '.join(STEPS)} with commas between, got {policy!r}{near}; use some.")
    return words


def check_images(x: Tensor) -> None:
    """Refuse what is no batch of images.

    Raises:
        UserError: It is none.
    """
    check_samples(x, "images", shape="[batch, channels, height, width]")
    if x.dim() != 4:
        raise UserError(
            f"Expected images [batch, channels, height, width], got shape {list(x.shape)}; augmentations are for "
            "images, and instance_noise is for samples of any shape."
        )


def uniform(x: Tensor, rng: Rng | None, *shape: int) -> Tensor:
    """Draws from U[0, 1), with one row per sample of ``x``, in its dtype and on its device: ``[batch, *shape]``."""
    size = (len(x), *shape)
    return (torch.rand(size, device=x.device) if rng is None else draws.uniform(size, rng)).to(x.device, x.dtype)


def _brightness(x: Tensor, draw: Uniform) -> Tensor:
    return x + (draw(1, 1, 1) - 0.5)


def _saturation(x: Tensor, draw: Uniform) -> Tensor:
    grey = x.mean(1, keepdim=True)
    return grey + (x - grey) * (2 * draw(1, 1, 1))


def _contrast(x: Tensor, draw: Uniform) -> Tensor:
    level = x.mean((1, 2, 3), keepdim=True)
    return level + (x - level) * (0.5 + draw(1, 1, 1))


def _translation(x: Tensor, draw: Uniform) -> Tensor:
    n, channels, height, width = x.shape
    padded = pad(x, (1, 1, 1, 1))  # a frame of zeros, where every position outside is sent
    moved = []
    for size, shift in zip((height, width), draw(2).unbind(1), strict=True):
        most = int(size / 8 + 0.5)
        step = (shift * (2 * most + 1)).floor() - most
        positions = torch.arange(1, size + 1, device=x.device) + step.to(torch.long)[:, None]
        moved.append(positions.clamp(0, size + 1))
    rows = moved[0][:, None, :, None].expand(n, channels, height, width + 2)
    columns = moved[1][:, None, None, :].expand(n, channels, height, width)
    return padded.gather(2, rows).gather(3, columns)


def _cutout(x: Tensor, draw: Uniform) -> Tensor:
    inside = []
    for size, place in zip(x.shape[2:], draw(2).unbind(1), strict=True):
        side = int(size / 2 + 0.5)
        first = (place * (size + 1 - side % 2)).floor() - side // 2
        positions = torch.arange(size, device=x.device)
        inside.append((positions >= first[:, None]) & (positions < first[:, None] + side))
    box = inside[0][:, None, :, None] & inside[1][:, None, None, :]
    return torch.where(box, torch.zeros((), dtype=x.dtype, device=x.device), x)


STEPS: Final[dict[str, tuple[Callable[[Tensor, Uniform], Tensor], ...]]] = {
    "color": (_brightness, _saturation, _contrast),
    "translation": (_translation,),
    "cutout": (_cutout,),
}
"""What each word of a policy does, in order."""
