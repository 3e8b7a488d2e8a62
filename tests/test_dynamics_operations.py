"""Games of every common operation: their Jacobian against finite differences, whatever modes torch offers for them."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import parametrizations

from dynamics_cases import F64, differences, tensors_of
from tightrope import constraints, linalg
from tightrope.dynamics import eigenvalues, field_jacobian, field_products, gradient_field, update_jacobian
from tightrope.optimizers import SIMULTANEOUS, consensus, outer_step


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.inside, self.out = nn.Linear(2, 6), nn.Linear(2, 1)

    def forward(self, x):
        q, k, v = self.inside(x.view(-1, 2, 2)).chunk(3, -1)
        mixed = functional.scaled_dot_product_attention(q[:, None], k[:, None], v[:, None])[:, 0]
        return self.out(mixed).mean((1, 2))


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.TransformerEncoderLayer(2, 1, 4, dropout=0.0, batch_first=True, activation="gelu")
        self.out = nn.Linear(2, 1)

    def forward(self, x):
        return self.out(self.body(x.view(-1, 2, 2))).mean((1, 2))


class Cube(torch.autograd.Function):
    """Has reverse mode alone, as other people's kernels do."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return 3 * x**2 * g


class Cubed(nn.Module):
    def forward(self, x):
        return Cube.apply(x)


def through(*layers):
    return lambda: nn.Sequential(nn.Linear(4, 6), *layers, nn.Linear(6, 1))


def normed(by):
    return lambda: nn.Sequential(by(nn.Linear(4, 6)), nn.Tanh(), nn.Linear(6, 1))


CRITICS = {
    "SiLU": through(nn.SiLU()),
    "SiLU in place": through(nn.Identity(), nn.SiLU(inplace=True)),
    "Mish": through(nn.Mish()),
    "Mish in place": through(nn.Mish(inplace=True)),
    "GroupNorm": through(nn.GroupNorm(2, 6, eps=0.1), nn.Tanh()),
    "GroupNorm without weights": through(nn.GroupNorm(3, 6, eps=0.1, affine=False), nn.Tanh()),
    "attention": Attention,
    "encoder": Encoder,
    "weight norm": normed(parametrizations.weight_norm),
    "weight norm of columns": normed(lambda layer: parametrizations.weight_norm(layer, dim=1)),
    "old weight norm": normed(nn.utils.weight_norm),
    "compiled": lambda: torch.compile(through(nn.Tanh())(), backend="aot_eager"),
    "reverse mode alone": through(Cubed()),
    **{by: lambda by=by: constraints.orthogonal(through(nn.Tanh())(), by) for by in linalg.ORTHOGONALISERS},
    "spectral norm, exact": lambda: constraints.spectral_norm(through(nn.Tanh())(), exact=True),
}


NORMS = {
    "layer": through(nn.LayerNorm(6, eps=0.1), nn.Tanh()),
    "layer of two axes": through(nn.Unflatten(1, (2, 3)), nn.LayerNorm((2, 3), eps=0.1), nn.Flatten(), nn.Tanh()),
    "instance": through(nn.Unflatten(1, (2, 3)), nn.InstanceNorm1d(2, 0.1, affine=True), nn.Flatten(), nn.Tanh()),
    "instance, tracked": through(
        nn.Unflatten(1, (2, 3)), nn.InstanceNorm1d(2, 0.1, track_running_stats=True), nn.Flatten(), nn.Tanh()
    ),
    "group": through(nn.GroupNorm(2, 6, eps=0.1), nn.Tanh()),
    "batch": through(nn.BatchNorm1d(6, eps=0.1), nn.Tanh()),
    "batch in evaluation": lambda: through(nn.BatchNorm1d(6, eps=0.1), nn.Tanh())().eval(),
    "rms": through(nn.RMSNorm(6), nn.Tanh()),
}


def penalised(kind):
    """A game whose critic loss holds a penalty on gradients, written out; its Jacobian is a third derivative."""
    torch.manual_seed(0)
    generator = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 4)).to(F64)
    critic = NORMS[kind]().to(F64)
    z, x = torch.randn(8, 3, dtype=F64), torch.randn(8, 4, dtype=F64)

    def critic_loss():
        point = x.clone().requires_grad_()
        (slope,) = torch.autograd.grad(critic(point).sum(), point, create_graph=True)
        return functional.softplus(critic(generator(z))).mean() + 5 * slope.square().sum(1).mean()

    return (lambda: functional.softplus(-critic(generator(z))).mean(), critic_loss), (generator, critic)


@pytest.mark.parametrize("kind", NORMS)
def test_third_derivatives_of_normalisations(kind):
    game, players = penalised(kind)
    expected = differences(lambda: gradient_field(game, players), tensors_of(players))
    torch.testing.assert_close(field_jacobian(game, players, check=False), expected, rtol=1e-6, atol=1e-6)
    w = torch.randn(len(expected), generator=torch.Generator().manual_seed(0), dtype=F64)
    with field_products(game, players) as products:
        torch.testing.assert_close(products.transposed(w), expected.T @ w, rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize("kind", NORMS)
def test_the_gradient_of_consensus_through_normalisations(kind):
    game, players = penalised(kind)
    loss, tensors = consensus(game, players, gamma=1.0)[1], list(players[1].parameters())
    found = torch.cat([g.flatten() for g in torch.autograd.grad(loss(), tensors)])
    (expected,) = differences(lambda: loss().detach()[None], tensors)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-5)


def test_consensus_keeps_running_statistics():
    for kind in ("batch", "instance, tracked"):
        game, players = penalised(kind)
        twin = copy.deepcopy(players[1])
        norm, other = (next(m for m in c.modules() if hasattr(m, "running_mean")) for c in (players[1], twin))
        consensus(game, players, gamma=1.0)[1]()
        assert not torch.equal(norm.running_mean, other.running_mean)
        assert norm.running_mean.isfinite().all() and norm.running_var.isfinite().all()


def game_of(kind, *, hidden=False):
    torch.manual_seed(0)
    generator = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 4)).to(F64)
    critic = CRITICS[kind]().to(F64)
    z, x = torch.randn(8, 3, dtype=F64), torch.randn(8, 4, dtype=F64)

    def critic_loss():
        with torch.set_grad_enabled(not hidden):
            fake = generator(z).detach()
        return functional.softplus(critic(fake)).mean() + functional.softplus(-critic(x)).mean()

    return (lambda: functional.softplus(-critic(generator(z))).mean(), critic_loss), (generator, critic)


@pytest.mark.filterwarnings("ignore:.*weight_norm.*deprecated:FutureWarning", "ignore:The .grad attribute")
@pytest.mark.parametrize("kind", CRITICS)
def test_the_jacobian_of_a_game_of_any_operation(kind):
    game, players = game_of(kind)
    expected = differences(lambda: gradient_field(game, players), tensors_of(players))
    torch.testing.assert_close(field_jacobian(game, players, check=False), expected, rtol=0, atol=1e-6)
    w = torch.randn(len(expected), generator=torch.Generator().manual_seed(0), dtype=F64)
    with field_products(game, players) as products:
        assert products.transpose_is_exact()
        torch.testing.assert_close(products.forward(w), expected @ w, rtol=0, atol=1e-5)
    exact = torch.linalg.eigvals(expected).abs().max().item()
    assert eigenvalues(game, players, k=2, which="LM").values[0].abs().item() == pytest.approx(exact, abs=1e-6)


@pytest.mark.filterwarnings("ignore:.*weight_norm.*deprecated:FutureWarning", "ignore:The .grad attribute")
@pytest.mark.parametrize("kind", [kind for kind in CRITICS if kind != "reverse mode alone"])
def test_the_jacobian_of_a_training_step_of_any_operation(kind):
    game, players = game_of(kind)
    optimizers = [torch.optim.SGD(p.parameters(), lr=0.1) for p in players]
    step = outer_step(game, players, optimizers, SIMULTANEOUS)
    M = update_jacobian(step, players, optimizers)
    expected = torch.eye(len(M), dtype=F64) + 0.1 * field_jacobian(game, players)
    torch.testing.assert_close(M, expected, rtol=0, atol=1e-10)


def test_without_forward_mode_and_with_a_hidden_player_there_is_a_sentence():
    game, players = game_of("reverse mode alone", hidden=True)
    with pytest.raises(ValueError, match=r"replace it, or compute the fakes inside the critic's loss, without no_grad"):
        field_jacobian(game, players)
    optimizers = [torch.optim.SGD(p.parameters(), lr=0.1) for p in players]
    with pytest.raises(ValueError, match=r"cannot differentiate in forward mode .*; replace it\.$"):
        update_jacobian(outer_step(game, players, optimizers), players, optimizers)
