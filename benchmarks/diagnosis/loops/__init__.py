"""Training loops in the styles found in the wild; each is ``train(job, watch)``."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

STYLES = ("dcgan", "wgan_gp", "trainer", "ctgan", "functional", "vocoder", "phases")


def loop_of(style: str) -> Callable[[Any, Any], None]:
    """The loop of a style."""
    return import_module(f"{__name__}.{style}").train
