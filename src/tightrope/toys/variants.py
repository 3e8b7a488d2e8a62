"""Every variant of the Dirac-GAN that the paper draws, by name: the losses and penalties that train images."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from tightrope import losses as adversarial
from tightrope._plumbing.errors import UserError
from tightrope.constraints import clip_weights_
from tightrope.dynamics.players import Losses
from tightrope.losses import Loss
from tightrope.optimizers.terms import consensus
from tightrope.penalties import Penalty, finite_difference_r1, gradient_penalty, r1, r2
from tightrope.perturbations import InstanceNoise
from tightrope.schedules import Value
from tightrope.toys.dirac import Toy, dirac_gan


@dataclass(frozen=True)
class Variant:
    """A Dirac-GAN as one method trains it.

    Attributes:
        toy: Modules and data.
        losses: ``(generator_loss, critic_loss)``, corrections such as consensus included.
        project: Projections after a player's update, for ``optimizers.outer_step``.
    """

    toy: Toy
    losses: Losses
    project: Mapping[int, Callable[[], object]] = field(default_factory=dict)


PARAMETER: Final[dict[str, str]] = {
    "gan": "",
    "nsgan": "",
    "wgan": "bound",
    "wgan_gp": "gamma",
    "wgan_lp": "gamma",
    "instance_noise": "sigma",
    "r1": "gamma",
    "r2": "gamma",
    "r1_r2": "gamma",
    "nsgan_r1": "gamma",
    "finite_difference_r1": "gamma",
    "relativistic": "",
    "r3gan": "gamma",
    "consensus": "gamma",
    "least_squares": "",
    "hinge": "",
}
"""Names of the variants, and the hyperparameter each has."""

_LOSS: Final[dict[str, Loss]] = {
    "nsgan": adversarial.non_saturating,
    "nsgan_r1": adversarial.non_saturating,
    "wgan": adversarial.wasserstein,
    "wgan_gp": adversarial.wasserstein,
    "wgan_lp": adversarial.wasserstein,
    "relativistic": adversarial.relativistic,
    "r3gan": adversarial.relativistic,
    "least_squares": adversarial.least_squares,
    "hinge": adversarial.hinge,
}


def dirac_variant(
    name: str,
    *,
    gamma: float = 1.0,
    sigma: float = 0.7,
    target: float = 1.0,
    bound: float = 1.0,
    theta: float = 1.0,
    psi: float = -1.0,
) -> Variant:
    """The Dirac-GAN under one method.

    Source: Mescheder et al. 2018 (1801.04406), figure 3 and appendix D; authors' settings: start (1, 1) with ``psi`` of
    the opposite sign, rate 0.2, WGAN bound 1, WGAN-GP weight 0.7 and target 1, noise 0.7, R1 0.3 and 1, consensus 1.

    Args:
        name: Key in :data:`PARAMETER`; ``r1``, ``consensus`` and ``instance_noise`` go with the minimax loss.
        gamma: Weight, with the half; of ``wgan_gp`` and ``wgan_lp`` too, whose ``weight`` is then ``gamma / 2``.
        sigma: Standard deviation of instance noise.
        target: Gradient norm that the one-centred penalties aim at.
        bound: Of WGAN's clipping.
        theta: Where the generator starts.
        psi: Where the critic starts.

    Raises:
        UserError: Unknown name.
    """
    if name not in PARAMETER:
        near = difflib.get_close_matches(name, PARAMETER, n=1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        raise UserError(f"Expected a variant out of {', '.join(PARAMETER)}, got {name!r}{hint}.")
    noise = InstanceNoise(sigma) if name == "instance_noise" else None
    toy = dirac_gan(
        _LOSS.get(name, adversarial.minimax),
        penalties=_penalties(name, gamma, target),
        perturbation=noise,
        theta=theta,
        psi=psi,
    )
    if name == "consensus":
        return Variant(toy, consensus(toy.losses, toy.players, gamma=gamma))
    project = {1: partial(clip_weights_, toy.critic, bound)} if name == "wgan" else {}
    return Variant(toy, toy.losses, project)


def _penalties(name: str, gamma: float, target: float) -> tuple[Penalty, ...]:
    weight: dict[str, Value] = {"gamma": gamma}
    one_centred: dict[str, Value] = {"weight": gamma / 2, "target": target}
    if name in ("r1", "nsgan_r1"):
        return (Penalty(r1, weight),)
    if name == "r2":
        return (Penalty(r2, weight),)
    if name in ("r1_r2", "r3gan"):
        return Penalty(r1, weight), Penalty(r2, weight)
    if name == "finite_difference_r1":
        return (Penalty(finite_difference_r1, {**weight, "sigma": 0.1}),)
    if name in ("wgan_gp", "wgan_lp"):
        return (Penalty(gradient_penalty, {**one_centred, "one_sided": name == "wgan_lp"}),)
    return ()
