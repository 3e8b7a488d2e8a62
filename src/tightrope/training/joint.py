"""One whole step that moves both players at once, by gradients taken at one point."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from contextlib import nullcontext

import torch
from torch import Tensor
from torch.nn.utils import parametrize

from tightrope.autodiff import bind, gradient_norm
from tightrope.methods.game import Objective, critic_objective, generator_objective
from tightrope.optimizers.extragradient import extrapolating
from tightrope.optimizers.strides import match_strides_
from tightrope.training.half_steps import detached, finish_critic, finish_step, last_scalars, to_device
from tightrope.training.nonfinite import NonFiniteError, locate, stained
from tightrope.training.run import Half, Run

PLAYERS = ("generator", "critic")


def joint_step(run: Run, real: Tensor, labels: Tensor | None = None) -> tuple[Half, Half]:
    """Update both players once, in place, by gradients at one point on one batch; ends the step.

    The losses may be corrected (``Method.correction``), and extragradient optimisers look ahead first: both their
    halves use this batch and these latents.

    Args:
        run: Advances ``critic_steps``, ``images_seen`` and ``step``.
        real: Real samples ``[batch, *shape]``.
        labels: Classes ``[batch]``; the fakes of both losses are drawn with the same labels.

    Returns:
        The critic's half and the generator's, detached; the gradient norms are of the corrected losses.

    Raises:
        NonFiniteError: Loss or gradient is not finite; no parameter has been updated.

    Cost: a forward of the generator per player; with a correction, which evaluates both losses for each player, and
    two backwards through them, about four plain steps; extragradient takes two gradients.
    """
    real, labels = to_device(run, real, labels)
    seen: dict[str, Objective] = {}
    losses = _losses(run, real, labels, seen)
    players = (run.generator, run.critic)
    descended = losses if run.method.correction is None else run.method.correction(losses, players)
    optimizers = (run.generator_optimizer, run.critic_optimizer)
    settings = (run.method.generator_optimizer, run.method.critic_optimizer)
    for setting, optimizer in zip(settings, optimizers, strict=True):
        setting.schedule_(optimizer, run.images_seen)
    halves = _gradients_(run, descended, seen, real)
    ahead = [found for found in map(extrapolating, optimizers) if found is not None]
    if ahead:
        for rule in ahead:
            rule.extrapolate()
        try:
            halves = _gradients_(run, descended, seen, real)
        except NonFiniteError:
            for rule in ahead:
                rule.retreat()
            raise
    for optimizer in optimizers:
        optimizer.step()
    for rule in ahead:
        rule.retreat()  # from a step that a wrapper skipped
    run._last |= dict(zip(PLAYERS, halves, strict=True))
    finish_critic(run, real.shape[0])
    finish_step(run)
    return halves[1], halves[0]


def _losses(
    run: Run, real: Tensor, labels: Tensor | None, seen: dict[str, Objective]
) -> tuple[Callable[[], Tensor], Callable[[], Tensor]]:
    """``(generator_loss, critic_loss)`` on one batch, each leaving its objective in ``seen`` when it is evaluated.

    Noise and interpolation coefficients are drawn from one seed at every evaluation, so that a correction or a look
    ahead sees one and the same game.
    """
    method, factor = run.method, run.method.generator_batch_factor
    z_critic, z_generator = run.latents(real.shape[0]), run.latents(real.shape[0] * factor)
    repeated = None if labels is None else labels.repeat(factor)
    seed = int(torch.randint(2**62, (), generator=run.rng))
    images_seen, critic_steps = run.images_seen, run.critic_steps
    hide = torch.no_grad if method.correction is None else nullcontext  # a correction differentiates through the fakes

    def noise() -> torch.Generator:
        return torch.Generator(run.rng.device).manual_seed(seed)

    def generator_loss() -> Tensor:
        G, D = bind(run.generator, repeated), bind(run.critic, repeated)
        with run.autocast(), parametrize.cached():
            now = generator_objective(method, G, D, z_generator, real=real, images_seen=images_seen, rng=noise())
        seen["generator"] = now
        return now.total

    def critic_loss() -> Tensor:
        position = {"critic_step": critic_steps, "images_seen": images_seen}
        with run.autocast(), parametrize.cached():
            with hide():
                fake = bind(run.generator, labels)(z_critic).to(real.dtype)
            now = critic_objective(method, bind(run.critic, labels), real, fake, rng=noise(), **position)
        seen["critic"] = now
        return now.total

    return generator_loss, critic_loss


def _gradients_(
    run: Run, losses: Sequence[Callable[[], Tensor]], seen: dict[str, Objective], real: Tensor
) -> tuple[Half, Half]:
    """Write both players' gradients at the present point into their parameters; nothing moves in between."""
    found: list[tuple[list[Tensor], list[Tensor | None], Tensor]] = []
    for loss, optimizer in zip(losses, (run.generator_optimizer, run.critic_optimizer), strict=True):
        optimizer.zero_grad(set_to_none=True)
        parameters = [p for group in optimizer.param_groups for p in group["params"] if p.requires_grad]
        total = loss()
        found.append((parameters, list(torch.autograd.grad(total, parameters, allow_unused=True)), total.detach()))
    halves = []
    for (parameters, gradients, total), player, loss in zip(found, PLAYERS, losses, strict=True):
        for p, gradient in zip(parameters, gradients, strict=True):
            p.grad = gradient
        match_strides_(parameters)
        size = gradient_norm(parameters)
        if not math.isfinite(float(total + size)):
            networks = {player: getattr(run, player), "critic": run.critic, "generator": run.generator}
            where = locate(networks, loss, samples=real)
            raise NonFiniteError(run.step, player, where, last_scalars(run, player), stained(networks))
        halves.append(Half(dataclasses.replace(detached(seen[player]), total=total), size))
    return halves[0], halves[1]
