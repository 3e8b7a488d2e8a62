"""Singular values of the kernel matrix: what the spectral-normalisation paper plots and divides by.

These are **not** the singular values of a convolution as a linear map, see :mod:`tightrope.spectra.layer`.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from tightrope._plumbing.checks import check_module, check_weight
from tightrope._plumbing.errors import UserError
from tightrope.layers.at_work import other_weights
from tightrope.layers.find import find_layers
from tightrope.layers.kernel import effective_weight, kernel_shape

_LARGE = 64  # smaller sides are decomposed as they are


@torch.no_grad()
def kernel_singular_values(layer: nn.Module) -> Tensor:
    """All singular values of the layer's kernel matrix, descending, of the weight it really computes with.

    Args:
        layer: Linear, Conv, ConvTranspose or Embedding; constrained or not. Nothing of it changes.

    Returns:
        ``[groups * min(outputs, inputs * kernel)]`` with outputs and inputs per group: the values of the block-diagonal
        matrix. Float32, or float64 for a float64 layer.

    Raises:
        UserTypeError: The module is no such layer.
        UserError: The weight has a non-finite entry.

    Example:
        >>> from tightrope import spectra
        >>> layer = nn.Linear(2, 2)
        >>> _ = layer.weight.data.copy_(torch.tensor([[3.0, 0.0], [0.0, -4.0]]))
        >>> spectra.kernel_singular_values(layer)
        tensor([4., 3.])
    """
    check_module(layer, "layer")
    shape = kernel_shape(layer)
    matrix = shape.matrix(effective_weight(layer).detach())
    if matrix.dtype in (torch.float16, torch.bfloat16):
        matrix = matrix.float()
    if matrix.numel():
        check_weight(matrix)
    return values_of(matrix).reshape(-1).sort(descending=True).values


def values_of(matrix: Tensor) -> Tensor:
    """Singular values of ``[..., rows, columns]``, descending.

    Of large float32 matrices from the Gram matrix in float64, whose root is off by 1e-8 of the largest value where that
    is zero, and by far less elsewhere: closer than a decomposition in float32, in a sixth of its time.
    """
    rows, columns = matrix.shape[-2:]
    if matrix.dtype != torch.float32 or min(rows, columns) < _LARGE:
        return torch.linalg.svdvals(matrix)
    wide = matrix.double() if rows <= columns else matrix.double().mT
    squares: Tensor = torch.linalg.eigvalsh(wide @ wide.mT)
    return squares.clamp(min=0).sqrt().flip(-1).to(matrix.dtype)


class KernelSpectra(dict[str, Tensor]):
    """Singular values by layer.

    Attributes:
        not_understood: Weights with two axes or more that no layer holds, each with the class that does.
    """

    def __init__(self, found: dict[str, Tensor], not_understood: dict[str, str]) -> None:
        super().__init__(found)
        self.not_understood = not_understood


def kernel_spectra(network: nn.Module) -> KernelSpectra:
    """:func:`kernel_singular_values` of every layer, by name.

    Args:
        network: Any module. Mode, buffers, power iterations and random states stay as they are.
    """
    found = {name: kernel_singular_values(layer) for name, layer in find_layers(network).items()}
    return KernelSpectra(found, other_weights(network))


def stable_rank(values: Tensor) -> Tensor:
    """``sum sigma^2 / sigma_1^2``: a rank that counts small singular values little, between 1 and their number.

    Args:
        values: Singular values ``[..., k]``; zero for a zero matrix.

    Example:
        >>> from tightrope.spectra import stable_rank
        >>> stable_rank(torch.tensor([2.0, 2.0, 1.0]))
        tensor(2.2500)
    """
    values = _checked(values)
    top = values.amax(-1, keepdim=True)
    return _ratio(values, top).square().sum(-1)


def stable_rank_fraction(values: Tensor) -> Tensor:
    """:func:`stable_rank` over the number of singular values: 1 for an orthogonal matrix."""
    return stable_rank(values) / _checked(values).shape[-1]


def effective_rank(values: Tensor) -> Tensor:
    """``exp(H(p))`` with ``p = sigma / sum sigma`` and entropy ``H`` in nats: between 1 and the number of values.

    Args:
        values: Singular values ``[..., k]``; zero for a zero matrix.

    **Source**: Roy and Vetterli, "The effective rank", EUSIPCO 2007.

    Example:
        >>> from tightrope.spectra import effective_rank
        >>> round(effective_rank(torch.tensor([1.0, 1.0, 0.0])).item(), 4)
        2.0
    """
    values = _checked(values)
    total = values.sum(-1, keepdim=True)
    p = _ratio(values, total)
    entropy = -torch.xlogy(p, p).sum(-1)
    return torch.where(total.squeeze(-1) > 0, entropy.exp(), torch.zeros_like(entropy))


def condition_number(values: Tensor) -> Tensor:
    """``sigma_max / sigma_min`` of the matrix itself, not of its Gram matrix; infinite if the smallest is zero.

    Args:
        values: Singular values ``[..., k]``.

    Example:
        >>> from tightrope.spectra import condition_number
        >>> condition_number(torch.tensor([4.0, 2.0]))
        tensor(2.)
    """
    values = _checked(values)
    return values.amax(-1) / values.amin(-1)


def _checked(values: Any) -> Tensor:
    """Singular values in float32 or better; NaN among them would count as a rank of zero."""
    if not isinstance(values, Tensor) or values.is_complex() or not values.dim() or not values.shape[-1]:
        got = (
            f"shape {list(values.shape)}, {values.dtype}"
            if isinstance(values, Tensor)
            else f"a {type(values).__name__}"
        )
        raise UserError(f"Expected singular values as a tensor [..., k] with k of at least 1, got {got}; pass such.")
    if not bool(((values >= 0) & (values < math.inf)).all()):
        raise UserError(
            "Expected finite singular values >= 0, got negative ones, NaN or infinity; look at the weights."
        )
    return values if values.dtype in (torch.float32, torch.float64) else values.float()


def _ratio(values: Tensor, by: Tensor) -> Tensor:
    return torch.where(by > 0, values / by.clamp(min=torch.finfo(values.dtype).tiny), torch.zeros_like(values))
