"""Take constraints off again, leaving plain weights that give the same outputs."""

from __future__ import annotations

import warnings
from typing import TypeVar

from torch import nn
from torch.nn.utils import parametrize

from tightrope._plumbing.checks import check_module, refuse_frozen_code, refuse_sharded
from tightrope.layers.at_work import other_weights
from tightrope.layers.find import find_layers
from tightrope.layers.kernel import LAYERS
from tightrope.layers.torch_own import copied, hooks_of, make_plain, of_torch

M = TypeVar("M", bound=nn.Module)


def constrained_layers(network: nn.Module) -> dict[str, str]:
    """Layers whose weight a constraint computes, by name, each with its constraint in words, torch's own included.

    Example:
        >>> from tightrope import constraints
        >>> critic = constraints.weight_norm(nn.Sequential(nn.Linear(3, 4), nn.ReLU()))
        >>> constraints.constrained_layers(critic)
        {'0': 'UnitNorm(each kernel row norm = 1)'}
    """
    check_module(network)
    found: dict[str, str] = {}
    for name, module in network.named_modules():
        if isinstance(module, LAYERS):
            words = [str(p) for p in _chain(module, "weight") if _is_ours(p)]
            words += filter(None, [of_torch(module).get("weight")])
            if words:
                found[name] = ", ".join(words)
    return found


def unconstrained_weights(network: nn.Module) -> dict[str, str]:
    """Weights with two axes or more that no constraint computes, by qualified name, each with the class that holds it.

    What was named in ``skip`` is among them: a network with such weights has the bound of its constraint nowhere behind
    them.
    """
    constrained = constrained_layers(network)
    plain = {name: layer for name, layer in find_layers(network).items() if name not in constrained}
    found = {
        f"{name}.weight".lstrip("."): type(layer).__name__.removeprefix("Parametrized") for name, layer in plain.items()
    }
    for name, held in other_weights(network).items():
        owner, _, inside = name.partition("parametrizations.")
        if not inside or inside.partition(".")[0] not in of_torch(network.get_submodule(owner.rstrip("."))):
            found[name] = held
    return found


def remove(network: M) -> M:
    """Replace every constrained weight by its present value, a plain parameter; outputs stay bit-identical.

    The present value is that of evaluation mode: power iterations do not advance. A weight of one raw tensor keeps its
    parameter, so an optimiser built under the constraint goes on working: all of :func:`spectral_norm`,
    :func:`weight_norm`, :func:`frobenius_norm`, and :func:`orthogonal` except for convolutions with
    ``norm="operator"``. Those are computed from several tensors of other shapes; their weight becomes a new
    parameter, which a warning says: build a new optimiser then.

    Args:
        network: Constrained network, edited in place. Torch's own spectral norm, weight norm and orthogonal map, as
            parametrisations or as the older hooks, are taken off too. Other parametrisations stay, which a warning
            says.

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
    check_module(network)
    refuse_sharded(network, "a copy with plain weights")
    refuse_frozen_code(network, "plain weights")
    exported = copied(network)
    _remove(exported)
    return exported


def _remove(network: nn.Module) -> list[str]:
    """Edit ``network``; names of the layers whose weight did not keep its parameter."""
    check_module(network)
    refuse_frozen_code(network, "plain weights")
    replaced, left = [], []
    for name, module in list(network.named_modules()):
        for tensor in _computed(module):
            if not (tensor in of_torch(module) or any(map(_is_ours, _chain(module, tensor)))):
                left.append(name)
                continue
            known = {id(p) for p in module.parameters()}
            make_plain(module, tensor)
            if id(getattr(module, tensor)) not in known:
                replaced.append(name)
    if left:
        warnings.warn(
            f"the parametrisations of {', '.join(map(repr, left))} are no constraints known here and stay; take them "
            "off by torch.nn.utils.parametrize.remove_parametrizations",
            stacklevel=3,
        )
    return replaced


def _computed(module: nn.Module) -> list[str]:
    """Names of the module's tensors that something computes from others."""
    chains = list(module.parametrizations) if parametrize.is_parametrized(module) else []  # type: ignore[arg-type]
    return [*hooks_of(module), *chains]


def _chain(module: nn.Module, tensor: str) -> list[nn.Module]:
    if not parametrize.is_parametrized(module, tensor):
        return []
    return list(module.parametrizations[tensor])  # type: ignore[index]


def _is_ours(parametrization: nn.Module) -> bool:
    return type(parametrization).__module__.startswith("tightrope.constraints")
