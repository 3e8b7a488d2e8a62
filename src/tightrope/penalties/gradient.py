r"""Penalties on the gradient of the critic's scores by its inputs: WGAN-GP, R1, R2 and their approximations."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tightrope._plumbing.errors import UserError
from tightrope.autodiff import differentiable, input_gradient, module_of, norm, per_sample, squared_norm
from tightrope.autodiff.types import Critic
from tightrope.layers.find import find_batch_norm
from tightrope.perturbations import normal_like


def refuse_batch_norm(critic: object, penalty: str) -> None:
    """Raise if ``critic`` is a module with batch normalisation in training mode.

    Raises:
        UserError: Batch normalisation couples the samples of a batch, so the gradient of one sample's score is not
            defined per sample and the penalty would constrain something else.
    """
    module = module_of(critic)
    if module is None:
        return
    coupled = [name for name in find_batch_norm(module) if _couples_samples(module.get_submodule(name))]
    if coupled:
        raise UserError(
            f"{penalty} needs a gradient per sample, but batch normalisation in training mode couples the samples "
            f"(found {', '.join(coupled[:3])}); use a critic without normalisation or with layer or "
            "group normalisation, or call it in eval mode."
        )


def _couples_samples(batch_norm: nn.Module) -> bool:
    """In training mode, and in eval mode too where there are no running statistics to use instead."""
    return batch_norm.training or getattr(batch_norm, "running_mean", None) is None


def gradient_penalty(
    critic: Critic,
    real: Tensor,
    fake: Tensor,
    *,
    weight: float = 10.0,
    target: float = 1.0,
    one_sided: bool = False,
    rng: torch.Generator | None = None,
) -> Tensor:
    """Penalty on the norm of the critic's gradient at random interpolates of real and fake samples.

    Source: Gulrajani et al. 2017 (1704.00028), eq. 3 (WGAN-GP); ``one_sided``: Petzka et al. 2018 (1709.08894),
    WGAN-LP.
    Departures: the authors' toy code has weight 0.1 where the paper says 10 everywhere.
    Claim: on the Dirac-GAN it does not converge (1801.04406, section 3.3): the equilibrium is not a fixed point.
    Cost: one forward, one backward and their derivative; the critic's step takes about twice as long.

    Args:
        critic: Maps ``[batch, *shape]`` to ``[batch, ...]``.
        real: Real samples ``[batch, *shape]``.
        fake: Fake samples of the same shape; no gradient flows into them.
        weight: Factor of the mean squared excess.
        target: Gradient norm that costs nothing, in score units per unit of sample space.
        one_sided: Punish only norms above ``target``.
        rng: Source of the interpolation coefficients.

    Returns:
        Scalar.

    Raises:
        UserError: Shapes differ, or the critic has batch normalisation in training mode.
    """
    refuse_batch_norm(critic, "The gradient penalty")
    if real.shape != fake.shape:
        raise UserError(
            f"Interpolates need as many real as fake samples: expected one shape, got {tuple(real.shape)} and "
            f"{tuple(fake.shape)}; cut the larger batch."
        )
    gradient = input_gradient(critic, interpolate(real, fake, rng=rng))
    excess = norm(gradient) - target
    if one_sided:
        excess = excess.clamp(min=0.0)
    return weight * excess.square().mean()


def interpolate(real: Tensor, fake: Tensor, *, rng: torch.Generator | None = None) -> Tensor:
    """Points ``e x + (1 - e) y`` with one ``e ~ U[0, 1]`` per sample, detached: ``[batch, *shape]``."""
    shape = (real.shape[0],) + (1,) * (real.dim() - 1)
    if rng is None:
        epsilon = torch.rand(shape, device=real.device, dtype=real.dtype)
    else:
        epsilon = torch.rand(shape, generator=rng, device=rng.device, dtype=real.dtype).to(real.device)
    return torch.lerp(fake.detach(), real.detach(), epsilon)


def r1(
    critic: Critic, real: Tensor, fake: Tensor | None = None, *, gamma: float = 10.0, rng: torch.Generator | None = None
) -> Tensor:
    """Half ``gamma`` times the mean squared norm of the critic's gradient at real samples.

    Source: Mescheder et al. 2018 (1801.04406), eq. 9.
    Departures: none; in the authors' code ``reg_param`` is ``gamma / 2``.
    Claim: with it, training converges locally (theorem 4.1); on the Dirac-GAN the eigenvalues are
    ``-gamma/2 +- sqrt(gamma^2/4 - f'(0)^2)``.
    Cost: a backward and its derivative; the critic's step takes about 1.6 times as long.

    Args:
        critic: Maps ``[batch, *shape]`` to ``[batch, ...]``; several outputs per sample are summed.
        real: Real samples ``[batch, *shape]``. If a leaf that requires a gradient, it is used as it is.
        fake: Ignored; here so that all penalties share one signature.
        gamma: Weight. Not portable between resolutions and value ranges: halving the value range divides it by 4.
        rng: Ignored.

    Returns:
        Scalar.

    Raises:
        UserError: The critic has batch normalisation in training mode.
    """
    refuse_batch_norm(critic, "R1")
    return 0.5 * gamma * squared_norm(input_gradient(critic, differentiable(real))).mean()


def r2(
    critic: Critic, real: Tensor | None, fake: Tensor, *, gamma: float = 10.0, rng: torch.Generator | None = None
) -> Tensor:
    """Half ``gamma`` times the mean squared norm of the critic's gradient at fake samples; otherwise as :func:`r1`.

    Source: Mescheder et al. 2018 (1801.04406), eq. 10. The generator receives no gradient from it.

    Args:
        critic: Maps ``[batch, *shape]`` to ``[batch, ...]``.
        real: Ignored.
        fake: Fake samples ``[batch, *shape]``.
        gamma: Weight.
        rng: Ignored.

    Returns:
        Scalar.

    Raises:
        UserError: The critic has batch normalisation in training mode.
    """
    refuse_batch_norm(critic, "R2")
    return 0.5 * gamma * squared_norm(input_gradient(critic, differentiable(fake))).mean()


def finite_difference_r1(
    critic: Critic,
    real: Tensor,
    fake: Tensor | None = None,
    *,
    gamma: float = 10.0,
    sigma: float = 0.01,
    rng: torch.Generator | None = None,
) -> Tensor:
    """R1 without a second derivative: the squared change of the score under a small Gaussian step.

    Its expectation is R1's value to ``O(sigma^2)``, relative. It is *noisy*: with one draw per sample the value has a
    relative standard deviation of ``sqrt(2 / batch)`` on a linear critic, and its parameter gradient on a DCGAN-32
    critic (batch 128) had a cosine of only 0.24 to 0.38 with the exact R1 gradient (64 draws: 0.88), measured on
    2026-11-21. It saves little time (1.53 against 1.59 of a plain critic step). In bf16 a step of 0.01 is destroyed by
    rounding; use float32 scores. Lazy R1 is the better saving; this form is for critics whose layers have no second
    derivative.

    Source: Lin et al. 2025 (2501.08316), approximated R1 ``lam |D(x + sigma e) - D(x)|^2`` with
    ``lam = gamma / (2 sigma^2)``.

    Args:
        critic: Maps ``[batch, *shape]`` to ``[batch, ...]``.
        real: Real samples ``[batch, *shape]``.
        fake: Ignored.
        gamma: Weight in R1's convention.
        sigma: Standard deviation of the step, in units of the training scale.
        rng: Source of the step.

    Returns:
        Scalar.

    Raises:
        UserError: ``sigma`` is not positive.
    """
    return _finite_difference(critic, real, gamma=gamma, sigma=sigma, rng=rng)


def finite_difference_r2(
    critic: Critic,
    real: Tensor | None,
    fake: Tensor,
    *,
    gamma: float = 10.0,
    sigma: float = 0.01,
    rng: torch.Generator | None = None,
) -> Tensor:
    """R2 without a second derivative; see :func:`finite_difference_r1`, with fake samples ``[batch, *shape]``."""
    return _finite_difference(critic, fake if fake.is_leaf else fake.detach(), gamma=gamma, sigma=sigma, rng=rng)


def _finite_difference(critic: Critic, x: Tensor, *, gamma: float, sigma: float, rng: torch.Generator | None) -> Tensor:
    if sigma <= 0:
        raise UserError(f"Expected a step sigma > 0, got {sigma}; 0.01 is the published value.")
    change = per_sample(critic(x + sigma * normal_like(x, rng))) - per_sample(critic(x))
    return gamma / (2 * sigma**2) * change.square().mean()


def from_gan_stability(reg_param: float) -> float:
    """``gamma`` of :func:`r1` and :func:`r2` for a ``reg_param`` of the GAN_stability code, which has no factor 1/2."""
    return 2 * reg_param
