"""Fully connected networks of many runs as batched matrix products: the fast path, exact where it applies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from tightrope.autodiff.lean import kinked
from tightrope.layers.torch_own import copied
from tightrope.networks import GroupSort, MaxMin, mlp
from tightrope.networks.layers import Head

_ENTRYWISE = (nn.ReLU, nn.LeakyReLU, nn.Tanh, nn.Sigmoid, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish,
              nn.Softplus, nn.Softsign, nn.Hardtanh, nn.Identity, nn.LogSigmoid)  # fmt: skip
_KNOWN = (*_ENTRYWISE, nn.Sequential, nn.Linear, nn.Flatten, nn.Unflatten, GroupSort, MaxMin, mlp.Generator, mlp.Critic,
          Head)  # fmt: skip


class Product(nn.Module):
    """The dense layers of all runs on ``[runs * batch, ..., inputs]``, one run after the other."""

    weight: Tensor
    bias: Tensor | None

    def forward(self, x: Tensor) -> Tensor:
        """``[runs * batch, ..., outputs]``."""
        W = self.weight
        rows = x.reshape(W.shape[0], -1, W.shape[2])
        y = torch.bmm(rows, W.mT) if self.bias is None else torch.baddbmm(self.bias.unsqueeze(1), rows, W.mT)
        return y.reshape(*x.shape[:-1], W.shape[1])


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
        for name, module in list(network.named_modules()):
            if type(module) is nn.Linear:
                product = Product()
                self._layers.append((product, f"{name}.weight", None if module.bias is None else f"{name}.bias"))
                _put(network, name, product)
            elif type(module) is nn.ReLU or (type(module) is nn.LeakyReLU and module.negative_slope > 0):
                _put(network, name, Kink(float(getattr(module, "negative_slope", 0.0))))

    def use(self, tensors: Mapping[str, Tensor]) -> None:
        """Compute with these stacked weights from now on."""
        for product, weight, bias in self._layers:
            product.__dict__["weight"] = tensors[weight]
            product.__dict__["bias"] = None if bias is None else tensors[bias]

    def __call__(self, x: Tensor) -> Any:
        """``[runs, batch, *shape] -> [runs, batch, ...]``."""
        return self.network(x.flatten(0, 1)).unflatten(0, x.shape[:2])


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
