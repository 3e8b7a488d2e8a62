"""Division by the largest singular value, with a power iteration whose whole state lives in buffers.

Both norms share it, by a :class:`~tightrope.constraints._normalise.Map`: of the kernel matrix
(:class:`~tightrope._modules.KernelShape`) or of the layer (:class:`OperatorMap`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn

from tightrope._linear_map import LinearMap
from tightrope._modules import KernelShape, constraints_are_frozen
from tightrope._precision import full_precision
from tightrope.constraints._normalise import AdvanceAndNormalise, Goal, Map, Normalise, fingerprint, formula, level
from tightrope.linalg import unit

Update: TypeAlias = Literal["optimizer_step", "forward"]


@dataclass(frozen=True)
class OperatorMap:
    """The layer as a linear map on one unbatched input."""

    map: LinearMap

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of ``u``."""
        return self.map.output_shape

    def view(self, weight: Tensor) -> Tensor:
        """``weight`` itself."""
        return weight

    def apply(self, weight: Tensor, v: Tensor) -> Tensor:
        """``A(W) v``."""
        return self.map.apply(weight, v[None])[0]

    def adjoint(self, weight: Tensor, u: Tensor) -> Tensor:
        """``A(W)^T u``."""
        return self.map.adjoint(weight, u[None])[0]

    def plus_gradient(
        self, g: Tensor, weight: Tensor, u: Tensor, v: Tensor, scale: float = 1.0, times: float = 1.0
    ) -> Tensor:
        """``scale (g + times * gradient of <u, A(W) v>)``, a new tensor."""
        total = torch.add(g, self.map.weight_gradient(weight, u[None], v[None]), alpha=times)
        return total if scale == 1 else total.mul_(scale)

    def top_pair(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Singular vectors of the largest singular value, converged."""
        return self.map.top_pair(weight)


_MAPS: dict[str, Map] = {}  # by their repr, for the compiler's opaque operator, which takes only plain arguments


def _may_write(buffer: Tensor) -> bool:
    """Whether a buffer may be written here: outside functorch transforms, or when it belongs to the innermost one."""
    depth = level()
    return depth is None or torch._C._functorch.maybe_get_level(buffer) == depth


def power_rounds(of: Map, weight: Tensor, u: Tensor, rounds: int) -> tuple[Tensor, Tensor]:
    """``rounds`` times ``v <- unit(A^T u)``, ``u <- unit(A v)``; returns ``(u, v)``."""
    v = u
    for _ in range(rounds):
        v = unit(of.adjoint(weight, u))
        u = unit(of.apply(weight, v))
    return u, v


def advance(
    of: Map, weight: Tensor, u: Tensor, v: Tensor, seen: Tensor, rounds: int, always: bool
) -> tuple[Tensor, Tensor]:
    """Advance the buffers in place if the weight changed since ``seen``, and return copies of what they now hold.

    Without a branch on the flag wherever reading it would cost a synchronisation or stop a transform.
    """
    if rounds == 0:
        return u.clone(), v.clone()
    now = fingerprint(weight)
    if not always and now.device.type == "cpu" and level() is None and now.item() == seen.item():
        return u.clone(), v.clone()
    new_u, new_v = power_rounds(of, weight, u, rounds)
    moved = new_u.any()  # a zero weight has no singular vectors, and would leave none to start from
    if not always:
        moved = moved & (now != seen)
    new_u, new_v = torch.where(moved, new_u, u), torch.where(moved, new_v, v)
    u.copy_(new_u)
    v.copy_(new_v)
    seen.copy_(now)
    return new_u, new_v


# Opaque to the compiler, which would otherwise recompute u in the backward from a buffer that has moved on by then.
@torch.library.custom_op("tightrope::singular_pair", mutates_args=("u", "v", "seen"))
def _singular_pair(
    weight: Tensor, u: Tensor, v: Tensor, seen: Tensor, of: str, rounds: int, always: bool
) -> tuple[Tensor, Tensor]:
    return advance(_MAPS[of], weight, u, v, seen, rounds, always)


@_singular_pair.register_fake
def _(weight: Tensor, u: Tensor, v: Tensor, seen: Tensor, of: str, rounds: int, always: bool) -> tuple[Tensor, Tensor]:
    return torch.empty_like(u), torch.empty_like(v)


class SpectralNorm(nn.Module):
    """Parametrisation ``W -> bound * W / sigma(W)`` with the state of the power iteration in buffers.

    Buffers: ``u`` and ``v``, shaped as the map's output and input, and ``seen``, the fingerprint of the weight at the
    last advance. All of the state is here: loading it reproduces a run bit for bit.
    """

    u: Tensor
    v: Tensor
    seen: Tensor

    def __init__(
        self,
        weight: Tensor,
        of: Map,
        *,
        steps: int,
        update: Update,
        exact: bool,
        at_most: bool,
        gain: bool,
        bound: float,
        warmup: int,
        rng: torch.Generator | None,
    ) -> None:
        super().__init__()
        self.goal, self.steps, self.update, self.exact = Goal(of, bound, at_most), steps, update, exact
        self.key = repr(of)
        _MAPS[self.key] = of
        with torch.no_grad():
            if not exact:
                self._start(weight.detach(), warmup, rng)
            self.gain = nn.Parameter(self._starting_gain(weight.detach())) if gain else None

    def _start(self, weight: Tensor, warmup: int, rng: torch.Generator | None) -> None:
        device = rng.device if rng is not None else weight.device
        u = unit(torch.randn(self.goal.of.output_shape, generator=rng, device=device, dtype=torch.float32).to(weight))
        v = unit(self.goal.of.adjoint(weight, u))
        if warmup and weight.any():
            u, v = power_rounds(self.goal.of, weight, u, warmup)
        self.register_buffer("u", u)
        self.register_buffer("v", v)
        self.register_buffer("seen", fingerprint(weight).to(torch.int64) + (warmup == 0))

    def _starting_gain(self, weight: Tensor) -> Tensor:
        """The gain with which the output is the raw weight."""
        u, v = self._pair(weight)
        return formula(weight, u, v, self.goal)[1] / self.goal.bound

    def forward(self, weight: Tensor) -> Tensor:
        """Normalised weight, same shape."""
        with full_precision(weight.device.type):
            normalised = self._normalised(weight)
            return normalised if self.gain is None else self.gain * normalised

    def _normalised(self, weight: Tensor) -> Tensor:
        compiling = torch.compiler.is_compiling()
        if not (self.exact or compiling) and weight.device.type == "cpu" and level() is None:
            buffers = self._buffers
            state = buffers["u"], buffers["v"], buffers["seen"]
            rounds = self.steps if self.training and not constraints_are_frozen() else 0
            together: tuple[Tensor, Tensor] = AdvanceAndNormalise.apply(
                weight, state, rounds, self.update == "forward", self.goal
            )
            return together[0]
        u, v = self._pair(weight)
        # the compiler fuses the formula itself, and cannot trace a Function with a jvp
        normalise = formula if compiling else Normalise.apply
        normalised: Tensor = normalise(weight, u, v, self.goal)[0]
        return normalised

    def right_inverse(self, weight: Tensor) -> Tensor:
        """Assigning a weight stores it raw; it is normalised when read."""
        return weight

    @torch.no_grad()
    def _pair(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Singular vectors to use now, never aliases of the buffers."""
        weight = weight.detach()
        if self.exact:
            return self.goal.of.top_pair(weight)
        live = self.training and not constraints_are_frozen() and _may_write(self.u)
        rounds, always = self.steps if live else 0, self.update == "forward"
        if torch.compiler.is_compiling() and level() is None:
            operator = torch.ops.tightrope.singular_pair
            u, v = operator(weight, self.u, self.v, self.seen, self.key, rounds, always)
            return u, v
        return advance(self.goal.of, weight, self.u, self.v, self.seen, rounds, always)

    def extra_repr(self) -> str:
        """Settings, for ``print(network)``."""
        which = "kernel" if isinstance(self.goal.of, KernelShape) else "operator"
        how = "exact" if self.exact else f"steps={self.steps}, update={self.update!r}"
        return f"{which} norm {'<=' if self.goal.at_most else '='} {self.goal.bound:g}, {how}"
