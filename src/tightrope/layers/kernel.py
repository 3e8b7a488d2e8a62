"""One layer's weight as its **kernel matrix**, the map from one patch to one output position."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from tightrope._plumbing.errors import UserError, UserTypeError
from tightrope.autodiff.guard import frozen_constraints
from tightrope.layers.torch_own import hooked_weight, hooks_of, steady
from tightrope.linalg import top_singular_pair
from tightrope.linalg.blocks import add_outer, matvec

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
        return matvec(self.matrix(weight), v)

    def _block(self, weight: Tensor) -> Tensor:
        already = weight.dim() == 2  # also where the layer stores it so: a step that is not taken costs nothing
        return weight if already else self.view(weight)

    def adjoint(self, weight: Tensor, u: Tensor) -> Tensor:
        """Transposed kernel matrix times ``u [groups * rows]``; ``weight`` may be its :meth:`view`."""
        if self.groups == 1:
            return torch.mv(self._block(weight).t(), u)
        return matvec(self.matrix(weight).mT, u)

    def plus_gradient(
        self, g: Tensor, weight: Tensor, u: Tensor, v: Tensor, scale: Any = 1.0, times: Any = 1.0
    ) -> Tensor:
        """``scale (g + times * gradient of u^T M(weight) v in the weight)``, a new tensor."""
        if self.groups == 1 and not self.transposed:
            block = g if g.dim() == 2 else g.reshape(self.rows, self.columns)
            total = torch.addr(block, u, v, beta=scale, alpha=scale * times)
            return total if g.dim() == 2 else total.view(weight.shape)
        return self.weight(add_outer(self.matrix(g), u, v, scale, scale * times), weight.shape)

    def top_pair(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Exact singular vectors ``u``, ``v`` of the largest singular value."""
        return top_singular_pair(self.matrix(weight))

    def weight(self, matrix: Tensor, shape: torch.Size) -> Tensor:
        """Inverse of :meth:`matrix` for a weight of ``shape``, contiguous."""
        if not self.transposed:
            return matrix.reshape(shape).contiguous()
        blocks = matrix.reshape(self.groups, self.rows, shape[0] // self.groups, -1)
        return blocks.transpose(1, 2).reshape(shape).contiguous()


def kernel_shape(layer: nn.Module) -> KernelShape:
    """Kernel-matrix layout of one layer.

    Raises:
        UserTypeError: ``layer`` is not one of the layers named in this module's first paragraph.
    """
    if not isinstance(layer, LAYERS):
        raise UserTypeError(
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


def effective_weight(layer: nn.Module) -> Tensor:
    """The weight the layer computes with, constraints applied, with no power iteration advanced.

    Raises:
        UserError: It has none.
    """
    hook = hooks_of(layer).get("weight")
    if hook is not None:  # what the layer holds between forwards is the weight of the forward before
        return hooked_weight(layer, hook)
    with frozen_constraints(), steady(layer):
        weight = getattr(layer, "weight", None)
    if not isinstance(weight, Tensor):
        raise UserError(f"Expected a layer with a weight, got a {type(layer).__name__}; find_layers gives those of it.")
    return weight
