"""Twelve ways to write the loop, after reading public training scripts of as many families; none of their code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import classes, conditional, counted, functional, mixed, several

STYLES: dict[str, Callable[[Any], None]] = {
    "toggled": classes.toggled,
    "prepared": classes.prepared,
    "pooled": classes.pooled,
    "closures": functional.closures,
    "reversal": functional.reversal,
    "by_hand": functional.by_hand,
    "two_scales": several.two_scales,
    "joint": several.joint,
    "projection": conditional.projection,
    "autocast": mixed.autocast,
    "averaged": mixed.averaged,
    "counted": counted.counted,
}
