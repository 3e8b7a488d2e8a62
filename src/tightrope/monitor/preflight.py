"""Before the first step: what bookkeeping can know of networks, data, optimisers and claims from one batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from tightrope._plumbing.checks import check_samples, short
from tightrope._plumbing.errors import UserError
from tightrope.autodiff import modules_of, samples_of, scores_of, undisturbed
from tightrope.autodiff.call import called
from tightrope.autodiff.streams import streams_kept, streams_of
from tightrope.monitor.claims import inner
from tightrope.monitor.finding import Diagnosis, Finding
from tightrope.monitor.monitor import Monitor

CERTAIN = (
    "optimizer_wrong_parameters", "optimizer_other_player", "optimizer_misses_parameters", "critic_frozen",
    "generator_frozen", "generator_detached", "learning_rate_zero", "data_range", "generator_range_rectified",
    "probability_as_score", "loss_needs_lipschitz", "non_finite",
)  # fmt: skip
"""Causes with which no training can succeed: found with high confidence before the first step, they end it."""


def certain(found: Diagnosis) -> tuple[Finding, ...]:
    """Findings of a preflight with which no training can succeed."""
    return tuple(f for f in found if f.cause in CERTAIN and f.confidence == "high")


def preflight(
    generator: nn.Module,
    critic: nn.Module,
    real: Tensor,
    loss: Any = None,
    optimizers: Any = None,
    penalty: Any = None,
    sample: Callable[[], Any] | None = None,
    *,
    z: Tensor | None = None,
    labels: Tensor | None = None,
) -> Diagnosis:
    """Check a training on one batch before it starts; nothing is changed, nothing is stepped.

    Whose parameters the optimisers hold, rates and flags; what both networks can reach against the data and the loss;
    constraints, layer by layer, against the claim; batch normalisation under a penalty; whether a gradient reaches both
    players; what ``sample`` calls the generator with.

    Args:
        generator: The generator, or a View of it.
        critic: The critic, or a View of it.
        real: A batch of real samples ``[batch, *shape]``, as the critic will be shown it.
        loss: As for :class:`~tightrope.monitor.Monitor`.
        optimizers: Likewise.
        penalty: Likewise.
        sample: Draws samples: ``() -> [n, *shape]``.
        z: Latents ``[batch, ...]``; those that ``sample`` draws, or standard normal ones, if not given.
        labels: Classes ``[batch]``, handed to both networks after the first argument.

    Returns:
        The diagnosis.

    Raises:
        UserError: The networks do not fit together or to the batch; latents are neither given nor to be guessed;
            real samples are not finite.

    Cost: about three forwards and backwards of both networks.
    """
    check_samples(real)
    if not bool(torch.isfinite(real).all()):
        row = int((~torch.isfinite(real.reshape(len(real), -1)).all(dim=1)).nonzero()[0])
        raise UserError(f"Expected finite real samples, got NaN or infinity in row {row}; look at the data.")
    networks = (inner(generator), inner(critic))
    given = [m for n in networks if n is not None for m in modules_of(n)]
    with streams_kept(streams_of(sample, loss, generator, critic)), undisturbed(*given):
        latents = _latents(generator, networks[0], sample, len(real), z)
        monitor = Monitor(generator, critic, loss, penalty=penalty, optimizers=optimizers, sample=None, budget=1e9)
        try:
            _play(monitor, generator, critic, real, latents, () if labels is None else (labels,))
        finally:
            monitor.close()
    return monitor.diagnose()


def _play(
    monitor: Monitor, generator: nn.Module, critic: nn.Module, real: Tensor, z: Tensor, more: tuple[Tensor, ...]
) -> None:
    """One update as the claim would have it, up to the optimisers' steps, which only count."""
    claim = monitor.history.claim
    fake = samples_of(called(generator, z, *more, who="generator", what="latents"))
    if fake.shape[1:] != real.shape[1:]:
        raise UserError(
            f"Expected samples of the shape of the data, got {list(fake.shape[1:])} from the generator and "
            f"{list(real.shape[1:])} from the data; change one of them."
        )
    for player in ("critic", "generator"):
        if player == "critic":
            scores = (
                scores_of(called(critic, real, *more)),
                scores_of(called(critic, fake.detach().to(real.dtype), *more)),
            )
            total = torch.stack([f.float().mean() - r.float().mean() for r, f in zip(*scores, strict=True)]).sum()
            if claim is not None and claim.critic is not None:
                total = torch.stack([_loss(claim.critic(r, f)) for r, f in zip(*scores, strict=True)]).sum()
        else:
            judged = scores_of(called(critic, fake.to(real.dtype), *more))
            total = -torch.stack([f.float().mean() for f in judged]).sum()
            if claim is not None and claim.generator is not None:
                with torch.no_grad():
                    against = scores_of(called(critic, real, *more)) if claim.paired else judged
                halves = zip(against, judged, strict=True)
                total = torch.stack([_loss(claim.generator(r.detach(), f)) for r, f in halves]).sum()
        if total.requires_grad:
            total.backward()
        monitor.rehearse(player)
    monitor.step(real, z)


def _loss(value: Any) -> Tensor:
    if not isinstance(value, Tensor) or value.dim():
        raise UserError(f"Expected the critic's loss as a scalar tensor, got {short(value)}; return its mean.")
    return value


def _latents(
    generator: nn.Module, module: nn.Module | None, sample: Callable[[], Any] | None, n: int, z: Tensor | None
) -> Tensor:
    """Latents as they were given, as ``sample`` uses them, or as the generator says that it wants them."""
    if z is not None:
        return z
    if sample is not None and module is not None:
        seen: list[Tensor] = []

        def listen(_: nn.Module, args: tuple[Any, ...]) -> None:
            seen.extend(a.detach().clone() for a in args[:1] if isinstance(a, Tensor))

        handle = module.register_forward_pre_hook(listen)
        try:
            with torch.no_grad():
                sample()
        finally:
            handle.remove()
        if seen:
            return seen[0]
    like = next((p for p in generator.parameters()), None)
    size = getattr(generator, "latent", None)
    if not isinstance(size, int):
        first = next((m for m in generator.modules() if isinstance(m, nn.Linear)), None)
        size = None if first is None else first.in_features
    if size is None or like is None:
        raise UserError("Expected latents, which cannot be guessed for this generator; pass z= or sample=.")
    return torch.randn(n, size, device=like.device, dtype=like.dtype)
