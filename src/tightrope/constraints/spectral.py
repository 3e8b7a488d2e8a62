"""Spectral normalisation, as the paper's algorithm 1, on somebody else's network.

    v <- W^T u / ||W^T u||,   u <- W v / ||W v||          (steps times per optimiser step; u is kept)
    sigma = u^T W v,           W_bar = W / sigma           (u, v constants; the gradient flows through both W)

``W`` is the kernel matrix, as in the paper, or the layer as a linear map. The layer keeps the raw weight for the
optimiser; ``layer.weight`` is ``W_bar``, computed on every access.
"""

from __future__ import annotations

from typing import Literal, TypeVar

import torch
from torch import nn
from torch.nn.utils import parametrize

from tightrope._plumbing.checks import check_bound, check_choice, check_rng, check_whole
from tightrope.autodiff import frozen_constraints
from tightrope.constraints._normalise import Map
from tightrope.constraints._power import OperatorMap, SpectralNorm, Update
from tightrope.constraints._shapes import layer_shapes, whole_shape
from tightrope.layers.find import constrainable_layers
from tightrope.layers.kernel import Layer, kernel_shape
from tightrope.layers.linear_map import linear_map
from tightrope.layers.torch_own import make_layers_plain

M = TypeVar("M", bound=nn.Module)


def spectral_norm(
    network: M,
    norm: Literal["kernel", "operator"] = "kernel",
    *,
    steps: int = 1,
    update: Update = "optimizer_step",
    exact: bool = False,
    at_most: bool = False,
    gain: bool = False,
    bound: float = 1.0,
    warmup: int = 15,
    input_shape: tuple[int, ...] | None = None,
    skip: tuple[str, ...] = (),
    replace: bool = False,
    rng: torch.Generator | None = None,
) -> M:
    """Divide the weight of every layer by its largest singular value, in place and removably.

    Call it **before** building the optimiser (a learned gain is a new parameter; without one the order is free).

    Args:
        network: The critic; Linear, Conv1d/2d/3d, ConvTranspose and Embedding layers are normalised.
        norm: ``"kernel"``, the paper's: the weight as ``[outputs, inputs * kernel]``, one block per group.
            ``"operator"``: the layer as a linear map with its real padding, stride and input size, so that a network of
            such layers is 1-Lipschitz wherever its other parts are. The kernel norm can be several times smaller.
        steps: Power-iteration rounds per advance.
        update: When ``u`` advances in training mode. ``"optimizer_step"``: at the first use after the weight changed,
            so that real, fake and penalty forwards of one step see the same weights. ``"forward"``: at each use.
        exact: Largest singular pair by a float64 eigendecomposition at each use; no state, no iteration error.
            Derivatives are exact where the largest value is single; of large operators there is the first alone.
        at_most: Divide by ``max(1, sigma / bound)``, so that smaller layers are left alone.
        gain: Learn one scalar per layer that multiplies the result, starting where the output is unchanged.
            The network is then no longer Lipschitz-bounded by this constraint.
        bound: The value that sigma is brought to.
        warmup: Rounds at construction, so that the first step already sees a good sigma; 0 starts as the paper does.
        input_shape: Shape of the network's input without the batch, needed for ``norm="operator"``: one forward on
            zeros finds each layer's own.
        skip: Names of submodules to leave alone.
        replace: Take torch's own spectral norm, weight norm or orthogonal map off first (parametrisations and older
            hooks), keeping the weights of evaluation mode; weight norm and hooks leave new parameters.
        rng: Source of the starting ``u``; the global one by default.

    Returns:
        The same network.

    Raises:
        UserTypeError: A module keeps a weight matrix that no constraint here knows, name it in ``skip``; or an
            argument is of another type.
        UserError: An option is out of range, a layer is already constrained, or there is no layer, or its weight is
            shared with another module, sparse or not finite; for ``norm="operator"`` also a layer that the forward does
            not reach or meets with different input sizes, and an ``input_shape`` that the network cannot take.

    **Source**: Spectral Normalization (arXiv 1802.05957), algorithm 1, eq. 6-12; the gain is eq. 32.
    **Departures**: ``u`` advances once per optimiser step (the authors' code: on each forward, ``update="forward"``),
    and never in evaluation mode or inside a diagnostic (their linear layer does). 15 warm-up rounds (theirs: none).
    Groups are normalised as the block-diagonal matrix they are, with vectors for every block. A gain starts at sigma,
    as in their code. A zero weight stays as it is. In evaluation mode a weight that is not the one last advanced on (an
    average, one loaded without vectors, one after an optimiser step) is divided by its exact sigma, as with ``exact``,
    and the state stays (while a CUDA graph is recorded, by that of 30 rounds). In training mode vectors of another
    weight (cosine of ``u`` and ``W v`` below 0.5, without an advance) give way to ``W v`` itself. Assigning a weight
    runs 15 rounds.
    **Claim**: after any number of steps the kernel norm of each effective weight is ``bound`` up to the lag of the
    power iteration; the autograd gradient is the paper's eq. 12.
    **Cost**: one advance reads the weight three times and gives sigma; a use without one, twice. The division and its
    backward read and write it once each. The operator norm puts one input (not a batch) through the layer for each
    product. In evaluation mode a use reads the weight once more, to know whether it changed, which on a GPU waits for
    the device; if it did, the first use finds sigma as ``exact`` does, and the following ones keep it.

    Example:
        >>> from tightrope import constraints
        >>> critic = constraints.spectral_norm(nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 1)))
        >>> round(torch.linalg.matrix_norm(critic[0].weight, 2).item(), 2)  # computed at each use
        1.0
    """
    check_whole("steps", steps, 1, 1)
    check_whole("warmup", warmup, 0, 15)
    check_bound(bound)
    check_choice("update", update, ("optimizer_step", "forward"))
    check_choice("norm", norm, ("kernel", "operator"))
    check_rng(rng)
    if input_shape is not None:
        input_shape = whole_shape(input_shape)
    layers = constrainable_layers(network, skip=skip, replace=replace)
    maps = _maps(network, layers, norm, input_shape)
    make_layers_plain(layers)
    for name, layer in layers.items():
        parametrization = SpectralNorm(
            layer.weight,
            maps[name],
            steps=steps,
            update=update,
            exact=exact,
            at_most=at_most,
            gain=gain,
            bound=bound,
            warmup=warmup,
            rng=rng,
        )
        parametrization.train(layer.training)
        with frozen_constraints():
            parametrize.register_parametrization(layer, "weight", parametrization)
    return network


def _maps(
    network: nn.Module, layers: dict[str, Layer], norm: str, input_shape: tuple[int, ...] | None
) -> dict[str, Map]:
    if norm == "kernel":
        return {name: kernel_shape(layer) for name, layer in layers.items()}
    shapes = layer_shapes(network, list(layers), input_shape)
    return {name: OperatorMap(linear_map(layer, shapes[name])) for name, layer in layers.items()}
