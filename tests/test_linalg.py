"""Orthogonalisers against their definitions, at condition numbers where the cheap way fails, and their derivatives."""

from __future__ import annotations

import pytest
import torch
from torch.func import grad, vmap

from linalg_cases import NAMES, definition, with_condition
from tightrope import linalg

SHAPES = [(6, 6), (9, 4), (4, 9), (1, 5), (5, 1)]


@pytest.mark.parametrize("condition", [1.5, 1e3, 1e5])
@pytest.mark.parametrize("name", NAMES)
def test_orthogonalisers_agree_with_their_definition_in_float32(name, condition):
    for m, n in [(24, 24), (64, 16), (16, 64), (40, 33)]:
        W = with_condition(m, n, condition).float()
        Q = linalg.ORTHOGONALISERS[name](W)
        assert Q.dtype == torch.float32
        assert (Q.double() - definition(W.double(), name)).abs().max() <= 1e-6
        small = Q.double().mT @ Q.double() if m >= n else Q.double() @ Q.double().mT
        assert (small - torch.eye(min(m, n))).abs().max() <= 1e-6


@pytest.mark.parametrize("name", NAMES)
def test_scale_of_the_raw_matrix_does_not_matter_to_orthonormality(name):
    for scale in (1e-6, 1e6):
        Q = linalg.ORTHOGONALISERS[name](with_condition(8, 5, 10).float() * scale).double()
        assert (Q.mT @ Q - torch.eye(5)).abs().max() <= 1e-6


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", NAMES)
def test_gradients_pass_gradcheck(name, shape):
    W = with_condition(*shape, 3.0).requires_grad_()
    assert torch.autograd.gradcheck(linalg.ORTHOGONALISERS[name], (W,), atol=1e-7)


@pytest.mark.parametrize("name", ["polar", "bjorck"])
def test_gradient_is_right_where_the_fallback_steps_in(name):
    W = with_condition(7, 4, 1e5)
    direction = torch.randn(7, 4, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    W.requires_grad_()
    (linalg.ORTHOGONALISERS[name](W) * direction).sum().backward()
    step = 1e-9 * torch.randn(7, 4, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    with torch.no_grad():
        difference = definition(W + step, "polar") - definition(W - step, "polar")
    assert (W.grad * 2 * step).sum().item() == pytest.approx((difference * direction).sum().item(), rel=1e-5)


def test_equal_singular_values_give_finite_gradients():
    for name in NAMES:
        W = torch.eye(5, 3, dtype=torch.float64, requires_grad=True)
        linalg.ORTHOGONALISERS[name](W).sum().backward()
        assert torch.isfinite(W.grad).all()


def test_polar_completes_a_rank_deficient_matrix():
    W = torch.zeros(5, 3)
    W[0, 0] = 2.0
    W.requires_grad_()
    Q = linalg.polar(W)
    assert (Q.mT @ Q - torch.eye(3)).abs().max() <= 1e-6
    Q.sum().backward()
    assert torch.isfinite(W.grad).all()


@pytest.mark.parametrize("name", NAMES)
def test_orthogonalisers_differentiate_twice(name):
    W = with_condition(4, 3, 2.0).requires_grad_()
    assert torch.autograd.gradgradcheck(linalg.ORTHOGONALISERS[name], (W,), atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_batches_and_stacked_calls_agree_with_single_matrices(name):
    W = torch.stack([with_condition(6, 4, 5.0, seed) for seed in range(3)])
    f = linalg.ORTHOGONALISERS[name]
    single = torch.stack([f(w) for w in W])
    assert torch.allclose(f(W), single, atol=1e-9)
    assert torch.allclose(vmap(f)(W), single, atol=1e-6)
    gradients = vmap(grad(lambda w: f(w)[0, 0]))(W)
    leaf = W[1].clone().requires_grad_()
    f(leaf)[0, 0].backward()
    assert torch.allclose(gradients[1], leaf.grad, atol=1e-6)


@pytest.mark.parametrize("shape", [(5, 5), (7, 3), (3, 7)])
def test_cayley_inverse_returns_to_the_matrix(shape):
    Q = linalg.cayley(0.3 * with_condition(*shape, 4.0))
    assert torch.allclose(linalg.cayley(linalg.cayley_inverse(Q)), Q, atol=1e-10)


def test_top_pair_of_blocks_is_the_top_pair_of_the_block_diagonal_matrix():
    for shape in [(1, 4, 7), (3, 5, 2), (4, 1, 6)]:
        M = torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        u, v = linalg.top_singular_pair(M)
        whole = torch.block_diag(*M)
        assert (u @ whole @ v).item() == pytest.approx(torch.linalg.matrix_norm(whole, 2).item(), rel=1e-12)
        assert u.norm().item() == pytest.approx(1, rel=1e-12)
        assert v.norm().item() == pytest.approx(1, rel=1e-12)


def test_products_with_blocks_are_those_with_the_block_diagonal_matrix():
    rng = torch.Generator().manual_seed(2)
    M, u, v = (torch.randn(shape, generator=rng, dtype=torch.float64) for shape in ((2, 5, 3), (10,), (6,)))
    assert torch.allclose(linalg.block_matvec(M, v), torch.block_diag(*M) @ v)
    assert torch.allclose(linalg.block_rmatvec(M, u), torch.block_diag(*M).mT @ u)
    assert torch.allclose(torch.block_diag(*linalg.block_add_outer(M, u, v))[:5, :3], M[0] + torch.outer(u[:5], v[:3]))
    for blocks in (M, M[:1]):
        n, m = len(blocks) * 5, len(blocks) * 3
        scaled = linalg.block_add_outer(blocks, u[:n], v[:m], 2.0, -3.0)
        rank_one = linalg.block_add_outer(blocks, u[:n], v[:m]) - blocks
        assert torch.allclose(scaled, 2 * blocks - 3 * rank_one)
