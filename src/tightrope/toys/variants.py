"""Every variant of the Dirac-GAN that the paper draws, as methods by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Final

from tightrope import losses, optimizers, penalties
from tightrope._plumbing.errors import UserError
from tightrope._plumbing.words import closest, one_of
from tightrope.constraints import clip_weights_
from tightrope.methods import Method, Projection, Simultaneous
from tightrope.penalties import Penalty
from tightrope.perturbations import InstanceNoise
from tightrope.toys.dirac import dirac_gan
from tightrope.toys.toy import Toy, under


def _r1(gamma: float) -> Penalty:
    return Penalty(penalties.r1, {"gamma": gamma})


def _r2(gamma: float) -> Penalty:
    return Penalty(penalties.r2, {"gamma": gamma})


def _difference(gamma: float, sigma: float) -> Penalty:
    return Penalty(penalties.finite_difference_r1, {"gamma": gamma, "sigma": sigma})


def _gp(gamma: float, target: float, *, one_sided: bool) -> Penalty:
    options = {"weight": gamma / 2, "target": target, "one_sided": one_sided}
    return Penalty(penalties.gradient_penalty, options)


def _clipped(bound: float) -> Projection:
    return Projection(partial(clip_weights_, bound=bound))


def _consensus(gamma: float) -> Simultaneous:
    return Simultaneous(partial(optimizers.consensus, gamma=gamma))


VARIANTS: Final[dict[str, Callable[..., Method]]] = {
    "gan": lambda: under(losses.minimax),
    "nsgan": lambda: under(losses.non_saturating),
    "wgan": lambda *, bound=1.0: under(losses.wasserstein, projection=_clipped(bound)),
    "wgan_gp": lambda *, gamma=1.0, target=1.0: under(
        losses.wasserstein, penalties=(_gp(gamma, target, one_sided=False),)
    ),
    "wgan_lp": lambda *, gamma=1.0, target=1.0: under(
        losses.wasserstein, penalties=(_gp(gamma, target, one_sided=True),)
    ),
    "instance_noise": lambda *, sigma=0.7: under(losses.minimax, perturbation=InstanceNoise(sigma)),
    "r1": lambda *, gamma=1.0: under(losses.minimax, penalties=(_r1(gamma),)),
    "r2": lambda *, gamma=1.0: under(losses.minimax, penalties=(_r2(gamma),)),
    "r1_r2": lambda *, gamma=1.0: under(losses.minimax, penalties=(_r1(gamma), _r2(gamma))),
    "nsgan_r1": lambda *, gamma=1.0: under(losses.non_saturating, penalties=(_r1(gamma),)),
    "finite_difference_r1": lambda *, gamma=1.0, sigma=0.1: under(
        losses.minimax, penalties=(_difference(gamma, sigma),)
    ),
    "relativistic": lambda: under(losses.relativistic),
    "r3gan": lambda *, gamma=1.0: under(losses.relativistic, penalties=(_r1(gamma), _r2(gamma))),
    "consensus": lambda *, gamma=1.0: under(losses.minimax, play=_consensus(gamma)),
    "least_squares": lambda: under(losses.least_squares),
    "hinge": lambda: under(losses.hinge),
}
"""Methods by name, each with the hyperparameters that it reads.

``gamma`` is a weight with the half, of ``wgan_gp`` and ``wgan_lp`` too, whose ``weight`` is then ``gamma / 2``; ``r1``,
``consensus`` and ``instance_noise`` go with the minimax loss.
"""

PARAMETER: Final[dict[str, str]] = {
    name: next(iter(inspect.signature(build).parameters), "") for name, build in VARIANTS.items()
}
"""Names of the variants, and the hyperparameter that each is about."""


def variant(name: str, **hyperparameters: float) -> Method:
    """One of the paper's variants as a method under plain gradient steps.

    Source: Mescheder et al. 2018 (1801.04406), figure 3 and appendix D; authors' settings: rate 0.2, WGAN bound 1,
    WGAN-GP weight 0.7 and target 1, noise 0.7, R1 0.3 and 1, consensus 1.

    Args:
        name: Key in :data:`VARIANTS`.
        **hyperparameters: What the variant reads: ``gamma``, ``sigma``, ``target`` or ``bound``.

    Raises:
        UserError: Unknown name, or a hyperparameter that the variant does not read.
    """
    one_of("a variant", name, VARIANTS)
    valid = list(inspect.signature(VARIANTS[name]).parameters)
    for given in hyperparameters:
        if given not in valid:
            raise UserError(
                f"Expected hyperparameters that the variant {name} reads, {', '.join(valid) or 'none'}, got {given}"
                f"{closest(given, valid)}; leave it out."
            )
    return replace(VARIANTS[name](**hyperparameters), name=name, hyperparameters=hyperparameters)


def dirac_variant(name: str, *, theta: float = 1.0, psi: float = -1.0, **hyperparameters: float) -> Toy:
    """The Dirac-GAN under one of the paper's variants; the authors start at (1, 1), with ``psi`` of the opposite sign.

    Args:
        name: Key in :data:`VARIANTS`.
        theta: Where the generator starts.
        psi: Where the critic starts.
        **hyperparameters: As for :func:`variant`.

    Raises:
        UserError: As for :func:`variant`.
    """
    return dirac_gan(variant(name, **hyperparameters), theta=theta, psi=psi)
