"""Packages that only an extra brings."""

from __future__ import annotations

import importlib
from typing import Any

from tightrope._plumbing.errors import UserError


def optional(module: str, extra: str, what: str, *, package: str = "", otherwise: str = "") -> Any:
    """Import a module that may not be there.

    Args:
        module: Its dotted name.
        extra: The extra of this package that brings it.
        what: What it is needed for, for the sentence.
        package: Its name where it is installed from; the module's first part if not given.
        otherwise: What can be done without it, to follow "or".

    Returns:
        The module.

    Raises:
        UserError: It is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        name, instead = package or module.partition(".")[0], f", or {otherwise}" if otherwise else ""
        raise UserError(
            f"Expected the package {name} for {what}, got none; run pip install 'tightrope[{extra}]'{instead}."
        ) from error
