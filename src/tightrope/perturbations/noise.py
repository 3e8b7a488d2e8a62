"""Perturbations of what the critic sees, applied to real and fake samples alike, in both half-steps."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from tightrope._plumbing.checks import check_number, check_rng, check_samples
from tightrope._plumbing.draws import Rng, normal
from tightrope._plumbing.errors import UserError
from tightrope.schedules import Value, check_value, value_at

__all__ = ["InstanceNoise", "instance_noise", "normal_like"]


def instance_noise(x: Tensor, *, sigma: float, rng: Rng | None = None) -> Tensor:
    """Add white Gaussian noise of standard deviation ``sigma`` (in units of the training scale) to every entry.

    Source: Sonderby et al. 2016 (1610.04490); Mescheder et al. 2018 (1801.04406), section 3.2.
    Claim: on the Dirac-GAN it acts like R1 with ``gamma = 2 |f''(0)| sigma^2``; it does nothing for the Wasserstein
    loss, whose ``f''`` is zero.

    Args:
        x: Samples ``[batch, *shape]``.
        sigma: Standard deviation; 0 returns ``x`` itself.
        rng: Source of the noise; it may live on the CPU whatever the device of ``x``.

    Raises:
        UserError: ``sigma`` is negative.

    Example:
        >>> from tightrope.perturbations import instance_noise
        >>> x = torch.zeros(10_000)
        >>> noisy = instance_noise(x, sigma=0.5, rng=torch.Generator().manual_seed(0))
        >>> round(float(noisy.std()), 1)
        0.5
    """
    check_number("sigma", sigma, 0, least=-math.inf)
    if sigma < 0:
        raise UserError(f"Expected a noise level sigma >= 0, got {sigma}; use 0 for no noise.")
    if sigma == 0:
        return x
    return x + sigma * normal_like(x, rng)


def normal_like(x: Tensor, rng: Rng | None) -> Tensor:
    """Standard normal noise of the shape, dtype and device of ``x``, drawn on the device of ``rng``."""
    check_rng(rng)
    check_samples(x)
    if rng is None:
        return torch.randn_like(x)
    return normal(x.shape, rng, x.dtype).to(x.device)


@dataclass(frozen=True)
class InstanceNoise:
    """Instance noise whose level follows a schedule of images seen, as a Method carries it.

    Example:
        >>> from tightrope.perturbations import InstanceNoise
        >>> from tightrope.schedules import Linear
        >>> noise = InstanceNoise(Linear(1.0, 0.0, images=1000))
        >>> x = torch.ones(2)
        >>> torch.equal(noise(x, images_seen=1000), x)  # over by then
        True
    """

    sigma: Value

    def __post_init__(self) -> None:
        check_value("sigma", self.sigma)

    def __call__(self, x: Tensor, *, images_seen: int, rng: Rng | None = None) -> Tensor:
        """Perturb ``x`` ``[batch, *shape]`` at the level that holds after ``images_seen`` images."""
        return instance_noise(x, sigma=value_at(self.sigma, images_seen), rng=rng)
