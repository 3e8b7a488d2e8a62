"""Two ways to look through ``detach``, which training code uses to save work and which hides derivatives of the game.

A critic's loss is written with ``fake.detach()`` because the critic's step needs no gradient of the generator. The
critic's *gradient* nevertheless depends on the generator, and that dependence is the off-diagonal block which makes a
game rotate. Differentiating through it needs one of the two modes here; neither changes any module.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.overrides import TorchFunctionMode

from tightrope._plumbing.errors import UserError
from tightrope.autodiff import in_functional_transform
from tightrope.dynamics.spelled import MENDED, SPELLED

_DETACH = (torch.Tensor.detach, torch.detach)
_ROOTS = (torch.Tensor.sqrt, torch.sqrt)
_IN_PLACE = {"mul_", "div_", "sub_", "add_", "__imul__", "__itruediv__", "__isub__", "__iadd__"}
_ARITHMETIC = _IN_PLACE | {
    "mul",
    "div",
    "true_divide",
    "__mul__",
    "__rmul__",
    "__truediv__",
    "sub",
    "__sub__",
    "__rsub__",
}


class CarryTangents(TorchFunctionMode):
    """Forward-mode tangents survive ``detach`` and ``backward``; values and reverse-mode graphs are what they were.

    This gives the derivative of the computation as the program carries it out, stop-gradients included.

    Args:
        parameters: What a ``backward()`` without ``inputs`` accumulates into.
    """

    def __init__(self, parameters: Sequence[Tensor] = ()) -> None:
        super().__init__()
        self._parameters = list(parameters)

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in _DETACH:
            with torch.no_grad():
                return args[0].clone()
        if func is torch.Tensor.backward:
            return self._backward(*args, **kwargs)
        if func is torch.autograd.grad:
            return _grad(*args, **kwargs)
        if func in _ROOTS and not torch.is_grad_enabled():
            return _root(args[0])
        if func is torch.Tensor.addcmul_ and not torch.is_grad_enabled():
            _require_slope(*args[:3])
        func = SPELLED.get(func, func)
        if func.__name__ in _ARITHMETIC:
            args = _with_tangents(func.__name__, args)
        return func(*args, **kwargs)

    def _backward(
        self,
        total: Tensor,
        gradient: Tensor | None = None,
        retain_graph: bool | None = None,
        create_graph: bool = False,
        inputs: Sequence[Tensor] | Tensor | None = None,
    ) -> None:
        given = [inputs] if isinstance(inputs, Tensor) else inputs
        targets = [p for p in (self._parameters if given is None else given) if p.requires_grad]
        found = _grad(total, targets, gradient, retain_graph=retain_graph, create_graph=create_graph, allow_unused=True)
        for p, g in zip(targets, found, strict=True):
            if g is not None:
                p.grad = g if p.grad is None else p.grad + g


def _grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    **kwargs: Any,
) -> Any:
    """``torch.autograd.grad`` from a starting gradient that carries a (zero) tangent.

    Always as if the result were to be differentiated: otherwise the backward of ``solve``, ``det`` and their like takes
    a short cut through a factorisation that has no tangent, and the derivative of the gradient lacks a term.
    """
    if grad_outputs is None and not in_functional_transform():
        scalars = [outputs] if isinstance(outputs, Tensor) else list(outputs)
        grad_outputs = [_dual(torch.ones_like(y)) for y in scalars]
    kept = create_graph if retain_graph is None else retain_graph
    found = torch.autograd.grad(outputs, inputs, grad_outputs, retain_graph=kept, create_graph=True, **kwargs)
    if create_graph:
        return found
    with torch.no_grad():
        return tuple(None if g is None else g.clone() for g in found)


def _root(x: Tensor) -> Tensor:
    """Square root of a second moment. Where that is zero nothing moves whatever it is, as for unused parameters."""
    value, tangent = forward_ad.unpack_dual(x)
    if tangent is None or not bool((value == 0).any()):
        return x.sqrt()
    slope = torch.where(value == 0, torch.zeros_like(tangent), tangent / (2 * value.sqrt()))
    return forward_ad.make_dual(value.sqrt(), slope)


def _require_slope(moment: Tensor, a: Tensor, b: Tensor) -> None:
    """Raise where an optimiser's second moment is zero and its gradient is about to leave zero: a kink of the root."""
    gradient, tangent = forward_ad.unpack_dual(a)
    if tangent is None or (a is not b and not torch.equal(gradient, forward_ad.unpack_dual(b).primal)):
        return
    before = forward_ad.unpack_dual(moment).primal
    if bool(((before == 0) & (gradient == 0) & (tangent != 0)).any()):
        raise UserError(
            "The step's derivative is not finite here: expected a differentiable step; Adam and RMSProp have none "
            "where their second moment is zero, so analyse them after some steps on real gradients."
        )


def _with_tangents(name: str, args: Sequence[Any]) -> Sequence[Any]:
    """Operands of an arithmetic function, each with a tangent: a missing one sends torch through a slow Python path."""
    like = next((x for x in args if isinstance(x, Tensor) and x.is_floating_point()), None)
    if like is None or in_functional_transform():
        return args
    first = 1 if name in _IN_PLACE else 0
    rest = [
        torch.tensor(x, dtype=like.dtype, device=like.device) if isinstance(x, float | int) else x for x in args[first:]
    ]
    return [*args[:first], *map(_dual, rest)]


def _dual(x: Any) -> Any:
    """A tensor that carries a tangent: ``x`` itself, or ``x`` with a zero one; anything else as it is."""
    if not isinstance(x, Tensor) or not x.is_floating_point() or forward_ad.unpack_dual(x).tangent is not None:
        return x
    return forward_ad.make_dual(x, torch.zeros_like(x))


class Attached(TorchFunctionMode):
    """``detach`` hands its tensor through with its graph, so that reverse mode reaches every player.

    A stop-gradient *inside* a network would change the gradient itself; see ``FieldOperator``, which tests for it.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func in _DETACH:
            return args[0].view_as(args[0])
        return MENDED.get(func, func)(*args, **(kwargs or {}))
