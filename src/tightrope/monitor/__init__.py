"""What a run tells about itself while it trains, and what the Monitor finds wrong with it."""

from __future__ import annotations

from tightrope._plumbing.door import keep_door
from tightrope.monitor.causes import CAUSES, Cause
from tightrope.monitor.finding import Diagnosis, Finding
from tightrope.monitor.monitor import Monitor
from tightrope.monitor.signals import SIGNALS, Signal, input_gradient_norms, signals

__all__ = [
    "CAUSES",
    "SIGNALS",
    "Cause",
    "Diagnosis",
    "Finding",
    "Monitor",
    "Signal",
    "input_gradient_norms",
    "signals",
]

keep_door(__name__, __all__)
