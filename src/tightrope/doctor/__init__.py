"""Why a training fails, and what would help: diagnoses, a check before the start, and short trials of a setting."""

from __future__ import annotations

from tightrope._plumbing.door import keep_door
from tightrope.doctor.diagnose import diagnose
from tightrope.doctor.trial import FixTrial, probe
from tightrope.doctor.tune import GammaAdvice, GammaTrial, tune_gamma
from tightrope.monitor.preflight import preflight

__all__ = ["FixTrial", "GammaAdvice", "GammaTrial", "diagnose", "preflight", "probe", "tune_gamma"]

keep_door(__name__, __all__)
