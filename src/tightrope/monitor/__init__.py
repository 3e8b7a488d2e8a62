"""What a run tells about itself while it trains."""

from __future__ import annotations

from tightrope._plumbing.door import keep_door
from tightrope.monitor.signals import SIGNALS, Signal, input_gradient_norms, signals

__all__ = ["SIGNALS", "Signal", "input_gradient_norms", "signals"]

keep_door(__name__, __all__)
