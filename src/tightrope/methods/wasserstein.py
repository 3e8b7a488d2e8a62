"""Wasserstein GANs with clipped weights or a gradient penalty."""

from __future__ import annotations

from functools import partial

from tightrope import constraints, losses, penalties
from tightrope._plumbing.checks import check_bound
from tightrope._plumbing.source import Source
from tightrope.methods.method import Method, Projection
from tightrope.methods.play import Alternating, CriticSteps, WarmUp
from tightrope.optimizers.settings import Adam, RMSprop
from tightrope.penalties import Penalty


def wgan(
    *,
    learning_rate: float = 5e-5,
    bound: float = 0.01,
    n_critic: CriticSteps = 5,
    clip_norm_layers: bool = True,
    clip_biases: bool = True,
    authors_warm_up: bool = False,
) -> Method:
    """Wasserstein GAN: clipped weights, RMSProp, five critic steps.

    Source: Arjovsky et al. 2017 (1701.07875), algorithm 1.
    Departures: none by default; weights are clipped after each critic step, as algorithm 1 orders it (the authors' code
    clips before, so that its generator sees an unclipped critic). ``authors_warm_up`` adds their code's 100 critic
    steps for the first 25 generator steps and at every 500th, which the paper does not mention.

    Args:
        learning_rate: Of both RMSProp optimisers.
        bound: Every critic parameter stays in ``[-bound, bound]``.
        n_critic: Critic steps per generator step, ``"auto"`` for as many as still pay (``training.Pace``).
        clip_norm_layers: Clip the scales of normalisation layers too, as the authors' code does.
        clip_biases: Clip biases too, as the authors' code does.
        authors_warm_up: Use the authors' schedule of critic steps.
    """
    optimizer = RMSprop(learning_rate)
    project = partial(constraints.clip_weights_, bound=bound, norm_layers=clip_norm_layers, biases=clip_biases)
    check_bound(bound, 0.01)
    return Method(
        "wgan",
        losses.wasserstein,
        optimizer,
        optimizer,
        Alternating(n_critic, WarmUp(100, 25, 500) if authors_warm_up else None),
        projection=Projection(project),
        sources=(Source("1701.07875", "algorithm 1"),),
    )


def wgan_gp(
    *,
    learning_rate: float = 1e-4,
    betas: tuple[float, float] = (0.0, 0.9),
    weight: float = 10.0,
    target: float = 1.0,
    one_sided: bool = False,
    n_critic: CriticSteps = 5,
    every: int = 1,
) -> Method:
    """Wasserstein GAN with gradient penalty on interpolates.

    Source: Gulrajani et al. 2017 (1704.00028), algorithm 1.
    Departures: none; the authors' code has beta1 0.5 for its DCGAN and toy runs and weight 0.1 for toys.

    Args:
        learning_rate: Of both Adam optimisers.
        betas: Of both Adam optimisers.
        weight: Of the penalty (lambda).
        target: Gradient norm aimed at.
        one_sided: Punish only larger norms (WGAN-LP).
        n_critic: Critic steps per generator step, ``"auto"`` for as many as still pay (``training.Pace``).
        every: Apply the penalty lazily, every so many critic steps.
    """
    optimizer = Adam(learning_rate, betas)
    penalty = Penalty(
        penalties.gradient_penalty, {"weight": weight, "target": target, "one_sided": one_sided}, every=every
    )
    return Method(
        "wgan_gp",
        losses.wasserstein,
        optimizer,
        optimizer,
        Alternating(n_critic),
        penalties=(penalty,),
        sources=(Source("1704.00028", "algorithm 1"),),
    )


def wgan_ttur(
    *,
    critic_learning_rate: float = 3e-4,
    generator_learning_rate: float = 1e-4,
    betas: tuple[float, float] = (0.0, 0.9),
    weight: float = 10.0,
    n_critic: CriticSteps = 1,
    every: int = 1,
) -> Method:
    """WGAN-GP with two time scales: one critic step, a faster critic.

    Source: Heusel et al. 2017 (1706.08500) and its code for WGAN-GP: rates 3e-4 and 1e-4, one critic step.
    Departures: none.

    Args:
        critic_learning_rate: Of the critic's Adam.
        generator_learning_rate: Of the generator's Adam.
        betas: Of both Adam optimisers.
        weight: Of the gradient penalty.
        n_critic: Critic steps per generator step, ``"auto"`` for as many as still pay (``training.Pace``).
        every: Apply the penalty lazily, every so many critic steps.
    """
    return Method(
        "wgan_ttur",
        losses.wasserstein,
        Adam(critic_learning_rate, betas),
        Adam(generator_learning_rate, betas),
        Alternating(n_critic),
        penalties=(Penalty(penalties.gradient_penalty, {"weight": weight}, every=every),),
        sources=(Source("1706.08500", "its code for WGAN-GP: rates 3e-4 and 1e-4, one critic step"),),
    )
