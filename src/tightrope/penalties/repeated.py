"""Two forwards of one network that are compared: with the same random numbers and the same constrained weights.

Otherwise their difference is that of two dropout masks, or of two rounds of a power iteration, over a small step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd
from torch.nn.utils import parametrizations, parametrize
from torch.nn.utils.spectral_norm import SpectralNorm as OldSpectralNorm

from tightrope._plumbing.errors import UserError
from tightrope.autodiff import Remembered, frozen_constraints, in_functional_transform, module_of
from tightrope.autodiff.call import called
from tightrope.layers.torch_own import hooks_of, steady


class Repeated:
    """A network of which every call after the first repeats the first one's random draws and constrained weights.

    Random draws are those of torch's global states (CPU and the device of the inputs) and of generators that the
    network's modules hold.

    Args:
        network: A module or a function of ``x``, see :func:`~tightrope.autodiff.module_of`; of a
            :class:`~tightrope.autodiff.Remembered` what is inside.
        x: One input, whose device counts.
        what: Who asks, for the refusal.

    Raises:
        UserError: Dropout in training mode under ``torch.func`` or ``torch.compile``, where no draw can be repeated.
    """

    def __init__(self, network: Any, x: Tensor, what: str) -> None:
        self.network = network.network if isinstance(network, Remembered) else network
        self.module, self.device = module_of(network), x.device
        self._generators = [
            value for m in self._modules() for value in vars(m).values() if isinstance(value, torch.Generator)
        ]
        self.transformed = in_functional_transform()
        if self.transformed and any(isinstance(m, _DropoutNd) and m.training and m.p > 0 for m in self._modules()):
            raise UserError(
                f"Expected a network without random draws for {what} inside torch.func or torch.compile, got dropout "
                "in training mode; call it in eval mode or outside of the transform."
            )
        self._start = self._states()
        self.calls = 0
        self.drew = False

    def __call__(self, *arguments: Tensor) -> Any:
        """The network's result for these arguments."""
        self.calls += 1
        if self.calls == 1:
            first = called(self.network, *arguments, who="network")
            self.drew = self._drew()
            return first
        if self.drew:
            self.rewind()
        with frozen_constraints(), steady(*([] if self.module is None else [self.module])):
            return self.network(*arguments)

    @property
    def fixed(self) -> bool:
        """After the first call: whether the network is the same function at every call, whoever makes it."""
        cached = parametrize._cache_enabled > 0
        return not self.drew and (cached or not any(map(_moves, self._modules())))

    def rewind(self) -> None:
        """Set all random states back to where they were before the first call."""
        for (_, write), state in zip(self._handles(), self._start, strict=True):
            write(state)

    def _drew(self) -> bool:
        return any(not torch.equal(a, b) for a, b in zip(self._start, self._states(), strict=True))

    def _modules(self) -> list[nn.Module]:
        return [] if self.module is None else list(self.module.modules())

    def _states(self) -> list[Tensor]:
        return [] if self.transformed else [read() for read, _ in self._handles()]

    def _handles(self) -> list[tuple[Callable[[], Tensor], Callable[[Tensor], object]]]:
        handles: list[tuple[Callable[[], Tensor], Callable[[Tensor], object]]] = [
            (torch.get_rng_state, torch.set_rng_state)
        ]
        if self.device.type == "cuda":
            device = self.device
            handles.append(
                (lambda: torch.cuda.get_rng_state(device), lambda state: torch.cuda.set_rng_state(state, device))
            )
        elif self.device.type == "mps":
            handles.append((torch.mps.get_rng_state, torch.mps.set_rng_state))
        return handles + [(g.get_state, g.set_state) for g in self._generators]


def _moves(module: nn.Module) -> bool:
    """Whether each forward computes with another weight."""
    own = getattr(module, "update", None) == "forward"  # a spectral norm of this library that advances at every use
    old = any(isinstance(hook, OldSpectralNorm) for hook in hooks_of(module).values())
    return module.training and (own or old or isinstance(module, parametrizations._SpectralNorm))
