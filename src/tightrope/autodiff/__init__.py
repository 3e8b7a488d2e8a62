"""Derivatives with respect to inputs, per-sample norms, and the guard that lets a diagnostic look without touching."""

from __future__ import annotations

from tightrope.autodiff.guard import constraints_are_frozen, frozen_constraints, undisturbed
from tightrope.autodiff.inputs import (
    Bound,
    Scored,
    bind,
    differentiable,
    frozen,
    gradient_norm,
    in_functional_transform,
    input_gradient,
    module_of,
    norm,
    per_sample,
    squared_norm,
    unbound,
)
from tightrope.autodiff.types import Critic, Generator, PenaltyFunction

__all__ = [
    "Bound",
    "Critic",
    "Generator",
    "PenaltyFunction",
    "Scored",
    "bind",
    "constraints_are_frozen",
    "differentiable",
    "frozen",
    "frozen_constraints",
    "gradient_norm",
    "in_functional_transform",
    "input_gradient",
    "module_of",
    "norm",
    "per_sample",
    "squared_norm",
    "unbound",
    "undisturbed",
]
