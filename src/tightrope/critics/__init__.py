"""What a critic is worth: how Lipschitz it is, with proof."""

from __future__ import annotations

from tightrope.critics.lipschitz import LayerShare, LipschitzInterval, lipschitz_interval

__all__ = ["LayerShare", "LipschitzInterval", "lipschitz_interval"]
