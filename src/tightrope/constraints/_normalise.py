"""``bound W / sigma`` with the gradient of the paper's eq. 12 as one node of the graph.

Two forms share that gradient: :class:`Normalise` takes the singular vectors, works under every transform of
``torch.func`` and on every device; :class:`AdvanceAndNormalise` finds them in the same call, on the CPU, where a number
may be read at any time. Small layers cost what their operations cost to start, so it starts as few as it can.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from tightrope.autodiff.guard import in_functional_transform
from tightrope.constraints._transforms import numbers_can_be_read
from tightrope.linalg._matrices import NONE_UNDER_VMAP, bind_at_once
from tightrope.linalg.precision import full_precision

SMALLEST = 1e-12  # a sigma that is no larger is that of a zero weight

STALE = 0.5  # cosine between u and A v below which u belongs to another weight: it can even be negative

_BITS = {8: torch.int64, 4: torch.int32, 2: torch.int16, 1: torch.int8}


class Map(Protocol):
    """A frozen description of a linear map ``A(W)``, and what a power iteration needs of it."""

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of ``u``."""

    @property
    def groups(self) -> int:
        """Diagonal blocks of ``A(W)``: equal shares of the leading axis of ``u`` and of ``v``."""

    def view(self, weight: Tensor) -> Tensor:
        """``weight`` in the form that ``apply`` and ``adjoint`` take without a further step."""

    def apply(self, weight: Tensor, v: Tensor) -> Tensor:
        """``A(W) v``."""

    def adjoint(self, weight: Tensor, u: Tensor) -> Tensor:
        """``A(W)^T u``."""

    def plus_gradient(
        self, g: Tensor, weight: Tensor, u: Tensor, v: Tensor, scale: float = 1.0, times: float = 1.0
    ) -> Tensor:
        """``scale (g + times * gradient of <u, A(W) v>)``, a new tensor."""

    def top_pair(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Singular vectors of the largest singular value, converged."""


@dataclass(frozen=True)
class Goal:
    """What a weight becomes: ``A(W)`` of norm ``bound``, or at most that."""

    of: Map
    bound: float
    at_most: bool


class _Bits(torch.autograd.Function):
    """The bit patterns as integers; ``vmap`` of torch 2.6 knows no rule for a view as another type."""

    @staticmethod
    def forward(weight: Tensor) -> Tensor:
        return weight.view(_BITS[weight.element_size()])

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.mark_non_differentiable(output)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], weight: Tensor) -> tuple[Tensor, int | None]:
        return _Bits.apply(weight), in_dims[0]


def fingerprint(weight: Tensor) -> Tensor:
    """Scalar integer that changes when the weight does: the sum of its bit patterns modulo 2^32 (2^64 for float64).

    Integer sums do not depend on the order of summation, so the value is the same for any number of threads.
    """
    bits = _Bits.apply(weight) if in_functional_transform() else weight.view(_BITS[weight.element_size()])
    return bits.sum(dtype=torch.int64 if bits.dtype == torch.int64 else torch.int32)


def formula(W: Tensor, u: Tensor, v: Tensor, goal: Goal) -> tuple[Tensor, Tensor]:
    """``bound W / d`` and ``d``, where ``d = sigma`` or ``max(sigma, bound)``; a zero weight stays as it is."""
    sigma = torch.dot(u.reshape(-1), goal.of.apply(W, v).reshape(-1))
    return _divide(W, torch.where(sigma > SMALLEST, sigma, torch.full_like(sigma, goal.bound)), goal)


def _divide(W: Tensor, sigma: Tensor, goal: Goal) -> tuple[Tensor, Tensor]:
    d = sigma.clamp(min=goal.bound) if goal.at_most else sigma
    return W / d if goal.bound == 1 else W * (goal.bound / d), d


class Normalise(torch.autograd.Function):
    """:func:`formula` with the paper's eq. 12 as its gradient: one pass where autograd would make four.

    ``u``, ``v`` are constants. Differentiable twice, and in forward mode.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(W: Tensor, u: Tensor, v: Tensor, goal: Goal) -> tuple[Tensor, Tensor]:
        return formula(W, u, v, goal)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        _, u, v, goal = inputs
        _keep(ctx, output, u, v, goal)

    @staticmethod
    def backward(ctx: Any, g: Tensor | None, g_d: Tensor | None) -> tuple[Tensor | None, ...]:
        return _gradient(ctx, g, g_d), None, None, None

    @staticmethod
    def jvp(ctx: Any, t: Tensor, *_: Any) -> tuple[Tensor, Tensor]:
        return _tangent(ctx, t)


bind_at_once(Normalise)


class AdvanceAndNormalise(torch.autograd.Function):
    """:class:`Normalise` after an advance of the power iteration, if one is due.

    For one block, on the CPU, outside transforms. ``state`` is ``(u, v, seen)``, written in place. An advance is due if
    the weight is not the one last ``seen``, or with ``always``. The last product ``A v`` gives ``u`` and sigma.
    """

    @staticmethod
    def forward(
        ctx: Any, W: Tensor, state: tuple[Tensor, Tensor, Tensor], rounds: int, always: bool, goal: Goal
    ) -> tuple[Tensor, Tensor]:
        of, (u, v, seen) = goal.of, state
        A = of.view(W)
        now = fingerprint(A).item() if rounds else 0
        due = bool(rounds) and (always or now != seen.item())
        new_u, new_v = u, v
        for _ in range(rounds if due else 0):
            new_v = of.adjoint(A, new_u)
            new_v.div_(_length(new_v))
            image = of.apply(A, new_v)
            new_u = image / _length(image)
        if not due:  # copies, since the buffers may have moved on before the backward
            new_u, new_v = u.clone(), v.clone()
            image = of.apply(A, new_v)
        sigma = _dot(new_u, image)
        if not due and sigma.item() < STALE * _length(image):
            new_u = image / _length(image)
            sigma = _dot(new_u, image)
        if not sigma.item() > SMALLEST:  # a zero weight has no singular vectors, and would leave none to start from
            sigma.fill_(goal.bound)
        elif due:
            u.copy_(new_u)
            v.copy_(new_v)
        if due:
            seen.fill_(now)
        output = _divide(W, sigma, goal)
        _keep(ctx, output, new_u, new_v, goal)
        return output

    @staticmethod
    def backward(ctx: Any, g: Tensor | None, g_d: Tensor | None) -> tuple[Tensor | None, ...]:
        return _gradient(ctx, g, g_d), None, None, None, None

    @staticmethod
    def jvp(ctx: Any, t: Tensor, *_: Any) -> tuple[Tensor, Tensor]:
        return _tangent(ctx, t)


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """Inner product over all elements."""
    return torch.dot(a, b) if a.dim() == 1 else torch.dot(a.reshape(-1), b.reshape(-1))


def _length(x: Tensor) -> float:
    """Euclidean length over all elements, not zero."""
    squared: float = _dot(x, x).item()
    if 1e-30 < squared < math.inf:
        return math.sqrt(squared)
    return max(float(torch.linalg.vector_norm(x.double()).item()), 1e-37)  # whose squares leave the range


def _keep(ctx: Any, output: tuple[Tensor, Tensor], u: Tensor, v: Tensor, goal: Goal) -> None:
    ctx.goal = goal
    ctx.set_materialize_grads(not NONE_UNDER_VMAP)
    ctx.save_for_backward(*output, u, v)
    ctx.save_for_forward(*output, u, v)


def _gradient(ctx: Any, g: Tensor | None, g_d: Tensor | None) -> Tensor:
    """``(bound / d) (G - lambda u v^T)`` with ``lambda = <G, W_bar> / bound``, plus what reaches ``d`` directly."""
    W_bar, d, u, v = ctx.saved_tensors
    goal: Goal = ctx.goal
    if g is None:
        g = torch.zeros_like(W_bar)
    with full_precision(g.device.type):
        projection = torch.dot(g.reshape(-1), W_bar.reshape(-1))
        if g_d is None and numbers_can_be_read(g) and not torch.is_grad_enabled():
            sigma: float = d.item()
            times = 0.0 if goal.at_most and sigma <= goal.bound else -projection.item() / goal.bound
            return goal.of.plus_gradient(g, W_bar, u, v, goal.bound / sigma, times)
        rank_one = projection / -goal.bound
        if g_d is not None:
            rank_one = rank_one + g_d * (d / goal.bound)
        if goal.at_most:
            rank_one = torch.where(d > goal.bound, rank_one, torch.zeros_like(rank_one))
        return goal.of.plus_gradient(g, W_bar.detach(), rank_one * u, v).mul_(goal.bound / d)


def _tangent(ctx: Any, t: Tensor) -> tuple[Tensor, Tensor]:
    W_bar, d, u, v = ctx.saved_tensors
    goal: Goal = ctx.goal
    t_d = torch.dot(u.reshape(-1), goal.of.apply(t, v).reshape(-1))
    if goal.at_most:
        t_d = torch.where(d > goal.bound, t_d, torch.zeros_like(t_d))
    return (goal.bound * t - W_bar * t_d) / d, t_d
