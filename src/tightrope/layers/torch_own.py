"""Torch's own constraints: parametrisations of ``torch.nn.utils.parametrizations`` and the older hooks.

The hooks set ``layer.weight`` as a plain tensor before each forward. Between forwards it is the weight of the forward
before, and a deep copy of the module fails on it.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize
from torch.nn.utils.spectral_norm import SpectralNorm, remove_spectral_norm
from torch.nn.utils.weight_norm import WeightNorm, remove_weight_norm

M = TypeVar("M", bound=nn.Module)

HOOKS = (SpectralNorm, WeightNorm)
_KINDS: dict[type, str] = {
    parametrizations._SpectralNorm: "torch's spectral_norm",
    parametrizations._WeightNorm: "torch's weight_norm",
    parametrizations._Orthogonal: "torch's orthogonal",
    SpectralNorm: "torch's old spectral_norm",
    WeightNorm: "torch's old weight_norm",
}


def said(constraint: object) -> str:
    """A constraint of torch in words; empty for anything else."""
    return next((words for kind, words in _KINDS.items() if isinstance(constraint, kind)), "")


def hooks_of(module: nn.Module) -> dict[str, Any]:
    """Hooks that compute a tensor of the module before each forward, by the tensor's name."""
    return {hook.name: hook for hook in module._forward_pre_hooks.values() if isinstance(hook, HOOKS)}


def hooked_weight(module: nn.Module, hook: Any) -> Tensor:
    """What the next forward in evaluation mode would compute with, differentiable; nothing advances."""
    if isinstance(hook, SpectralNorm):
        return hook.compute_weight(module, do_power_iteration=False)
    weight: Tensor = hook.compute_weight(module)
    return weight


def of_torch(module: nn.Module) -> dict[str, str]:
    """The tensors of a module that a constraint of torch computes, each with the constraint in words."""
    found = {name: said(hook) for name, hook in hooks_of(module).items()}
    if parametrize.is_parametrized(module):
        for name, chain in module.parametrizations.items():  # type: ignore[union-attr, operator]
            words = ", ".join(filter(None, map(said, chain)))
            if words:
                found[name] = words
    return found


def raw_parameters(module: nn.Module, name: str) -> list[nn.Parameter]:
    """What one tensor of a module is computed from; the tensor itself where it is a parameter."""
    if parametrize.is_parametrized(module, name):
        return list(module.parametrizations[name].parameters())  # type: ignore[index, union-attr]
    endings = ("_orig", "_g", "_v") if name in hooks_of(module) else ("",)
    return [p for ending in endings if (p := module._parameters.get(name + ending)) is not None]


def make_plain(module: nn.Module, name: str) -> None:
    """Replace one computed tensor by its present value, a parameter; power iterations do not advance."""
    hook = hooks_of(module).get(name)
    if hook is None:
        module.parametrizations[name].eval()  # type: ignore[index, union-attr]
        _give_own_class(module)
        parametrize.remove_parametrizations(module, name, leave_parametrized=True)
        return
    undo = remove_spectral_norm if isinstance(hook, SpectralNorm) else remove_weight_norm
    undo(module, name)


def make_layers_plain(layers: Mapping[str, nn.Module]) -> None:
    """Take torch's own constraints off these layers, keeping the weights they compute with in evaluation mode.

    A weight that is a view, such as another one's transpose, gets memory of its own, which optimisers and files want.
    """
    for layer in layers.values():
        if "weight" in of_torch(layer):
            make_plain(layer, "weight")
        if isinstance(layer.weight, nn.Parameter) and not _is_dense(layer.weight):
            layer.weight.data = layer.weight.data.contiguous()


def _is_dense(weight: Tensor) -> bool:
    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    last = formats.get(weight.dim())
    return weight.is_contiguous() or (last is not None and weight.is_contiguous(memory_format=last))


@contextmanager
def steady(*networks: nn.Module) -> Iterator[None]:
    """Keep torch's power iterations where they are, which a forward, or reading the weight, would advance."""
    moving = [
        module
        for network in networks
        for module in network.modules()
        if module.training
        and (
            isinstance(module, parametrizations._SpectralNorm)
            or any(isinstance(hook, SpectralNorm) for hook in hooks_of(module).values())
        )
    ]
    for module in moving:
        module.training = False
    try:
        yield
    finally:
        for module in moving:
            module.training = True


def copied(network: M) -> M:
    """Deep copy that also takes networks with tensors of a past forward on them, as the hooks leave them."""
    memo: dict[int, Any] = {}
    for module in network.modules():
        for held in vars(module).values():
            values = held.values() if isinstance(held, dict) else held if isinstance(held, (list, tuple)) else (held,)
            for value in values:
                if isinstance(value, Tensor) and value.grad_fn is not None:
                    memo[id(value)] = value.detach().clone()
    return copy.deepcopy(network, memo)


def _give_own_class(module: nn.Module) -> None:
    """Undo the sharing of torch's injected class with deep copies, whose weight the removal would delete as well."""
    cls = type(module)
    attributes = {key: value for key, value in vars(cls).items() if key not in ("__dict__", "__weakref__")}
    module.__class__ = type(cls.__name__, cls.__bases__, attributes)
