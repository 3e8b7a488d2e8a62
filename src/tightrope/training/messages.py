"""Sums and means over the processes that train one run together, as functions with derivatives."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import FunctionCtx

from tightrope._plumbing.errors import UserError, said_by

PATIENCE = 45.0
"""Seconds without a sign of life after which a rank counts as dead."""


class RankError(UserError):
    """Another rank died, fell silent, or stopped with a message of its own."""


@contextmanager
def told() -> Iterator[None]:
    """Say in a sentence that a message did not come through.

    Raises:
        RankError: It did not.
    """
    try:
        yield
    except RuntimeError as error:
        said = re.sub(r"^\[[^]]*\] *", "", said_by(error)).partition(". ")[0]
        raise RankError(
            f"Lost another rank of this run: it died, gave no sign for {PATIENCE:.0f} s, or took another step "
            f"({said[:120]}); the last checkpoint stands: go on with tightrope resume, on as many ranks as you like."
        ) from error


@dataclass
class Counted:
    """Messages that would be sent, and how long they are.

    Attributes:
        ranks: To how many processes.
        messages: Sums over all of them.
        bytes: Length of all messages together.
    """

    ranks: int
    messages: int = 0
    bytes: int = 0


_counted: Counted | None = None


@contextmanager
def counted(ranks: int) -> Iterator[Counted]:
    """Within the block, sums over ranks are counted and stay undone, in a process of its own."""
    global _counted
    before, _counted = _counted, Counted(ranks)
    try:
        yield _counted
    finally:
        _counted = before


def sum_(x: Tensor) -> None:
    """Sum over ranks, in place.

    Raises:
        RankError: A rank is lost.
    """
    if _counted is not None:
        _counted.messages += 1
        _counted.bytes += x.numel() * x.element_size()
        return
    with told():
        dist.all_reduce(x)


def ranks() -> int:
    """How many processes sums are over."""
    return dist.get_world_size() if _counted is None else _counted.ranks


def _sum(x: Tensor) -> Tensor:
    total = x.clone(memory_format=torch.contiguous_format)
    sum_(total)
    return total


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor) -> Tensor:
        return _sum(x)

    @staticmethod
    def backward(ctx: FunctionCtx, gradient: Tensor) -> Tensor:
        return _Sum.apply(gradient)


class _Mean(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor) -> Tensor:
        return _sum(x) / ranks()

    @staticmethod
    def backward(ctx: FunctionCtx, gradient: Tensor) -> Tensor:
        return gradient


def mean_of_inputs(x: Tensor) -> Tensor:
    """Mean over ranks of what was computed from each rank's own samples.

    Whatever follows on any rank depends on every rank's ``x``, so gradients are summed over ranks on the way back.
    """
    return _Sum.apply(x) / ranks()


def mean_of_gradients(x: Tensor | None) -> Tensor | None:
    """Mean over ranks of a gradient of shared parameters; None where nothing was sent back, on every rank alike.

    What follows is computed alike on every rank, and its gradient by the parameters is averaged again by this function,
    so here it comes back as it is.
    """
    return None if x is None else _Mean.apply(x)
