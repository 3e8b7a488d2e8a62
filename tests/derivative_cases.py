"""Ways to differentiate a scalar function of one tensor, and finite differences to compare them with."""

from __future__ import annotations

import torch
from torch.autograd import forward_ad
from torch.func import grad, jvp, vmap


def slope(f, W: torch.Tensor, E: torch.Tensor, h: float = 1e-3) -> torch.Tensor:
    """Derivative of ``f`` along ``E`` by central differences of the fourth order."""
    return (8 * (f(W + h * E) - f(W - h * E)) - (f(W + 2 * h * E) - f(W - 2 * h * E))) / (12 * h)


def by_dual_numbers(f, W, E):
    with forward_ad.dual_level():
        return forward_ad.unpack_dual(f(forward_ad.make_dual(W, E))).tangent


def reverse(f, W, **options):
    A = W.clone().requires_grad_()
    return torch.autograd.grad(f(A), A, **options)[0]


def reverse_twice(f, W, E):
    A = W.clone().requires_grad_()
    (g,) = torch.autograd.grad(f(A), A, create_graph=True)
    return torch.autograd.grad((g * E).sum(), A)[0]


def forward_over_reverse(f, W, E):
    A = W.clone().requires_grad_()
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(A, E)
        (g,) = torch.autograd.grad(f(dual), dual)
        return forward_ad.unpack_dual(g).tangent


FIRST = {
    "backward": lambda f, W, E: (reverse(f, W) * E).sum(),
    "create_graph": lambda f, W, E: (reverse(f, W, create_graph=True) * E).sum(),
    "torch.func.grad": lambda f, W, E: (grad(f)(W) * E).sum(),
    "torch.func.vmap": lambda f, W, E: (vmap(grad(f))(W[None])[0] * E).sum(),
    "torch.func.jvp": lambda f, W, E: jvp(f, (W,), (E,))[1],
    "dual numbers": by_dual_numbers,
}
SECOND = {
    "reverse over reverse": reverse_twice,
    "torch.func.grad twice": lambda f, W, E: grad(lambda A: (grad(f)(A) * E).sum())(W),
    "torch.func forward over reverse": lambda f, W, E: jvp(grad(f), (W,), (E,))[1],
    "forward over reverse": forward_over_reverse,
    "torch.func reverse over forward": lambda f, W, E: grad(lambda A: jvp(f, (A,), (E,))[1])(W),
    "vmap": lambda f, W, E: vmap(lambda e: jvp(grad(f), (W,), (e,))[1])(E[None])[0],
}
