"""One whole step that moves both players at once, by gradients taken at one point."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor

from tightrope._plumbing.draws import restartable
from tightrope.autodiff import gradient_norm
from tightrope.autodiff.guard import computed_once
from tightrope.methods.game import Draw, Objective, losses_on
from tightrope.optimizers.extragradient import extrapolating
from tightrope.optimizers.strides import match_strides_
from tightrope.training.batches import require, to_device
from tightrope.training.checkpointing import explained, inputs_with_gradients, refuse_reentrant, refusing_other_weights
from tightrope.training.compiled import refuse_compiled
from tightrope.training.half_steps import detached, finish_critic, finish_step, last_scalars, placed
from tightrope.training.nonfinite import NonFiniteError, is_finite, locate, stained
from tightrope.training.ranks import together
from tightrope.training.run import Half, Run

PLAYERS = ("generator", "critic")


@together
def joint_step(run: Run, real: Tensor, labels: Tensor | None = None) -> tuple[Half, Half]:
    """Update both players once, in place, by gradients at one point on one batch; ends the step.

    Losses may be corrected (``Simultaneous(correction)``), and extragradient optimisers look ahead first: both their
    halves use this batch and these latents.

    Args:
        run: Advances ``critic_steps``, ``images_seen`` and ``step``.
        real: Real samples ``[batch, *shape]``.
        labels: Classes ``[batch]``; the fakes of both losses are drawn with the same labels.

    Returns:
        The critic's half and the generator's, detached; the gradient norms are of the corrected losses.

    Raises:
        NonFiniteError: Loss or gradient is not finite; no parameter has been updated.
        UserError: It is called inside ``torch.compile``, and the method has a gradient penalty.

    Cost: a forward of the generator per player; with a correction, which evaluates both losses for each player, and
    two backwards through them, about four plain steps; extragradient takes two gradients.
    """
    refuse_compiled(run)
    require(real)
    real, labels = to_device(run, real, labels)
    seen: dict[str, Objective] = {}
    method, players = run.method, (run.generator, run.critic)
    draw, detached = _draw(run, real, labels), not method.play.corrects
    losses = losses_on(method, *players, draw, detached=detached, around=run.autocast, seen=seen)
    descended = method.play.corrected(losses, players)
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
    finish_critic(run, real.shape[0], halves[1])
    finish_step(run)
    return halves[1], halves[0]


def _draw(run: Run, real: Tensor, labels: Tensor | None) -> Draw:
    """One batch with latents of both players; noise and coefficients repeat themselves at every evaluation."""
    factor = run.method.play.generator_batch_factor
    for_critic, for_generator = run.latents(real.shape[0]), run.latents(real.shape[0] * factor)
    noise: Any = restartable(run.rng)
    return Draw(real, for_critic, for_generator, noise, labels, run.critic_steps, run.images_seen)


def _gradients_(
    run: Run, losses: Sequence[Callable[[], Tensor]], seen: dict[str, Objective], real: Tensor
) -> tuple[Half, Half]:
    """Write both players' gradients at the present point into their parameters; nothing moves in between."""
    found: list[tuple[list[Tensor], list[Tensor | None], Tensor]] = []
    both = [*run.generator.parameters(), *run.critic.parameters()]
    across = run.ranks is not None and run.method.play.corrects  # losses of the global batch's gradients
    for loss, optimizer in zip(losses, (run.generator_optimizer, run.critic_optimizer), strict=True):
        every = [p for group in optimizer.param_groups for p in group["params"]]
        for p in every:
            p.grad = None
        parameters = [p for p in every if p.requires_grad]
        known = "joint" in run._reentrant  # such checkpoints are refused at the first step
        with (
            explained(),
            computed_once(run.generator, run.critic, within=run.autocast),
            nullcontext() if known else inputs_with_gradients(run.generator, run.critic),
            run.ranks.averaging(both) if across and run.ranks is not None else nullcontext(),
        ):
            total = loss()
            if not known:
                refuse_reentrant(total)
            with refusing_other_weights(run.generator, run.critic):
                gradients: list[Tensor | None] = [*torch.autograd.grad(total, parameters, allow_unused=True)]
        found.append((parameters, gradients, total.detach()))
    run._reentrant["joint"] = False
    halves = []
    for (parameters, taken, total), player, loss in zip(found, PLAYERS, losses, strict=True):
        for p, gradient in zip(parameters, taken, strict=True):
            p.grad = gradient
        match_strides_(parameters)
        now = dataclasses.replace(detached(seen[player]), total=total)
        if run.ranks is not None:
            now = run.ranks.average_(parameters, now)
        size = gradient_norm(parameters)
        if not is_finite(now.total, size):
            networks = {player: getattr(run, player), "critic": run.critic, "generator": run.generator}
            where = placed(run, partial(locate, networks, loss, samples=real))
            raise NonFiniteError(run.step, player, where, last_scalars(run, player), stained(networks))
        halves.append(Half(now, size))
    return halves[0], halves[1]
