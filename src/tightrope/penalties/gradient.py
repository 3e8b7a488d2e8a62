r"""Penalties on the gradient of the critic's scores by its inputs: WGAN-GP, R1, R2 and their approximations."""

from __future__ import annotations

import math
from contextlib import nullcontext

import torch
from torch import Tensor, nn

from tightrope._plumbing.checks import check_flag, check_number, check_rng, check_samples
from tightrope._plumbing.door import inner
from tightrope._plumbing.draws import uniform
from tightrope._plumbing.errors import UserError
from tightrope._plumbing.walk import floating_type
from tightrope.autodiff import (
    critic_scores,
    in_functional_transform,
    input_gradients,
    module_of,
    modules_of,
    norm,
    rows_of,
    squared_norm,
    undisturbed,
)
from tightrope.autodiff.graph import refuse_shards
from tightrope.autodiff.types import Critic
from tightrope.autodiff.view import replicas_of
from tightrope.layers.find import find_batch_norm
from tightrope.penalties.followed import refuse_jumps
from tightrope.penalties.noise import MOST
from tightrope.penalties.repeated import Repeated
from tightrope.penalties.replicas import reaching_all
from tightrope.perturbations import normal_like

_HALF = (torch.bfloat16, torch.float16)
modules_of, find_batch_norm, rows_of = inner(modules_of), inner(find_batch_norm), inner(rows_of)
input_gradients, norm, squared_norm = inner(input_gradients), inner(norm), inner(squared_norm)


def refuse_coupled(critic: object, penalty: str) -> None:
    """Raise if a module behind ``critic`` has no gradient per sample that could be differentiated again.

    Raises:
        UserError: Batch normalisation in training mode couples the samples of a batch, so the gradient of one sample's
            score is not defined per sample and the penalty would constrain something else. Distributed training with
            ``static_graph=True`` synchronises wrong gradients where a gradient is differentiated, and shards of FSDP
            are gathered once.
    """
    _refuse_batch_norm(critic, penalty)
    refuse_shards(critic)
    if any(held.static_graph for held in replicas_of(critic)):
        raise UserError(
            f"{penalty} differentiates a gradient, for which DistributedDataParallel with static_graph=True "
            "synchronises wrong gradients; build it without static_graph."
        )


def _refuse_batch_norm(critic: object, penalty: str) -> None:
    modules = modules_of(critic)
    coupled = [name for held in modules for name in find_batch_norm(held) if _couples_samples(held.get_submodule(name))]
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
        UserError: Shapes differ, the critic has batch normalisation in training mode or none but one score per batch,
            or its scores do not depend on the samples.
    """
    refuse_coupled(critic, "The gradient penalty")
    check_number("weight", weight, 10)
    check_number("target", target, 1)
    check_flag("one_sided", one_sided)
    check_samples(real, "real samples")
    check_samples(fake, "fake samples")
    if real.shape != fake.shape:
        raise UserError(
            f"Interpolates need as many real as fake samples: expected one shape, got {tuple(real.shape)} and "
            f"{tuple(fake.shape)}; cut the larger batch."
        )
    rows = rows_of(critic)
    points = interpolate(real, fake, rows=rows if real.shape[0] % rows == 0 else 1, rng=rng)
    costs = []
    for gradient in input_gradients(critic, points):
        excess = norm(gradient) - target
        if one_sided:
            excess = excess.clamp(min=0.0)
        costs.append(excess.square().mean())
    return reaching_all(critic, weight * _added(costs))


def _added(parts: list[Tensor]) -> Tensor:
    """The sum over critics."""
    return parts[0] if len(parts) == 1 else torch.stack(parts).sum()


def interpolate(real: Tensor, fake: Tensor, *, rows: int = 1, rng: torch.Generator | None = None) -> Tensor:
    """Points ``e x + (1 - e) y`` with one ``e ~ U[0, 1]`` per ``rows`` samples, detached: ``[batch, *shape]``.

    Raises:
        UserError: Shapes or devices differ, or ``rows`` does not divide the batch.
    """
    check_rng(rng)
    check_samples(real, "real samples")
    check_samples(fake, "fake samples")
    if real.shape != fake.shape or real.device != fake.device or rows < 1 or len(real) % rows:
        raise UserError(
            f"Expected real and fake samples of one shape on one device, in whole packs of {rows}, got "
            f"{tuple(real.shape)} on {real.device} and {tuple(fake.shape)} on {fake.device}; cut or move one of them."
        )
    fake = fake.to(real.dtype)
    shape = (real.shape[0] // rows,) + (1,) * (real.dim() - 1)
    if rng is None:
        epsilon = torch.rand(shape, device=real.device, dtype=real.dtype)
    else:
        epsilon = uniform(shape, rng, real.dtype).to(real.device)
    if rows > 1:
        epsilon = epsilon.repeat_interleave(rows, 0)
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
        critic: Maps ``[batch, *shape]`` to ``[batch, ...]``; several outputs per sample are summed. Several critics,
            in a list, are penalised one by one.
        real: Real samples ``[batch, *shape]``. If a leaf that requires a gradient, it is used as it is.
        fake: Ignored; here so that all penalties share one signature.
        gamma: Weight. Not portable between resolutions and value ranges: halving the value range divides it by 4.
        rng: Ignored.

    Returns:
        Scalar.

    Raises:
        UserError: The critic has batch normalisation in training mode, not one score per sample, or scores that do
            not depend on the samples.
    """
    refuse_coupled(critic, "R1")
    return _zero_centred(critic, real, gamma)


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
        UserError: The critic has batch normalisation in training mode, not one score per sample, or scores that do
            not depend on the samples.
    """
    refuse_coupled(critic, "R2")
    return _zero_centred(critic, fake, gamma)


def _zero_centred(critic: Critic, x: Tensor, gamma: float) -> Tensor:
    check_number("gamma", gamma, 10)
    halves = [0.5 * gamma * squared_norm(gradient).mean() for gradient in input_gradients(critic, x)]
    return reaching_all(critic, _added(halves))


def finite_difference_r1(
    critic: Critic,
    real: Tensor,
    fake: Tensor | None = None,
    *,
    gamma: float = 10.0,
    sigma: float = 0.01,
    draws: int = 1,
    rng: torch.Generator | None = None,
) -> Tensor:
    """R1 without a second derivative: the squared change of the score under a small Gaussian step.

    Its expectation is R1's value to ``O(sigma^2)``, relative. It is *noisy*: with one draw per sample the value has a
    relative standard deviation of ``sqrt(2 / batch)`` on a linear critic, and its parameter gradient on a DCGAN-32
    critic (batch 128) had a cosine of only 0.24 to 0.38 with the exact R1 gradient (64 draws: 0.88), measured on
    2026-11-21. It saves little time (1.53 against 1.59 of a plain critic step). A step of 0.01 is lost in the rounding
    of half precision: under autocast both forwards are in float32, and critics in half precision are refused. Lazy R1
    is the better saving; this form is for critics whose layers have no second derivative. The two forwards share their
    random draws (dropout, noise), their constrained weights and what buffers they start from. On a small critic the
    cosine was 0.09: measure yours by :func:`~tightrope.penalties.gradient_noise` and raise ``draws``.

    Source: Lin et al. 2025 (2501.08316), approximated R1 ``lam |D(x + sigma e) - D(x)|^2`` with
    ``lam = gamma / (2 sigma^2)``.

    Args:
        critic: Maps ``[batch, *shape]`` to ``[batch, ...]``.
        real: Real samples ``[batch, *shape]``.
        fake: Ignored.
        gamma: Weight in R1's convention.
        sigma: Standard deviation of the step, in units of the training scale.
        draws: Steps per sample to average over; each costs a forward.
        rng: Source of the steps.

    Returns:
        Scalar.

    Raises:
        UserError: ``sigma`` is not positive, ``draws`` no whole number of at least 1, the scores do not depend on the
            samples or jump, the critic is in half precision or enters autocast by itself, or its forwards change more
            of it than buffers.
    """
    return _finite_difference(critic, real, gamma=gamma, sigma=sigma, draws=draws, rng=rng)


def finite_difference_r2(
    critic: Critic,
    real: Tensor | None,
    fake: Tensor,
    *,
    gamma: float = 10.0,
    sigma: float = 0.01,
    draws: int = 1,
    rng: torch.Generator | None = None,
) -> Tensor:
    """R2 without a second derivative; see :func:`finite_difference_r1`, with fake samples ``[batch, *shape]``."""
    check_samples(fake)
    return _finite_difference(
        critic, fake if fake.is_leaf else fake.detach(), gamma=gamma, sigma=sigma, draws=draws, rng=rng
    )


def _finite_difference(
    critic: Critic, x: Tensor, *, gamma: float, sigma: float, draws: float, rng: torch.Generator | None
) -> Tensor:
    check_number("gamma", gamma, 10)
    check_number("sigma", sigma, 0.01, least=-math.inf)
    check_number("draws", draws, 1, least=-math.inf)
    check_samples(x)
    if sigma <= 0:
        raise UserError(f"Expected a step sigma > 0, got {sigma}; 0.01 is the published value.")
    if not 1 <= draws <= MOST or draws != int(draws):
        raise UserError(f"Expected a whole number of draws from 1 to {MOST}, got {draws}; 1 is the published value.")
    _refuse_batch_norm(critic, "The finite-difference penalty")
    module, rows = module_of(critic), rows_of(critic)
    if module is not None and floating_type(module) in _HALF:
        raise UserError(
            "Expected a critic in float32 or better for the finite-difference penalty, got one in half precision, "
            "whose rounding is larger than the change that is measured; use critic.float(), or the exact r1 or r2."
        )
    x = x.float() if x.dtype in _HALF else x
    points = [x + sigma * normal_like(x, rng) for _ in range(int(draws))]
    lower = torch.is_autocast_enabled(x.device.type)
    with torch.autocast(x.device.type, enabled=False) if lower else nullcontext():
        same = Repeated(critic, x, "finite differences")
        moved = [critic_scores(same, point, rows) for point in points]
        here = critic_scores(critic if same.fixed and not lower else same, x, rows)
        refuse_jumps(same, x, points[0] - x, moved[0], rows)
    squares = [
        _added([(after - before).square().mean() for after, before in zip(scores, here, strict=True)])
        for scores in moved
    ]
    change = squares[0] if len(squares) == 1 else torch.stack(squares).mean()
    if not in_functional_transform() and not float(change.detach()):  # a flat place, or scores of something else
        with undisturbed(critic):
            input_gradients(critic, x.detach(), create_graph=False)
    return reaching_all(critic, gamma / (2 * sigma**2) * same.connected(change))


def from_gan_stability(reg_param: float) -> float:
    """``gamma`` of :func:`r1` and :func:`r2` for a ``reg_param`` of the GAN_stability code, which has no factor 1/2."""
    check_number("reg_param", reg_param, 10)
    return 2 * reg_param
