"""The scale that the bounds of Jacobian clamping are given in."""

from __future__ import annotations

import math

from torch import Tensor

from tightrope._plumbing.checks import check_samples, check_whole
from tightrope._plumbing.errors import UserError


def reference_gain(real: Tensor, *, latent: int) -> float:
    """``sqrt(tr Cov(x) / latent)``: rms gain of a linear generator with the data's total variance; the scale of bounds.

    Source: a scale rule of this project, not of the paper: CIFAR-10 in [-1, 1] with 128 latents has about 2.4, so that
    the published bounds 1 and 20 are about 0.4 and 8 of it.

    Args:
        real: Samples ``[n, *shape]`` in training scale, some hundreds at least.
        latent: Size of the latents.

    Raises:
        UserError: Fewer than two samples, or a latent size below one.
    """
    check_samples(real)
    check_whole("latent", latent, -(2**63), 128)
    if real.dim() < 2:
        raise UserError(
            f"Expected samples [n, *shape], got shape {list(real.shape)}; give one-number samples as [n, 1]."
        )
    if not bool(real.isfinite().all()):
        raise UserError("Expected finite samples, got NaN or infinity among them; remove those samples.")
    if len(real) < 2 or latent < 1:
        raise UserError(f"Expected two samples and one latent at least, got {len(real)} and {latent}; give more data.")
    return math.sqrt(float(real.flatten(1).double().var(0).sum()) / latent)
