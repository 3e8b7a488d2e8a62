"""Sums and means over the processes that train one run together, as functions with derivatives."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import FunctionCtx

from tightrope._plumbing.errors import UserError

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
        said = re.sub(r"^\[[^]]*\] *", "", str(error).strip().splitlines()[0]).partition(". ")[0]
        raise RankError(
            f"Lost another rank of this run: it died, gave no sign for {PATIENCE:.0f} s, or took another step "
            f"({said[:120]}); the last checkpoint stands: go on with tightrope resume, on as many ranks as you like."
        ) from error


def _sum(x: Tensor) -> Tensor:
    total = x.clone(memory_format=torch.contiguous_format)
    with told():
        dist.all_reduce(total)
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
        return _sum(x) / dist.get_world_size()

    @staticmethod
    def backward(ctx: FunctionCtx, gradient: Tensor) -> Tensor:
        return gradient


def mean_of_inputs(x: Tensor) -> Tensor:
    """Mean over ranks of what was computed from each rank's own samples.

    Whatever follows on any rank depends on every rank's ``x``, so gradients are summed over ranks on the way back.
    """
    return _Sum.apply(x) / dist.get_world_size()


def mean_of_gradients(x: Tensor) -> Tensor:
    """Mean over ranks of a gradient of shared parameters.

    What follows is computed alike on every rank, and its gradient by the parameters is averaged again by this function,
    so here it comes back as it is.
    """
    return _Mean.apply(x)
