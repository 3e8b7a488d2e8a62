"""Methods with zero-centred gradient penalties: R1, R2, and both with relativistic pairing."""

from __future__ import annotations

import math
from numbers import Real
from typing import Literal

from tightrope import losses, penalties
from tightrope._plumbing.errors import UserError
from tightrope._plumbing.source import Source
from tightrope._plumbing.words import one_of
from tightrope.autodiff.types import PenaltyFunction
from tightrope.methods._hyperparameters import ramps, refuse_idle
from tightrope.methods.method import Method
from tightrope.methods.play import Alternating
from tightrope.optimizers.settings import SGD, Adam, RMSprop
from tightrope.penalties import Penalty
from tightrope.schedules import Value


def r1(
    *,
    gamma: float = 10.0,
    learning_rate: float = 1e-4,
    optimizer: Literal["rmsprop", "adam", "sgd"] = "rmsprop",
    betas: tuple[float, float] = (0.0, 0.99),
    alpha: float = 0.99,
    n_critic: int = 1,
    every: int = 1,
    at: Literal["real", "fake", "both"] = "real",
    approximate: bool = False,
    sigma: float = 0.01,
) -> Method:
    """Non-saturating loss with the zero-centred gradient penalty at real samples.

    Source: Mescheder et al. 2018 (1801.04406), eq. 9, section 5: gamma 10, RMSProp 1e-4, one critic step.
    Departures: none against the paper; the authors' code multiplies by ``reg_param`` 10 without the half, which is
    gamma 20 here.

    Args:
        gamma: Weight of ``gamma/2 E ||grad D||^2``.
        learning_rate: Of both optimisers.
        optimizer: ``"rmsprop"``, ``"adam"`` or ``"sgd"``, for both players.
        betas: Of Adam.
        alpha: Smoothing of RMSProp.
        n_critic: Critic steps per generator step.
        every: Apply the penalty lazily, every so many critic steps.
        at: Penalise at real samples (R1), fake samples (R2), or both.
        approximate: Use the finite-difference form; noisy, see ``penalties.finite_difference_r1``.
        sigma: Step of the finite-difference form.

    Raises:
        UserError: A word is unknown, a hyperparameter would not be read, or ``sigma`` is no positive number.
    """
    one_of("at", at, ("real", "fake", "both"))
    one_of("optimizer", optimizer, ("rmsprop", "adam", "sgd"))
    reads = {
        "betas": (optimizer == "adam", "optimizer 'adam'"),
        "alpha": (optimizer == "rmsprop", "optimizer 'rmsprop'"),
    }
    reads |= {"sigma": (approximate, "approximate=True")}
    refuse_idle(r1, {"betas": betas, "alpha": alpha, "sigma": sigma}, reads)
    if approximate and not (isinstance(sigma, Real) and 0 < sigma < math.inf):
        raise UserError(f"Expected a step sigma > 0, finite, got {sigma!r}; 0.01 is the published value.")
    settings = {
        "rmsprop": RMSprop(learning_rate, alpha),
        "adam": Adam(learning_rate, betas),
        "sgd": SGD(learning_rate),
    }[optimizer]
    at_real: PenaltyFunction = penalties.finite_difference_r1 if approximate else penalties.r1
    at_fake: PenaltyFunction = penalties.finite_difference_r2 if approximate else penalties.r2
    hyperparameters: dict[str, Value] = {"gamma": gamma, "sigma": sigma} if approximate else {"gamma": gamma}
    chosen = {"real": (at_real,), "fake": (at_fake,), "both": (at_real, at_fake)}[at]
    terms = tuple(Penalty(function, hyperparameters, every=every) for function in chosen)
    return Method(
        "r1",
        losses.non_saturating,
        settings,
        settings,
        Alternating(n_critic),
        penalties=terms,
        sources=(Source("1801.04406", "eq. 9, section 5: gamma 10, RMSProp 1e-4, one critic step"),),
    )


def r3gan(
    *,
    gamma: float = 0.05,
    gamma_final: float | None = None,
    learning_rate: float = 2e-4,
    learning_rate_final: float | None = None,
    beta2: float = 0.9,
    beta2_final: float | None = None,
    schedule_images: int | None = None,
    n_critic: int = 1,
    every: int = 1,
) -> Method:
    """Relativistic pairing with R1 and R2 at every step, Adam without momentum.

    Source: Huang et al. 2025 (2501.05441) and its code's CIFAR-10 settings: gamma 0.05, Adam (0, 0.9), rate 2e-4.
    Departures: constant by default. The authors' cosine schedules over 2e7 images are
    ``gamma_final=0.005, learning_rate_final=5e-5, beta2_final=0.99, schedule_images=20_000_000``. Their networks,
    batch of 512 and augmentation are not part of the method here. The paper's equation is saturating; its code, and
    this, trains the non-saturating form.

    Args:
        gamma: Weight of R1 and of R2, each with the half.
        gamma_final: Cosine schedule to this weight.
        learning_rate: Of both Adam optimisers.
        learning_rate_final: Cosine schedule to this rate.
        beta2: Of both Adam optimisers.
        beta2_final: Cosine schedule to this value.
        schedule_images: Length of the schedules in real images.
        n_critic: Critic steps per generator step.
        every: Apply the penalties lazily, every so many critic steps.
    """
    weight, rate, decay = ramps(
        schedule_images, (gamma, gamma_final), (learning_rate, learning_rate_final), (beta2, beta2_final)
    )
    settings = Adam(rate, (0.0, decay))
    terms = tuple(Penalty(function, {"gamma": weight}, every=every) for function in (penalties.r1, penalties.r2))
    return Method(
        "r3gan",
        losses.relativistic,
        settings,
        settings,
        Alternating(n_critic),
        penalties=terms,
        sources=(Source("2501.05441", "its code's CIFAR-10 settings: gamma 0.05, Adam (0, 0.9), rate 2e-4"),),
    )
