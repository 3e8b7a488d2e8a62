"""Why a training fails, and what would help: diagnoses, a check before the start, and short trials of a setting."""

from __future__ import annotations

from tightrope._plumbing.door import keep_door
from tightrope.doctor.diagnose import diagnose
from tightrope.doctor.probe import GammaAdvice, GammaTrial, tune_gamma
from tightrope.monitor.preflight import preflight

__all__ = ["GammaAdvice", "GammaTrial", "diagnose", "preflight", "tune_gamma"]

keep_door(__name__, __all__)
