"""Hard orthogonality: weights that are orthonormal by construction, as kernel matrices or as linear maps.

A tall matrix gets orthonormal columns, a wide one orthonormal rows; a last layer with one output becomes a unit vector.
The orthogonalisers are those of :mod:`tightrope.linalg`; all but ``cayley`` start at the polar factor of the weight.
"""

from __future__ import annotations

from typing import Literal, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from tightrope import linalg
from tightrope._plumbing.checks import check_assigned, check_bound, check_choice, check_rng
from tightrope._plumbing.errors import UserError
from tightrope.constraints._operator import TOLERANCE, OrthogonalConvolution, geometry, require_cayley
from tightrope.constraints._shapes import layer_shapes, whole_shape
from tightrope.layers.find import constrainable_layers
from tightrope.layers.kernel import KernelShape, kernel_shape
from tightrope.layers.torch_own import make_layers_plain
from tightrope.linalg.precision import full_precision

M = TypeVar("M", bound=nn.Module)
By = Literal["polar", "bjorck", "qr", "cayley"]


class OrthogonalKernel(nn.Module):
    """Parametrisation whose kernel matrix has an orthonormal smaller side, times ``bound``."""

    def __init__(self, weight: Tensor, shape: KernelShape, by: By, bound: float) -> None:
        super().__init__()
        self.shape, self.by, self.bound, self.weight_shape = shape, by, bound, weight.shape
        self.fresh = True

    def forward(self, weight: Tensor) -> Tensor:
        """Orthogonal weight, same shape."""
        with full_precision(weight.device.type):
            matrix = linalg.ORTHOGONALISERS[self.by](self.shape.matrix(weight))
            weight = self.shape.weight(matrix, weight.shape)
            return weight if self.bound == 1 else self.bound * weight

    def right_inverse(self, weight: Tensor) -> Tensor:
        """Raw weight for an assigned one: of its polar factor, so that an orthogonal one comes back unchanged."""
        check_assigned(weight, self.weight_shape)
        matrix = self.shape.matrix(weight)
        if self.by != "cayley":
            return self.shape.weight(linalg.polar(matrix), weight.shape)
        if self.fresh:
            self.fresh = False
            require_cayley(matrix)
            return weight
        return self.shape.weight(_cayley_inverse(linalg.polar(matrix)), weight.shape)

    def extra_repr(self) -> str:
        """Settings, for ``print(network)``."""
        return f"orthogonal kernel matrix by {self.by}, bound {self.bound:g}"


def _cayley_inverse(Q: Tensor) -> Tensor:
    """:func:`linalg.cayley_inverse` where that is possible.

    Raises:
        UserError: It is not.
    """
    try:
        raw = linalg.cayley_inverse(Q)
        reached = raw.is_meta or bool((linalg.cayley(raw) - Q).abs().max() <= TOLERANCE)
    except (RuntimeError, UserError):  # exactly singular; through the door of linalg, if nothing stands around it
        reached = False
    if not reached:
        raise UserError(
            "expected a weight that Cayley's transform reaches, got one whose square block turns a direction round; "
            "assign another one, or use by='polar', which reaches all of them"
        )
    return raw


def orthogonal(
    network: M,
    by: By = "polar",
    norm: Literal["kernel", "operator"] = "kernel",
    *,
    bound: float = 1.0,
    input_shape: tuple[int, ...] | None = None,
    skip: tuple[str, ...] = (),
    replace: bool = False,
    rng: torch.Generator | None = None,
) -> M:
    """Make the weight of every layer orthogonal at each use, in place and removably.

    Call it **before** building the optimiser: with ``norm="operator"`` convolutions get new parameters, and get a new
    one again from :func:`remove`.

    Args:
        network: The critic; Linear, Conv1d/2d/3d, ConvTranspose and Embedding layers are made orthogonal.
        by: ``"polar"`` and ``"bjorck"`` give the same matrix, the nearest orthogonal one; ``"polar"`` is several times
            cheaper. ``"qr"`` is Gram-Schmidt, ``"cayley"`` a smooth chart that starts elsewhere than the weight.
        norm: ``"kernel"`` makes the reshaped weight ``[outputs, inputs * kernel]`` orthogonal, block by block if
            grouped; a convolution's operator norm is then up to ``ceil(kernel / stride)`` per axis pair without
            dilation, and more where reflect, replicate or circular padding feeds it copies of a cell.
            ``"operator"`` makes convolutions orthogonal as linear maps, so that the network is 1-Lipschitz wherever its
            other parts are; with zero padding, which no orthogonal map survives, they are 1-Lipschitz instead.
            ``constrained_layers(network)`` says per layer which of the two was achieved.
        bound: Factor on every weight.
        input_shape: Shape of the network's input without the batch; used by ``norm="operator"`` alone. Needed there
            for circular padding with a stride, orthogonal only where the stride divides the size. It tightens the
            bound of reflect, replicate and odd circular padding, whose copies would otherwise be assumed to be as
            many as can be. What is said of a layer then holds for inputs of this shape.
        skip: Names of submodules to leave alone.
        replace: Take torch's own spectral norm, weight norm or orthogonal map off first (parametrisations and older
            hooks), keeping the weights of evaluation mode; weight norm and hooks leave new parameters.
        rng: Source of the starting convolutions of ``norm="operator"``; the global one by default.

    Returns:
        The same network.

    Raises:
        UserTypeError: A module keeps a weight matrix that no constraint here knows, name it in ``skip``; or an
            argument is of another type.
        UserError: An option is unknown or out of range, a layer is already constrained, or there is none, or its
            weight is shared, sparse or not finite; for ``norm="operator"`` a stride and a dilation with a common
            factor, or a missing ``input_shape``.

    **Source**: Orthogonal Wasserstein GANs (arXiv 1911.13060) names a hard constraint without a formula in the text
    available to us: these are our readings. Bjorck: Anil et al. (arXiv 1811.05381); Cayley: Trockman and Kolter (arXiv
    2104.07167); orthogonal convolutions: block convolutions, Li et al. (arXiv 1911.00937), and for strides a
    patch-orthogonal kernel composed with them, Boissin et al. (arXiv 2501.07930).
    **Departures**: our convolutions alternate one-axis factors, which works in any dimension and for even kernels.
    **Claim**: every singular value of an orthogonal map is ``bound`` to 1e-5, after any number of optimiser steps.
    **Cost**: polar needs one float64 eigendecomposition of the smaller side per layer and use; see docs for ratios.

    Example:
        >>> from tightrope import constraints
        >>> critic = constraints.orthogonal(nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 1)))
        >>> W = critic[0].weight
        >>> torch.allclose(W.mT @ W, torch.eye(2), atol=1e-5)
        True
    """
    if by not in linalg.ORTHOGONALISERS:
        raise UserError(f"expected by={', '.join(sorted(linalg.ORTHOGONALISERS))}, got {by!r}; 'polar' is the default")
    check_choice("norm", norm, ("kernel", "operator"))
    check_bound(bound)
    check_rng(rng)
    if input_shape is not None:
        input_shape = whole_shape(input_shape)
    layers = constrainable_layers(network, skip=skip, replace=replace)
    known = input_shape is not None and norm == "operator"
    shapes = layer_shapes(network, list(layers), input_shape) if known else {}
    maps = {
        name: geometry(name, layer, shapes.get(name)) if norm == "operator" else None for name, layer in layers.items()
    }
    make_layers_plain(layers)
    for name, layer in layers.items():
        found = maps[name]
        parametrization: nn.Module
        if found is None:  # a matrix, whose two norms are one
            parametrization = OrthogonalKernel(layer.weight, kernel_shape(layer), by, bound)
        else:
            parametrization = OrthogonalConvolution(layer.weight, found, by, bound, rng)
        parametrize.register_parametrization(layer, "weight", parametrization)
    return network
