"""Batch normalisation over all ranks: mean and variance of the global batch, differentiable as often as one likes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from tightrope._plumbing.errors import UserError
from tightrope.layers.find import find_batch_norm
from tightrope.training.messages import mean_of_inputs, ranks

_LOCAL: Callable[[_BatchNorm, Tensor], Tensor] = _BatchNorm.forward


def refuse_other_batch_norm(network: nn.Module) -> None:
    """Raise for batch normalisation that computes its statistics in a way of its own.

    Raises:
        UserError: There is one.
    """
    for name in find_batch_norm(network):
        kind = type(network.get_submodule(name))
        if kind.forward is not _LOCAL:
            raise UserError(
                f"Expected batch normalisation of torch's own classes, whose statistics are taken over all ranks here, "
                f"got {name} of class {kind.__name__}; use nn.BatchNorm2d (or 1d, 3d), or train in one process."
            )


@contextmanager
def over_ranks(active: bool = True) -> Iterator[None]:
    """Within the block, batch normalisation in training mode takes its statistics over the ranks' batches joined.

    All ranks have to run the same forwards in it; outside, or with ``active=False``, each process is by itself.
    """
    before: Any = _BatchNorm.forward
    _BatchNorm.forward = _global if active else _LOCAL  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        _BatchNorm.forward = before  # type: ignore[method-assign]


def _global(self: _BatchNorm, x: Tensor) -> Tensor:
    if not (self.training or self.running_mean is None):
        return _LOCAL(self, x)
    self._check_input_dim(x)
    axes, view = [0, *range(2, x.dim())], [1, -1, *[1] * (x.dim() - 2)]
    wide = x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
    mean = mean_of_inputs(wide.mean(axes))
    centred = wide - mean.view(view)
    variance = mean_of_inputs(centred.square().mean(axes))
    if self.training and self.track_running_stats:
        _follow(self, mean.detach(), variance.detach(), ranks() * x.numel() // x.shape[1])
    y = centred * torch.rsqrt(variance + self.eps).view(view)
    if self.weight is not None:
        y = y * self.weight.view(view)
    if self.bias is not None:
        y = y + self.bias.view(view)
    return y.to(x.dtype)


@torch.no_grad()
def _follow(layer: _BatchNorm, mean: Tensor, variance: Tensor, n: int) -> None:
    """Move the running statistics as torch does, with the unbiased variance of the global batch of ``n`` values."""
    if layer.running_mean is None or layer.running_var is None or layer.num_batches_tracked is None:
        return
    layer.num_batches_tracked.add_(1)
    momentum = 1.0 / float(layer.num_batches_tracked) if layer.momentum is None else layer.momentum
    for running, now in ((layer.running_mean, mean), (layer.running_var, variance * (n / max(n - 1, 1)))):
        running.lerp_(now.to(running.dtype), momentum)
