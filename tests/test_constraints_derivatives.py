"""Derivatives of every constraint against finite differences of the weights that it computes."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.func import functional_call
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from constraint_cases import zoo
from derivative_cases import FIRST, SECOND, slope
from tightrope import constraints, dynamics
from tightrope.autodiff import frozen_constraints

D = torch.float64
SHAPE = {"linear": (7,), "wide linear": (5,), "conv1d": (3, 8), "conv2d": (3, 8, 8), "grouped": (4, 6, 6)}
SHAPE |= {"transposed": (3, 4, 4), "embedding": None}
CONSTRAINTS = {
    "spectral": lambda n, s: constraints.spectral_norm(n),
    "spectral, at most": lambda n, s: constraints.spectral_norm(n, at_most=True, bound=0.3),
    "spectral, gain": lambda n, s: constraints.spectral_norm(n, gain=True),
    "spectral, exact": lambda n, s: constraints.spectral_norm(n, exact=True),
    "spectral, exact operator": lambda n, s: constraints.spectral_norm(n, "operator", exact=True, input_shape=s),
    "spectral, operator": lambda n, s: constraints.spectral_norm(n, "operator", input_shape=s),
    "weight norm": lambda n, s: constraints.weight_norm(n),
    "weight norm, gain": lambda n, s: constraints.weight_norm(n, gain=True),
    "Frobenius norm": lambda n, s: constraints.frobenius_norm(n),
    **{f"orthogonal by {by}": lambda n, s, by=by: constraints.orthogonal(n, by) for by in ("polar", "bjorck", "qr")},
    "orthogonal by cayley": lambda n, s: constraints.orthogonal(n, "cayley", bound=2.0),
    "orthogonal operator": lambda n, s: constraints.orthogonal(n, "polar", "operator", input_shape=s),
    "orthogonal operator by bjorck": lambda n, s: constraints.orthogonal(n, "bjorck", "operator", input_shape=s),
}


def function_of_raw(layer, C: torch.Tensor):
    """``<C, weight>`` as a function of all raw tensors in one vector, and where they are now."""
    parts = dict(layer.parametrizations.weight.named_parameters())

    def f(flat: torch.Tensor) -> torch.Tensor:
        pieces = flat.split([p.numel() for p in parts.values()])
        raw = {name: x.view(p.shape) for (name, p), x in zip(parts.items(), pieces, strict=True)}
        return (C * functional_call(layer.parametrizations.weight, raw, ())).sum()

    return f, torch.cat([p.detach().reshape(-1) for p in parts.values()])


CASES = [(c, layer) for c in CONSTRAINTS for layer in SHAPE if layer != "embedding" or "operator" not in c]


@pytest.mark.parametrize(("constraint", "layer"), CASES)
def test_first_and_second_derivatives_are_those_of_the_weight(constraint, layer):
    torch.manual_seed(0)
    module = copy.deepcopy(zoo()[layer]).to(D)
    module = CONSTRAINTS[constraint](module, SHAPE[layer])
    iterated = constraint.startswith("spectral") and "exact" not in constraint
    module.train(
        iterated
    )  # in evaluation every other weight has vectors of its own; in training, frozen, all have these
    with frozen_constraints():
        f, at = function_of_raw(module, torch.randn_like(module.weight))
        E, F = (torch.nn.functional.normalize(torch.randn_like(at), dim=0) for _ in range(2))
        with torch.no_grad():
            once = slope(f, at, E).item()
            twice = slope(lambda x: slope(f, x, F), at, E).item()
        for how, derivative in FIRST.items():
            assert derivative(f, at, E).item() == pytest.approx(once, rel=1e-8, abs=1e-8), how
        for how, derivative in SECOND.items():
            assert (derivative(f, at, E) * F).sum().item() == pytest.approx(twice, rel=1e-5, abs=1e-5), how


@pytest.mark.parametrize("training", [False, True])
def test_the_jacobian_of_a_game_follows_the_singular_vectors(training):
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)).to(D)
    critic = constraints.spectral_norm(copy.deepcopy(plain)).train(training)
    exact = constraints.spectral_norm(plain, exact=True)
    x = torch.randn(8, 3, dtype=D)
    parameters = list(exact.parameters())
    at = parameters_to_vector(parameters).detach()

    def gradient(point: torch.Tensor) -> torch.Tensor:
        vector_to_parameters(point, parameters)
        return parameters_to_vector(torch.autograd.grad(nn.functional.softplus(exact(x)).mean(), parameters))

    step = 1e-6
    wanted = [-(gradient(at + step * e) - gradient(at - step * e)) / (2 * step) for e in torch.eye(len(at), dtype=D)]
    found = dynamics.field_jacobian((lambda: nn.functional.softplus(critic(x)).mean(),), (critic,))
    torch.testing.assert_close(found, torch.stack(wanted, 1), atol=1e-7, rtol=1e-6)
