"""Two forwards of one network that are compared: with the same random numbers and the same constrained weights.

Otherwise their difference is that of two dropout masks, or of two rounds of a power iteration, over a small step.
"""

from __future__ import annotations

import pickle
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd
from torch.nn.utils import parametrizations, parametrize
from torch.nn.utils.spectral_norm import SpectralNorm as OldSpectralNorm
from torch.utils._pytree import tree_leaves

from tightrope._plumbing.errors import UserError
from tightrope.autodiff import Remembered, frozen_constraints, in_functional_transform, module_of
from tightrope.autodiff.call import called
from tightrope.layers.torch_own import hooks_of, steady

Handle = tuple[Callable[[], Any], Callable[[Any], object]]
"""Reads and writes a random state."""


class Repeated:
    """A network of which every call after the first repeats the first one's random draws, weights and buffers.

    Random draws are those of the global states of torch (CPU and the device of the inputs), NumPy and Python, and of
    generators that the network's modules hold. Buffers that a forward moves, such as a codebook that follows the data,
    and parameters without gradient that it moves, are at every call what they were before the first, and keep what the
    first left. Whether two calls at one point then agree is tried once for each module by :attr:`fixed`.

    Args:
        network: A module or a function of ``x``, see :func:`~tightrope.autodiff.module_of`; of a
            :class:`~tightrope.autodiff.Remembered` what is inside.
        x: One input, whose device counts.
        what: Who asks, for the refusal.

    Raises:
        UserError: Dropout in training mode under ``torch.func`` or ``torch.compile``, where no draw can be repeated;
            or, at a call, as many draws as the input's values ask for.
    """

    def __init__(self, network: Any, x: Tensor, what: str) -> None:
        self.network = network.network if isinstance(network, Remembered) else network
        self.module, self.device = module_of(network), x.device
        self._generators = self._held()
        self.transformed = in_functional_transform()
        if self.transformed and any(isinstance(m, _DropoutNd) and m.training and m.p > 0 for m in self._modules()):
            raise UserError(
                f"Expected a network without random draws for {what} inside torch.func or torch.compile, got dropout "
                "in training mode; call it in eval mode or outside of the transform."
            )
        self._start = self._states()
        self._before = [] if self.transformed else self._kept()
        self._moved: list[_Kept] = []
        self._first: tuple[tuple[Tensor, ...], Any] | None = None
        self._ends: dict[tuple[torch.Size, ...], list[Any]] = {}
        self.calls = 0
        self.drew = False

    def __call__(self, *arguments: Tensor) -> Any:
        """The network's result for these arguments."""
        self.calls += 1
        if self.calls == 1:
            result = called(self.network, *arguments, who="network")
            if len(self._held()) > len(self._generators):
                raise UserError(
                    "Expected a network with all of its generators from the start, got one that was built in its first "
                    "forward, whose draws cannot be repeated; build it in __init__."
                )
            self._moved = [kept for kept in self._before if kept.moved()]
            self._first = arguments, result
            if self.module is not None and not self.transformed:
                moving = [(kept.module, kept.name) for kept in self._moved]
                _MOVING.setdefault(self.module, {}).setdefault(self.module.training, moving)
        else:
            result = self._again(arguments)
        end = self._states() if self.drew or self.calls == 1 else []
        self.drew = self.drew or not all(map(_equal, self._start, end))
        if self.drew and not all(map(_equal, self._ends.setdefault(tuple(x.shape for x in arguments), end), end)):
            raise UserError(
                "Expected a network whose two forwards can share their random draws, got one that draws as many as its "
                "values ask for, such as RReLU; call it in eval mode."
            )
        return result

    def _again(self, arguments: tuple[Tensor, ...]) -> Any:
        if self.drew:
            self.rewind()
        with frozen_constraints(), steady(*([] if self.module is None else [self.module])), _as_before(self._moved):
            return self.network(*arguments)

    def connected(self, value: Tensor) -> Tensor:
        """``value`` of the calls, which somebody will differentiate by the network's parameters.

        Raises:
            UserError: It has no way back to them, although they require a gradient.
        """
        if self.module is None or self.transformed or value.requires_grad or not torch.is_grad_enabled():
            return value
        if any(p.requires_grad for p in self.module.parameters()):
            raise UserError(
                "Expected a network whose results lead back to its parameters, got results without a gradient, as "
                "those of reentrant checkpointing are where the samples need none; pass use_reentrant=False to the "
                "checkpoint, or look for detach or no_grad in the forward."
            )
        return value

    def _try_once(self) -> None:
        """The first call again, the first time that this module is seen in this mode."""
        if self.module is None or self.transformed or self._first is None:
            return
        tried = _TRIED.setdefault(self.module, set())
        if self.module.training in tried:
            return
        arguments, result = self._first
        with torch.no_grad(), self._watched():
            again = self._again(arguments)
        if not _same(result, again):
            raise UserError(
                "Expected a network that is one function while two of its forwards are compared, got one that changes "
                "between them by more than its buffers; keep what it changes in buffers, or call it in eval mode."
            )
        tried.add(self.module.training)

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Refuse a module that computes in half precision whatever it is called in, as wrappers for training do."""
        device = self.device.type
        outside = torch.is_autocast_enabled(device)

        def hook(*_: Any) -> None:
            if torch.is_autocast_enabled(device) and not outside:
                raise UserError(
                    "Expected a network in float32 where two of its forwards are compared, got one that enters "
                    "autocast by itself, whose rounding is larger than the change that is measured; pass the module "
                    "inside the wrapper, as accelerator.unwrap_model(critic, keep_fp32_wrapper=False), or take the "
                    "exact r1 or r2."
                )

        handles = [module.register_forward_pre_hook(hook) for module in self._modules() if _is_plain(module)]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _kept(self) -> list[_Kept]:
        """What may move in a forward: once known what does, that alone."""
        if self.module is None:
            return []
        known = _MOVING.get(self.module, {}).get(self.module.training)
        if known is not None:
            return [_Kept(module, name) for module, name in known]
        return [_Kept(module, name) for module in self._modules() if not _is_power(module) for name in _names(module)]

    @property
    def fixed(self) -> bool:
        """After the first call: whether the network is the same function at every call, whoever makes it.

        Raises:
            UserError: It changes by more than its buffers.
        """
        self._try_once()
        cached = parametrize._cache_enabled > 0
        return not self.drew and not self._moved and (cached or not any(map(_moves, self._modules())))

    def rewind(self) -> None:
        """Set all random states back to where they were before the first call."""
        for (_, write), state in zip(self._handles(), self._start, strict=True):
            write(state)

    def _held(self) -> list[Any]:
        return [value for m in self._modules() for value in vars(m).values() if _handle(value) is not None]

    def _modules(self) -> list[nn.Module]:
        return [] if self.module is None else list(self.module.modules())

    def _states(self) -> list[Any]:
        return [] if self.transformed else [read() for read, _ in self._handles()]

    def _handles(self) -> list[Handle]:
        handles: list[Handle] = [
            (torch.get_rng_state, torch.set_rng_state),
            (random.getstate, random.setstate),
            (_numpy_state, _set_numpy_state),
        ]
        if self.device.type == "cuda":
            device = self.device
            handles.append(
                (lambda: torch.cuda.get_rng_state(device), lambda state: torch.cuda.set_rng_state(state, device))
            )
        elif self.device.type == "mps":
            handles.append((torch.mps.get_rng_state, torch.mps.set_rng_state))
        return handles + [found for g in self._generators if (found := _handle(g)) is not None]


_MOVING: WeakKeyDictionary[nn.Module, dict[bool, list[tuple[nn.Module, str]]]] = WeakKeyDictionary()
"""What the forwards of networks move, by mode."""

_TRIED: WeakKeyDictionary[nn.Module, set[bool]] = WeakKeyDictionary()
"""Modes in which networks were found to be one function."""


class _Kept:
    """A buffer, or a parameter without gradient, and its value at the beginning."""

    def __init__(self, module: nn.Module, name: str) -> None:
        held: Any = module._buffers if name in module._buffers else module._parameters
        self.module, self.name, self.held = module, name, held
        self.value = held[name].detach().clone()

    def moved(self) -> bool:
        now: Any = self.held[self.name]
        return now.shape != self.value.shape or not _equal(now, self.value)


@contextmanager
def _as_before(moved: list[_Kept]) -> Iterator[None]:
    """Other tensors with the values of the beginning, since a graph may hold those that are there."""
    now = [kept.held[kept.name] for kept in moved]
    for kept in moved:
        value = kept.value.clone()
        kept.held[kept.name] = nn.Parameter(value, False) if kept.held is kept.module._parameters else value
    try:
        yield
    finally:
        for kept, tensor in zip(moved, now, strict=True):
            kept.held[kept.name] = tensor


@contextmanager
def on_copies(module: nn.Module | None) -> Iterator[None]:
    """Let forwards in the block read and write copies of a network's buffers, since a graph may hold its own."""
    modules = [] if module is None else list(module.modules())
    held = [(m._buffers, dict(m._buffers)) for m in modules if m._buffers]
    for buffers, kept in held:
        buffers.update({name: None if b is None else b.detach().clone() for name, b in kept.items()})
    try:
        yield
    finally:
        for buffers, kept in held:
            buffers.update(kept)


def _is_plain(module: nn.Module) -> bool:
    """Whether it takes hooks: code that was compiled or fixed does not, or would be compiled again."""
    return not isinstance(module, torch.jit.ScriptModule) and "_orig_mod" not in module._modules


def _names(module: nn.Module) -> list[str]:
    still = [name for name, p in module._parameters.items() if p is not None and not p.requires_grad]
    return still + [name for name, b in module._buffers.items() if b is not None]


def _is_power(module: nn.Module) -> bool:
    """Whether its vectors move in a forward, and are kept where that left them by other means."""
    of = type(module).__module__
    return of.startswith(("tightrope.constraints", "torch.nn.utils")) or any(
        isinstance(hook, OldSpectralNorm) for hook in hooks_of(module).values()
    )


def _same(first: Any, again: Any) -> bool:
    """Whether two outputs agree, up to the rounding of a sum in another order."""
    pairs = zip(tree_leaves(first), tree_leaves(again), strict=False)
    return all(
        torch.allclose(a.detach(), b.detach(), rtol=0, atol=_CLOSE * float(a.detach().abs().max()), equal_nan=True)
        for a, b in pairs
        if isinstance(a, Tensor) and isinstance(b, Tensor) and a.is_floating_point() and a.numel()
    )


_CLOSE = 1e-4


def _handle(generator: Any) -> Handle | None:
    """How to read and write the state of a generator of torch, Python or NumPy; None for anything else."""
    if isinstance(generator, torch.Generator):
        return generator.get_state, generator.set_state
    if isinstance(generator, random.Random):
        return generator.getstate, generator.setstate
    bits = getattr(generator, "bit_generator", None) if type(generator).__module__.startswith("numpy.random") else None
    if bits is None:
        return None
    return lambda: pickle.dumps(bits.state), lambda state: setattr(bits, "state", pickle.loads(state))


def _numpy_state() -> tuple[Any, ...]:
    import numpy as np

    state: Any = np.random.get_state()  # noqa: NPY002
    name, keys, *rest = state
    return name, keys.tobytes(), *rest


def _set_numpy_state(state: tuple[Any, ...]) -> None:
    import numpy as np

    name, keys, *rest = state
    np.random.set_state((name, np.frombuffer(keys, np.uint32), *rest))  # noqa: NPY002


def _equal(a: Any, b: Any) -> bool:
    return torch.equal(a, b) if isinstance(a, Tensor) else bool(a == b)


def _moves(module: nn.Module) -> bool:
    """Whether each forward computes with another weight."""
    own = getattr(module, "update", None) == "forward"  # a spectral norm of this library that advances at every use
    old = any(isinstance(hook, OldSpectralNorm) for hook in hooks_of(module).values())
    return module.training and (own or old or isinstance(module, parametrizations._SpectralNorm))
