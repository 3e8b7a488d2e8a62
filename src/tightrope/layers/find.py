"""What constraints and spectra need to know about other people's modules: which layers, which matrix, which state.

A *layer* here is a module with one weight tensor that acts linearly: ``nn.Linear``, ``nn.Conv1d/2d/3d``,
``nn.ConvTranspose1d/2d/3d``, ``nn.Embedding``. Its **kernel matrix** is what the spectral-normalisation paper divides
by: the weight reshaped to ``[outputs, inputs * kernel]``, the map from one patch to one output position. Convolutions
with groups have one such block per group; the kernel matrix is then block-diagonal and is kept as
``[groups, outputs / groups, inputs / groups * kernel]``.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils import parametrize

from tightrope._plumbing.checks import check_module, refuse_sharded
from tightrope._plumbing.errors import UserError, UserTypeError
from tightrope._plumbing.walk import modules_in
from tightrope.autodiff.view import replicas_of
from tightrope.layers.kernel import LAYERS, Layer, effective_weight
from tightrope.layers.torch_own import of_torch, raw_parameters, said

_REFUSED = (nn.RNNBase, nn.RNNCellBase, nn.MultiheadAttention, nn.Bilinear, nn.EmbeddingBag)


def find_layers(network: nn.Module, *, skip: Iterable[str] = ()) -> dict[str, Layer]:
    """Every layer of ``network`` by its qualified name, in the order of ``named_modules``; a shared layer once.

    Args:
        network: Any module; a layer alone is found under the name ``""``.
        skip: Names of submodules to leave out, with everything below them.

    Raises:
        UserError: A name in ``skip`` is no submodule, or a lazy layer has no weight yet.
    """
    skipped = _subtrees(network, skip)
    found: dict[str, Layer] = {}
    for name, module in network.named_modules():
        if not isinstance(module, LAYERS) or name in skipped:
            continue
        if isinstance(module, nn.modules.lazy.LazyModuleMixin) and module.has_uninitialized_params():
            raise UserError(f"expected layers with weights, got the lazy layer {name!r}; call the network once before")
        found[name] = module
    return found


def constrainable_layers(
    network: nn.Module, *, skip: Iterable[str] = (), in_place: bool = False, replace: bool = False
) -> dict[str, Layer]:
    """:func:`find_layers` for a constraint: refuses what would silently stay unconstrained, or break later.

    Args:
        network: Any module.
        skip: Names of submodules to leave out, with everything below them.
        in_place: For a projection, which writes into the weights: those may then hold anything, have sparse gradients,
            or be shared with a skipped layer.
        replace: Let constraints of torch pass, which ``torch_own.make_layers_plain`` then takes off.

    Raises:
        UserTypeError: A recurrent, attention or bilinear module, or a module with its own weight matrix, is in the
            network.
        UserError: No layer at all, a layer that is already constrained, a weight that is no parameter, is complex,
            without entries, shared with another layer, or not finite, a network in DistributedDataParallel, or an
            Embedding with sparse gradients or ``max_norm``.
    """
    refuse_sharded(network, "a constraint")
    if not in_place and replicas_of(network):
        raise UserError(
            "Expected a network that is constrained before DistributedDataParallel wraps it, got a wrapped one, whose "
            "gradients would be wrong; constrain the network first and wrap it then."
        )
    skip = _names(skip)
    layers = find_layers(network, skip=skip)
    refuse_other_weights(network, skip=skip)
    if not layers:
        raise UserError(
            "expected a network with Linear, Conv, ConvTranspose or Embedding layers, got none; check `skip`"
        )
    for name, layer in layers.items():
        _refuse_computed(name, layer, replace=replace, replaceable=not in_place)
        _refuse_kind(name, effective_weight(layer))
        if not in_place:
            _refuse_values(name, layer)
    _refuse_shared_weights(layers, layers.items() if in_place else network.named_modules())
    return layers


def _refuse_computed(name: str, layer: Layer, *, replace: bool, replaceable: bool) -> None:
    """Refuse a weight that something computes already, unless that is torch's and to be replaced."""
    theirs = of_torch(layer).get("weight")
    chain = layer.parametrizations["weight"] if parametrize.is_parametrized(layer, "weight") else ()  # type: ignore[index]
    if replace and theirs and all(map(said, chain)):
        return
    if theirs and replaceable:
        raise UserError(
            f"expected plain weights, got {name!r} already constrained by {theirs}; pass replace=True to take that "
            "off first, keeping the weight, or call constraints.remove(network) first"
        )
    if theirs or chain:
        raise UserError(
            f"expected plain weights, got {name!r} already constrained; call constraints.remove(network) first"
        )
    if not isinstance(layer.weight, nn.Parameter):
        raise UserError(
            f"expected layer {name!r} to hold its weight as a parameter, got a plain tensor; "
            "remove the hook that computes it first"
        )


def _refuse_kind(name: str, weight: Tensor) -> None:
    if weight.is_complex() or weight.numel() == 0:
        raise UserError(
            f"expected real weights with entries, got {name!r} with {weight.dtype} of shape {list(weight.shape)}; "
            "name it in `skip`"
        )


def refuse_not_finite(name: str, weight: Tensor) -> None:
    """Refuse a weight with entries that are infinite or no numbers.

    Raises:
        UserError: It has one.
    """
    if not weight.is_meta and not bool(torch.isfinite(weight).all()):
        raise UserError(
            f"expected finite weights, got {name!r} with entries that are infinite or no numbers; "
            "start from another initialisation, or from a checkpoint of before the divergence"
        )


def _refuse_values(name: str, layer: Layer) -> None:
    if isinstance(layer, nn.Embedding) and layer.sparse:
        raise UserError(
            f"expected dense gradients, got the Embedding {name!r} with sparse=True, which a constrained weight cannot "
            "have; build it with sparse=False or name it in `skip`"
        )
    if isinstance(layer, nn.Embedding) and layer.max_norm is not None:
        raise UserError(
            f"expected one constraint on a layer, got {name!r} with max_norm, which shortens its rows in place at each "
            "look-up; set its max_norm to None, or name it in `skip`"
        )
    refuse_not_finite(name, effective_weight(layer).detach())


def _refuse_shared_weights(layers: dict[str, Layer], modules: Iterable[tuple[str, nn.Module]]) -> None:
    """Refuse a weight that a second module holds too: a constraint on one of them would untie or change the other."""
    owners: dict[int, list[str]] = {}
    for name, module in modules:
        for parameter in {id(p) for p in module.parameters(recurse=False)}:
            owners.setdefault(parameter, []).append(name)
    for layer in layers.values():
        names = sorted({name for p in raw_parameters(layer, "weight") for name in owners[id(p)]})
        if len(names) > 1:
            places = " and ".join(map(repr, names))
            raise UserError(
                f"expected a weight of its own in each layer, got one parameter shared by {places}; "
                "use one module in both places or name all of them in `skip`"
            )


def _names(skip: Iterable[str]) -> tuple[str, ...]:
    """The names in ``skip``, where a string alone is one name."""
    if isinstance(skip, str):
        return (skip,)
    names = tuple(skip) if isinstance(skip, Iterable) else (skip,)
    if not all(isinstance(name, str) for name in names):
        raise UserTypeError(f"expected names of submodules in `skip`, got {skip!r}; see network.named_modules()")
    return names


def _subtrees(network: nn.Module, skip: Iterable[str]) -> set[str]:
    """All submodule names at or below the given names."""
    check_module(network)
    names = _names(skip)
    everything = [name for name, _ in network.named_modules()]
    below: set[str] = set()
    for root in names:
        part = {name for name in everything if name == root or name.startswith(f"{root}.")}
        if not part:
            raise UserError(f"expected names of submodules in `skip`, got {root!r}; see network.named_modules()")
        below |= part
    return below


def refuse_other_weights(network: nn.Module, *, skip: Iterable[str] = ()) -> None:
    """Refuse weights of two axes or more that no layer holds, which would be passed over.

    Raises:
        UserTypeError: A module outside ``skip`` holds one.
    """
    skipped = _subtrees(network, skip)
    for name, module in network.named_modules():
        inside = "parametrizations." in name or isinstance(module, parametrize.ParametrizationList)
        if name in skipped or inside or isinstance(module, LAYERS):
            continue
        own = [key for key, p in module.named_parameters(recurse=False) if p.dim() >= 2]
        if isinstance(module, _REFUSED) or own:
            what = f"{type(module).__name__} with {', '.join(own)}" if own else type(module).__name__
            raise UserTypeError(
                f"expected weights in Linear, Conv, ConvTranspose or Embedding layers, got {what} at {name!r}; hold "
                "them in such layers, or name it in `skip`, which leaves it unconstrained and the network without the "
                "bound"
            )


def find_batch_norm(network: nn.Module) -> list[str]:
    """Names of the batch-normalisation layers, whose training mode mixes the samples of a batch."""
    for module in modules_in(network):  # almost always without one, and at every step of a penalty
        if isinstance(module, _BatchNorm):
            break
    else:
        return []
    return [name for name, module in network.named_modules() if isinstance(module, _BatchNorm)]
