"""The two half-steps as pure functions of networks, batch and random numbers: no state, no optimiser, no logging.

Everything that trains goes through these two: one run, many seeds stacked by ``torch.func``, several devices, and the
analysis of the game's vector field, so that what is analysed is what is trained.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tightrope._plumbing.errors import UserError
from tightrope.autodiff import Scored, bind, in_functional_transform
from tightrope.autodiff.types import Critic, Generator
from tightrope.dynamics import Losses
from tightrope.methods.method import Method
from tightrope.penalties.clamping import Remembering


@dataclass(frozen=True)
class Objective:
    """What one player minimises, and the parts it is made of.

    Attributes:
        total: Scalar to differentiate, ``loss + penalty``.
        loss: Adversarial part, scalar.
        penalty: Sum of the penalties that were due, scalar; None where none was.
        d_real: Scores of real samples ``[batch, ...]``; None where the generator's loss needs none.
        d_fake: Scores of fake samples ``[batch, ...]``.
    """

    total: Tensor
    loss: Tensor
    penalty: Tensor | None
    d_real: Tensor | None
    d_fake: Tensor


def critic_objective(
    method: Method,
    critic: Critic,
    real: Tensor,
    fake: Tensor,
    *,
    critic_step: int = 0,
    images_seen: int = 0,
    rng: torch.Generator | None = None,
) -> Objective:
    """What the critic minimises: the loss of real against fake scores plus the penalties due at this step.

    Args:
        method: Loss, penalties and perturbation.
        critic: Maps ``[batch, *shape]`` to ``[batch, ...]``.
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
    scored = Scored(critic)
    d_real, d_fake = scored(real), scored(fake)
    loss = method.loss.critic(d_real, d_fake)
    if not due:
        return Objective(loss, loss, None, d_real, d_fake)
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
    rng: torch.Generator | None = None,
) -> Objective:
    """What the generator minimises: the loss of the scores of its samples, plus the generator's penalties.

    Args:
        method: Loss, generator penalties and perturbation.
        generator: Maps ``[batch, latent]`` to ``[batch, *shape]``.
        critic: Maps ``[batch, *shape]`` to ``[batch, ...]``.
        z: Latents ``[batch, latent]``.
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
        generator = Remembering(generator)
        terms = [term(generator, z, images_seen=images_seen, rng=rng) for term in method.generator_penalties]
        penalty = terms[0] if len(terms) == 1 else torch.stack(terms).sum()
    fake = generator(z)
    if fake.dtype in (torch.bfloat16, torch.float16):
        fake = fake.float()
    d_real = None
    if method.loss.paired:
        if real is None:
            raise UserError(f"The {method.loss.name} loss pairs fake with real samples; pass a batch as `real`.")
        if method.perturbation is not None:
            real = method.perturbation(real, images_seen=images_seen, rng=rng)
        d_real = critic(real)
    if method.perturbation is not None:
        fake = method.perturbation(fake, images_seen=images_seen, rng=rng)
    d_fake = critic(fake)
    loss = method.loss.generator(d_fake, d_real)
    return Objective(loss if penalty is None else loss + penalty, loss, penalty, d_real, d_fake)


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
    trained. Latents are drawn once; noise
    and interpolation coefficients are drawn anew from the same seed at every evaluation. One batch is one sample of
    the game: compare a few, see ``eigenvalues(..., batches=)``.

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
    like = next(generator.parameters())
    for_critic, for_generator = (
        torch.randn(len(real), latent, generator=rng).to(device=like.device, dtype=like.dtype) for _ in range(2)
    )
    real = real.to(device=like.device, dtype=like.dtype)
    G, D = bind(generator, labels), bind(critic, labels)

    def noise() -> torch.Generator:
        return torch.Generator().manual_seed(seed + 1)

    def generator_loss() -> Tensor:
        return generator_objective(method, G, D, for_generator, real=real, images_seen=images_seen, rng=noise()).total

    def critic_loss() -> Tensor:
        position = {"critic_step": critic_step, "images_seen": images_seen}
        return critic_objective(method, D, real, G(for_critic), rng=noise(), **position).total

    losses: Losses = (generator_loss, critic_loss)
    return losses if method.correction is None else method.correction(losses, (generator, critic))
