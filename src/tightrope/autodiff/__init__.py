"""Derivatives with respect to inputs, how critics are called, and the guard that lets a diagnostic look undisturbed."""

from __future__ import annotations

from tightrope._plumbing.door import keep_door
from tightrope.autodiff.guard import constraints_are_frozen, frozen_constraints, in_functional_transform, undisturbed
from tightrope.autodiff.inputs import (
    NoGradientError,
    critic_scores,
    differentiable,
    frozen,
    gradient_norm,
    input_gradient,
    input_gradients,
    norm,
    packed,
    per_sample,
    squared_norm,
    twice_differentiable,
)
from tightrope.autodiff.lean import lean_derivatives
from tightrope.autodiff.types import Critic, Generator, PenaltyFunction, Scores
from tightrope.autodiff.view import (
    Remembered,
    View,
    labelled,
    module_of,
    modules_of,
    rows_of,
    samples_of,
    scores_of,
)

__all__ = [
    "Critic",
    "Generator",
    "NoGradientError",
    "PenaltyFunction",
    "Remembered",
    "Scores",
    "View",
    "constraints_are_frozen",
    "critic_scores",
    "differentiable",
    "frozen",
    "frozen_constraints",
    "gradient_norm",
    "in_functional_transform",
    "input_gradient",
    "input_gradients",
    "labelled",
    "lean_derivatives",
    "module_of",
    "modules_of",
    "norm",
    "packed",
    "per_sample",
    "rows_of",
    "samples_of",
    "scores_of",
    "squared_norm",
    "twice_differentiable",
    "undisturbed",
]

keep_door(__name__, __all__)
