"""What a critic is worth: how Lipschitz it is, with proof; how close to the exact distance; how well it generalises."""

from __future__ import annotations

from tightrope._plumbing.door import keep_door
from tightrope.critics.estimate import WassersteinEstimate, wasserstein_estimate
from tightrope.critics.generalisation import CriticScore, Interval, Judged, generalisation_scores, train_critic
from tightrope.critics.lipschitz import LayerShare, LipschitzInterval, lipschitz_interval

__all__ = [
    "CriticScore",
    "Interval",
    "Judged",
    "LayerShare",
    "LipschitzInterval",
    "WassersteinEstimate",
    "generalisation_scores",
    "lipschitz_interval",
    "train_critic",
    "wasserstein_estimate",
]

keep_door(__name__, __all__)
