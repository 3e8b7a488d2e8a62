"""Full precision where a constraint is computed, whatever autocast its caller runs under."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch


def full_precision(device_type: str) -> AbstractContextManager[Any]:
    """Autocast switched off on ``device_type``; where it is not on, nothing, which is cheaper than entering it."""
    if device_type != "meta" and torch.is_autocast_enabled(device_type):
        return torch.autocast(device_type, enabled=False)
    return nullcontext()
