"""Tightrope: stable GAN training that explains itself.

Submodules are imported on first use, so that ``import tightrope`` costs nothing and the command line can answer
``--help`` without importing torch.
"""

from __future__ import annotations

import importlib
import sys

from tightrope._plumbing import errors as _errors
from tightrope._plumbing.errors import UserError
from tightrope._plumbing.version import __version__

sys.modules.setdefault(f"{__name__}._errors", _errors)  # where code written before there was a release finds it

_SUBMODULES = (
    "autodiff",
    "cli",
    "conditioning",
    "constraints",
    "critics",
    "data",
    "doctor",
    "drawing",
    "dynamics",
    "evaluation",
    "layers",
    "linalg",
    "losses",
    "methods",
    "metrics",
    "monitor",
    "networks",
    "optimizers",
    "penalties",
    "perturbations",
    "report",
    "runs",
    "schedules",
    "spectra",
    "studies",
    "toys",
    "training",
)
_NAMES = {
    "METHODS": "methods",
    "Method": "methods",
    "View": "autodiff",
    "load": "runs",
    "start": "training",
    "train": "training",
}

TYPE_CHECKING = False  # as type checkers know it; `typing` itself would take a third of the import
if TYPE_CHECKING:
    from typing import Any

    from tightrope.autodiff import View
    from tightrope.methods import METHODS, Method
    from tightrope.runs import load
    from tightrope.training import start, train

__all__ = ["METHODS", "Method", "UserError", "View", "__version__", "load", "start", "train"]


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return importlib.import_module(f"tightrope.{name}")
    if name in _NAMES:
        return getattr(importlib.import_module(f"tightrope.{_NAMES[name]}"), name)
    raise AttributeError(f"module 'tightrope' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_SUBMODULES, *_NAMES])
