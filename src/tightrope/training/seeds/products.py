"""Fully connected networks of many runs as batched matrix products: the fast path, exact where it applies."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tightrope.autodiff.convolution import wanted_by_engine
from tightrope.autodiff.lean import kinked
from tightrope.layers.torch_own import copied
from tightrope.networks import GroupSort, MaxMin, mlp
from tightrope.networks.layers import Head

_ENTRYWISE = (nn.ReLU, nn.LeakyReLU, nn.Tanh, nn.Sigmoid, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish,
              nn.Softplus, nn.Softsign, nn.Hardtanh, nn.Identity, nn.LogSigmoid)  # fmt: skip
_KNOWN = (*_ENTRYWISE, nn.Sequential, nn.Linear, nn.Flatten, nn.Unflatten, GroupSort, MaxMin, mlp.Generator, mlp.Critic,
          Head)  # fmt: skip


class _Dense(torch.autograd.Function):
    """The dense layers of all runs, and the ReLU or leaky ReLU behind them, in place: one tensor instead of two.

    As in ``autodiff.lean`` no zeros go back through a penalty's forward, and only what is asked for is computed.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, slope: float | None) -> Tensor:
        ctx.set_materialize_grads(False)
        rows = x.reshape(weight.shape[0], -1, weight.shape[2])
        out = torch.bmm(rows, weight.mT) if bias is None else torch.baddbmm(bias.unsqueeze(1), rows, weight.mT)
        if slope is not None:
            out = F.leaky_relu_(out, slope) if slope else F.relu_(out)
        out = out.reshape(*x.shape[:-1], weight.shape[1])
        ctx.slope = slope
        ctx.save_for_backward(x, weight, *(() if slope is None else (out,)))
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        if gradient is None:
            return None, None, None, None
        x, weight, *at = ctx.saved_tensors
        if ctx.slope:
            gradient = torch.ops.aten.leaky_relu_backward(gradient, at[0].detach(), ctx.slope, True)
        elif at:
            gradient = torch.ops.aten.threshold_backward(gradient, at[0].detach(), 0)
        wanted = wanted_by_engine(ctx)
        runs, outputs, inputs = weight.shape
        gradient = gradient.reshape(runs, -1, outputs)
        return (
            torch.bmm(gradient, weight).reshape(x.shape) if wanted[0] else None,
            torch.bmm(x.reshape(runs, -1, inputs).mT, gradient).mT if wanted[1] else None,
            gradient.sum(1) if wanted[2] else None,
            None,
        )


class Product(nn.Module):
    """The dense layers of all runs on ``[runs * batch, ..., inputs]``, one run after the other.

    Args:
        slope: Of the leaky ReLU that follows, 0 for a ReLU; None for neither.
    """

    weight: Tensor
    bias: Tensor | None

    def __init__(self, slope: float | None) -> None:
        super().__init__()
        self.slope = slope

    def forward(self, x: Tensor) -> Tensor:
        """``[runs * batch, ..., outputs]``."""
        out: Tensor = _Dense.apply(x, self.weight, self.bias, self.slope)
        return out


class Kink(nn.Module):
    """ReLU or leaky ReLU, lean in a penalty's second derivative: for many runs that pays in small layers too."""

    def __init__(self, slope: float) -> None:
        super().__init__()
        self.slope = slope

    def forward(self, x: Tensor) -> Tensor:
        """The same shape."""
        return kinked(x, self.slope)


class Products:
    """A network of which every layer with weights is dense and every other treats samples by themselves."""

    def __init__(self, network: nn.Module) -> None:
        self.network = network
        self._layers: list[tuple[Product, str, str | None]] = []
        slopes = _taken_in(network)
        for name, module in list(network.named_modules()):
            if type(module) is nn.Linear:
                product = Product(slopes.get(module))
                self._layers.append((product, f"{name}.weight", None if module.bias is None else f"{name}.bias"))
                _put(network, name, product)
            elif (slope := _slope(module)) is not None:
                _put(network, name, Kink(slope))

    def use(self, tensors: Mapping[str, Tensor]) -> None:
        """Compute with these stacked weights from now on."""
        for product, weight, bias in self._layers:
            product.__dict__["weight"] = tensors[weight]
            product.__dict__["bias"] = None if bias is None else tensors[bias]

    def forget(self) -> None:
        """Hold no weights any more, nor the graphs that they came from."""
        for product, _, _ in self._layers:
            product.__dict__["weight"] = product.__dict__["bias"] = None

    def __call__(self, x: Tensor) -> Any:
        """``[runs, batch, *shape] -> [runs, batch, ...]``."""
        return self.network(x.flatten(0, 1)).unflatten(0, x.shape[:2])


def _slope(module: nn.Module) -> float | None:
    """Of a leaky ReLU, 0 of a ReLU; None of anything else."""
    if type(module) is nn.LeakyReLU:
        return float(module.negative_slope) if module.negative_slope > 0 else None
    return 0.0 if type(module) is nn.ReLU else None


def _taken_in(network: nn.Module) -> dict[nn.Module, float]:
    """Slopes of the kinks right behind a dense layer, which takes them in: nothing is left in their place."""
    found: dict[nn.Module, float] = {}
    for row in [m for m in network.modules() if type(m) is nn.Sequential]:
        for place, (layer, following) in enumerate(pairwise(list(row))):
            slope = _slope(following)
            if type(layer) is nn.Linear and slope is not None:
                found[layer] = slope
                row[place + 1] = nn.Identity()
    return found


def _put(network: nn.Module, name: str, module: nn.Module) -> None:
    """Replace a module, wherever else it stands too."""
    old = network.get_submodule(name)
    for holder in list(network.modules()):
        for own, child in list(holder._modules.items()):
            if child is old:
                setattr(holder, own, module)


def products_of(network: nn.Module) -> Products | None:
    """The fast form of a network without parametrisations; None where it might mix runs or is not known to be exact."""
    modules = list(network.modules())
    hooked = any(m._forward_hooks or m._forward_pre_hooks or m._backward_hooks for m in modules)
    apart = all(m.start_dim >= 1 for m in modules if isinstance(m, nn.Flatten))
    apart = apart and all(isinstance(m.dim, int) and m.dim >= 1 for m in modules if isinstance(m, nn.Unflatten))
    linear = [m for m in modules if type(m) is nn.Linear]
    shared = len({id(p) for m in linear for p in m.parameters()}) < sum(len(list(m.parameters())) for m in linear)
    known = all(type(m) in _KNOWN for m in modules) and type(network) is not nn.Linear
    if not known or hooked or not apart or shared or not linear or len(linear) < _places(network):
        return None
    return Products(copied(network))


def _places(network: nn.Module) -> int:
    """How often a dense layer stands in the network; more often than there are such layers if one is shared."""
    return sum(isinstance(child, nn.Linear) for m in network.modules() for child in m._modules.values())


def transposed(network: nn.Module) -> frozenset[str]:
    """Names of the weights of dense layers."""
    return frozenset(f"{name}.weight" for name, module in network.named_modules() if type(module) is nn.Linear)
