"""Derivatives of the orthogonalisers against finite differences of the textbook formula, at special points too."""

from __future__ import annotations

import pytest
import torch
from torch.func import grad

from derivative_cases import FIRST, SECOND, forward_over_reverse, reverse, reverse_twice, slope
from linalg_cases import NAMES, definition, with_condition
from tightrope import linalg

D = torch.float64


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=D)


def orthonormal(m: int, n: int) -> torch.Tensor:
    return definition(random(m, n), "polar")


POINTS = {
    "orthogonal": orthonormal(4, 4),
    "orthonormal columns": orthonormal(5, 3),
    "orthonormal rows": orthonormal(3, 5),
    "identity": torch.eye(3, dtype=D),
    "rows without common support": torch.diag(torch.tensor([2.0, 1.0, 0.5], dtype=D)),
    "columns without common support, a zero row": torch.eye(4, 3, dtype=D) * torch.tensor([3.0, 1.0, 0.25], dtype=D),
    "equal singular values": 2 * orthonormal(4, 4),
    "unit row": orthonormal(1, 4),
    "row": random(1, 4),
    "column": random(4, 1),
    "square": random(4, 4) + 4 * torch.eye(4, dtype=D),
    "condition 4": 4 * with_condition(5, 4, 4.0),
}


def plain(name: str, C: torch.Tensor):
    return lambda A: (C * definition(A, name)).sum()


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("name", NAMES)
def test_first_and_second_derivatives_are_those_of_the_formula(name, point):
    W = POINTS[point]
    C, E, F = (random(*W.shape, seed=seed) for seed in (1, 2, 3))
    f = lambda A: (C * linalg.ORTHOGONALISERS[name](A)).sum()  # noqa: E731
    once = slope(plain(name, C), W, E)
    for how, derivative in FIRST.items():
        assert derivative(f, W, E).item() == pytest.approx(once.item(), abs=1e-8), how
    twice = slope(lambda A: slope(plain(name, C), A, F), W, E)
    for how, derivative in SECOND.items():
        assert (derivative(f, W, E) * F).sum().item() == pytest.approx(twice.item(), rel=1e-5, abs=1e-7), how


@pytest.mark.parametrize("name", NAMES)
def test_third_derivative_at_an_orthogonal_matrix(name):
    W = POINTS["orthogonal"]
    C, E = random(4, 4, seed=1), random(4, 4, seed=2)
    f = lambda t: (C * linalg.ORTHOGONALISERS[name](W + t * E)).sum()  # noqa: E731
    g = lambda t: (C * definition(W + t * E, name)).sum()  # noqa: E731
    h = 1e-2
    third = (g(2 * h) - 2 * g(h) + 2 * g(-h) - g(-2 * h)) / (2 * h**3)
    fifth = (g(4 * h) - 2 * g(2 * h) + 2 * g(-2 * h) - g(-4 * h)) / (16 * h**3)
    expected = ((4 * third - fifth) / 3).item()  # the error of order h^2 cancels
    assert grad(grad(grad(f)))(torch.zeros((), dtype=D)).item() == pytest.approx(expected, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("how", ["create_graph", "torch.func.grad", "torch.func.jvp"])
@pytest.mark.parametrize("name", NAMES)
def test_first_derivatives_at_condition_1e5(name, how):
    W = with_condition(6, 4, 1e5)
    C, E = random(6, 4, seed=1), random(6, 4, seed=2)
    f = lambda A: (C * linalg.ORTHOGONALISERS[name](A)).sum()  # noqa: E731
    expected = slope(plain(name, C), W, E, h=1e-8).item()
    assert FIRST[how](f, W, E).item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_derivatives_of_a_batch_are_those_of_its_matrices(name):
    W = torch.stack([POINTS["orthogonal"], POINTS["square"], POINTS["equal singular values"]])
    C, E = random(3, 4, 4, seed=1), random(3, 4, 4, seed=2)
    function = linalg.ORTHOGONALISERS[name]
    for derivative in (reverse_twice, forward_over_reverse):
        whole = derivative(lambda A: (C * function(A)).sum(), W, E)
        apart = [derivative(lambda A, c=c: (c * function(A)).sum(), w, e) for c, w, e in zip(C, W, E, strict=True)]
        assert torch.allclose(whole, torch.stack(apart), atol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_second_derivatives_in_float32_are_those_in_float64(name):
    W, C, E = (random(8, 5, seed=seed) for seed in (0, 1, 2))
    f = lambda A: (C.to(A) * linalg.ORTHOGONALISERS[name](A)).sum()  # noqa: E731
    exact = reverse_twice(f, W, E)
    for derivative in (reverse_twice, forward_over_reverse):
        assert torch.allclose(derivative(f, W.float(), E.float()).double(), exact, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_compiled_values_and_gradients_are_the_eager_ones(name):
    C = random(3, 3, seed=1)
    compiled = torch.compile(linalg.ORTHOGONALISERS[name], backend="aot_eager", fullgraph=True)
    for point in ("rows without common support", "identity"):
        eager = reverse(lambda A: (C * linalg.ORTHOGONALISERS[name](A)).sum(), POINTS[point])
        assert torch.allclose(compiled(POINTS[point]), linalg.ORTHOGONALISERS[name](POINTS[point]), atol=1e-12)
        assert torch.allclose(reverse(lambda A: (C * compiled(A)).sum(), POINTS[point]), eager, atol=1e-12)
