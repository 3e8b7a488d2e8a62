"""Weight and Frobenius normalisation, as the spectral-normalisation paper compares them: without a gain by default.

    weight norm:     each row of the kernel matrix divided by its length    =>  sum sigma_t^2 = outputs
    Frobenius norm:  the kernel matrix divided by its Frobenius norm         =>  sum sigma_t^2 = 1

Neither bounds the largest singular value away from the others: a rank-one matrix satisfies both, which is the paper's
point about them. A row, or a matrix, whose length is no more than 1e-12 stays as it is.
"""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from tightrope._plumbing.checks import check_assigned
from tightrope._plumbing.errors import UserError
from tightrope.constraints._normalise import SMALLEST
from tightrope.layers.find import constrainable_layers
from tightrope.layers.kernel import KernelShape, effective_weight, kernel_shape
from tightrope.layers.torch_own import make_layers_plain

M = TypeVar("M", bound=nn.Module)


class UnitNorm(nn.Module):
    """Parametrisation that divides the kernel matrix by the norm of each row, or of the whole."""

    def __init__(self, weight: Tensor, shape: KernelShape, *, rows: bool, gain: bool) -> None:
        super().__init__()
        self.shape, self.rows, self.weight_shape = shape, rows, weight.shape
        self.gain = nn.Parameter(self._norm(shape.matrix(weight.detach()))) if gain else None

    def _norm(self, matrix: Tensor) -> Tensor:
        """``[groups, rows, 1]`` or ``[1, 1, 1]``; 1 where all is zero, so that it stays so."""
        dim = -1 if self.rows else (0, 1, 2)
        norm: Tensor = torch.linalg.vector_norm(matrix, dim=dim, keepdim=True)
        return torch.where(norm > SMALLEST, norm, torch.ones_like(norm))

    def forward(self, weight: Tensor) -> Tensor:
        """Normalised weight, same shape."""
        matrix = self.shape.matrix(weight)
        normalised = matrix / self._norm(matrix)
        if self.gain is not None:
            normalised = self.gain * normalised
        return self.shape.weight(normalised, weight.shape)

    def right_inverse(self, weight: Tensor) -> Tensor:
        """Assigning a weight stores it raw; it is normalised when read."""
        check_assigned(weight, self.weight_shape)
        return weight

    def extra_repr(self) -> str:
        """Settings, for ``print(network)``."""
        gain = ", learned gain" if self.gain is not None else ""
        return f"{'each kernel row' if self.rows else 'Frobenius'} norm = 1{gain}"


def weight_norm(network: M, *, gain: bool = False, skip: tuple[str, ...] = (), replace: bool = False) -> M:
    """Bring every row of every kernel matrix (one output channel) to length 1, in place and removably.

    Args:
        network: The critic; Linear, Conv, ConvTranspose and Embedding layers are normalised.
        gain: Learn one factor per row, starting where the output is unchanged: the usual weight normalisation.
        skip: Names of submodules to leave alone.
        replace: Take torch's own spectral norm, weight norm or orthogonal map off first (parametrisations and older
            hooks), keeping the weights of evaluation mode; weight norm and hooks leave new parameters.

    Returns:
        The same network.

    Raises:
        UserTypeError: A module keeps a weight matrix that no constraint here knows; name it in ``skip``.
        UserError: A layer is already constrained, its weight is shared, sparse or not finite, or there is none.

    **Source**: Salimans and Kingma (arXiv 1602.07868); the comparison of Spectral Normalization (arXiv 1802.05957),
    section 3 and eq. 13, where the gain is left out so that it cannot undo the bound.
    **Claim**: the squared singular values of each kernel matrix sum to its number of rows.

    Example:
        >>> from tightrope import constraints
        >>> critic = constraints.weight_norm(nn.Sequential(nn.Linear(3, 4)))
        >>> torch.allclose(critic[0].weight.norm(dim=1), torch.ones(4))
        True
    """
    return _normalise(network, rows=True, gain=gain, skip=skip, replace=replace)


def frobenius_norm(network: M, *, gain: bool = False, skip: tuple[str, ...] = (), replace: bool = False) -> M:
    """Divide every kernel matrix by its Frobenius norm, in place and removably.

    Args:
        network: The critic; Linear, Conv, ConvTranspose and Embedding layers are normalised.
        gain: Learn one factor per layer, starting where the output is unchanged.
        skip: Names of submodules to leave alone.
        replace: Take torch's own spectral norm, weight norm or orthogonal map off first (parametrisations and older
            hooks), keeping the weights of evaluation mode; weight norm and hooks leave new parameters.

    Returns:
        The same network.

    Raises:
        UserTypeError: A module keeps a weight matrix that no constraint here knows; name it in ``skip``.
        UserError: A layer is already constrained, its weight is shared, sparse or not finite, or there is none.

    **Source**: Spectral Normalization (arXiv 1802.05957), appendix E.
    **Claim**: the squared singular values of each kernel matrix sum to 1, so its largest is at most 1.

    Example:
        >>> from tightrope import constraints
        >>> critic = constraints.frobenius_norm(nn.Sequential(nn.Linear(3, 4)))
        >>> torch.allclose(critic[0].weight.norm(), torch.tensor(1.0))
        True
    """
    return _normalise(network, rows=False, gain=gain, skip=skip, replace=replace)


def _normalise(network: M, *, rows: bool, gain: bool, skip: tuple[str, ...], replace: bool) -> M:
    layers = constrainable_layers(network, skip=skip, replace=replace)
    for name, layer in layers.items():
        weight = effective_weight(layer).detach()
        if not weight.is_meta and not bool(torch.isfinite(torch.linalg.vector_norm(weight))):
            raise UserError(
                f"expected weights whose squares are finite, got {name!r} with entries up to "
                f"{float(weight.abs().max()):.1e}; start from another initialisation"
            )
    make_layers_plain(layers)
    for layer in layers.values():
        parametrization = UnitNorm(layer.weight, kernel_shape(layer), rows=rows, gain=gain)
        parametrize.register_parametrization(layer, "weight", parametrization)
    return network
