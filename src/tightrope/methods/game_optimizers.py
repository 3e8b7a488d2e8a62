"""Methods whose update rule knows that training is a game: corrections of both losses, look-aheads, averages."""

from __future__ import annotations

import math
from functools import partial
from typing import Literal

from tightrope import losses, optimizers, penalties
from tightrope._plumbing.checks import check_number
from tightrope._plumbing.errors import UserError
from tightrope._plumbing.source import Source
from tightrope._plumbing.words import one_of
from tightrope.methods._hyperparameters import refuse_idle
from tightrope.methods.method import Method
from tightrope.methods.play import Alternating, Simultaneous
from tightrope.optimizers.settings import (
    Adam,
    ExtraAdam,
    ExtraSGD,
    Lookahead,
    Momentum,
    OptimisticAdam,
    OptimisticSGD,
    RMSprop,
    UpdateRule,
)
from tightrope.penalties import Penalty

_LOSSES = ("non_saturating", "minimax", "least_squares")


def consensus(
    *,
    gamma: float = 10.0,
    learning_rate: float = 1e-4,
    alpha: float = 0.9,
    loss: Literal["non_saturating", "minimax", "least_squares"] = "non_saturating",
) -> Method:
    """Consensus optimisation: both players also descend the squared length of the game's gradient field.

    The result is local: near an equilibrium rotation becomes contraction, but away from it the correction also attracts
    to points where the gradient is merely flat; on the Dirac-GAN with gamma 1 and five critic steps the start (1, 1)
    ends at such a point (``docs/convergence.md``). On batches the squared length is biased upwards by their noise.

    Source: Mescheder et al. 2017 (1705.10461), algorithm 2: gamma 10, RMSProp 1e-4, both players at once.
    Departures: smoothing 0.9 is TensorFlow's default; epsilon is torch's 1e-8. Costs about four times a plain step.

    Args:
        gamma: Weight of ``gamma/2 |v|^2``.
        learning_rate: Of both RMSProp optimisers.
        alpha: Smoothing of RMSProp.
        loss: ``"non_saturating"``, ``"minimax"`` or ``"least_squares"``.
    """
    check_number("gamma", gamma, 10)
    one_of("loss", loss, _LOSSES)
    optimizer = RMSprop(learning_rate, alpha)
    correction = partial(optimizers.consensus, gamma=gamma)
    return Method(
        "consensus",
        losses.LOSSES[loss],
        optimizer,
        optimizer,
        Simultaneous(correction),
        sources=(Source("1705.10461", "algorithm 2: gamma 10, RMSProp 1e-4, both players at once"),),
    )


def symplectic(
    *,
    weight: float = 1.0,
    align: bool = True,
    learning_rate: float = 1e-4,
    alpha: float = 0.9,
    loss: Literal["non_saturating", "minimax", "least_squares"] = "non_saturating",
) -> Method:
    """Symplectic gradient adjustment: the antisymmetric part of the game's Hessian is added to the gradient.

    The result is local, to stable fixed points; on a pure rotation it equals consensus optimisation.

    Source: Balduzzi et al. 2018 (1802.05642), algorithm 1: RMSProp 1e-4, weight 1, sign aligned, both players at once.
    Departures: smoothing 0.9 is TensorFlow's default; the non-saturating loss is ours. Their experiments are mixtures.

    Args:
        weight: ``lambda``.
        align: Choose the sign that does not repel from stable points.
        learning_rate: Of both RMSProp optimisers.
        alpha: Smoothing of RMSProp.
        loss: ``"non_saturating"``, ``"minimax"`` or ``"least_squares"``.
    """
    check_number("weight", weight, 1, least=-math.inf)
    one_of("loss", loss, _LOSSES)
    optimizer = RMSprop(learning_rate, alpha)
    correction = partial(optimizers.symplectic, weight=weight, align=align)
    return Method(
        "symplectic",
        losses.LOSSES[loss],
        optimizer,
        optimizer,
        Simultaneous(correction),
        sources=(Source("1802.05642", "algorithm 1: RMSProp 1e-4, weight 1, sign aligned, both players at once"),),
    )


def extra_adam(
    *,
    critic_learning_rate: float = 5e-4,
    generator_learning_rate: float = 5e-5,
    betas: tuple[float, float] = (0.5, 0.9),
    weight: float = 10.0,
    rule: Literal["adam", "sgd"] = "adam",
    every: int = 1,
) -> Method:
    """WGAN-GP by extragradient: both players look ahead by one step and move by the gradients found there.

    What is proven is for monotone games and, near an equilibrium, for games like them; Adam is outside the proof.

    Source: Gidel et al. 2019 (1802.10551), algorithm 4 and its code for ResNets: rates 5e-4 and 5e-5, betas (0.5, 0.9),
    penalty weight 10.
    Departures: both halves of a step use one batch and the same latents; theirs draws a new batch for each.

    Args:
        critic_learning_rate: Of the critic.
        generator_learning_rate: Of the generator.
        betas: Of both Adams.
        weight: Of the gradient penalty.
        rule: ``"adam"``, or ``"sgd"`` for plain extragradient steps.
        every: Apply the penalty lazily, every so many critic steps.
    """
    one_of("rule", rule, ("adam", "sgd"))
    refuse_idle(extra_adam, {"betas": betas}, {"betas": (rule == "adam", "rule 'adam'")})

    def extrapolating(rate: float) -> UpdateRule:
        return ExtraAdam(rate, betas) if rule == "adam" else ExtraSGD(rate)

    return Method(
        "extra_adam",
        losses.wasserstein,
        extrapolating(critic_learning_rate),
        extrapolating(generator_learning_rate),
        Simultaneous(),
        penalties=(Penalty(penalties.gradient_penalty, {"weight": weight}, every=every),),
        sources=(Source("1802.10551", "algorithm 4 and its code for ResNets"),),
    )


def optimistic_adam(
    *,
    learning_rate: float = 1e-4,
    betas: tuple[float, float] = (0.5, 0.9),
    weight: float = 10.0,
    rule: Literal["adam", "sgd"] = "adam",
    order: Literal["simultaneous", "alternating"] = "simultaneous",
    n_critic: int = 1,
    every: int = 1,
) -> Method:
    """WGAN-GP by optimistic steps: the next gradient is predicted by the change since the last one.

    What is proven is for bilinear games with exact gradients; Adam is outside the proof.

    Source: Daskalakis et al. 2018 (1711.00141), algorithm 1: rate 1e-4, betas (0.5, 0.9), one critic step.
    Departures: the first step is an ordinary Adam step (theirs is twice one).

    Args:
        learning_rate: Of both players.
        betas: Of both Adams.
        weight: Of the gradient penalty.
        rule: ``"adam"``, or ``"sgd"`` for plain optimistic steps.
        order: ``"simultaneous"`` or ``"alternating"``.
        n_critic: Critic steps per generator step, in alternating order.
        every: Apply the penalty lazily, every so many critic steps.

    Raises:
        UserError: An unknown choice, an option that the choices leave unread, or several critic steps at once.
    """
    one_of("rule", rule, ("adam", "sgd"))
    refuse_idle(optimistic_adam, {"betas": betas}, {"betas": (rule == "adam", "rule 'adam'")})
    one_of("order", order, ("simultaneous", "alternating"))
    if order == "simultaneous" and n_critic != 1:
        raise UserError(
            f"Both players at once means one critic step per step: expected n_critic 1, got {n_critic}; use "
            "order='alternating'."
        )
    optimizer = OptimisticAdam(learning_rate, betas) if rule == "adam" else OptimisticSGD(learning_rate)
    return Method(
        "optimistic_adam",
        losses.wasserstein,
        optimizer,
        optimizer,
        Alternating(n_critic) if order == "alternating" else Simultaneous(),
        penalties=(Penalty(penalties.gradient_penalty, {"weight": weight}, every=every),),
        sources=(Source("1711.00141", "algorithm 1: rate 1e-4, betas (0.5, 0.9), one critic step"),),
    )


def negative_momentum(
    *,
    momentum: float = -0.5,
    learning_rate: float = 1e-2,
    n_critic: int = 1,
    loss: Literal["non_saturating", "minimax", "least_squares"] = "minimax",
) -> Method:
    """Alternating gradient descent with negative momentum.

    The result is for alternating steps on bilinear games, where it contracts, and local elsewhere.

    Source: Gidel et al. 2019 (1807.04740), momentum -0.5 in alternating steps.
    Departures: the rate is ours; their image experiments use Adam with a negative first beta, which is not this.

    Args:
        momentum: In (-1, 1); 0.5 to 0.9 is the usual sign.
        learning_rate: Of both players.
        n_critic: Critic steps per generator step.
        loss: ``"non_saturating"``, ``"minimax"`` or ``"least_squares"``.
    """
    one_of("loss", loss, _LOSSES)
    optimizer = Momentum(learning_rate, momentum)
    return Method(
        "negative_momentum",
        losses.LOSSES[loss],
        optimizer,
        optimizer,
        Alternating(n_critic),
        sources=(Source("1807.04740", "momentum -0.5 in alternating steps"),),
    )


def lookahead(
    *,
    k: int = 5,
    share: float = 0.5,
    learning_rate: float = 2e-4,
    betas: tuple[float, float] = (0.5, 0.999),
    n_critic: int = 1,
    loss: Literal["non_saturating", "minimax", "least_squares"] = "non_saturating",
) -> Method:
    """Lookahead-minimax: every k steps both players return part of the way to where they were.

    The result is local: it contracts where the steps between two averages merely turn; where they diverge fast enough
    it does not help.

    Source: Chavdarova et al. 2021 (2006.14567), algorithm 1: k 5, alpha 0.5, over alternating Adam.
    Departures: the steps in between are those of ``dcgan``. Samples come from the average over all steps, not only
    over the slow weights.

    Args:
        k: Steps between two averages.
        share: Of the way towards the fast weights that is kept (the paper's alpha).
        learning_rate: Of both Adam optimisers.
        betas: Of both Adam optimisers.
        n_critic: Critic steps per generator step.
        loss: ``"non_saturating"``, ``"minimax"`` or ``"least_squares"``.
    """
    one_of("loss", loss, _LOSSES)
    optimizer = Adam(learning_rate, betas)
    return Method(
        "lookahead",
        losses.LOSSES[loss],
        optimizer,
        optimizer,
        Alternating(n_critic, lookahead=Lookahead(k, share)),
        sources=(Source("2006.14567", "algorithm 1: k 5, alpha 0.5, over alternating Adam"),),
    )
