"""Constraints: keep a critic Lipschitz by editing somebody else's network in place, removably.

Parametrisations (the layer's weight becomes a function of the raw weight): :func:`spectral_norm`, :func:`orthogonal`,
:func:`weight_norm`, :func:`frobenius_norm`.
Projections (call them after the critic's optimiser step): :func:`clip_weights_`, :func:`bound_singular_values_`.
:func:`remove` leaves plain weights with the same outputs; :func:`export` does so on a copy.
:func:`constrained_layers` and :func:`unconstrained_weights` say what is constrained and what is not.
"""

from __future__ import annotations

from tightrope._plumbing.door import keep_door
from tightrope.constraints.clip import clip_weights_
from tightrope.constraints.norms import frobenius_norm, weight_norm
from tightrope.constraints.orthogonal import orthogonal
from tightrope.constraints.project import bound_singular_values_
from tightrope.constraints.remove import constrained_layers, export, remove, unconstrained_weights
from tightrope.constraints.spectral import spectral_norm

__all__ = [
    "bound_singular_values_",
    "clip_weights_",
    "constrained_layers",
    "export",
    "frobenius_norm",
    "orthogonal",
    "remove",
    "spectral_norm",
    "unconstrained_weights",
    "weight_norm",
]

keep_door(__name__, __all__)
