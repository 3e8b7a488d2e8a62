"""What a method asks each player to minimise, written once: pure functions of networks, batch and random numbers.

Half-steps and joint steps, many seeds stacked by ``torch.func``, small games and the analysis of the vector field all
go through here, so that what is analysed is what is trained.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from tightrope._plumbing.door import inner
from tightrope._plumbing.draws import Rng
from tightrope._plumbing.errors import UserError
from tightrope._plumbing.walk import first_parameter
from tightrope.autodiff import (
    Remembered,
    Scores,
    in_functional_transform,
    labelled,
    lean_derivatives,
    samples_of,
    scores_of,
    twice_differentiable,
)
from tightrope.autodiff.types import Critic, Generator
from tightrope.autodiff.view import taken_by
from tightrope.dynamics import Losses
from tightrope.methods.method import Method
from tightrope.optimizers import Order, Step, extragradient_step, in_sequence, outer_step
from tightrope.optimizers.extragradient import extrapolating

in_functional_transform, lean_derivatives = inner(in_functional_transform), inner(lean_derivatives)
samples_of, scores_of = inner(samples_of), inner(scores_of)


@dataclass(frozen=True)
class Objective:
    """What one player minimises, and the parts it is made of.

    Attributes:
        total: Scalar to differentiate, ``loss + penalty``.
        loss: Adversarial part, scalar.
        penalty: Sum of the penalties that were due, scalar; None where none was.
        d_real: Scores of real samples ``[batch, ...]``, of several critics a list; None where the generator's loss
            needs none.
        d_fake: Scores of fake samples, likewise.
    """

    total: Tensor
    loss: Tensor
    penalty: Tensor | None
    d_real: Scores | None
    d_fake: Scores

    def __repr__(self) -> str:
        """The numbers, and of scores their means: a batch of them would fill the screen."""
        parts = [("total", self.total), ("loss", self.loss), ("penalty", self.penalty)]
        means = [
            (f"mean {name}", None if d is None else mean_score(d))
            for name, d in (("d_real", self.d_real), ("d_fake", self.d_fake))
        ]
        return f"Objective({', '.join(f'{name}={float(v):.6g}' for name, v in (*parts, *means) if v is not None)})"


def mean_score(scores: Scores) -> Tensor:
    """Mean of a critic's scores in float32; of several critics the sum of their means, as losses add over them."""
    parts = [part.float().mean() for part in scores_of(scores)]
    return parts[0] if len(parts) == 1 else torch.stack(parts).sum()


def _scores(output: object) -> Scores:
    """What a critic returned, as an :class:`Objective` keeps it."""
    if isinstance(output, Tensor) and output.is_floating_point():
        return output
    found = scores_of(output)
    return found[0] if len(found) == 1 else list(found)


def _critic_loss(method: Method, scored: Remembered, real: Tensor, fake: Tensor) -> tuple[Tensor, Scores, Scores]:
    d_real, d_fake = _scores(scored(real)), _scores(scored(fake))
    return method.loss.critic(d_real, d_fake), d_real, d_fake


def critic_objective(
    method: Method,
    critic: Critic,
    real: Tensor,
    fake: Tensor,
    *,
    critic_step: int = 0,
    images_seen: int = 0,
    rng: Rng | None = None,
) -> Objective:
    """What the critic minimises: the loss of real against fake scores plus the penalties due at this step.

    Args:
        method: Loss, penalties and perturbation.
        critic: Maps ``[batch, *shape]`` to ``[batch, ...]``, or to a list of such scores; see ``autodiff.View``.
        real: Real samples ``[batch, *shape]``.
        fake: Fake samples ``[batch, *shape]``; detached here, the generator receives nothing.
        critic_step: Number of critic steps taken before this one; decides which lazy penalties are due.
        images_seen: Position on the schedules.
        rng: Source of perturbations and interpolation coefficients.

    Returns:
        The objective, with its graph over the critic's parameters.

    Cost: two forwards of the critic, plus what the penalties say; R1 and R2 share those forwards.
    """
    real, fake = real.detach(), fake.detach()
    if method.perturbation is not None:
        real = method.perturbation(real, images_seen=images_seen, rng=rng)
        fake = method.perturbation(fake, images_seen=images_seen, rng=rng)
    due = [penalty for penalty in method.penalties if penalty.due(critic_step)]
    if due and not in_functional_transform():
        real, fake = real.detach().requires_grad_(), fake.detach().requires_grad_()
    scored = Remembered(critic)
    if not due:
        loss, d_real, d_fake = _critic_loss(method, scored, real, fake)
        return Objective(loss, loss, None, d_real, d_fake)
    with twice_differentiable():
        with lean_derivatives(critic) if any(penalty.at_samples for penalty in due) else nullcontext():
            loss, d_real, d_fake = _critic_loss(method, scored, real, fake)
        penalty = due[0](scored, real, fake, images_seen=images_seen, rng=rng)
        for term in due[1:]:
            penalty = penalty + term(scored, real, fake, images_seen=images_seen, rng=rng)
    return Objective(loss + penalty, loss, penalty, d_real, d_fake)


def generator_objective(
    method: Method,
    generator: Generator,
    critic: Critic,
    z: Tensor,
    *,
    real: Tensor | None = None,
    images_seen: int = 0,
    rng: Rng | None = None,
) -> Objective:
    """What the generator minimises: the loss of the scores of its samples, plus the generator's penalties.

    Args:
        method: Loss, generator penalties and perturbation.
        generator: Maps ``[batch, latent]`` to ``[batch, *shape]``.
        critic: Maps ``[batch, *shape]`` to ``[batch, ...]``.
        z: Latents ``[batch, *latent_shape]``.
        real: Real samples ``[batch, *shape]``; needed by paired losses only.
        images_seen: Position on the schedules.
        rng: Source of perturbations and of the penalties' directions.

    Returns:
        The objective, with its graph over the generator's parameters.

    Raises:
        UserError: A paired loss without real samples.

    Cost: one forward of each network (two of the critic for a paired loss); Jacobian clamping makes the generator's a
    forward of twice the batch, and the critic scores the first half of it.
    """
    penalty = None
    if method.generator_penalties:
        generator = Remembered(generator)
        terms = [term(generator, z, images_seen=images_seen, rng=rng) for term in method.generator_penalties]
        penalty = terms[0] if len(terms) == 1 else torch.stack(terms).sum()
    fake = taken_by(critic, samples_of(generator(z)))
    d_real = None
    if method.loss.paired:
        if real is None:
            raise UserError(f"The {method.loss.name} loss pairs fake with real samples; pass a batch as `real`.")
        if method.perturbation is not None:
            real = method.perturbation(real, images_seen=images_seen, rng=rng)
        d_real = _scores(critic(real))
    if method.perturbation is not None:
        fake = method.perturbation(fake, images_seen=images_seen, rng=rng)
    d_fake = _scores(critic(fake))
    loss = method.loss.generator(d_fake, d_real)
    return Objective(loss if penalty is None else loss + penalty, loss, penalty, d_real, d_fake)


@dataclass(frozen=True)
class Draw:
    """What one evaluation of the game is made of: samples, latents, randomness, and where training stands.

    Attributes:
        real: Real samples ``[batch, *shape]``.
        for_critic: Latents of the fakes that the critic judges ``[batch, latent]``.
        for_generator: Latents of the fakes that the generator is judged by ``[batch * factor, latent]``.
        noise: A generator in the same state at every call, so that every evaluation sees one and the same game.
        labels: Classes ``[batch]``, for conditional networks; repeated for a larger generator batch.
        critic_step: Decides which lazy penalties are due; 0 for all.
        images_seen: Position on the schedules.
    """

    real: Tensor
    for_critic: Tensor
    for_generator: Tensor
    noise: Callable[[], torch.Generator]
    labels: Tensor | None = None
    critic_step: int = 0
    images_seen: int = 0


def losses_on(
    method: Method,
    generator: nn.Module,
    critic: nn.Module,
    draw: Draw,
    *,
    detached: bool = False,
    around: Callable[[], AbstractContextManager[object]] = nullcontext,
    seen: dict[str, Objective] | None = None,
) -> tuple[Callable[[], Tensor], Callable[[], Tensor]]:
    """``(generator_loss, critic_loss)`` of a method on one draw, before any correction of both together.

    Args:
        method: Losses, penalties and perturbation.
        generator: Player 0.
        critic: Player 1.
        draw: What they are evaluated on.
        detached: Draw the critic's fakes without a graph: less memory, but nothing can look through to the generator.
        around: Entered around each evaluation, for precision.
        seen: Where each evaluation leaves its objective, under ``"generator"`` and ``"critic"``.
    """
    labels = draw.labels
    repeated = None if labels is None else labels.repeat(len(draw.for_generator) // len(draw.real))
    record: dict[str, Objective] = {} if seen is None else seen

    def generator_loss() -> Tensor:
        with around():
            record["generator"] = generator_objective(
                method,
                labelled(generator, repeated),
                labelled(critic, repeated),
                draw.for_generator,
                real=draw.real,
                images_seen=draw.images_seen,
                rng=draw.noise(),
            )
        return record["generator"].total

    def critic_loss() -> Tensor:
        with around():
            with torch.no_grad() if detached else nullcontext():
                fake = samples_of(labelled(generator, labels)(draw.for_critic)).to(draw.real.dtype)
            record["critic"] = critic_objective(
                method,
                labelled(critic, labels),
                draw.real,
                fake,
                critic_step=draw.critic_step,
                images_seen=draw.images_seen,
                rng=draw.noise(),
            )
        return record["critic"].total

    return generator_loss, critic_loss


def game_of(
    method: Method,
    generator: nn.Module,
    critic: nn.Module,
    real: Tensor,
    *,
    latent: int,
    seed: int = 0,
    labels: Tensor | None = None,
    critic_step: int = 0,
    images_seen: int = 0,
) -> Losses:
    """The losses ``(generator_loss, critic_loss)`` that a method trains two networks by, on one fixed batch.

    They are the training objectives themselves, corrections such as consensus included, so what is analysed is what is
    trained. Latents are drawn once; noise and interpolation coefficients are drawn anew from the same seed at every
    evaluation. One batch is one sample of the game: compare a few, see ``eigenvalues(..., batches=)``.

    Args:
        method: Loss, penalties and perturbation.
        generator: Player 0.
        critic: Player 1.
        real: Real samples ``[batch, *shape]``.
        latent: Size of the latents.
        seed: Of latents, noise and coefficients.
        labels: Classes ``[batch]``, for conditional networks.
        critic_step: Decides which lazy penalties are due; 0 for all.
        images_seen: Position on the schedules.

    Returns:
        Two functions without arguments; the players are ``(generator, critic)``.
    """
    rng = torch.Generator().manual_seed(seed)
    like = first_parameter(generator)
    for_critic, for_generator = (
        torch.randn(n, latent, generator=rng).to(device=like.device, dtype=like.dtype)
        for n in (len(real), len(real) * method.play.generator_batch_factor)
    )
    draw = Draw(
        taken_by(critic, real.to(device=like.device)),
        for_critic,
        for_generator,
        lambda: torch.Generator().manual_seed(seed + 1),
        labels,
        critic_step,
        images_seen,
    )
    losses = losses_on(method, generator, critic, draw, around=twice_differentiable)
    return method.play.corrected(losses, (generator, critic))


def step_of(
    method: Method,
    losses: Losses,
    players: tuple[nn.Module, nn.Module],
    optimizers: Sequence[torch.optim.Optimizer],
    *,
    step: int = 0,
    order: Order | None = None,
) -> Step:
    """One whole step of a method, in place: who moves when, look-aheads, projections; with lookahead a cycle of ``k``.

    Penalties and projections are due at each critic step.

    Args:
        method: Its play and projection.
        losses: What is descended, see :func:`game_of`.
        players: ``(generator, critic)``.
        optimizers: The generator's, the critic's, and lookahead's if there is one.
        step: Number of the step, which a warm-up of critic steps depends on.
        order: Another order than the method's own.
    """
    generator_optimizer, critic_optimizer, *slow = optimizers
    both = (generator_optimizer, critic_optimizer)
    order = method.play.order(step) if order is None else order
    project = {} if method.projection is None else {1: partial(method.projection, players[1])}
    taken: Step
    if any(extrapolating(optimizer) for optimizer in both):
        taken = in_sequence(extragradient_step(losses, players, both, order), *project.values())
    else:
        taken = outer_step(losses, players, both, order, project=project)
    for outer in slow:
        taken = in_sequence(*(taken, outer.step) * int(outer.param_groups[0]["k"]))
    return taken
