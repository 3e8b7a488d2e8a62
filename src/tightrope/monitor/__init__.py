"""What a run tells about itself while it trains."""

from __future__ import annotations

from tightrope.monitor.causes import CAUSES, Cause
from tightrope.monitor.signals import SIGNALS, Signal, input_gradient_norms, signals

__all__ = ["CAUSES", "SIGNALS", "Cause", "Signal", "input_gradient_norms", "signals"]
