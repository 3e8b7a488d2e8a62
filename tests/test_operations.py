"""Every operation that a critic may be made of: penalties, their gradients and Jacobians against differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor, linalg, nn
from torch.autograd.function import once_differentiable

from operation_cases import ONCE, TWICE, critic
from tightrope import penalties
from tightrope._plumbing.errors import UserError
from tightrope.autodiff import Remembered, View, input_gradient
from tightrope.dynamics import field_jacobian, field_products, gradient_field, update_jacobian
from tightrope.methods import build
from tightrope.methods.game import game_of
from tightrope.optimizers import SIMULTANEOUS, outer_step
from tightrope.training import start, train

F64 = torch.float64


def along(function: Callable[[], Tensor], tensors: Sequence[Tensor], directions: Sequence[Tensor]) -> Tensor:
    """Derivative along a direction by differences of fourth order."""
    epsilon, ends = 1e-5, []
    before = [t.detach().clone() for t in tensors]
    for k in (2, 1, -1, -2, 0):
        with torch.no_grad():
            for t, start_, d in zip(tensors, before, directions, strict=True):
                t.copy_(start_ + k * epsilon * d)
        if k:
            ends.append(function().detach().clone())
    return (8 * (ends[1] - ends[2]) - (ends[0] - ends[3])) / (12 * epsilon)


def assert_same(found: Tensor, expected: Tensor, what: str) -> None:
    gap = linalg.vector_norm(found.detach() - expected) / linalg.vector_norm(expected).clamp(min=1e-3)
    assert gap < 1e-4, (what, float(gap))


def players_of(net: nn.Module) -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 4)).double(), net


@pytest.mark.parametrize("operation", TWICE)
def test_derivatives_through_any_operation(operation):
    generator, net = players_of(critic(TWICE[operation]))
    x, d = torch.randn(5, 4, dtype=F64), torch.randn(5, 4, dtype=F64)
    fake = generator(torch.randn(5, 2, dtype=F64)).detach()
    moved = x.clone()
    assert_same((input_gradient(net, x) * d).sum(1), along(lambda: net(moved).flatten(), [moved], [d]), "slope")
    weights = list(net.parameters())
    directions = [torch.randn_like(p) for p in weights]
    for penalty in (
        lambda: penalties.r1(net, x),
        lambda: penalties.gradient_penalty(net, x, fake, rng=torch.Generator().manual_seed(0)),
    ):
        gradients = torch.autograd.grad(penalty(), weights, allow_unused=True)
        found = torch.stack([(g * d).sum() for g, d in zip(gradients, directions, strict=True) if g is not None]).sum()
        assert_same(found, along(penalty, weights, directions), "gradient of a penalty")
    players = (generator, net)
    game = game_of(build("r1"), *players, x, latent=2)
    tensors = [p for player in players for p in player.parameters()]
    moves = [torch.randn_like(p) for p in tensors]
    w = torch.cat([m.flatten() for m in moves])
    expected = along(lambda: gradient_field(game, players), tensors, moves)
    with field_products(game, players) as products:
        assert_same(products.forward(w), expected, "product")
        if products.transpose_is_exact():
            assert_same(products.transposed(w) @ w, expected @ w, "transposed product")


@pytest.mark.parametrize("operation", ["solve", "det", "slogdet", "solve by a weight", "inv"])
def test_steps_through_factorisations(operation):
    """Forward mode alone: the backward of ``solve`` must not take its short cut through a factor without tangent."""
    players = players_of(critic(TWICE[operation]))
    game = game_of(build("dcgan"), *players, torch.randn(5, 4, dtype=F64), latent=2)
    optimizers = [torch.optim.SGD(p.parameters(), lr=0.1) for p in players]
    M = update_jacobian(outer_step(game, players, optimizers, SIMULTANEOUS), players, optimizers, check=False)
    tensors = [p for player in players for p in player.parameters()]
    moves = [torch.randn_like(p) for p in tensors]
    w = torch.cat([m.flatten() for m in moves])
    assert_same((M @ w - w) / 0.1, along(lambda: gradient_field(game, players), tensors, moves), "step")
    assert_same(field_jacobian(game, players) @ w, (M @ w - w) / 0.1, "field")


class Wrong(torch.autograd.Function):
    """A square whose gradient has a wrong derivative in forward mode, as some of torch's own have."""

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return x.square()

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def backward(ctx, g: Tensor) -> Tensor:
        return 2 * g * ctx.saved_tensors[0]

    @staticmethod
    def jvp(ctx, t: Tensor) -> Tensor:
        return 1.9 * t * ctx.saved_tensors[0]


class Squared(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return Wrong.apply(x)


@pytest.mark.parametrize("hidden", [False, True])
def test_a_wrong_forward_derivative_is_gone_round_or_refused(hidden):
    generator, net = players_of(critic(Squared))
    real, z = torch.randn(5, 4, dtype=F64), torch.randn(5, 2, dtype=F64)

    def critic_loss() -> Tensor:
        with torch.set_grad_enabled(not hidden):
            fake = generator(z)
        return net(fake).tanh().mean() - net(real).tanh().mean()

    players, game = (generator, net), (lambda: -net(generator(z)).tanh().mean(), critic_loss)
    tensors = [p for player in players for p in player.parameters()]
    moves = [torch.randn_like(p) for p in tensors]
    w = torch.cat([m.flatten() for m in moves])
    optimizers = [torch.optim.SGD(p.parameters(), lr=0.1) for p in players]
    step = outer_step(game, players, optimizers, SIMULTANEOUS)
    with pytest.raises(UserError, match="derivative in forward mode is not that of the step"):
        update_jacobian(step, players, optimizers)
    if hidden:
        for analysis in (field_jacobian, lambda *given: field_products(*given).__enter__().forward(w)):
            with pytest.raises(UserError, match="derivative torch gets wrong in forward mode"):
                analysis(game, players)
        return
    expected = along(lambda: gradient_field(game, players), tensors, moves)
    assert_same(field_jacobian(game, players) @ w, expected, "Jacobian")
    with field_products(game, players) as products:
        assert_same(products.forward(w), expected, "product")


@pytest.mark.parametrize("operation", ONCE)
def test_operations_with_one_derivative_are_refused_in_a_sentence(operation):
    generator, net = players_of(critic(ONCE[operation]))
    x = torch.randn(8, 4, dtype=F64)
    for _ in range(2):
        for penalty in (penalties.r1, penalties.r2, penalties.gradient_penalty, penalties.dragan):
            with pytest.raises(UserError, match=r"torch differentiates once only.*finite_difference_r1"):
                penalty(net, x, x + 0.1)
    with torch.no_grad():
        assert penalties.r1(net, x) > 0  # the value alone
    assert penalties.finite_difference_r1(net, x) > 0
    for method in ("r1", "consensus"):
        run = start(build(method), generator, net, seed=0, latent=2, batch_size=8)
        with pytest.raises(UserError, match="torch differentiates once only"):
            list(train(run, [x], steps=1))
    with pytest.raises(UserError, match=r"cannot differentiate in forward mode .*; replace it\.$"):
        field_jacobian(game_of(build("dcgan"), generator, net, x, latent=2), (generator, net), check=False)


def test_an_own_function_that_torch_was_told_to_differentiate_once_is_refused():
    class Square(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x.square()

        @staticmethod
        @once_differentiable
        def backward(ctx, gradient):
            return 2 * ctx.saved_tensors[0] * gradient

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Linear(4, 3), nn.Linear(3, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.last(Square.apply(self.first(x)))

    net, x = Net().double(), torch.randn(8, 4, dtype=F64)
    with pytest.raises(UserError, match="torch differentiates once only"):  # torch passes over its own error node
        penalties.r1(net, x)
    assert penalties.finite_difference_r1(net, x) > 0


def test_a_network_is_looked_at_once_however_it_is_wrapped(monkeypatch):
    looked = []
    monkeypatch.setattr("tightrope.autodiff.graph._compiled_before", lambda: False)  # else every time, by another test
    monkeypatch.setattr("tightrope.autodiff.graph.nodes_of", lambda node: looked.append(node) or iter(()))
    net, x = critic(TWICE["layer norm"]), torch.randn(4, 4, dtype=F64)
    for way in (net, View(net), Remembered(View(net, labels=None)), net):
        penalties.r1(way, x)
    assert len(looked) == 1
    penalties.r1(lambda x: net(x), x)
    assert len(looked) == 2
