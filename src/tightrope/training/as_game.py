"""Game dynamics of what is trained: a Method with its networks, or a run, as the losses and players of `dynamics`."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from tightrope.dynamics import Losses
from tightrope.methods import Alternating
from tightrope.methods.game import game_of, step_of
from tightrope.optimizers import Step
from tightrope.training import Run


def run_game(run: Run, real: Tensor, *, labels: Tensor | None = None, seed: int = 0) -> Losses:
    """:func:`game_of` a run where it stands; the players are ``(run.generator, run.critic)``.

    Args:
        run: In fp32; nothing in it changes.
        real: Real samples ``[batch, *shape]``.
        labels: Classes ``[batch]``, for conditional networks.
        seed: Of latents, noise and coefficients.
    """
    return game_of(
        run.method,
        run.generator,
        run.critic,
        real,
        latent=run.latent,
        seed=seed,
        labels=labels,
        images_seen=run.images_seen,
    )


def run_step(run: Run, real: Tensor, *, labels: Tensor | None = None, seed: int = 0) -> Step:
    """One whole step of a run with its own optimisers, for ``dynamics.predict`` and ``dynamics.update_jacobian``.

    All critic steps see the same batch and latents, and penalties and projections are due at each of them. Both players
    move at once, or look ahead, where the method does; with lookahead a step is a whole cycle of ``k`` steps. Calling
    the step changes the networks and optimisers without counting; the functions of ``dynamics`` undo it.

    Args:
        run: In fp32.
        real: Real samples ``[batch, *shape]``.
        labels: Classes ``[batch]``, for conditional networks.
        seed: Of latents, noise and coefficients.
    """
    game = run_game(run, real, labels=labels, seed=seed)
    method = run.method
    if run.pace is not None:
        assert isinstance(method.play, Alternating)  # which alone lets a run choose its critic steps
        method = replace(method, play=replace(method.play, n_critic=run.pace.due))
    return step_of(method, game, (run.generator, run.critic), run_optimizers(run), step=run.step)


def run_optimizers(run: Run) -> tuple[torch.optim.Optimizer, ...]:
    """The optimisers whose memory a run's step carries over: the generator's, the critic's, and lookahead's."""
    slow = () if run.lookahead is None else (run.lookahead,)
    return run.generator_optimizer, run.critic_optimizer, *slow
