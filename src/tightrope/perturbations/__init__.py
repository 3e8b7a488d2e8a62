"""Perturbations of what the critic sees, applied to real and fake samples alike, in both half-steps.

Instance noise smooths both distributions; augmentations keep a critic from learning few images by heart. All of them
are differentiable in the samples, as often as a penalty needs it, and draw from ``rng`` alone.
"""

from __future__ import annotations

from tightrope._plumbing.door import keep_door
from tightrope.perturbations.adaptive import (
    AdaptiveStrength,
    Augmentation,
    InOrder,
    Perturbation,
    ada_augment,
    adaptive_of,
)
from tightrope.perturbations.diff_augment import diff_augment
from tightrope.perturbations.noise import InstanceNoise, instance_noise, normal_like

__all__ = [
    "AdaptiveStrength",
    "Augmentation",
    "InOrder",
    "InstanceNoise",
    "Perturbation",
    "ada_augment",
    "adaptive_of",
    "diff_augment",
    "instance_noise",
    "normal_like",
]

keep_door(__name__, __all__)
