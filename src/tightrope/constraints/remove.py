"""Take constraints off again, leaving plain weights that give the same outputs."""

from __future__ import annotations

import copy
from typing import TypeVar

from torch import nn
from torch.nn.utils import parametrize

from tightrope._modules import LAYERS, frozen_constraints

M = TypeVar("M", bound=nn.Module)


def constrained_layers(network: nn.Module) -> dict[str, str]:
    """Layers whose weight a constraint of this library computes, by name, each with its constraint in words."""
    found: dict[str, str] = {}
    for name, module in network.named_modules():
        if isinstance(module, LAYERS) and parametrize.is_parametrized(module, "weight"):
            ours = [p for p in module.parametrizations["weight"] if _is_ours(p)]  # type: ignore[index]
            if ours:
                found[name] = ", ".join(str(p) for p in ours)
    return found


def remove(network: M) -> M:
    """Replace every constrained weight by its present value, a plain parameter; outputs stay bit-identical.

    The parameters keep their identity, so an optimiser built before goes on working. Power iterations do not advance.

    Args:
        network: Constrained network, edited in place. Layers without our constraints are left alone.

    Returns:
        The same network.
    """
    modules = dict(network.named_modules())
    with frozen_constraints():
        for name in constrained_layers(network):
            _give_own_class(modules[name])
            parametrize.remove_parametrizations(modules[name], "weight", leave_parametrized=True)
    return network


def export(network: M) -> M:
    """Copy of the network with plain weights and the same outputs; the original stays as it is."""
    return remove(copy.deepcopy(network))


def _give_own_class(module: nn.Module) -> None:
    """Undo the sharing of torch's injected class with deep copies, whose weight the removal would delete as well."""
    cls = type(module)
    attributes = {key: value for key, value in vars(cls).items() if key not in ("__dict__", "__weakref__")}
    module.__class__ = type(cls.__name__, cls.__bases__, attributes)


def _is_ours(parametrization: nn.Module) -> bool:
    return type(parametrization).__module__.startswith("tightrope.constraints")
