"""Take constraints off again, leaving plain weights that give the same outputs."""

from __future__ import annotations

import copy
import warnings
from typing import TypeVar

from torch import nn
from torch.nn.utils import parametrize

from tightrope.autodiff import frozen_constraints
from tightrope.layers.kernel import LAYERS

M = TypeVar("M", bound=nn.Module)


def constrained_layers(network: nn.Module) -> dict[str, str]:
    """Layers whose weight a constraint of this library computes, by name, each with its constraint in words.

    Example:
        >>> from tightrope import constraints
        >>> critic = constraints.weight_norm(nn.Sequential(nn.Linear(3, 4), nn.ReLU()))
        >>> constraints.constrained_layers(critic)
        {'0': 'UnitNorm(each kernel row norm = 1)'}
    """
    found: dict[str, str] = {}
    for name, module in network.named_modules():
        if isinstance(module, LAYERS) and parametrize.is_parametrized(module, "weight"):
            ours = [p for p in module.parametrizations["weight"] if _is_ours(p)]  # type: ignore[index]
            if ours:
                found[name] = ", ".join(str(p) for p in ours)
    return found


def remove(network: M) -> M:
    """Replace every constrained weight by its present value, a plain parameter; outputs stay bit-identical.

    A weight of one raw tensor keeps its parameter, so an optimiser built under the constraint goes on working: all of
    :func:`spectral_norm`, :func:`weight_norm`, :func:`frobenius_norm`, and :func:`orthogonal` except for convolutions
    with ``norm="operator"``. Those are computed from several tensors of other shapes; their weight becomes a new
    parameter, which a warning says: build a new optimiser then. Power iterations do not advance.

    Args:
        network: Constrained network, edited in place. Layers without our constraints are left alone.

    Returns:
        The same network.

    Example:
        >>> from tightrope import constraints
        >>> critic, x = constraints.spectral_norm(nn.Sequential(nn.Linear(3, 4))).eval(), torch.randn(5, 3)
        >>> before = critic(x)
        >>> torch.equal(constraints.remove(critic)(x), before), constraints.constrained_layers(critic)
        (True, {})
    """
    replaced = _remove(network)
    if replaced:
        warnings.warn(
            f"the weights of {', '.join(map(repr, replaced))} are new parameters, as they were computed from several; "
            "build a new optimiser before training on",
            stacklevel=2,
        )
    return network


def export(network: M) -> M:
    """Copy of the network with plain weights and the same outputs; the original stays as it is.

    Example:
        >>> from tightrope import constraints
        >>> critic = constraints.spectral_norm(nn.Sequential(nn.Linear(3, 4)))
        >>> plain = constraints.export(critic)
        >>> len(constraints.constrained_layers(plain)), len(constraints.constrained_layers(critic))
        (0, 1)
    """
    copied = copy.deepcopy(network)
    _remove(copied)
    return copied


def _remove(network: nn.Module) -> list[str]:
    """Edit ``network``; names of the layers whose weight did not keep its parameter."""
    modules = dict(network.named_modules())
    replaced = []
    with frozen_constraints():
        for name in constrained_layers(network):
            module = modules[name]
            _give_own_class(module)
            known = {id(p) for p in module.parameters()}
            parametrize.remove_parametrizations(module, "weight", leave_parametrized=True)
            if id(module.weight) not in known:
                replaced.append(name)
    return replaced


def _give_own_class(module: nn.Module) -> None:
    """Undo the sharing of torch's injected class with deep copies, whose weight the removal would delete as well."""
    cls = type(module)
    attributes = {key: value for key, value in vars(cls).items() if key not in ("__dict__", "__weakref__")}
    module.__class__ = type(cls.__name__, cls.__bases__, attributes)


def _is_ours(parametrization: nn.Module) -> bool:
    return type(parametrization).__module__.startswith("tightrope.constraints")
