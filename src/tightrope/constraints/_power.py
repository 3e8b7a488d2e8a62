"""Division by the largest singular value, with a power iteration whose whole state lives in buffers.

Both norms share it, by a :class:`~tightrope.constraints._normalise.Map`: of the kernel matrix
(:class:`~tightrope.layers.find.KernelShape`) or of the layer (:class:`OperatorMap`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, nn

from tightrope._plumbing.checks import check_assigned
from tightrope.autodiff import constraints_are_frozen
from tightrope.autodiff.guard import constraints_are_exact
from tightrope.constraints._normalise import (
    SMALLEST,
    STALE,
    AdvanceAndNormalise,
    Goal,
    Map,
    Normalise,
    fingerprint,
    formula,
)
from tightrope.constraints._transforms import (
    batch_levels,
    capturing,
    level,
    one_by_one,
    outside_derivatives,
    plain,
    undifferentiated,
    untraced,
)
from tightrope.layers.kernel import KernelShape
from tightrope.layers.linear_map import LinearMap
from tightrope.linalg.precision import full_precision

Update: TypeAlias = Literal["optimizer_step", "forward"]


@dataclass(frozen=True)
class OperatorMap:
    """The layer as a linear map on one unbatched input."""

    map: LinearMap

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of ``u``."""
        return self.map.output_shape

    @property
    def groups(self) -> int:
        """Diagonal blocks."""
        return self.map.groups

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


def _blocks(x: Tensor, groups: int) -> Tensor:
    return x.reshape(groups, -1)


def _lengths(blocks: Tensor) -> Tensor:
    """Euclidean length of every row, ``[rows, 1]``, where its square leaves the range too."""
    traced = torch.compiler.is_compiling() or torch._C._get_tracing_state() is not None
    if blocks.device.type == "cpu" and plain(blocks) and not traced:
        lengths = torch.linalg.vector_norm(blocks, dim=1, keepdim=True)
        if bool(((lengths > 1e-15) & (lengths < 1e15)).all()):
            return lengths
    return torch.linalg.vector_norm(blocks, dim=1, keepdim=True, dtype=torch.float64).to(blocks.dtype)


def _units(x: Tensor, groups: int, otherwise: Tensor) -> Tensor:
    """``x`` with every block scaled to unit length; blocks of ``otherwise`` where ``x`` is zero or not finite."""
    blocks = _blocks(x, groups)
    lengths = _lengths(blocks)
    usable = (lengths > 0) & torch.isfinite(lengths)
    return torch.where(usable, blocks / lengths, _blocks(otherwise, groups)).reshape(x.shape)


def _winner(of: Map, weight: Tensor, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Unit vectors ``u``, ``v`` for all blocks together, zero but in the block of the largest sigma."""
    image, u = _blocks(of.apply(weight, v), of.groups), _blocks(u, of.groups)
    lengths = _lengths(image)
    stale = ((u * image).sum(1, keepdim=True) < STALE * lengths) & (lengths > SMALLEST)
    used = torch.where(stale, image / lengths, u)
    if of.groups > 1:
        chosen = torch.zeros_like(lengths).scatter(0, (used * image).sum(1, keepdim=True).argmax(0, keepdim=True), 1.0)
        used, v = used * chosen, (_blocks(v, of.groups) * chosen).reshape(v.shape)
    return used.reshape(of.output_shape).clone(), v.clone()


def power_rounds(of: Map, weight: Tensor, u: Tensor, v: Tensor, rounds: int) -> tuple[Tensor, Tensor]:
    """``rounds`` times ``v <- unit(A^T u)``, ``u <- unit(A v)``, every diagonal block for itself.

    Blocks do not mix: in one vector for all of them, those with smaller singular values would fade to zero, and stay so
    when theirs became the largest. A block that is zero keeps its vectors.
    """
    for _ in range(rounds):
        v = _units(of.adjoint(weight, u), of.groups, v)
        u = _units(of.apply(weight, v), of.groups, u)
    return u, v


def advance(
    of: Map, weight: Tensor, u: Tensor, v: Tensor, seen: Tensor, rounds: int, always: bool, write: bool = True
) -> tuple[Tensor, Tensor]:
    """Advance the buffers in place if the weight changed since ``seen``; returns the singular pair to use.

    Without a branch on the flag wherever reading it would cost a synchronisation or stop a transform. Without ``write``
    the buffers stay as they are, and the pair is that of :func:`belonging`.
    """
    if not write:
        u, v = one_by_one(partial(belonging, of), weight, u, v, seen)
    elif rounds:
        now = fingerprint(weight)
        readable = now.device.type == "cpu" and plain(now, seen)
        if always or not readable or now.item() != seen.item():
            new_u, new_v = power_rounds(of, weight, u, v, rounds)
            if not (always or readable):
                moved = now != seen
                new_u, new_v = torch.where(moved, new_u, u), torch.where(moved, new_v, v)
            u.copy_(new_u)
            v.copy_(new_v)
            seen.copy_(now)
    return _winner(of, weight, u, v)


_CONVERGED: dict[Map, dict[tuple[object, ...], tuple[Tensor, Tensor]]] = {}
_KEPT = 32  # converged pairs per map: as many layers of one geometry are evaluated again and again without a search


@torch.no_grad()
def belonging(of: Map, weight: Tensor, u: Tensor, v: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
    """``u``, ``v``, or in their place, where they are those of another weight, its own; nothing is written.

    Averaged weights, weights loaded without vectors and means of state dicts come with vectors that are not theirs.
    """
    if weight.is_meta:
        return u, v
    if capturing(weight):  # of a CUDA graph, in which no flag can be read
        moved, (new_u, new_v) = (
            fingerprint(weight) != seen,
            power_rounds(of, weight, u, v, 2 * _ROUNDS_FOR_A_NEW_WEIGHT),
        )
        return torch.where(moved, new_u, u), torch.where(moved, new_v, v)
    with untraced():
        found = fingerprint(weight).item()
        if found == seen.item():
            return u, v
        kept, key = _CONVERGED.setdefault(of, {}), (found, weight.dtype, weight.device)
        if key not in kept:
            if not bool(torch.isfinite(weight).all()):
                return u, v
            pair = of.top_pair(weight if weight.element_size() >= 4 else weight.float())
            kept[key] = pair[0].to(weight), pair[1].to(weight)
            if len(kept) > _KEPT:
                del kept[next(iter(kept))]
        return kept[key]


# Opaque to the compiler, which would otherwise recompute u in the backward from a buffer that has moved on by then.
@torch.library.custom_op("tightrope::singular_pair", mutates_args=("u", "v", "seen"))
def _singular_pair(
    weight: Tensor, u: Tensor, v: Tensor, seen: Tensor, of: str, rounds: int, always: bool, write: bool
) -> tuple[Tensor, Tensor]:
    return advance(_MAPS[of], weight, u, v, seen, rounds, always, write)


@_singular_pair.register_fake
def _(
    weight: Tensor, u: Tensor, v: Tensor, seen: Tensor, of: str, rounds: int, always: bool, write: bool
) -> tuple[Tensor, Tensor]:
    return torch.empty_like(u), torch.empty_like(v)


_ROUNDS_FOR_A_NEW_WEIGHT = 15


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
        self.key, self.weight_shape = repr(of), weight.shape
        _MAPS[self.key] = of
        with torch.no_grad():
            if not exact:
                self._start(weight.detach(), warmup, rng)
            self.gain = nn.Parameter(self._starting_gain(weight.detach())) if gain else None

    def _start(self, weight: Tensor, warmup: int, rng: torch.Generator | None) -> None:
        of = self.goal.of
        device = rng.device if rng is not None else weight.device
        drawn = torch.randn(of.output_shape, generator=rng, device=device, dtype=torch.float32).to(weight)
        u = _units(drawn, of.groups, drawn)
        pulled = of.adjoint(weight, u)
        u, v = power_rounds(of, weight, u, _units(pulled, of.groups, pulled), warmup)
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
        if self._runs_here(weight) and not compiling:
            buffers: Any = self._buffers
            state = buffers["u"], buffers["v"], buffers["seen"]
            rounds = self.steps if self.training and not constraints_are_frozen() else 0
            if not self.training:
                state = *belonging(self.goal.of, weight.detach(), *state), buffers["seen"]
            together: tuple[Tensor, Tensor] = AdvanceAndNormalise.apply(
                weight, state, rounds, self.update == "forward", self.goal
            )
            return together[0]
        exactly = self.exact or constraints_are_exact()
        u, v = self.goal.of.top_pair(weight) if exactly else self._pair(weight, compiling)
        # the compiler fuses the formula itself, and cannot trace a Function with a jvp
        normalise = formula if compiling else Normalise.apply
        normalised: Tensor = normalise(weight, u, v, self.goal)[0]
        return normalised

    def _runs_here(self, weight: Tensor) -> bool:
        """Whether the short form applies."""
        ordinary = level() is None and torch._C._get_tracing_state() is None
        return (
            weight.device.type == "cpu"
            and self.goal.of.groups == 1
            and ordinary
            and not (self.exact or constraints_are_exact())
        )

    @torch.no_grad()
    def right_inverse(self, weight: Tensor) -> Tensor:
        """Assigning a weight stores it raw, with new singular vectors; it is normalised when read."""
        check_assigned(weight, self.weight_shape)
        if not (self.exact or constraints_are_frozen()):
            u, v = power_rounds(self.goal.of, weight.detach(), self.u, self.v, _ROUNDS_FOR_A_NEW_WEIGHT)
            self.u.copy_(u)
            self.v.copy_(v)
            self.seen.copy_(fingerprint(weight.detach()))
        return weight

    @torch.no_grad()
    def _pair(self, weight: Tensor, compiling: bool = False) -> tuple[Tensor, Tensor]:
        """Singular vectors to use now, never aliases of the buffers."""
        weight = weight.detach()
        if self.exact:
            return self.goal.of.top_pair(weight)
        write, always = self.training, self.update == "forward"
        rounds = self.steps if write and not constraints_are_frozen() else 0
        if compiling and level() is None:
            operator = torch.ops.tightrope.singular_pair
            u, v = operator(weight, self.u, self.v, self.seen, self.key, rounds, always, write)
            return u, v
        # the buffers take values, not derivatives; one vector cannot follow the several weights of a vmap over them
        weight = undifferentiated(weight)
        u, v, seen = undifferentiated(self.u), undifferentiated(self.v), undifferentiated(self.seen)
        apart = batch_levels(weight)
        if not all(apart <= batch_levels(x) for x in (u, v, seen)):
            rounds = 0
        if compiling or level() is None:
            return advance(self.goal.of, weight, u, v, seen, rounds, always, write)
        with outside_derivatives():
            return advance(self.goal.of, weight, u, v, seen, rounds, always, write)

    def extra_repr(self) -> str:
        """Settings, for ``print(network)``."""
        which = "kernel" if isinstance(self.goal.of, KernelShape) else "operator"
        how = "exact" if self.exact else f"steps={self.steps}, update={self.update!r}"
        return f"{which} norm {'<=' if self.goal.at_most else '='} {self.goal.bound:g}, {how}"
