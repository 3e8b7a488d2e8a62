"""Random initialisation that one ``torch.Generator`` determines completely."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, TypeVar

import torch
from torch import Tensor, nn

from tightrope.networks.layers import ConditionalBatchNorm2d

N = TypeVar("N", bound=nn.Module)

Law = Literal["normal", "uniform"]

Std = Callable[[str, Tensor], float]
"""Standard deviation of a weight, from its name in the network and the weight itself."""


def build(
    make: Callable[[], N], std: Std, *, law: Law = "normal", norm_std: float = 0.0, rng: torch.Generator | None
) -> N:
    """Make a network and draw all its parameters from ``rng``, or from torch's global state where that is None.

    The layers' own initialisation is undone and leaves no trace in the global state, so the network is a function of
    the state of ``rng`` alone.

    Args:
        make: Makes the network.
        std: Standard deviation of each weight matrix, kernel and embedding; their mean is zero.
        law: Shape of the distribution.
        norm_std: Standard deviation of the scales of normalisation layers; their mean is one.
        rng: Source of randomness on any device; the weights are the same wherever the network is made.

    Returns:
        The network, with all biases zero.
    """
    with torch.random.fork_rng(devices=[]):
        network = make()
    initialise_(network, std, law=law, norm_std=norm_std, rng=rng)
    return network


@torch.no_grad()
def initialise_(
    network: nn.Module, std: Std, *, law: Law = "normal", norm_std: float = 0.0, rng: torch.Generator | None
) -> None:
    """Draw all parameters of a network anew, as ``build`` says, and reset the statistics of batch norm."""
    for name, parameter in network.named_parameters():
        if parameter.ndim >= 2:
            _draw_(parameter, 0.0, std(name, parameter), law, rng)
        elif name.endswith("weight"):
            _draw_(parameter, 1.0, norm_std, "normal", rng)
        else:
            parameter.zero_()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
        elif isinstance(module, ConditionalBatchNorm2d):
            module.reset_labels_()


def _draw_(parameter: Tensor, mean: float, std: float, law: Law, rng: torch.Generator | None) -> None:
    """Fill a tensor with draws made on the device of ``rng``."""
    values = torch.empty(parameter.shape, dtype=parameter.dtype, device=rng.device if rng else parameter.device)
    if law == "uniform":
        values.uniform_(mean - math.sqrt(3.0) * std, mean + math.sqrt(3.0) * std, generator=rng)
    else:
        values.normal_(mean, std, generator=rng)
    parameter.copy_(values)


def fan_in(weight: Tensor) -> int:
    """Inputs that one output of a dense layer ``[out, in]`` or convolution ``[out, in, h, w]`` sums over."""
    return weight[0].numel()


def fan_out(weight: Tensor) -> int:
    """Outputs that one input of a dense layer ``[out, in]`` or convolution ``[out, in, h, w]`` reaches."""
    return weight[:, 0].numel()
