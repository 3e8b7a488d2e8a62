"""Update rules behind wrappers such as gradient scalers, and sparse gradients."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from optimizer_cases import F64, OPTIMIZERS, bilinear, game_step, values
from tightrope import UserError
from tightrope.optimizers import (
    SIMULTANEOUS,
    ExtraSGD,
    consensus,
    extragradient_step,
    lead,
    outer_step,
    symplectic,
)


class Wrapped(torch.optim.Optimizer):
    """As accelerate wraps: the rule stands under ``optimizer``, and ``step`` is left out while gradients accumulate."""

    def __init__(self, optimizer, *, scaler=None, every=1):
        self.optimizer, self.scaler, self.every, self.calls = optimizer, scaler, every, 0

    param_groups = property(lambda self: self.optimizer.param_groups)
    state = property(lambda self: self.optimizer.state)

    def zero_grad(self, set_to_none=None):
        self.optimizer.zero_grad(set_to_none=bool(set_to_none))

    def step(self, closure=None):
        self.calls += 1
        if self.calls % self.every == 0:
            self.optimizer.step(closure)


@pytest.mark.parametrize("name", ["extra_sgd", "extra_adam"])
def test_wrapped_optimizers_look_ahead(name):
    plain, hidden = bilinear(), bilinear()
    step, _ = game_step(name, plain)
    wrapped = [Wrapped(OPTIMIZERS[name](player.parameters())) for player in hidden.players]
    other = extragradient_step(hidden.losses, hidden.players, wrapped)
    for _ in range(3):
        step(), other()
    assert values(hidden) == values(plain) != [1.0, 0.5]


def test_a_step_that_a_wrapper_skips_leaves_nobody_at_the_look_ahead_point():
    made = bilinear()
    wrapped = [Wrapped(ExtraSGD(player.parameters(), lr=0.1), every=2) for player in made.players]
    step = extragradient_step(made.losses, made.players, wrapped)
    step()
    assert values(made) == [1.0, 0.5]
    step()
    assert values(made) != [1.0, 0.5]


def test_optimizers_that_cannot_look_ahead_are_refused():
    made = bilinear()
    sgd = [torch.optim.SGD(player.parameters(), lr=0.1) for player in made.players]
    scaled = [Wrapped(ExtraSGD(player.parameters(), lr=0.1), scaler=object()) for player in made.players]
    with pytest.raises(ValueError, match="got SGD"):
        extragradient_step(made.losses, made.players, sgd)
    with pytest.raises(ValueError, match="gradient scaler"):
        extragradient_step(made.losses, made.players, scaled)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_sparse_gradients_are_the_dense_ones_they_stand_for(name):
    found = []
    for sparse in (False, True):
        torch.manual_seed(0)
        table = nn.Embedding(5, 3, sparse=sparse, dtype=F64)
        optimizer = OPTIMIZERS[name](table.parameters())
        for rows in ([1, 1, 3], [0, 3, 3], [4]):
            for move in [optimizer.step] if not name.startswith("extra") else [optimizer.extrapolate, optimizer.step]:
                optimizer.zero_grad()
                table(torch.tensor(rows)).square().sum().backward()
                assert table.weight.grad.is_sparse == sparse
                move()
        found.append(table.weight.detach())
    torch.testing.assert_close(found[1], found[0], rtol=1e-14, atol=0)


def test_a_parameter_without_a_gradient_at_the_look_ahead_point_returns():
    x, y = (nn.Parameter(torch.ones(1, dtype=F64)) for _ in range(2))
    optimizer = ExtraSGD([x, y], lr=0.1)
    (x + y).sum().backward()
    optimizer.extrapolate()
    optimizer.zero_grad()
    x.sum().backward()
    optimizer.step()
    assert (x.item(), y.item()) == pytest.approx((0.9, 1.0))
    assert not any("start" in state for state in optimizer.state.values())


def test_outer_steps_take_sparse_gradients():
    table, y = nn.Embedding(3, 1, sparse=True), nn.Parameter(torch.ones(1))
    start = table.weight.detach().clone()
    rows = torch.tensor([0, 2])
    game = (lambda: (table(rows) * y).sum(), lambda: -(table(rows) * y).sum())
    sgd = [torch.optim.SGD([table.weight], lr=0.5), torch.optim.SGD([y], lr=0.5)]
    outer_step(game, ([table.weight], [y]), sgd, SIMULTANEOUS)()
    torch.testing.assert_close(table.weight.detach(), start - 0.5 * torch.tensor([[1.0], [0.0], [1.0]]))


class OwnBackward(nn.Module):
    """As Fabric's modules are under mixed precision: no gradient that its own ``backward`` did not ask for."""

    def __init__(self, value):
        super().__init__()
        self.value = nn.Parameter(torch.tensor([value], dtype=F64))

    def forward(self):
        result = 1 * self.value
        result.register_hook(self._refuse)
        return result

    @staticmethod
    def _refuse(_):
        raise RuntimeError("The current strategy and precision selection requires you to call `fabric.backward(loss)`.")


@pytest.mark.parametrize("name", ["plain", "extragradient", "consensus", "symplectic", "lead"])
def test_steps_that_are_taken_later_say_what_networks_they_do_not_take(name):
    x, y = OwnBackward(1.0), OwnBackward(2.0)
    losses, players = (lambda: (x() * y()).sum(), lambda: -(x() * y()).sum()), (x, y)
    kind = ExtraSGD if name == "extragradient" else torch.optim.SGD
    both = [kind(player.parameters(), lr=0.1) for player in players]
    if name in ("consensus", "symplectic"):
        losses = {"consensus": consensus, "symplectic": symplectic}[name](losses, players)
    if name == "lead":
        losses = lead(losses, players, both, alpha=0.1)
    step = (extragradient_step if name == "extragradient" else outer_step)(losses, players, both)
    with pytest.raises(UserError, match=r"network\.module inside of `with fabric\.autocast"):
        step()
    assert (x.value.item(), y.value.item()) == (1.0, 2.0)
