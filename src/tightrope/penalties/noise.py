"""How noisy the gradient of a random penalty is: the approximated R1 and R2, the gradient penalty's interpolates."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tightrope._plumbing.checks import check_rng, check_whole, short
from tightrope._plumbing.errors import UserError, UserTypeError
from tightrope.autodiff import module_of, undisturbed

MOST = 100_000
"""Draws that anybody can wait for."""


@dataclass(frozen=True)
class GradientNoise:
    """Noise of a penalty's value and gradient over its own random draws, at fixed samples.

    Attributes:
        mean: Of the value.
        deviation: Standard deviation of the value over draws.
        signal: Squared length of the expected gradient, without bias from the noise; may come out negative.
        noise: Expected squared distance of one draw's gradient from it.
    """

    mean: float
    deviation: float
    signal: float
    noise: float

    def cosine(self, draws: int = 1) -> float:
        """Between the expected gradient and that of a mean over ``draws``; 0 where the signal is lost in the noise."""
        signal = max(self.signal, 0.0)
        total = signal + max(self.noise, 0.0) / draws
        return math.sqrt(signal / total) if total > 0 else 0.0


def gradient_noise(
    penalty: Callable[..., Tensor],
    critic: nn.Module,
    real: Tensor,
    fake: Tensor | None = None,
    *,
    draws: int = 16,
    rng: torch.Generator | None = None,
) -> GradientNoise:
    """Evaluate a penalty ``draws`` times on the same samples and compare the gradients in the critic's parameters.

    Args:
        penalty: ``(critic, real, fake, rng=rng) -> scalar``, hyperparameters bound, for example by ``partial``.
        critic: Left exactly as found.
        real: ``[batch, *shape]``.
        fake: ``[batch, *shape]``, for penalties that use them.
        draws: At least 2.
        rng: Source of the draws.

    Raises:
        UserError: Fewer than two draws.

    **Cost**: as many penalties, each with its backward.
    """
    check_whole("draws", draws, 2, 16)
    check_rng(rng)
    if draws > MOST:
        raise UserError(f"Expected at most {MOST} draws, got {draws}; 16 is the default.")
    module = module_of(critic)
    if module is None:
        raise UserTypeError(
            f"Expected a critic whose parameters can be seen, got {short(critic)}; pass a module, or a function of one."
        )
    values, gradients = [], []
    with undisturbed(critic), torch.enable_grad():
        parameters = [p for p in module.parameters() if p.requires_grad]
        if not parameters:
            raise UserError("Expected a critic with parameters that require a gradient, got none; unfreeze it.")
        for _ in range(draws):
            value = penalty(critic, real, fake, rng=rng)
            if not isinstance(value, Tensor) or value.dim():
                raise UserTypeError(f"Expected the penalty to give a scalar, got {short(value)}; return its mean.")
            found = torch.autograd.grad(value, parameters, allow_unused=True)
            gradients.append(torch.cat([g.detach().double().flatten() for g in found if g is not None]))
            values.append(float(value.detach()))
    G = torch.stack(gradients)
    squares = float(G.square().sum() / draws)
    signal = (float(G.sum(0).square().sum()) - draws * squares) / (draws * (draws - 1))
    all_values = torch.tensor(values, dtype=torch.float64)
    return GradientNoise(float(all_values.mean()), float(all_values.std()), signal, squares - signal)
