"""Training methods as data: a loss, penalties, a constraint, two optimisers and ``n_critic``, named as published.

Each builder's defaults are its paper's settings, its signature is the list of its hyperparameters, and its docstring
names what departs. ``build("r1", gamma=1.0)`` is the one way in for names that come from a command line.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final, Literal

from torch import nn

from tightrope import constraints, losses, penalties
from tightrope._errors import UserError
from tightrope._types import PenaltyFunction
from tightrope.losses import Loss
from tightrope.optimizer_settings import Optimizer
from tightrope.penalties import Penalty
from tightrope.perturbations import InstanceNoise
from tightrope.schedules import Value, ramp


@dataclass(frozen=True)
class Method:
    """A training method: everything about the game except the networks and the data.

    Attributes:
        name: As published.
        loss: The pair of losses.
        critic_optimizer: Settings of the critic's optimiser.
        generator_optimizer: Settings of the generator's optimiser.
        n_critic: Critic steps per generator step.
        warm_up: ``(critic_steps, first, every)``: use that many critic steps during the ``first`` generator steps and
            at every multiple of ``every``; None for always ``n_critic``.
        penalties: Added to the critic's loss.
        constrain: Edits the critic in place before training and returns it.
        project: Edits the critic in place after each of its optimiser steps.
        perturbation: Applied to real and fake samples before the critic sees them, in both half-steps.
        generator_batch_factor: Samples in the generator's batch per sample in the critic's.
        batch_size: Published batch size, the default of the command.
        source: Paper and the sentence or table that the defaults follow.
        hyperparameters: What the builder was called with, defaults filled in.
    """

    name: str
    loss: Loss
    critic_optimizer: Optimizer
    generator_optimizer: Optimizer
    n_critic: int = 1
    warm_up: tuple[int, int, int] | None = None
    penalties: tuple[Penalty, ...] = ()
    constrain: Callable[[nn.Module], nn.Module] | None = None
    project: Callable[[nn.Module], object] | None = None
    perturbation: InstanceNoise | None = None
    generator_batch_factor: int = 1
    batch_size: int = 64
    source: str = ""
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.n_critic < 1 or self.generator_batch_factor < 1:
            raise UserError(
                f"Expected n_critic and generator_batch_factor of at least 1, got {self.n_critic} and "
                f"{self.generator_batch_factor}; use 1 for one critic step per generator step."
            )
        if self.loss.needs_lipschitz and not (self.penalties or self.constrain or self.project):
            raise UserError(
                f"The {self.loss.name} loss has no minimum over unbounded critics: expected a constraint, projection "
                "or gradient penalty, got none; add one, for example Method(..., project=constraints.clip_weights_)."
            )
        if self.loss.paired and self.generator_batch_factor != 1:
            raise UserError(
                f"The {self.loss.name} loss pairs real with fake samples: expected generator_batch_factor 1, got "
                f"{self.generator_batch_factor}; leave it at 1."
            )

    def critic_steps(self, step: int) -> int:
        """Critic steps before the generator's step number ``step`` (counted from 0)."""
        if self.warm_up is not None:
            steps, first, every = self.warm_up
            if step < first or step % every == 0:
                return steps
        return self.n_critic


def wgan(
    *,
    learning_rate: float = 5e-5,
    bound: float = 0.01,
    n_critic: int = 5,
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
        n_critic: Critic steps per generator step.
        clip_norm_layers: Clip the scales of normalisation layers too, as the authors' code does.
        clip_biases: Clip biases too, as the authors' code does.
        authors_warm_up: Use the authors' schedule of critic steps.
    """
    optimizer = Optimizer("rmsprop", learning_rate)
    project = partial(constraints.clip_weights_, bound=bound, norm_layers=clip_norm_layers, biases=clip_biases)
    warm_up = (100, 25, 500) if authors_warm_up else None
    return Method("wgan", losses.wasserstein, optimizer, optimizer, n_critic=n_critic, warm_up=warm_up, project=project)


def wgan_gp(
    *,
    learning_rate: float = 1e-4,
    betas: tuple[float, float] = (0.0, 0.9),
    weight: float = 10.0,
    target: float = 1.0,
    one_sided: bool = False,
    n_critic: int = 5,
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
        n_critic: Critic steps per generator step.
        every: Apply the penalty lazily, every so many critic steps.
    """
    optimizer = Optimizer("adam", learning_rate, betas)
    penalty = Penalty(
        penalties.gradient_penalty, {"weight": weight, "target": target, "one_sided": one_sided}, every=every
    )
    return Method("wgan_gp", losses.wasserstein, optimizer, optimizer, n_critic=n_critic, penalties=(penalty,))


def wgan_ttur(
    *,
    critic_learning_rate: float = 3e-4,
    generator_learning_rate: float = 1e-4,
    betas: tuple[float, float] = (0.0, 0.9),
    weight: float = 10.0,
    n_critic: int = 1,
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
        n_critic: Critic steps per generator step.
        every: Apply the penalty lazily, every so many critic steps.
    """
    return Method(
        "wgan_ttur",
        losses.wasserstein,
        Optimizer("adam", critic_learning_rate, betas),
        Optimizer("adam", generator_learning_rate, betas),
        n_critic=n_critic,
        penalties=(Penalty(penalties.gradient_penalty, {"weight": weight}, every=every),),
    )


def dcgan(
    *,
    learning_rate: float = 2e-4,
    betas: tuple[float, float] = (0.5, 0.999),
    n_critic: int = 1,
    loss: Literal["non_saturating", "minimax", "least_squares"] = "non_saturating",
) -> Method:
    """The unregularised GAN with DCGAN's optimiser: the baseline the other methods repair.

    Source: Radford et al. 2016 (1511.06434), section 3, with the non-saturating loss of Goodfellow et al. 2014.
    Departures: batch size 64 instead of 128. Batch normalisation in the critic is an option of the network.

    Args:
        learning_rate: Of both Adam optimisers.
        betas: Of both Adam optimisers.
        n_critic: Critic steps per generator step.
        loss: ``"non_saturating"``, ``"minimax"`` or ``"least_squares"``.
    """
    _one_of("loss", loss, ("non_saturating", "minimax", "least_squares"))
    optimizer = Optimizer("adam", learning_rate, betas)
    return Method("dcgan", losses.LOSSES[loss], optimizer, optimizer, n_critic=n_critic)


def sn_gan(
    *,
    learning_rate: float = 2e-4,
    betas: tuple[float, float] = (0.5, 0.999),
    n_critic: int = 1,
    loss: Literal["hinge", "standard"] = "hinge",
    power_iterations: int = 1,
    update: Literal["optimizer_step", "forward"] = "optimizer_step",
    generator_batch_factor: int = 1,
    learning_rate_final: float | None = None,
    schedule_images: int | None = None,
) -> Method:
    """Spectral normalisation of every layer of the critic, with the hinge or the standard loss.

    Source: Miyato et al. 2018 (1802.05957), algorithm 1, setting C of table 1, eq. 16 and 17.
    Departures: the power iteration advances once per critic step; the authors' code advances at every forward
    (``update="forward"``). The ResNets of the paper use learning rate 2e-4, betas (0, 0.9), ``n_critic`` 5 and, in the
    code, twice the batch for the generator and a rate that falls linearly to 0.

    Args:
        learning_rate: Of both Adam optimisers.
        betas: Of both Adam optimisers.
        n_critic: Critic steps per generator step.
        loss: ``"hinge"``, or ``"standard"`` for the non-saturating logistic loss.
        power_iterations: Per update of the singular vectors.
        update: When the singular vectors advance.
        generator_batch_factor: Samples in the generator's batch per sample in the critic's.
        learning_rate_final: Linear decay to this rate, over ``schedule_images``.
        schedule_images: Length of the decay in real images.
    """
    _one_of("loss", loss, ("hinge", "standard"))
    (rate,) = _ramps(schedule_images, (learning_rate, learning_rate_final), shape="linear")
    optimizer = Optimizer("adam", rate, betas)
    return Method(
        "sn_gan",
        losses.hinge if loss == "hinge" else losses.non_saturating,
        optimizer,
        optimizer,
        n_critic=n_critic,
        constrain=partial(constraints.spectral_norm, norm="kernel", steps=power_iterations, update=update),
        generator_batch_factor=generator_batch_factor,
    )


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
    """
    _one_of("at", at, ("real", "fake", "both"))
    settings = Optimizer(optimizer, learning_rate, betas, alpha)
    at_real: PenaltyFunction = penalties.finite_difference_r1 if approximate else penalties.r1
    at_fake: PenaltyFunction = penalties.finite_difference_r2 if approximate else penalties.r2
    hyperparameters: dict[str, Value] = {"gamma": gamma, "sigma": sigma} if approximate else {"gamma": gamma}
    chosen = {"real": (at_real,), "fake": (at_fake,), "both": (at_real, at_fake)}[at]
    terms = tuple(Penalty(function, hyperparameters, every=every) for function in chosen)
    return Method("r1", losses.non_saturating, settings, settings, n_critic=n_critic, penalties=terms)


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
    weight, rate, decay = _ramps(
        schedule_images, (gamma, gamma_final), (learning_rate, learning_rate_final), (beta2, beta2_final)
    )
    settings = Optimizer("adam", rate, (0.0, decay))
    terms = tuple(Penalty(function, {"gamma": weight}, every=every) for function in (penalties.r1, penalties.r2))
    return Method("r3gan", losses.relativistic, settings, settings, n_critic=n_critic, penalties=terms)


METHODS: Final[dict[str, Callable[..., Method]]] = {
    "wgan": wgan,
    "wgan_gp": wgan_gp,
    "wgan_ttur": wgan_ttur,
    "dcgan": dcgan,
    "sn_gan": sn_gan,
    "r1": r1,
    "r3gan": r3gan,
}


def build(name: str, **hyperparameters: Any) -> Method:
    """Build a published method with some hyperparameters overridden.

    Args:
        name: Key in :data:`METHODS`.
        **hyperparameters: Keyword arguments of its builder.

    Returns:
        The method, with ``hyperparameters`` holding every value it was built from.

    Raises:
        UserError: Unknown method or hyperparameter; the message lists the valid ones.
    """
    if name not in METHODS:
        raise UserError(f"Expected a method out of {', '.join(METHODS)}, got {name!r}{_closest(name, METHODS)}.")
    builder = METHODS[name]
    valid = inspect.signature(builder).parameters
    for given in hyperparameters:
        if given not in valid:
            raise UserError(
                f"Method {name} has no hyperparameter {given!r}{_closest(given, valid)}; valid are {', '.join(valid)}."
            )
    resolved = {key: parameter.default for key, parameter in valid.items()} | hyperparameters
    return replace(builder(**resolved), hyperparameters=resolved, source=_source(inspect.getdoc(builder) or ""))


def _source(docstring: str) -> str:
    """The paragraph of a docstring that begins with ``Source:``, up to its next heading."""
    _, _, after = docstring.partition("Source: ")
    lines = []
    for line in after.splitlines():
        if not line.strip() or line.startswith("Departures:"):
            break
        lines.append(line.strip())
    return " ".join(lines)


def _closest(given: str, valid: Mapping[str, object]) -> str:
    close = difflib.get_close_matches(given, list(valid), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _ramps(images: int | None, *pairs: tuple[float, float | None], shape: str = "cosine") -> list[Value]:
    """Schedules of one length for those hyperparameters that were given a final value; the others stay constant."""
    if images is not None and all(final is None for _, final in pairs):
        raise UserError(
            f"A schedule over {images} images needs a final value, got none; set one or drop schedule_images."
        )
    return [ramp(first, final, None if final is None else images, shape) for first, final in pairs]


def _one_of(name: str, value: str, valid: tuple[str, ...]) -> None:
    if value not in valid:
        raise UserError(f"Expected {name} out of {', '.join(valid)}, got {value!r}.")
