"""What constraints and spectra need to know about other people's modules: which layers, which matrix, which state.

A *layer* here is a module with one weight tensor that acts linearly: ``nn.Linear``, ``nn.Conv1d/2d/3d``,
``nn.ConvTranspose1d/2d/3d``, ``nn.Embedding``. Its **kernel matrix** is what the spectral-normalisation paper divides
by: the weight reshaped to ``[outputs, inputs * kernel]``, the map from one patch to one output position. Convolutions
with groups have one such block per group; the kernel matrix is then block-diagonal and is kept as
``[groups, outputs / groups, inputs / groups * kernel]``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils import parametrize

from tightrope.linalg import block_add_outer, block_matvec, block_rmatvec, top_singular_pair

Layer: TypeAlias = (
    nn.Linear
    | nn.Embedding
    | nn.Conv1d
    | nn.Conv2d
    | nn.Conv3d
    | nn.ConvTranspose1d
    | nn.ConvTranspose2d
    | nn.ConvTranspose3d
)

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
LAYERS = (nn.Linear, nn.Embedding, *CONVOLUTIONS, *TRANSPOSED)
_REFUSED = (nn.RNNBase, nn.RNNCellBase, nn.MultiheadAttention, nn.Bilinear, nn.EmbeddingBag)

_frozen = 0


@contextmanager
def frozen_constraints() -> Iterator[None]:
    """Keep power-iteration vectors where they are while a diagnostic calls a network in training mode."""
    global _frozen
    _frozen += 1
    try:
        yield
    finally:
        _frozen -= 1


def constraints_are_frozen() -> bool:
    """Whether the code runs inside :func:`frozen_constraints`."""
    return _frozen > 0


@dataclass(frozen=True)
class KernelShape:
    """How a weight tensor becomes its kernel matrix, without holding on to the layer.

    Attributes:
        rows: Output channels per group.
        columns: Input channels per group times the kernel's elements.
        groups: Number of diagonal blocks; 1 for everything but grouped convolutions.
        transposed: Whether the weight is stored ``[inputs, outputs / groups, *kernel]``.
    """

    rows: int
    columns: int
    groups: int
    transposed: bool

    @property
    def output_shape(self) -> tuple[int]:
        """Shape of ``u``."""
        return (self.groups * self.rows,)

    def matrix(self, weight: Tensor) -> Tensor:
        """Weight as ``[groups, rows, columns]``; a view except for transposed convolutions."""
        if not self.transposed:
            return weight.reshape(self.groups, self.rows, self.columns)
        blocks = weight.reshape(self.groups, weight.shape[0] // self.groups, self.rows, -1)
        return blocks.transpose(1, 2).reshape(self.groups, self.rows, self.columns)

    def view(self, weight: Tensor) -> Tensor:
        """``weight`` as the block ``[rows, columns]``, or as it is if there are more of them."""
        if self.groups > 1:
            return weight
        return self.matrix(weight)[0] if self.transposed else weight.reshape(self.rows, self.columns)

    def apply(self, weight: Tensor, v: Tensor) -> Tensor:
        """Kernel matrix times ``v [groups * columns]``; ``weight`` may be its :meth:`view`."""
        if self.groups == 1:
            return torch.mv(self._block(weight), v)
        return block_matvec(self.matrix(weight), v)

    def _block(self, weight: Tensor) -> Tensor:
        already = weight.dim() == 2  # also where the layer stores it so: a step that is not taken costs nothing
        return weight if already else self.view(weight)

    def adjoint(self, weight: Tensor, u: Tensor) -> Tensor:
        """Transposed kernel matrix times ``u [groups * rows]``; ``weight`` may be its :meth:`view`."""
        if self.groups == 1:
            return torch.mv(self._block(weight).t(), u)
        return block_rmatvec(self.matrix(weight), u)

    def plus_gradient(
        self, g: Tensor, weight: Tensor, u: Tensor, v: Tensor, scale: float = 1.0, times: float = 1.0
    ) -> Tensor:
        """``scale (g + times * gradient of u^T M(weight) v in the weight)``, a new tensor."""
        if self.groups == 1 and not self.transposed:
            block = g if g.dim() == 2 else g.reshape(self.rows, self.columns)
            total = torch.addr(block, u, v, beta=scale, alpha=scale * times)
            return total if g.dim() == 2 else total.view(weight.shape)
        return self.weight(block_add_outer(self.matrix(g), u, v, scale, scale * times), weight.shape)

    def top_pair(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Exact singular vectors ``u``, ``v`` of the largest singular value."""
        return top_singular_pair(self.matrix(weight))

    def weight(self, matrix: Tensor, shape: torch.Size) -> Tensor:
        """Inverse of :meth:`matrix` for a weight of ``shape``."""
        if not self.transposed:
            return matrix.reshape(shape)
        blocks = matrix.reshape(self.groups, self.rows, shape[0] // self.groups, -1)
        return blocks.transpose(1, 2).reshape(shape)


def kernel_shape(layer: nn.Module) -> KernelShape:
    """Kernel-matrix layout of one layer.

    Raises:
        TypeError: ``layer`` is not one of the layers named in this module's first paragraph.
    """
    if not isinstance(layer, LAYERS):
        raise TypeError(
            f"expected a Linear, Conv, ConvTranspose or Embedding layer, got {type(layer).__name__}; pass such a layer"
        )
    if isinstance(layer, nn.Linear):
        return KernelShape(layer.out_features, layer.in_features, 1, False)
    if isinstance(layer, nn.Embedding):
        return KernelShape(layer.num_embeddings, layer.embedding_dim, 1, False)
    groups = layer.groups
    taps = math.prod(layer.kernel_size)
    transposed = isinstance(layer, TRANSPOSED)
    return KernelShape(layer.out_channels // groups, layer.in_channels // groups * taps, groups, transposed)


def kernel_matrix(layer: nn.Module) -> Tensor:
    """Kernel matrix ``[groups, rows, columns]`` of the layer's effective (constrained) weight."""
    shape = kernel_shape(layer)
    return shape.matrix(effective_weight(layer))


def effective_weight(layer: nn.Module) -> Tensor:
    """The weight the layer computes with, constraints applied, with no power iteration advanced."""
    with frozen_constraints():
        weight: Tensor = layer.weight  # type: ignore[assignment]
        return weight


def find_layers(network: nn.Module, *, skip: Iterable[str] = ()) -> dict[str, Layer]:
    """Every layer of ``network`` by its qualified name, in the order of ``named_modules``; a shared layer once.

    Args:
        network: Any module; a layer alone is found under the name ``""``.
        skip: Names of submodules to leave out, with everything below them.

    Raises:
        ValueError: A name in ``skip`` is no submodule, or a lazy layer has no weight yet.
    """
    skipped = _subtrees(network, skip)
    found: dict[str, Layer] = {}
    for name, module in network.named_modules():
        if not isinstance(module, LAYERS) or name in skipped:
            continue
        if isinstance(module, nn.modules.lazy.LazyModuleMixin) and module.has_uninitialized_params():
            raise ValueError(f"expected layers with weights, got the lazy layer {name!r}; call the network once before")
        found[name] = module
    return found


def constrainable_layers(network: nn.Module, *, skip: Iterable[str] = (), in_place: bool = False) -> dict[str, Layer]:
    """:func:`find_layers` for a constraint: refuses what would silently stay unconstrained, or break later.

    Args:
        network: Any module.
        skip: Names of submodules to leave out, with everything below them.
        in_place: For a projection, which writes into the weights: those may then hold anything, have sparse gradients,
            or be shared with a skipped layer.

    Raises:
        TypeError: A recurrent, attention or bilinear module, or a module with its own weight matrix, is in the network.
        ValueError: No layer at all, a layer that is already constrained, a weight that is no parameter, is shared with
            another layer, or is not finite, or an Embedding with sparse gradients.
    """
    skip = _names(skip)
    layers = find_layers(network, skip=skip)
    skipped = _subtrees(network, skip)
    for name, module in network.named_modules():
        if name not in skipped and not isinstance(module, (*LAYERS, parametrize.ParametrizationList)):
            _refuse_other_weights(name, module, inside_parametrization="parametrizations." in name)
    if not layers:
        raise ValueError(
            "expected a network with Linear, Conv, ConvTranspose or Embedding layers, got none; check `skip`"
        )
    for name, layer in layers.items():
        if parametrize.is_parametrized(layer, "weight"):
            raise ValueError(
                f"expected plain weights, got {name!r} already constrained; call constraints.remove(network) first"
            )
        if not isinstance(layer.weight, nn.Parameter):
            raise ValueError(
                f"expected layer {name!r} to hold its weight as a parameter, got a plain tensor; "
                "remove the old-style weight hook first"
            )
        if not in_place:
            _refuse_values(name, layer)
    _refuse_shared_weights(layers, layers.items() if in_place else network.named_modules())
    return layers


def refuse_not_finite(name: str, weight: Tensor) -> None:
    """Refuse a weight with entries that are infinite or no numbers.

    Raises:
        ValueError: It has one.
    """
    if not weight.is_meta and not bool(torch.isfinite(weight).all()):
        raise ValueError(
            f"expected finite weights, got {name!r} with entries that are infinite or no numbers; "
            "start from another initialisation, or from a checkpoint of before the divergence"
        )


def _refuse_values(name: str, layer: Layer) -> None:
    if isinstance(layer, nn.Embedding) and layer.sparse:
        raise ValueError(
            f"expected dense gradients, got the Embedding {name!r} with sparse=True, which a constrained weight cannot "
            "have; build it with sparse=False or name it in `skip`"
        )
    refuse_not_finite(name, layer.weight.detach())


def _refuse_shared_weights(layers: dict[str, Layer], modules: Iterable[tuple[str, nn.Module]]) -> None:
    """Refuse a weight that a second module holds too: a constraint on one of them would untie or change the other."""
    owners: dict[int, list[str]] = {}
    for name, module in modules:
        for parameter in {id(p) for p in module.parameters(recurse=False)}:
            owners.setdefault(parameter, []).append(name)
    for layer in layers.values():
        names = owners[id(layer.weight)]
        if len(names) > 1:
            places = " and ".join(map(repr, names))
            raise ValueError(
                f"expected a weight of its own in each layer, got one parameter shared by {places}; "
                "use one module in both places or name all of them in `skip`"
            )


def _names(skip: Iterable[str]) -> tuple[str, ...]:
    """The names in ``skip``, where a string alone is one name."""
    if isinstance(skip, str):
        return (skip,)
    names = tuple(skip) if isinstance(skip, Iterable) else (skip,)
    if not all(isinstance(name, str) for name in names):
        raise TypeError(f"expected names of submodules in `skip`, got {skip!r}; see network.named_modules()")
    return names


def _subtrees(network: nn.Module, skip: Iterable[str]) -> set[str]:
    """All submodule names at or below the given names."""
    names = _names(skip)
    everything = [name for name, _ in network.named_modules()]
    below: set[str] = set()
    for root in names:
        part = {name for name in everything if name == root or name.startswith(f"{root}.")}
        if not part:
            raise ValueError(f"expected names of submodules in `skip`, got {root!r}; see network.named_modules()")
        below |= part
    return below


def _refuse_other_weights(name: str, module: nn.Module, *, inside_parametrization: bool) -> None:
    if inside_parametrization:
        return
    own = [key for key, p in module.named_parameters(recurse=False) if p.dim() >= 2]
    if isinstance(module, _REFUSED) or own:
        what = f"{type(module).__name__} with {', '.join(own)}" if own else type(module).__name__
        raise TypeError(
            f"expected weights in Linear, Conv, ConvTranspose or Embedding layers, got {what} at {name!r}; "
            f"name it in `skip` to leave it unconstrained"
        )


def find_batch_norm(network: nn.Module) -> list[str]:
    """Names of the batch-normalisation layers, whose training mode mixes the samples of a batch."""
    return [name for name, module in network.named_modules() if isinstance(module, _BatchNorm)]
