"""Weight clipping: the projection of the critic's parameters onto a box."""

from __future__ import annotations

from typing import Literal, TypeVar

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm
from torch.nn.utils import parametrize

from tightrope._plumbing.checks import check_bound, check_choice, check_module
from tightrope._plumbing.errors import UserError
from tightrope.layers.kernel import CONVOLUTIONS, LAYERS, TRANSPOSED

M = TypeVar("M", bound=nn.Module)

_NORMALISATIONS = (_BatchNorm, _InstanceNorm, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm, nn.LocalResponseNorm)


@torch.no_grad()
def clip_weights_(
    network: M,
    bound: float = 0.01,
    *,
    norm_layers: bool = True,
    biases: bool = True,
    layers: Literal["all", "convolutions"] = "all",
) -> M:
    """Clamp every parameter to ``[-bound, bound]`` in place: ``w <- clip(w, -c, c)``.

    Call it **after** each optimiser step of the critic, so that the generator always sees a clipped critic.

    Args:
        network: The critic. Parameters of every kind are clipped unless excluded below.
        bound: The box's half width ``c``, positive.
        norm_layers: Also clip scale and shift of batch, instance, layer and group normalisation.
        biases: Also clip parameters named ``bias``.
        layers: ``"convolutions"`` clips convolution weights alone.

    Returns:
        The same network.

    Raises:
        UserError: ``bound`` is not positive and finite, ``layers`` is unknown, or a module to clip is constrained or
            complex.

    **Source**: WGAN (arXiv 1701.07875), algorithm 1, line 7.
    **Departures**: none in this order. The authors' code clips *before* each critic step, so that the generator is
    updated against an unclipped critic; calling this at the start of the critic's step reproduces it. Their code clips
    every parameter, normalisation layers included: that is the default here. The comparison in the
    spectral-normalisation paper clips convolution weights only: ``layers="convolutions"``.
    **Claim**: for a linear critic with weight in the box, ``E D(real) - E D(fake)`` is at most
    ``bound * ||E real - E fake||_1``.
    **Cost**: one pass over the parameters.

    Example:
        >>> from tightrope import constraints
        >>> critic = nn.Linear(2, 1)
        >>> _ = constraints.clip_weights_(critic, bound=0.01)  # after each step of the optimiser
        >>> max(p.abs().max().item() for p in critic.parameters()) <= 0.01
        True
    """
    check_bound(bound, 0.01)
    check_module(network)
    check_choice("layers", layers, ("all", "convolutions"))
    clipped = {
        name: module
        for name, module in network.named_modules()
        if (norm_layers or not isinstance(module, _NORMALISATIONS))
        and (layers == "all" or isinstance(module, (*CONVOLUTIONS, *TRANSPOSED)))
    }
    for name, module in clipped.items():
        _refuse_computed_weights(name, module)
        if any(p.is_complex() for p in module.parameters(recurse=False)):
            raise UserError(f"expected real parameters, got {name!r} with complex ones; leave it out of the network")
    for module in clipped.values():
        for name, parameter in module.named_parameters(recurse=False):
            is_bias = name == "bias"
            if is_bias and (not biases or layers == "convolutions"):
                continue
            parameter.clamp_(-bound, bound)
    return network


def _refuse_computed_weights(name: str, module: nn.Module) -> None:
    """Clipping the raw weight of a layer that computes its weight from it would bound nothing."""
    hooked = isinstance(module, LAYERS) and not isinstance(module._parameters.get("weight"), nn.Parameter)
    if parametrize.is_parametrized(module) or hooked:
        raise UserError(
            f"expected plain weights, got {name!r} already constrained; call constraints.remove(network) first"
        )
