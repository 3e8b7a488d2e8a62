"""Projection of the singular values onto an interval around 1, applied after the critic's optimiser step."""

from __future__ import annotations

import math
from numbers import Real
from typing import Literal, TypeVar

import torch
from torch import Tensor, nn

from tightrope import linalg
from tightrope._plumbing.checks import check_choice, check_whole
from tightrope._plumbing.errors import UserError
from tightrope.layers.find import constrainable_layers, refuse_not_finite
from tightrope.layers.kernel import kernel_shape

M = TypeVar("M", bound=nn.Module)


@torch.no_grad()
def bound_singular_values_(
    network: M,
    epsilon: float = 0.05,
    *,
    every: int = 1,
    step: int | None = None,
    by: Literal["svd", "one_step"] = "svd",
    skip: tuple[str, ...] = (),
) -> M:
    """Clip the singular values of every kernel matrix to ``[1 / (1 + epsilon), 1 + epsilon]`` in place.

    Call it after each optimiser step of the critic, with the number of that step if it should act on some only.

    Args:
        network: The critic, with plain weights; biases and normalisation layers stay as they are.
        epsilon: Half width of the interval; 0 replaces each kernel matrix by its polar factor.
        every: Act when ``step`` is a multiple of this. Between projections norms drift, by depth times the drift.
        step: Number of the optimiser step; may be left out when ``every`` is 1.
        by: ``"svd"`` is exact. ``"one_step"`` is one Bjorck step ``W (3 I - W^T W) / 2`` towards the polar factor
            (``epsilon`` is then ignored): several times cheaper, and enough when applied after every step to weights
            that start orthogonal, where it leaves singular values within about 0.001 of 1.
        skip: Names of submodules to leave alone.

    Returns:
        The same network.

    Raises:
        UserError: ``epsilon`` is negative or not finite, ``every`` is no positive whole number, ``by`` is unknown,
            ``step`` is missing when it is needed, or a weight by ``"svd"`` is not finite.
        UserTypeError: A module keeps a weight matrix that no constraint here knows; name it in ``skip``.

    **Source**: singular value bounding, Jia et al. (arXiv 1611.06013), algorithm 1. Orthogonal Wasserstein GANs (arXiv
    1911.13060) names an iterative orthogonalisation by SVD without a formula in the text available to us: this is our
    reading.
    **Departures**: convolutions by their kernel matrix, block by block if grouped. Adam's moments keep referring to the
    unprojected weights, as in the source.
    **Claim**: right after a call by ``"svd"`` every kernel singular value lies in the interval to 1e-6.
    **Cost**: one float64 eigendecomposition of the smaller side's Gram matrix per layer.

    Example:
        >>> from tightrope import constraints
        >>> critic = nn.Sequential(nn.Linear(3, 4))
        >>> _ = constraints.bound_singular_values_(critic, epsilon=0.0)  # after each step of the optimiser
        >>> torch.allclose(torch.linalg.svdvals(critic[0].weight), torch.ones(3), atol=1e-5)
        True
    """
    if not isinstance(epsilon, Real) or not 0 <= float(epsilon) < math.inf:
        raise UserError(f"expected a finite epsilon >= 0, got {epsilon!r}; 0.05 is the default")
    check_whole("every", every, 1, 1)
    check_choice("by", by, ("svd", "one_step"))
    if step is not None:
        check_whole("step", step, 0, 0)
    if every > 1 and step is None:
        raise UserError(f"expected the number of the optimiser step with every={every}, got None; pass step=")
    if step is not None and step % every:
        return network
    for name, layer in constrainable_layers(network, skip=skip, in_place=True).items():
        shape = kernel_shape(layer)
        matrix = shape.matrix(layer.weight)
        matrix = linalg.bjorck_step(matrix) if by == "one_step" else _clamped(name, matrix, float(epsilon))
        layer.weight.copy_(shape.weight(matrix, layer.weight.shape))
    return network


def _clamped(name: str, matrix: Tensor, epsilon: float) -> Tensor:
    try:
        return linalg.clamp_singular_values(matrix, 1 / (1 + epsilon), 1 + epsilon)
    except (
        RuntimeError,
        UserError,
    ):  # a decomposition that did not end; looking before would cost a pass at every step
        refuse_not_finite(name, matrix)
        raise
