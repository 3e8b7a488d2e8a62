"""Modules that count as one step of a certificate: which they are, and how much they may stretch.

A module is known by the ``forward`` it runs, not by its name or base class: a subclass with a ``forward`` of its own,
and a module whose hooks may change what goes in or comes out, is followed inside like any other code.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.nn.modules import module as hooks

from tightrope.critics._call import NoBoundError
from tightrope.layers.at_work import runs
from tightrope.layers.kernel import CONVOLUTIONS, LAYERS, effective_weight
from tightrope.layers.linear_map import linear_map
from tightrope.layers.torch_own import HOOKS
from tightrope.spectra.operator import map_upper


def is_step(module: nn.Module) -> bool:
    """Whether the module is accounted for as a whole: a plain layer, or one that declares its constant."""
    if _hooked(module):
        return False
    return runs(module, LAYERS) or _declares(module)


def _declares(module: nn.Module) -> bool:
    """Whether ``lipschitz`` was declared for the ``forward`` that runs, not inherited past a newer one."""
    if "forward" in vars(module) or "lipschitz" in vars(module):
        return "lipschitz" in vars(module)
    for kind in type(module).__mro__:
        if "lipschitz" in vars(kind):
            return True
        if "forward" in vars(kind):
            break
    return "lipschitz" in {*module._parameters, *module._buffers}


def _hooked(module: nn.Module) -> bool:
    own = [h for h in module._forward_pre_hooks.values() if not isinstance(h, HOOKS)]  # those only set the weight
    everywhere = hooks._global_forward_hooks or hooks._global_forward_pre_hooks
    return bool(own or module._forward_hooks or everywhere)


def factor(module: nn.Module, x: Tensor, result: Any, *, norms: bool = True) -> float:
    """How much a step may stretch the distance between two inputs of the shape of ``x``.

    Without ``norms`` 1 stands for every layer that has one.

    Raises:
        NoBoundError: There is no bound, or the call differs from what the layer's geometry says.
    """
    if runs(module, (nn.Embedding,)):
        raise NoBoundError("a lookup of a signal may jump")
    if runs(module, LAYERS):
        return _operator_norm(module, x, result, norms)
    declared: Any = module.lipschitz
    try:
        value = float(declared)
    except (TypeError, ValueError, RuntimeError):
        value = math.nan
    if not 0 <= value < math.inf:
        raise NoBoundError(f"declares a constant that is no finite number of at least zero, got {declared!r}")
    return value


def _operator_norm(module: nn.Module, x: Tensor, result: Any, norms: bool) -> float:
    weight = effective_weight(module).detach()
    if isinstance(module, CONVOLUTIONS) and x.dim() != weight.dim():
        raise NoBoundError("a convolution of a sample without a batch axis is not understood")
    try:
        of = linear_map(module, tuple(x.shape[1:]))
    except (TypeError, ValueError) as problem:
        raise NoBoundError(str(problem)) from problem
    if tuple(of.weight_shape) != tuple(weight.shape) or of.output_shape != tuple(result.shape[1:]):
        raise NoBoundError(f"gives {tuple(result.shape[1:])}, where its settings say {of.output_shape}")
    return map_upper(of, weight) if norms else 1.0


def stretch(x: Tensor, result: Any) -> float:
    """How much the step stretched the tangent that came with ``x``."""
    before = forward_ad.unpack_dual(x).tangent
    after = forward_ad.unpack_dual(result).tangent if isinstance(result, Tensor) else None
    if before is None or after is None:
        return 0.0
    size = float(torch.linalg.vector_norm(before))
    return float(torch.linalg.vector_norm(after)) / size if size else 0.0
