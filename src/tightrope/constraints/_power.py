"""Division by the largest singular value, with a power iteration whose whole state lives in buffers.

Both norms share it: a *map* is a frozen description of ``A(W)`` (:class:`~tightrope._modules.KernelShape` or
:class:`OperatorMap`) with ``apply``, ``adjoint``, ``plus_gradient`` and ``top_pair``.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, nn

from tightrope._linear_map import LinearMap
from tightrope._modules import KernelShape, constraints_are_frozen
from tightrope._precision import full_precision
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

    def apply(self, weight: Tensor, v: Tensor) -> Tensor:
        """``A(W) v``."""
        return self.map.apply(weight, v[None])[0]

    def adjoint(self, weight: Tensor, u: Tensor) -> Tensor:
        """``A(W)^T u``."""
        return self.map.adjoint(weight, u[None])[0]

    def plus_gradient(self, g: Tensor, weight: Tensor, u: Tensor, v: Tensor, scale: float = 1.0) -> Tensor:
        """``scale`` times the sum of ``g`` and the gradient of ``<u, A(W) v>``."""
        total = g + self.map.weight_gradient(weight, u[None], v[None])
        return total if scale == 1 else total.mul_(scale)

    def top_pair(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Singular vectors of the largest singular value, converged."""
        return self.map.top_pair(weight)


Map: TypeAlias = KernelShape | OperatorMap
_MAPS: dict[str, Map] = {}  # by their repr, for the compiler's opaque operator, which takes only plain arguments

_BITS = {8: torch.int64, 4: torch.int32, 2: torch.int16, 1: torch.int8}


def fingerprint(weight: Tensor) -> Tensor:
    """Scalar int64 that changes when the weight does: the sum of its bit patterns modulo 2^32 (2^64 for float64).

    Integer sums do not depend on the order of summation, so the value is the same for any number of threads.
    """
    bits = weight.detach().view(_BITS[weight.element_size()])
    dtype = torch.int64 if bits.dtype == torch.int64 else torch.int32
    return bits.sum(dtype=dtype).to(torch.int64)


def _level() -> int | None:
    level: int | None = torch._C._functorch.maybe_current_level()
    return level


def _may_write(buffer: Tensor) -> bool:
    """Whether a buffer may be written here: outside functorch transforms, or when it belongs to the innermost one."""
    level = _level()
    return level is None or torch._C._functorch.maybe_get_level(buffer) == level


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
    can_read = now.device.type == "cpu" and _level() is None
    if can_read and not always and now.item() == seen.item():
        return u.clone(), v.clone()
    new_u, new_v = power_rounds(of, weight, u, rounds)
    if not (can_read or always):
        moved = now != seen
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


def _formula(W: Tensor, u: Tensor, v: Tensor, of: Map, bound: float, at_most: bool) -> tuple[Tensor, Tensor]:
    """``bound W / d`` and ``d``, where ``d = sigma`` or ``max(sigma, bound)``."""
    sigma = torch.dot(u.reshape(-1), of.apply(W, v).reshape(-1)).clamp(min=1e-12)
    d = sigma.clamp(min=bound) if at_most else sigma
    return W / d if bound == 1 else W * (bound / d), d


class _Normalise(torch.autograd.Function):
    """:func:`_formula` with the paper's eq. 12 as its gradient: one pass where autograd would make four.

    ``u``, ``v`` are constants. Differentiable twice, and in forward mode.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(W: Tensor, u: Tensor, v: Tensor, of: Map, bound: float, at_most: bool) -> tuple[Tensor, Tensor]:
        return _formula(W, u, v, of, bound, at_most)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        _, u, v, ctx.of, ctx.bound, ctx.at_most = inputs
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*output, u, v)
        ctx.save_for_forward(*output, u, v)

    @staticmethod
    def backward(ctx: Any, g: Tensor | None, g_d: Tensor | None) -> tuple[Tensor | None, ...]:
        W_bar, d, u, v = ctx.saved_tensors
        if g is None:
            g = torch.zeros_like(W_bar)
        with full_precision(g.device.type):
            # (bound / d) (G - lambda u v^T) with lambda = <G, W_bar> / bound, plus what reaches d directly
            rank_one = torch.dot(g.reshape(-1), W_bar.reshape(-1)) / -ctx.bound
            if g_d is not None:
                rank_one = rank_one + g_d * (d / ctx.bound)
            if ctx.at_most:
                rank_one = torch.where(d > ctx.bound, rank_one, torch.zeros_like(rank_one))
            W_bar = W_bar.detach()
            if g.device.type == "cpu" and _level() is None and not torch.is_grad_enabled():  # one pass instead of two
                total = ctx.of.plus_gradient(g, W_bar, rank_one * u, v, ctx.bound / d.item())
            else:
                total = ctx.of.plus_gradient(g, W_bar, rank_one * u, v).mul_(ctx.bound / d)
            return total, None, None, None, None, None

    @staticmethod
    def jvp(ctx: Any, t: Tensor, *_: Any) -> tuple[Tensor, Tensor]:
        W_bar, d, u, v = ctx.saved_tensors
        t_d = torch.dot(u.reshape(-1), ctx.of.apply(t, v).reshape(-1))
        if ctx.at_most:
            t_d = torch.where(d > ctx.bound, t_d, torch.zeros_like(t_d))
        return (ctx.bound * t - W_bar * t_d) / d, t_d


# torch binds the arguments to the signature at every call; without this it derives the signature anew each time
vars(_Normalise.forward)["__signature__"] = inspect.signature(_Normalise.forward)


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
        self.of, self.steps, self.update = of, steps, update
        self.exact, self.at_most, self.bound = exact, at_most, bound
        self.key = repr(of)
        _MAPS[self.key] = of
        with torch.no_grad():
            if not exact:
                self._start(weight.detach(), warmup, rng)
            self.gain = nn.Parameter(self._starting_gain(weight.detach())) if gain else None

    def _start(self, weight: Tensor, warmup: int, rng: torch.Generator | None) -> None:
        device = rng.device if rng is not None else weight.device
        u = unit(torch.randn(self.of.output_shape, generator=rng, device=device, dtype=torch.float32).to(weight))
        v = unit(self.of.adjoint(weight, u))
        if warmup:
            u, v = power_rounds(self.of, weight, u, warmup)
        self.register_buffer("u", u)
        self.register_buffer("v", v)
        self.register_buffer("seen", fingerprint(weight) + (warmup == 0))

    def _starting_gain(self, weight: Tensor) -> Tensor:
        """The gain with which the output is the raw weight."""
        u, v = self._pair(weight)
        return _formula(weight, u, v, self.of, self.bound, self.at_most)[1] / self.bound

    def forward(self, weight: Tensor) -> Tensor:
        """Normalised weight, same shape."""
        with full_precision(weight.device.type):
            u, v = self._pair(weight)
            # the compiler fuses the formula itself, and cannot trace a Function with a jvp
            normalise = _formula if torch.compiler.is_compiling() else _Normalise.apply
            normalised: Tensor = normalise(weight, u, v, self.of, self.bound, self.at_most)[0]
            return normalised if self.gain is None else self.gain * normalised

    def right_inverse(self, weight: Tensor) -> Tensor:
        """Assigning a weight stores it raw; it is normalised when read."""
        return weight

    @torch.no_grad()
    def _pair(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Singular vectors to use now, never aliases of the buffers."""
        weight = weight.detach()
        if self.exact:
            return self.of.top_pair(weight)
        live = self.training and not constraints_are_frozen() and _may_write(self.u)
        rounds, always = self.steps if live else 0, self.update == "forward"
        if torch.compiler.is_compiling() and _level() is None:
            operator = torch.ops.tightrope.singular_pair
            u, v = operator(weight, self.u, self.v, self.seen, self.key, rounds, always)
            return u, v
        return advance(self.of, weight, self.u, self.v, self.seen, rounds, always)

    def extra_repr(self) -> str:
        """Settings, for ``print(network)``."""
        which = "kernel" if isinstance(self.of, KernelShape) else "operator"
        how = "exact" if self.exact else f"steps={self.steps}, update={self.update!r}"
        return f"{which} norm {'<=' if self.at_most else '='} {self.bound:g}, {how}"
