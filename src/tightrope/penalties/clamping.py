"""Jacobian clamping: keep the generator's gain in random directions between two bounds.

Re-exported as ``tightrope.penalties.jacobian_clamping``, beside the critic's penalties.
"""

from __future__ import annotations

import math
from typing import Any
from weakref import WeakSet

import torch
from torch import Tensor, nn

from tightrope._plumbing.checks import check_number, check_samples
from tightrope._plumbing.errors import UserError
from tightrope.autodiff import Remembered, View, module_of, norm, samples_of
from tightrope.autodiff.types import Generator
from tightrope.layers.find import find_batch_norm
from tightrope.losses.loss import wide
from tightrope.penalties.repeated import Repeated, on_copies
from tightrope.perturbations import normal_like


def jacobian_clamping(
    generator: Generator,
    z: Tensor,
    *,
    low: float = 1.0,
    high: float = 20.0,
    epsilon: float = 1.0,
    weight: float = 1.0,
    labels: Tensor | None = None,
    rng: torch.Generator | None = None,
) -> Tensor:
    r"""Mean squared excess of the generator's finite-difference gain over ``[low, high]``, added to its loss.

    Per sample, with :math:`\delta` uniform on the sphere of radius ``epsilon`` and :math:`z' = z + \delta`:
    :math:`Q = ||G(z') - G(z)|| / ||z' - z||` and the penalty is
    :math:`E[(\max(Q, high) - high)^2 + (\min(Q, low) - low)^2]`.

    Source: Odena et al. 2018 (1802.08768), algorithm 1, with its bounds 1 and 20, radius 1 and weight 1.
    Departures: the batch is averaged; independent codes average or sum it, and the paper's text was not available to
    settle it. Only the ``z`` of a conditional generator moves, both forwards share the labels. For data other than
    images give the bounds in units of the data's own scale: multiply 0.4 and 4 by :func:`reference_gain`.
    Claim: for a linear generator ``A`` the mean of ``Q^2`` is ``tr(A^T A) / latent``, so typical gain is held, and the
    smallest singular value only through it; where the data's modes are apart, high gain between them is needed and
    clamping hurts.
    Cost: the generator's forward and backward on twice the batch; the critic never sees ``z'``.

    Args:
        generator: Maps ``[n, latent]`` to ``[n, *shape]``. Called once on both batches joined, so that in training mode
            batch normalisation sees one batch and moves its running statistics once.
        z: Latents ``[batch, *latent_shape]``.
        low: Gain below which it costs, in sample units per latent unit.
        high: Gain above which it costs.
        epsilon: Radius of the perturbation in latent space.
        weight: Factor of the mean.
        labels: Classes ``[batch]`` of a conditional generator that is called as ``generator(z, labels)``.
        rng: Source of the directions.

    Returns:
        Scalar; zero, with zero gradient, where every gain lies within the bounds.

    Raises:
        UserError: Bounds that are not ``0 <= low <= high``, or a radius that is not positive.
    """
    check_bounds(low, high, epsilon)
    check_number("weight", weight, 1)
    gain = finite_gain(generator, z, epsilon=epsilon, labels=labels, rng=rng)
    return weight * ((gain - high).clamp(min=0).square() + (low - gain).clamp(min=0).square()).mean()


def check_bounds(low: float, high: float, epsilon: float) -> None:
    """Raise ``ValueError`` unless ``0 <= low <= high`` and ``epsilon > 0``."""
    for name, value, usual in (("low", low, 1), ("high", high, 20), ("epsilon", epsilon, 1)):
        if not isinstance(value, int | float):
            check_number(name, value, usual, least=-math.inf)
    if not 0 <= low <= high:
        raise UserError(f"Expected bounds 0 <= low <= high, got low {low} and high {high}; the published are 1 and 20.")
    if not 0 < epsilon < math.inf:
        raise UserError(f"Expected a radius epsilon > 0, got {epsilon}; the published value is 1.")


def finite_gain(
    generator: Generator,
    z: Tensor,
    *,
    epsilon: float = 1.0,
    labels: Tensor | None = None,
    rng: torch.Generator | None = None,
) -> Tensor:
    """``||G(z + d) - G(z)|| / ||d||`` per sample in one random direction each, ``|d| = epsilon``: ``[batch]``.

    Args:
        generator: Maps ``[n, latent]`` to ``[n, *shape]``; called once on both batches joined.
        z: Latents ``[batch, *latent_shape]``.
        epsilon: Length of the step.
        labels: Classes ``[batch]``.
        rng: Source of the directions.

    Raises:
        UserError: No latents in floating point, not one label for each, or a radius that is not positive.
    """
    check_bounds(0, 0, epsilon)
    check_samples(z, "latents", shape="[batch, *latent_shape]")
    if labels is not None and (not isinstance(labels, Tensor) or len(labels) != len(z)):
        raise UserError(f"Expected labels as a tensor with one per latent, {len(z)}, got {labels!r}; pass those of z.")
    direction = normal_like(z, rng)
    length = norm(direction).clamp(min=torch.finfo(z.dtype).tiny)
    direction = direction / length.reshape(-1, *[1] * (z.dim() - 1))
    moved = z + epsilon * direction
    x, x_moved = together(generator, z, moved, labels)
    return norm(x_moved - x) / norm(wide(moved) - wide(z))


def together(generator: Generator, z: Tensor, other: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Samples of two batches of latents ``[batch, *latent_shape]`` from one forward; labels are used for both.

    A generator that draws random numbers is called once more on each batch, with the same draws.

    Raises:
        UserError: It also has batch normalisation in training mode, or makes of one latent other samples in other rows.
    """
    remembering = generator if isinstance(generator, Remembered) else None
    network: Any = generator if remembering is None else remembering.network
    if labels is not None:
        network = View(network, labels=labels)
    twice = network
    if isinstance(network, View):
        twice = network.with_labels(lambda given: given.repeat(2, *[1] * (given.dim() - 1)))
    call = Repeated(twice, z, "the gain of a generator")
    joint = samples_of(call(torch.cat((z, other))))
    x, x_other = joint[: len(z)], joint[len(z) :]
    if call.drew:  # other draws for the two halves: their difference would be that of the draws
        _refuse_batch_statistics(network)
        call.network = network
        x, x_other = (samples_of(call(points)) for points in (z, other))
    elif call.module is not None and not call.transformed and call.module not in _ALIKE:
        _refuse_places(call, z)
        _ALIKE.add(call.module)
    if x.dtype in (torch.bfloat16, torch.float16):
        x, x_other = x.float(), x_other.float()
    if remembering is not None:
        remembering.remember(z, x)
    return x, x_other


_ALIKE: WeakSet[nn.Module] = WeakSet()
"""Generators that were found to treat all rows of a batch alike."""


def _refuse_places(call: Repeated, z: Tensor) -> None:
    """Raise if halves of a batch differ where their latents do not, as with noise from one seed in a forward."""
    with torch.no_grad(), on_copies(call.module):
        joint = samples_of(call(torch.cat((z, z)))).float()
    if not torch.allclose(joint[: len(z)], joint[len(z) :], rtol=0, atol=1e-3 * float(joint.abs().max())):
        raise UserError(
            "Expected a generator that makes one sample of a latent in whatever row of a batch, got one with something "
            "of its own for each row, such as noise from a seed in its forward, which the gain would count; draw it "
            "from torch's own random state, or keep it the same for all rows."
        )


def _refuse_batch_statistics(network: object) -> None:
    module = module_of(network)
    mixed = [] if module is None else [n for n in find_batch_norm(module) if module.get_submodule(n).training]
    if mixed:
        raise UserError(
            "Expected a generator whose two batches can share their random draws, got dropout or noise together with "
            f"batch normalisation in training mode ({mixed[0]}), which has to see both as one batch; take one of the "
            "two out."
        )
