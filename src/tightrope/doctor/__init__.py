"""Short trials on a user's own networks: which hyperparameter holds."""

from __future__ import annotations

from tightrope._plumbing.door import keep_door
from tightrope.doctor.probe import GammaAdvice, GammaTrial, tune_gamma

__all__ = ["GammaAdvice", "GammaTrial", "tune_gamma"]

keep_door(__name__, __all__)
