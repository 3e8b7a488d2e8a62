"""Penalties on what the critic does around samples: DRAGAN's slope beside the data, consistency under augmentation."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from tightrope._plumbing import draws
from tightrope._plumbing.checks import check_number, check_rng, check_samples
from tightrope._plumbing.draws import Rng
from tightrope._plumbing.errors import UserError, UserTypeError
from tightrope.autodiff import input_gradients, norm, samples_of, scores_of
from tightrope.autodiff.inputs import per_sample
from tightrope.autodiff.types import Critic, Generator
from tightrope.losses.loss import wide
from tightrope.penalties.gradient import refuse_coupled
from tightrope.penalties.repeated import Repeated
from tightrope.penalties.replicas import reaching_all
from tightrope.perturbations import normal_like


def dragan(
    critic: Critic,
    real: Tensor,
    fake: Tensor | None = None,
    *,
    weight: float = 10.0,
    target: float = 1.0,
    scale: float = 0.5,
    rng: Rng | None = None,
) -> Tensor:
    """Penalty on the norm of the critic's gradient beside real samples.

    The points are ``x + scale * std(x) * u`` with ``u ~ U[0, 1]`` per entry and the standard deviation of the batch.

    Source: Kodali et al. 2017 (1705.07215), eq. 3, with the noise of the authors' code (the paper writes
    ``N(0, c I)``).

    Args:
        critic: Maps ``[batch, *shape]`` to ``[batch, ...]``.
        real: Real samples ``[batch, *shape]``.
        fake: Ignored; here so that all penalties share one signature.
        weight: Factor of the mean squared excess.
        target: Gradient norm that costs nothing.
        scale: Length of the noise in standard deviations of the batch.
        rng: Source of the noise.

    Returns:
        Scalar.

    Raises:
        UserError: As of :func:`~tightrope.penalties.gradient_penalty`.

    Cost: one forward, one backward and their derivative.

    Example:
        >>> from tightrope import penalties
        >>> critic = lambda x: 3 * x.flatten(1).sum(1)  # of slope 3 * sqrt(2) in the plane
        >>> round(float(penalties.dragan(critic, torch.randn(8, 2), weight=1.0)), 3)
        10.515
    """
    refuse_coupled(critic, "DRAGAN's penalty")
    check_number("weight", weight, 10)
    check_number("target", target, 1)
    check_number("scale", scale, 0.5)
    check_samples(real, "real samples")
    check_rng(rng)
    x = real.detach()
    noise = torch.rand_like(x) if rng is None else draws.uniform(x.shape, rng, x.dtype).to(x.device)
    points = x + scale * x.std(correction=0) * noise
    costs = [(norm(gradient) - target).square().mean() for gradient in input_gradients(critic, points)]
    return reaching_all(critic, weight * (costs[0] if len(costs) == 1 else torch.stack(costs).sum()))


def consistency(
    critic: Critic,
    real: Tensor,
    fake: Tensor,
    *,
    augment: Callable[..., Tensor],
    weight_real: float = 10.0,
    weight_fake: float = 10.0,
    rng: Rng | None = None,
) -> Tensor:
    """Balanced consistency (bCR): the critic's scores shall not change when samples are augmented.

    ``weight_real E (D(x) - D(T(x)))^2 + weight_fake E (D(y) - D(T(y)))^2``. With ``weight_fake=0`` it is CR-GAN's. The
    two forwards share the critic's random draws and constrained weights.

    Source: Zhao et al. 2021 (2002.04724), algorithm 1; Zhang et al. 2020 (1910.12027), eq. 3, for real samples alone.

    Args:
        critic: Maps ``[batch, *shape]`` to ``[batch, ...]``; of several critics the terms are added.
        real: Real samples ``[batch, *shape]``.
        fake: Fake samples ``[batch, *shape]``; no gradient flows into them.
        augment: ``(x, *, rng) -> x`` of the same shape, such as ``perturbations.diff_augment``; or ``x -> x``, which
            then draws from no ``rng``.
        weight_real: Factor of the real term.
        weight_fake: Factor of the fake term.
        rng: Source of the augmentation.

    Returns:
        Scalar. Bind ``augment`` by ``functools.partial`` to make it a ``Penalty``.

    Raises:
        UserError: ``augment`` is no function, changes the shape, or draws outside of the ``rng`` that was given.

    Cost: four forwards of the critic, two where a :class:`~tightrope.autodiff.Remembered` has the plain scores.

    Example:
        >>> from tightrope import penalties
        >>> critic = lambda x: x.flatten(1).sum(1)
        >>> x = torch.ones(4, 1, 2, 2)
        >>> penalties.consistency(critic, x, x, augment=lambda x, *, rng=None: x + 1, weight_fake=0.0)
        tensor(160.)
    """
    check_number("weight_real", weight_real, 10)
    check_number("weight_fake", weight_fake, 10)
    if not callable(augment):
        raise UserTypeError(f"Expected augment as a function of samples, got {augment!r}; pass diff_augment.")
    total = torch.zeros((), device=real.device)
    for x, weight in ((real, weight_real), (fake.detach(), weight_fake)):
        if weight == 0:
            continue
        check_samples(x)
        changed = _augmented(augment, x.detach(), rng)
        if not isinstance(changed, Tensor) or changed.shape != x.shape:
            got = list(changed.shape) if isinstance(changed, Tensor) else type(changed).__name__
            raise UserError(f"Expected augmented samples of shape {list(x.shape)}, got {got}; mend augment.")
        total = total + weight * _score_change(critic, x, changed)
    return total


def _augmented(augment: Callable[..., Any], x: Tensor, rng: Rng | None) -> Any:
    """``augment(x, rng=rng)``, or ``augment(x)`` of one that takes no ``rng``, as modules of other libraries do."""
    taken: Iterable[inspect.Parameter] = ()
    with contextlib.suppress(ValueError):  # of a builtin, which does not tell
        taken = inspect.signature(augment.forward if isinstance(augment, nn.Module) else augment).parameters.values()
    if any(p.name == "rng" or p.kind is p.VAR_KEYWORD for p in taken):
        return augment(x, rng=rng)
    before = None if rng is None else torch.get_rng_state()
    changed = augment(x)
    if before is not None and not torch.equal(before, torch.get_rng_state()):
        raise UserError(
            "Expected an augment that draws from rng, got one that draws from torch's global state; let it take rng, "
            "or leave rng out."
        )
    return changed


def _score_change(critic: Critic, x: Tensor, changed: Tensor) -> Tensor:
    same = Repeated(critic, x, "consistency")
    after = scores_of(same(changed))
    before = scores_of((critic if same.fixed else same)(x))
    gaps = [(per_sample(a) - per_sample(b)).square().mean() for a, b in zip(after, before, strict=True)]
    return reaching_all(critic, same.connected(gaps[0] if len(gaps) == 1 else torch.stack(gaps).sum()))


def latent_consistency(
    critic: Critic,
    generator: Generator,
    z: Tensor,
    *,
    sigma: float = 0.03,
    weight: float = 5.0,
    rng: Rng | None = None,
) -> Tensor:
    """Latent consistency (zCR), the critic's part: scores of samples of neighbouring latents shall be equal.

    ``weight E (D(G(z)) - D(G(z + sigma e)))^2``, added to the critic's loss; no gradient reaches the generator.

    Source: Zhao et al. 2021 (2002.04724), algorithm 2.

    Args:
        critic: Maps ``[batch, *shape]`` to ``[batch, ...]``.
        generator: Maps ``[batch, latent]`` to ``[batch, *shape]``.
        z: Latents ``[batch, latent]``.
        sigma: Length of the step in latents.
        weight: Factor.
        rng: Source of the step.

    Returns:
        Scalar.

    Raises:
        UserError: A hyperparameter is out of range.

    Cost: two forwards of both networks.
    """
    here, there = _neighbours(generator, z, sigma, weight, rng, graph=False)
    return weight * _score_change(critic, here, there)


def latent_diversity(
    generator: Generator,
    z: Tensor,
    *,
    sigma: float = 0.03,
    weight: float = 0.5,
    rng: Rng | None = None,
) -> Tensor:
    """Latent consistency (zCR), the generator's part: samples of neighbouring latents shall differ.

    ``-weight E (G(z) - G(z + sigma e))^2``, the mean over all entries, added to the generator's loss.

    Source: Zhao et al. 2021 (2002.04724), algorithm 2.

    Args:
        generator: Maps ``[batch, latent]`` to ``[batch, *shape]``.
        z: Latents ``[batch, latent]``.
        sigma: Length of the step in latents.
        weight: Factor.
        rng: Source of the step.

    Returns:
        Scalar, at most 0.

    Raises:
        UserError: A hyperparameter is out of range.

    Cost: two forwards of the generator.
    """
    here, there = _neighbours(generator, z, sigma, weight, rng, graph=True)
    return -weight * (wide(here) - wide(there)).square().mean()


def _neighbours(
    generator: Generator, z: Tensor, sigma: float, weight: float, rng: Rng | None, *, graph: bool
) -> tuple[Tensor, Tensor]:
    check_number("sigma", sigma, 0.03)
    check_number("weight", weight, 5)
    check_samples(z, "latents", shape="[batch, latent]")
    if sigma == 0:
        raise UserError(
            "Expected a step sigma > 0 in latents, got 0, which compares samples with themselves; try 0.03."
        )
    same = Repeated(generator, z, "latent consistency")
    with torch.set_grad_enabled(graph and torch.is_grad_enabled()):
        return samples_of(same(z)), samples_of(same(z + sigma * normal_like(z, rng)))
