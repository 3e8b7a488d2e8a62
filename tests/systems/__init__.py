"""Miniatures of six systems that train adversarially, and the functions of this library on each of them."""

from __future__ import annotations

from collections.abc import Callable

from systems import basicsr, ctgan, hifigan, imitation, r3gan, vqgan
from systems.system import System

SYSTEMS: dict[str, Callable[[], System]] = {
    "HiFi-GAN": hifigan.system,
    "VQGAN": vqgan.system,
    "BasicSR": basicsr.system,
    "CTGAN": ctgan.system,
    "R3GAN": r3gan.system,
    "imitation": imitation.system,
}
