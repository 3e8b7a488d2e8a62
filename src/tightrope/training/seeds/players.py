"""One player of many runs: a module whose tensors are stacked along a first axis, and a call of all of them at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.utils import parametrize

from tightrope.autodiff.stacked import Stacked
from tightrope.layers.torch_own import copied, make_plain
from tightrope.training.seeds.obstacles import REMEDY, UnstackableError
from tightrope.training.seeds.products import products_of, transposed

State = dict[str, Tensor]


class Player:
    """The networks of one player, in runs that train side by side.

    Args:
        networks: One per run, equal but for the values of their tensors.

    Attributes:
        module: A copy of one network whose parameters and buffers are those of all, ``[runs, *shape]``; optimisers,
            averages and whatever else works entry by entry take it as it is.
        beside: The network of one run, to what ``torch.vmap`` maps over the runs.

    Raises:
        UnstackableError: The networks differ in structure.
    """

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        _require_equal(networks)
        self.networks = list(networks)
        self._bare = _without_parametrisations(networks[0])
        self._products = products_of(self._bare)
        self.module = stacked_module(networks, transposed(self._bare) if self._products is not None else frozenset())
        self.beside = Stacked(self.module, self.call)
        self._computed = [
            (f"{name}.{tensor}".lstrip("."), sub, tensor)
            for name, sub in self.module.named_modules()
            if parametrize.is_parametrized(sub)
            for tensor in sub.parametrizations
        ]
        self._reader = _Reader(self.module, [(sub, tensor) for _, sub, tensor in self._computed])
        self.refresh()

    def refresh(self) -> None:
        """Take note of the module's tensors, which may be new ones, or of another number of runs.

        What was computed from those before goes: a graph that is held keeps a parameter's old shape for its gradient.
        """
        inside = set(dict(self._bare.named_parameters())) | set(dict(self._bare.named_buffers()))
        self._buffers = {name: b for name, b in self.module.named_buffers() if name in inside}
        self._leaves: State = {name: p for name, p in self.module.named_parameters() if name in inside}
        self._now = dict(self._leaves)
        if self._products is not None:
            self._products.forget()

    def prepare(self) -> None:
        """Compute every weight that a parametrisation computes, once for the half-step that follows."""
        if self._computed:
            state = {**dict(self.module.named_parameters()), **dict(self.module.named_buffers())}
            found = torch.vmap(lambda given: functional_call(self._reader, _inside(given)))(state)
            self._now = self._leaves | dict(zip([name for name, _, _ in self._computed], found, strict=True))
        if self._products is not None:
            self._products.use(self._now)

    def call(self, x: Tensor, *more: Tensor) -> Any:
        """Outputs ``[runs, batch, ...]`` of every network for its own ``x`` ``[runs, batch, *shape]``."""
        if self._products is not None and not more:
            return self._products(x)
        return torch.vmap(self._one)(self._now, self._buffers, x, *more)

    def _one(self, now: State, buffers: State, x: Tensor, *more: Tensor) -> Any:
        state = now | buffers
        output = functional_call(self._bare, state, (x, *more))
        replaced = [name for name, before in buffers.items() if state[name] is not before]
        if replaced:
            raise UnstackableError(
                f"Expected buffers that change in place, got {replaced[0]} replaced by another tensor in the forward, "
                f"which runs side by side would lose; write into it (copy_), or {REMEDY}."
            )
        return output

    def within(self, function: Callable[..., Any]) -> Callable[[State], Any]:
        """``function`` with the module holding one run's tensors, for what looks at weights; to be mapped."""
        holder = _Holder(self.module)
        return lambda given: functional_call(holder, _inside(given), (function,))


class _Reader(nn.Module):
    """Computes parametrised tensors as its output."""

    def __init__(self, network: nn.Module, tensors: Sequence[tuple[nn.Module, str]]) -> None:
        super().__init__()
        self.network = network
        self._tensors = tensors

    def forward(self) -> tuple[Tensor, ...]:
        return tuple(getattr(module, name) for module, name in self._tensors)


class _Holder(nn.Module):
    """Calls a function while ``functional_call`` has put other tensors into the network."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, function: Callable[[], Any]) -> Any:
        return function()


def _inside(state: Mapping[str, Tensor]) -> State:
    return {f"network.{name}": value for name, value in state.items()}


def _without_parametrisations(network: nn.Module) -> nn.Module:
    """A copy that holds as parameters what parametrisations compute."""
    bare = copied(network)
    for module in bare.modules():
        if parametrize.is_parametrized(module):
            for name in list(module.parametrizations):  # type: ignore[arg-type]
                make_plain(module, name)
    return bare


def stacked_module(networks: Sequence[nn.Module], across: frozenset[str] = frozenset()) -> nn.Module:
    """A copy of the first network that holds the tensors of all, ``[runs, *shape]``.

    Args:
        networks: Equal but for the values.
        across: Names of matrices to lay out in memory by columns, as their products give gradients.
    """
    together = copied(networks[0])
    made: dict[int, Tensor] = {}
    homes = [dict(network.named_modules()) for network in networks]
    with torch.no_grad():
        for name, module in together.named_modules():
            for kind in ("_parameters", "_buffers"):
                for key, value in getattr(module, kind).items():
                    if value is None:
                        continue
                    if id(value) not in made:
                        parts = torch.stack([getattr(home[name], kind)[key].detach() for home in homes])
                        if f"{name}.{key}".lstrip(".") in across:
                            parts = parts.mT.contiguous().mT
                        wrapped = kind == "_parameters"
                        made[id(value)] = nn.Parameter(parts, value.requires_grad) if wrapped else parts
                    getattr(module, kind)[key] = made[id(value)]
    return together


def tensors_of(network: nn.Module) -> list[tuple[nn.Module, str, str, Tensor]]:
    """Every place of a parameter or buffer: module, ``_parameters`` or ``_buffers``, name and tensor."""
    return [
        (module, kind, key, value)
        for module in network.modules()
        for kind in ("_parameters", "_buffers")
        for key, value in getattr(module, kind).items()
        if value is not None
    ]


def bind_(network: nn.Module, together: nn.Module, index: int, *, copy: bool = False) -> None:
    """Let a run's own network hold its part of the stacked tensors: as views of them, or as copies of its own."""
    for (module, kind, key, own), (_, _, _, stack) in zip(tensors_of(network), tensors_of(together), strict=True):
        part = stack.detach()[index]
        if copy:
            part = part.clone(memory_format=torch.contiguous_format)
        if kind == "_parameters":
            own.data = part
        else:
            getattr(module, kind)[key] = part


def keep_(together: nn.Module, rows: Tensor) -> None:
    """Leave the runs ``rows`` in a stacked module, gradients included, in place of its tensors' values."""
    done: set[int] = set()
    for _, _, _, value in tensors_of(together):
        if id(value) in done:
            continue
        done.add(id(value))
        gradient, value.grad = value.grad, None
        value.data = like(value.detach()[rows], value)
        if gradient is not None:
            value.grad = like(gradient[rows], value)


def like(part: Tensor, whole: Tensor) -> Tensor:
    """``part`` laid out by columns where ``whole`` is."""
    by_columns = whole.dim() > 2 and whole.stride(-1) != 1 and whole.mT.is_contiguous()
    return part.mT.contiguous().mT if by_columns else part.contiguous()


def _require_equal(networks: Sequence[nn.Module]) -> None:
    first = [
        (kind, key, value.shape, value.dtype, value.requires_grad) for _, kind, key, value in tensors_of(networks[0])
    ]
    for network in networks[1:]:
        found = [
            (kind, key, value.shape, value.dtype, value.requires_grad) for _, kind, key, value in tensors_of(network)
        ]
        same = type(network) is type(networks[0]) and str(network) == str(networks[0])
        if found != first or not same:
            raise UnstackableError(
                f"Expected networks that differ between seeds in their weights alone, got others for another seed; "
                f"build them of one size, or {REMEDY}."
            )
