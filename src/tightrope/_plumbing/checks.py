"""Arguments that several constraints share, refused in one sentence each."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

import torch
from torch import Tensor

from tightrope._plumbing.errors import UserError, UserTypeError


def check_bound(bound: Any, usual: float = 1) -> None:
    """Refuse what is no positive finite number.

    Raises:
        UserError: It is not one.
    """
    if not isinstance(bound, Real) or not 0 < float(bound) < math.inf:
        raise UserError(f"expected a positive bound, finite, got {bound!r}; {usual:g} is the default")


def check_whole(name: str, value: Any, least: int, usual: int) -> None:
    """Refuse what is no whole number of at least ``least``.

    Raises:
        UserError: It is not one.
    """
    if not isinstance(value, Integral) or operator.index(value) < least:
        raise UserError(f"expected a whole number {name} >= {least}, got {value!r}; {usual} is the default")


def check_choice(name: str, value: Any, valid: Sequence[str]) -> None:
    """Refuse what is none of the words, of which the first is the default.

    Raises:
        UserError: It is none of them.
    """
    if value not in valid:
        raise UserError(f"expected {name}={' or '.join(map(repr, valid))}, got {value!r}; {valid[0]!r} is the default")


def check_assigned(weight: Tensor, shape: torch.Size) -> None:
    """Refuse a weight that is assigned to a constrained layer whose own has another shape.

    Raises:
        UserError: The shapes differ.
    """
    if weight.shape != shape:
        raise UserError(
            f"expected a weight of shape {list(shape)} for this constrained layer, got {list(weight.shape)}; "
            "call constraints.remove(network) before giving a layer another size"
        )


def check_rng(rng: Any) -> None:
    """Refuse what is no generator.

    Raises:
        UserTypeError: It is neither a generator nor None.
    """
    if rng is not None and not isinstance(rng, torch.Generator):
        raise UserTypeError(f"expected rng as a torch.Generator, got {rng!r}; pass torch.Generator().manual_seed(0)")
