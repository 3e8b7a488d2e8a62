"""The two half-steps: ``tightrope.methods.game`` plus an optimiser, in place on a Run."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from tightrope._plumbing.door import inner
from tightrope._plumbing.errors import UserError
from tightrope.autodiff import Scores, frozen, gradient_norm, labelled
from tightrope.autodiff.guard import computed_once
from tightrope.methods.game import Objective, critic_objective, generator_objective, mean_score
from tightrope.methods.play import Play, Simultaneous
from tightrope.optimizers._bare import step_
from tightrope.optimizers.strides import match_strides_
from tightrope.perturbations import adaptive_of
from tightrope.training.average import decay_for, update_average_
from tightrope.training.batches import require, to_device
from tightrope.training.checkpointing import (
    explained,
    inputs_with_gradients,
    is_reentrant,
    refusing_other_weights,
)
from tightrope.training.compiled import refuse_compiled
from tightrope.training.late import can_skip
from tightrope.training.nonfinite import NonFiniteError, is_finite, locate, stained
from tightrope.training.ranks import together
from tightrope.training.run import Half, Run, trained

labelled, gradient_norm, adaptive_of = inner(labelled), inner(gradient_norm), inner(adaptive_of)


@together
def critic_step(run: Run, real: Tensor, labels: Tensor | None = None) -> Half:
    """Update the critic once, in place. The generator's graph is never built.

    Args:
        run: Advances ``critic_steps`` and ``images_seen``.
        real: Real samples ``[batch, *shape]``.
        labels: Classes ``[batch]``; the fakes are drawn with the same labels.

    Returns:
        What was computed, detached.

    Raises:
        NonFiniteError: Loss or gradient is not finite; no parameter has moved (batch-norm statistics may have).
        UserError: It is called inside ``torch.compile``, and the method has a gradient penalty.

    Example:
        >>> from tightrope import methods, training
        >>> generator, critic = nn.Linear(4, 2), nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 1))
        >>> run = training.start(methods.build("r1"), generator, critic, seed=0, latent=4, shape=(2,))
        >>> half = training.critic_step(run, torch.randn(16, 2))
        >>> sorted(training.scalars(half)), run.critic_steps, run.step
        (['d_fake', 'd_real', 'gradient_norm', 'loss', 'penalty'], 1, 0)
    """
    refuse_compiled(run)
    require(real)
    _require_alternating(run.method.name, run.method.play)
    real, labels = to_device(run, real, labels)
    z = run.latents(real.shape[0])

    def fakes() -> Tensor:
        with torch.no_grad(), run.autocast(), parametrize.cached():
            return labelled(run.generator, labels)(z).to(real.dtype)

    def objective(fake: Tensor) -> Objective:
        critic = labelled(run.critic, labels)
        position = {"critic_step": run.critic_steps, "images_seen": run.images_seen}
        return critic_objective(run.method, critic, real, fake, rng=run.rng, **position)

    fake = fakes()
    before = None if run.pace is None else run.pace.places(trained(run.critic_optimizer))
    half = _update(
        run,
        "critic",
        run.critic,
        run.critic_optimizer,
        lambda: objective(fake),
        again=lambda: objective(fakes()),
        samples=real,
    )
    finish_critic(run, real.shape[0], half)
    if run.pace is not None and before is not None:
        run.pace.observe(trained(run.critic_optimizer), before, half.objective.loss)
    return half


@together
def generator_step(run: Run, real: Tensor | None = None, labels: Tensor | None = None) -> Half:
    """Update the generator once and move its average, in place; ends the step.

    Args:
        run: Advances ``step``.
        real: Real samples ``[batch, *shape]``, needed by paired losses only.
        labels: Classes to generate ``[batch]``, for conditional networks; repeated for a larger generator batch.

    Returns:
        What was computed, detached.

    Raises:
        NonFiniteError: Loss or gradient is not finite; no parameter has moved (batch-norm statistics may have).
    """
    _require_alternating(run.method.name, run.method.play)
    real, labels = to_device(run, real, labels)
    factor = run.method.play.generator_batch_factor
    labels = labels.repeat(factor) if labels is not None else None
    n = real.shape[0] if real is not None and run.method.loss.paired else run.local_batch_size * factor
    z = run.latents(n if labels is None else labels.shape[0])

    def objective() -> Objective:
        generator, critic = labelled(run.generator, labels), labelled(run.critic, labels)
        return generator_objective(
            run.method, generator, critic, z, real=real, images_seen=run.images_seen, rng=run.rng
        )

    with frozen(run.critic):
        half = _update(
            run, "generator", run.generator, run.generator_optimizer, objective, again=objective, samples=real
        )
    finish_step(run)
    return half


def finish_critic(run: Run, images: int, half: Half) -> None:
    """What follows the critic's step on so many images here: counters, projection and strength of augmentations."""
    run.critic_steps += 1
    projection = run.method.projection
    if projection is not None and projection.due(run.critic_steps):
        projection(run.critic)
    run.images_seen += images if run.ranks is None else images * run.ranks.count
    adaptive = adaptive_of(run.method.perturbation)
    if adaptive is not None:
        adaptive.observe(half.objective.d_real)


def finish_step(run: Run) -> None:
    """What ends a whole step: lookahead, the generator's average, the pace and the counter, in place."""
    if run.lookahead is not None:
        run.lookahead.step()
    decay = decay_for(
        run.images_seen - run._averaged_at,
        run.images_seen,
        half_life_images=run.ema_half_life_images,
        ramp_up=run.ema_ramp_up,
    )
    update_average_(run.average, run.generator, decay)
    run._averaged_at = run.images_seen
    if run.pace is not None:
        run.pace.decide()
    run.step += 1


def _update(
    run: Run,
    player: str,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    objective: Callable[[], Objective],
    *,
    again: Callable[[], Objective],
    samples: Tensor | None,
) -> Half:
    """Descend one objective; ``again`` repeats all of it, fakes included, to find what is not finite."""
    settings = run.method.critic_optimizer if player == "critic" else run.method.generator_optimizer
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for p in parameters:
        p.grad = None
    now = _differentiated(run, player, network, objective, [p for p in parameters if p.requires_grad])
    match_strides_(parameters)
    if run.ranks is not None:
        now = run.ranks.average_([p for p in parameters if p.requires_grad], now)
    size = gradient_norm(parameters)
    before = run.counters, dict(run._last)

    def failed() -> NonFiniteError:
        run.counters, run._last = before
        networks = {player: network, "critic": run.critic, "generator": run.generator}
        where = placed(run, lambda: locate(networks, lambda: again().total, samples=samples))
        return NonFiniteError(run.step, player, where, last_scalars(run, player), stained(networks))

    late = run.late_checks and run.ranks is None and can_skip(optimizer)
    run.settle()
    if not late and not is_finite(now.total, size):
        raise failed()
    settings.schedule_(optimizer, run.images_seen)
    if late:
        run._unread.step(optimizer, now.total.detach() + size, failed)
    else:
        step_(optimizer)
    half = Half(detached(now), size)
    run._last[player] = half
    return half


def _differentiated(
    run: Run, player: str, network: nn.Module, objective: Callable[[], Objective], parameters: list[Tensor]
) -> Objective:
    """The objective, after its backward into the gradients of ``parameters``."""
    networks = (run.critic,) if player == "critic" else (run.generator, run.critic)
    reentrant = run._reentrant.get(player)  # None before the first step, which finds out
    with explained():
        with (
            computed_once(*networks, within=run.autocast),
            nullcontext() if reentrant is False else inputs_with_gradients(network),
        ):
            with run.autocast():
                now = objective()
            if reentrant is None:
                reentrant = run._reentrant[player] = is_reentrant(now.total)
            if not reentrant:
                with refusing_other_weights(*networks):
                    now.total.backward(inputs=parameters)
        if reentrant:  # its recomputation must not meet weights whose graph another one has used up
            with refusing_other_weights(*networks):
                now.total.backward()
    return now


def placed(run: Run, locate: Callable[[], str]) -> str:
    """Where a value is not finite, on whichever rank it is."""
    return locate() if run.ranks is None else run.ranks.first(locate)


def _require_alternating(name: str, play: Play) -> None:
    if isinstance(play, Simultaneous):
        raise UserError(
            f"The method {name} moves both players at once: expected training.joint_step(run, real), got a "
            "half-step; or build the method with order='alternating' where it has one."
        )


def last_scalars(run: Run, player: str) -> dict[str, float]:
    """Numbers of a player's last half-step, none before the first."""
    return scalars(run._last[player]) if player in run._last else {}


def detached(objective: Objective) -> Objective:
    """An objective without its graph."""
    penalty = None if objective.penalty is None else objective.penalty.detach()
    d_real = None if objective.d_real is None else _detached(objective.d_real)
    return Objective(objective.total.detach(), objective.loss.detach(), penalty, d_real, _detached(objective.d_fake))


def _detached(scores: Scores) -> Scores:
    return scores.detach() if isinstance(scores, Tensor) else [part.detach() for part in scores]


def scalars(half: Half) -> dict[str, float]:
    """Loss, penalty, mean scores and gradient norm of a half-step as plain numbers (this waits for the device)."""
    objective = half.objective
    found: dict[str, Scores | None]
    found = {"loss": objective.loss, "penalty": objective.penalty, "gradient_norm": half.gradient_norm}
    found |= {"d_real": objective.d_real, "d_fake": objective.d_fake}
    return {name: float(mean_score(value)) for name, value in found.items() if value is not None}
