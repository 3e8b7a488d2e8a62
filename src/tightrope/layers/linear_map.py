"""One layer as the linear map it really is: with its padding, stride, dilation, groups and input size, without bias.

:class:`LinearMap` holds the geometry alone. The weight is an argument, so that ``sigma(W)`` can be differentiated.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from numbers import Integral
from typing import Any, Literal, NoReturn

import torch
from torch import Tensor, nn
from torch.nn import functional

from tightrope._plumbing.checks import check_module, refuse_frozen_code
from tightrope._plumbing.errors import UserError, UserTypeError
from tightrope.autodiff import undisturbed
from tightrope.layers.at_work import observe
from tightrope.layers.kernel import CONVOLUTIONS, LAYERS, TRANSPOSED
from tightrope.linalg import krylov, top_singular_pair

_SMALL = 2**18  # entries of a dense matrix that is cheaper than an iteration


@dataclass(frozen=True)
class LinearMap:
    """``y = A(W) x`` with ``x [batch, *input_shape]`` and ``y [batch, *output_shape]``, linear in ``x`` and in ``W``.

    Attributes:
        kind: ``"dense"`` (Linear on the last axis), ``"lookup"`` (Embedding on one-hot vectors), ``"convolution"`` or
            ``"transposed"``.
        input_shape: Without the batch; ``(num_embeddings,)`` for a lookup.
        output_shape: Without the batch.
        weight_shape: Shape of ``W``.
        stride, dilation, output_padding: One number per spatial axis; empty for dense maps.
        padding: Cells added before and after each spatial axis.
        padding_mode: ``"zeros"``, ``"circular"``, ``"reflect"`` or ``"replicate"``.
        groups: Of the convolution.
    """

    kind: Literal["dense", "lookup", "convolution", "transposed"]
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    weight_shape: tuple[int, ...]
    stride: tuple[int, ...] = ()
    padding: tuple[tuple[int, int], ...] = ()
    dilation: tuple[int, ...] = ()
    output_padding: tuple[int, ...] = ()
    padding_mode: str = "zeros"
    groups: int = 1

    @property
    def inputs(self) -> int:
        """Dimension of the input space."""
        return math.prod(self.input_shape)

    @property
    def outputs(self) -> int:
        """Dimension of the output space."""
        return math.prod(self.output_shape)

    @property
    def kernel(self) -> tuple[int, ...]:
        """Spatial size of the weight; empty for dense maps."""
        return self.weight_shape[2:]

    def apply(self, W: Tensor, x: Tensor) -> Tensor:
        """``A(W) x`` for ``x [batch, *input_shape]``."""
        if self.kind == "dense":
            return functional.linear(x, W)
        if self.kind == "lookup":
            return x @ W
        return torch.convolution(self._pad(x), W, None, *self._geometry())

    def adjoint(self, W: Tensor, y: Tensor) -> Tensor:
        """``A(W)^T y`` for ``y [batch, *output_shape]``."""
        if self.kind == "dense":
            return y @ W
        if self.kind == "lookup":
            return y @ W.mT
        padded = y.new_empty((y.shape[0], *self._padded_shape()))
        gradient = torch.ops.aten.convolution_backward(y, padded, W, None, *self._geometry(), [True, False, False])[0]
        if not self._pads_itself():
            return gradient
        origin = y.new_zeros((y.shape[0], *self.input_shape))
        pulled: Tensor = torch.func.vjp(self._pad, origin)[1](gradient)[0]
        return pulled

    def weight_gradient(self, W: Tensor, u: Tensor, v: Tensor) -> Tensor:
        """Gradient of ``<u, A(W) v>`` in ``W``, which does not depend on ``W``: ``u``, ``v`` with a batch of one."""
        if self.kind == "dense":
            return u.reshape(-1, W.shape[0]).mT @ v.reshape(-1, W.shape[1])
        if self.kind == "lookup":
            return torch.outer(v.reshape(-1), u.reshape(-1))
        masks = [False, True, False]
        result: Tensor = torch.ops.aten.convolution_backward(u, self._pad(v), W, None, *self._geometry(), masks)[1]
        return result

    def top_pair(self, W: Tensor) -> tuple[Tensor, Tensor]:
        """Singular vectors ``u [*output_shape]``, ``v [*input_shape]`` of the largest singular value.

        From the dense matrix where that is small, otherwise by Lanczos to full convergence, without derivatives.
        """
        if W.is_meta:
            return W.new_empty(self.output_shape), W.new_empty(self.input_shape)
        if self.inputs * self.outputs <= _SMALL:
            u, v = top_singular_pair(self.matrix(W.double())[None])
            return u.to(W).reshape(self.output_shape), v.to(W).reshape(self.input_shape)
        weight, W = W, W.detach()
        found = krylov.top_pair(
            lambda x: self.apply(W, x.reshape(1, *self.input_shape)).reshape(-1),
            lambda y: self.adjoint(W, y.reshape(1, *self.output_shape)).reshape(-1),
            self.inputs,
            like=W,
            tolerance=1e-10 if W.dtype == torch.float64 else 1e-5,
        )
        u, v = found.u.reshape(self.output_shape), found.v.reshape(self.input_shape)
        return (u, v) if torch.compiler.is_compiling() else _WithoutDerivative.apply(weight, u, v)

    def matrix(self, W: Tensor) -> Tensor:
        """The whole map as a dense matrix ``[outputs, inputs]``."""
        basis = torch.eye(self.inputs, dtype=W.dtype, device=W.device).reshape(self.inputs, *self.input_shape)
        return self.apply(W, basis).reshape(self.inputs, self.outputs).mT

    def one_group(self) -> LinearMap:
        """The map of a single group; the whole is block-diagonal in copies of this geometry."""
        inputs, outputs = self.input_shape[0] // self.groups, self.output_shape[0] // self.groups
        weight = (self.weight_shape[0] // self.groups, *self.weight_shape[1:])
        return LinearMap(
            self.kind, (inputs, *self.input_shape[1:]), (outputs, *self.output_shape[1:]), weight,
            self.stride, self.padding, self.dilation, self.output_padding, self.padding_mode,
        )  # fmt: skip

    def _symmetric(self) -> bool:
        return all(before == after for before, after in self.padding)

    def _pads_itself(self) -> bool:
        """Whether padding is a step of its own: not zeros, or different on the two sides."""
        return self.kind == "convolution" and (self.padding_mode != "zeros" or not self._symmetric())

    def _padded_shape(self) -> tuple[int, ...]:
        if not self._pads_itself():
            return self.input_shape
        size = (n + sum(p) for n, p in zip(self.input_shape[1:], self.padding, strict=True))
        return (self.input_shape[0], *size)

    def _pad(self, x: Tensor) -> Tensor:
        if not self._pads_itself():
            return x
        pads = [cells for both in reversed(self.padding) for cells in both]
        return functional.pad(x, pads, mode="constant" if self.padding_mode == "zeros" else self.padding_mode)

    def _geometry(self) -> tuple[Any, ...]:
        """Arguments of ``torch.convolution`` after the bias."""
        padding = [0] * len(self.stride) if self._pads_itself() else [before for before, _ in self.padding]
        transposed = self.kind == "transposed"
        return list(self.stride), padding, list(self.dilation), transposed, list(self.output_padding), self.groups


class _WithoutDerivative(torch.autograd.Function):
    """Singular vectors that Lanczos found: first derivatives of sigma need none of theirs, all others do."""

    @staticmethod
    def forward(W: Tensor, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        return u.clone(), v.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: tuple[Tensor, Tensor]) -> None:
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[None, None, None]:
        if any(g is not None for g in gradients):
            _refuse_derivative()
        return None, None, None

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> tuple[Tensor, Tensor]:
        return _refuse_derivative()

    @staticmethod
    def vmap(info: Any, in_dims: Any, *inputs: Tensor) -> Any:
        return _refuse_derivative()


def _refuse_derivative() -> NoReturn:
    raise UserError(
        "expected first derivatives in reverse mode alone of an exact operator norm of so large a layer, got a second "
        "or a forward one; use exact=False, whose vectors are constants"
    )


def linear_map(layer: nn.Module, input_shape: tuple[int, ...]) -> LinearMap:
    """Geometry of ``layer`` applied to inputs of ``input_shape`` (without the batch; ignored for an Embedding).

    Raises:
        UserTypeError: No Linear, Conv, ConvTranspose or Embedding layer.
        UserError: The layer cannot take inputs of this shape, or is not linear (an Embedding with ``max_norm``).
    """
    check_module(layer, "layer")
    if isinstance(input_shape, str) or not isinstance(input_shape, Iterable):
        raise UserTypeError(f"expected an input shape as whole numbers, got {input_shape!r}; leave out the batch")
    input_shape = tuple(input_shape)
    if not all(isinstance(n, Integral) for n in input_shape):
        raise UserTypeError(f"expected an input shape as whole numbers, got {input_shape!r}; leave out the batch")
    input_shape = tuple(int(n) for n in input_shape)
    if isinstance(layer, nn.Linear):
        if not input_shape or input_shape[-1] != layer.in_features:
            raise UserError(
                f"expected an input shape ending in {layer.in_features}, got {input_shape}; leave out the batch"
            )
        shape = (layer.out_features, layer.in_features)
        return LinearMap("dense", input_shape, (*input_shape[:-1], layer.out_features), shape)
    if isinstance(layer, nn.Embedding):
        if layer.max_norm is not None:
            raise UserError(
                "expected a linear layer, got an Embedding with max_norm, which rescales rows; drop max_norm"
            )
        size = (layer.num_embeddings, layer.embedding_dim)
        return LinearMap("lookup", size[:1], size[1:], size)
    if not isinstance(layer, (*CONVOLUTIONS, *TRANSPOSED)):
        raise UserTypeError(f"expected one of {', '.join(t.__name__ for t in LAYERS)}, got {type(layer).__name__}")
    return _convolution(layer, input_shape)


def _convolution(layer: Any, input_shape: tuple[int, ...]) -> LinearMap:
    axes = len(layer.kernel_size)
    if len(input_shape) != axes + 1 or input_shape[0] != layer.in_channels:
        raise UserError(
            f"expected an input shape of {layer.in_channels} channels and {axes} sizes, got {input_shape}; "
            "leave out the batch"
        )
    transposed = isinstance(layer, TRANSPOSED)
    taps = layer.kernel_size
    outer = (layer.in_channels, layer.out_channels // layer.groups)
    outer = outer if transposed else (layer.out_channels, layer.in_channels // layer.groups)
    padding = padding_cells(layer)
    sizes = []
    for n, k, s, d, (before, after), extra in zip(
        input_shape[1:], taps, layer.stride, layer.dilation, padding, layer.output_padding, strict=True
    ):
        reach = d * (k - 1) + 1
        sizes.append(
            (n - 1) * s - before - after + reach + extra if transposed else (n + before + after - reach) // s + 1
        )
    if min(sizes) < 1:
        raise UserError(
            f"expected inputs at least as large as the kernel {taps}, got {input_shape}; use a larger input"
        )
    return LinearMap(
        "transposed" if transposed else "convolution", input_shape, (layer.out_channels, *sizes), (*outer, *taps),
        tuple(layer.stride), padding, tuple(layer.dilation), tuple(layer.output_padding), layer.padding_mode,
        layer.groups,
    )  # fmt: skip


def padding_cells(layer: Any) -> tuple[tuple[int, int], ...]:
    """Cells that a convolution (a module or a map) adds before and after each spatial axis."""
    if isinstance(layer, LinearMap):
        return layer.padding
    if layer.padding == "valid":
        return tuple((0, 0) for _ in layer.kernel_size)
    if layer.padding == "same":
        totals = (d * (k - 1) for d, k in zip(layer.dilation, layer.kernel_size, strict=True))
        return tuple((total // 2, total - total // 2) for total in totals)
    return tuple((int(p), int(p)) for p in layer.padding)


def padding_gain(layer: Any, input_shape: tuple[int, ...] | None) -> float:
    """Norm of the padding of a convolution layer or map: 1 for zeros, more where cells are copied.

    Each input cell appears in the padded input a number of times; the norm is the root of the largest number.

    Args:
        layer: A convolution, as a module or as a :class:`LinearMap`.
        input_shape: Without the batch; None for the largest norm over all input sizes that allow this padding. A
            circular padding that gives ``size / stride`` outputs never reads a copy twice and counts as 1; with a
            stride above 1 this needs the size to be known, and divided by it.
    """
    if layer.padding_mode == "zeros":
        return 1.0
    counts = []
    for axis, (k, s, d, (before, after)) in enumerate(
        zip(_kernel(layer), layer.stride, layer.dilation, padding_cells(layer), strict=True)
    ):
        divided = s == 1 or (input_shape is not None and input_shape[1 + axis] % s == 0)
        if layer.padding_mode == "circular" and divided and ring_fits(k, s, d, before + after):
            counts.append(1)
        elif input_shape is not None:
            counts.append(_copies(input_shape[1 + axis], before, after, layer.padding_mode))
        elif layer.padding_mode == "replicate":
            counts.append(1 + before + after)
        else:
            counts.append(1 + (before > 0) + (after > 0))
    return math.sqrt(math.prod(counts))


def ring_fits(k: int, s: int, d: int, added: int) -> bool:
    """Whether an axis with ``added`` cells of padding has ``size / stride`` outputs where that is a whole number."""
    return 0 <= added - d * (k - 1) + s - 1 < s


def _kernel(layer: Any) -> tuple[int, ...]:
    return layer.kernel if isinstance(layer, LinearMap) else tuple(layer.kernel_size)


def _copies(n: int, before: int, after: int, mode: str) -> int:
    """How often the most copied cell of a line of ``n`` appears after padding."""
    line = torch.arange(n, dtype=torch.float64)[None, None]
    padded = functional.pad(line, (before, after), mode=mode).long().flatten()
    return int(torch.bincount(padded, minlength=n).max())


def input_shapes(network: nn.Module, call: Callable[[], Any]) -> dict[str, list[tuple[int, ...]]]:
    """Shapes without the batch that each layer of ``network`` receives while ``call()`` runs, undisturbed.

    Args:
        network: Module whose layers are watched.
        call: Runs the network once, for example ``lambda: network(sample)``.

    Returns:
        Layer name to the distinct shapes it met, in order; layers that did not work are missing. A weight that a
        function gets with the layer's own settings counts as a call of the layer.
    """
    refuse_frozen_code(network, "what its layers receive")
    with undisturbed(network):
        network.eval()
        return observe(network, call).shapes
