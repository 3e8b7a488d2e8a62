"""Training methods as data: a loss, penalties, a constraint, two optimisers and ``n_critic``, named as published.

Each builder's defaults are its paper's settings, its signature is the list of its hyperparameters, and its docstring
names what departs. ``build("r1", gamma=1.0)`` is the one way in for names that come from a command line.
"""

from tightrope._plumbing.door import keep_door
from tightrope.methods.baseline import dcgan
from tightrope.methods.clamped import dcgan_clamped, wgan_gp_clamped
from tightrope.methods.game_optimizers import (
    consensus,
    extra_adam,
    lookahead,
    negative_momentum,
    optimistic_adam,
    symplectic,
)
from tightrope.methods.lipschitz import orthogonal_wgan, sn_gan, sn_wgan
from tightrope.methods.method import Constraint, Method, Projection
from tightrope.methods.play import Alternating, Simultaneous, WarmUp
from tightrope.methods.registry import METHODS, build
from tightrope.methods.settings import SETTINGS, Setting, with_setting
from tightrope.methods.wasserstein import wgan, wgan_gp, wgan_ttur
from tightrope.methods.zero_centred import r1, r3gan

__all__ = [
    "METHODS",
    "SETTINGS",
    "Alternating",
    "Constraint",
    "Method",
    "Projection",
    "Setting",
    "Simultaneous",
    "WarmUp",
    "build",
    "consensus",
    "dcgan",
    "dcgan_clamped",
    "extra_adam",
    "lookahead",
    "negative_momentum",
    "optimistic_adam",
    "orthogonal_wgan",
    "r1",
    "r3gan",
    "sn_gan",
    "sn_wgan",
    "symplectic",
    "wgan",
    "wgan_gp",
    "wgan_gp_clamped",
    "wgan_ttur",
    "with_setting",
]

keep_door(__name__, __all__)
