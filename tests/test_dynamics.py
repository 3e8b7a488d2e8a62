"""Vector field, Jacobians, matrix-free products and spectra of games, against dense and finite-difference oracles."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from dynamics_cases import F64, bilinear, differences, mlp_game, tensors_of
from tightrope import constraints, losses, penalties
from tightrope.dynamics import (
    eigenvalues,
    field_jacobian,
    field_products,
    gradient_field,
    state_tensors,
    update_jacobian,
)
from tightrope.dynamics.players import flatten
from tightrope.optimizers import (
    ExtraAdam,
    Momentum,
    OptimisticAdam,
    alternating,
    consensus,
    extragradient_step,
    outer_step,
    symplectic,
)


def test_gradient_field_is_minus_each_players_own_gradient():
    game, players = mlp_game()
    v = gradient_field(game, players)
    expected = [-torch.autograd.grad(game[i](), list(players[i].parameters()))[j] for i in range(2) for j in range(4)]
    torch.testing.assert_close(v, flatten(expected), rtol=0, atol=0)


@pytest.mark.parametrize("seed", range(3))
def test_field_jacobian_of_random_games_in_closed_form(seed):
    made, J = bilinear(seed, loss=[losses.minimax, losses.non_saturating, losses.wasserstein][seed])
    torch.testing.assert_close(field_jacobian(made.losses, made.players), J, rtol=0, atol=1e-12)


@pytest.mark.parametrize("detach", [False, True])
def test_field_jacobian_equals_differences_through_detach(detach):
    game, players = mlp_game(detach=detach)
    J = field_jacobian(game, players)
    expected = differences(lambda: gradient_field(game, players), tensors_of(players))
    torch.testing.assert_close(J, expected, rtol=0, atol=1e-8)
    n = sum(p.numel() for p in players[0].parameters())
    assert J[n:, :n].abs().max() > 1e-3  # the critic's gradient does depend on the generator


@pytest.mark.parametrize("detach", [False, True])
def test_products_equal_the_dense_jacobian(detach):
    game, players = mlp_game(1, detach=detach)
    J = field_jacobian(game, players)
    rng = torch.Generator().manual_seed(0)
    with field_products(game, players) as products:
        operator = products.linear_operator()
        for _ in range(2):  # interleaved: a forward product ends the life of the kept graph
            w = torch.randn(J.shape[0], generator=rng, dtype=F64)
            torch.testing.assert_close(torch.from_numpy(operator.matvec(w.numpy())), J @ w, rtol=0, atol=1e-10)
            torch.testing.assert_close(torch.from_numpy(operator.rmatvec(w.numpy())), J.T @ w, rtol=0, atol=1e-10)
            torch.testing.assert_close(products.transposed(w), J.T @ w, rtol=0, atol=1e-10)


def nearest(found, exact):
    return (found[:, None] - exact).abs().min(1).values.max().item()


@pytest.mark.parametrize("which", ["LM", "LR", "LI"])
@pytest.mark.parametrize("seed", range(4))
def test_matrix_free_extremes_equal_the_dense_ones(seed, which):
    made, J = bilinear(seed, m=20 + seed, n=14)
    exact = torch.linalg.eigvals(J)
    # All rotations of this game share one real part: no small Krylov space can order them by it.
    found = eigenvalues(made.losses, made.players, k=4, which=which, subspace=None if which == "LR" else 12)
    key = {"LM": torch.abs, "LR": lambda x: x.real, "LI": lambda x: x.imag.abs()}[which]
    assert found.transposed
    assert key(found.values[0]).item() == pytest.approx(key(exact).max().item(), abs=1e-6)
    assert nearest(found.values, exact) < 1e-6
    assert found.residuals.max() < 1e-6


@pytest.mark.parametrize("which", ["LM", "LR"])
def test_matrix_free_extremes_of_a_network_game(which):
    game, players = mlp_game(2)
    exact = torch.linalg.eigvals(field_jacobian(game, players))
    found = eigenvalues(game, players, k=3, which=which, subspace=16)
    key = torch.abs if which == "LM" else torch.real
    assert key(found.values[0]).item() == pytest.approx(key(exact).max().item(), abs=1e-6)
    assert nearest(found.values, exact) < 1e-6


def test_spectrum_without_a_usable_transpose():
    """Fakes under no_grad hide the generator from reverse mode; forward products still see it."""
    game, players = mlp_game(3)
    generator, critic = players
    z, real = (torch.randn(9, 2, generator=torch.Generator().manual_seed(5), dtype=F64) for _ in range(2))

    def critic_loss():
        with torch.no_grad():
            fake = generator(z)
        return losses.wasserstein.critic(critic(real), critic(fake)) + penalties.r1(critic, real, gamma=1.0)

    hidden = (game[0], critic_loss)
    J = field_jacobian(hidden, players)
    found = eigenvalues(hidden, players, k=2, which="LM")
    assert not found.transposed
    assert found.values[0].abs().item() == pytest.approx(torch.linalg.eigvals(J).abs().max().item(), abs=1e-6)
    with field_products(hidden, players) as products, pytest.raises(ValueError, match="no_grad"):
        products.transposed(torch.zeros(products.size, dtype=F64))


def test_symplectic_games_are_not_mistaken_in_reverse_mode():
    game, players = mlp_game(4, width=2, dim=1)
    adjusted = symplectic(game, players, weight=0.7)
    J = field_jacobian(adjusted, players)
    expected = differences(lambda: gradient_field(adjusted, players), tensors_of(players))
    torch.testing.assert_close(J, expected, rtol=0, atol=1e-7)
    found = eigenvalues(adjusted, players, k=2, which="LM")
    assert nearest(found.values, torch.linalg.eigvals(J)) < 1e-6


def test_minibatch_noise_is_the_distance_to_other_batches():
    one, _ = bilinear(0, gamma=0.3)
    first = eigenvalues(one.losses, one.players, k=2, which="LM")
    assert first.noise is None
    assert "noise not measured" in str(first)
    other = consensus(one.losses, one.players, gamma=0.1)
    exact = torch.linalg.eigvals(field_jacobian(other, one.players))
    both = eigenvalues(one.losses, one.players, k=2, which="LM", batches=[other, one.losses])
    expected = (first.values[:, None] - exact).abs().min(1).values / 2**0.5
    torch.testing.assert_close(both.noise, expected, rtol=1e-6, atol=1e-9)


OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.05),
    "heavy_ball": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.6),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.01, alpha=0.9),
    "adam": lambda p: torch.optim.Adam(p, lr=0.01, betas=(0.5, 0.9)),
    "adam_fused": lambda p: torch.optim.Adam(p, lr=0.01, betas=(0.5, 0.9), fused=True),
    "momentum": lambda p: Momentum(p, lr=0.05, momentum=-0.4),
    "optimistic_adam": lambda p: OptimisticAdam(p, lr=0.01),
}


def check_update(step, players, optimizers, tolerance=1e-5):
    """The Jacobian against central differences of the real step, from one and the same state."""
    M = update_jacobian(step, players, optimizers)
    tensors = state_tensors(players, optimizers)
    start = [t.detach().clone() for t in tensors]
    memory = [copy.deepcopy(o.state_dict()) for o in optimizers]
    epsilon, columns = 1e-6, []

    def after(index, entry, delta):
        for optimizer, state in zip(optimizers, memory, strict=True):
            optimizer.load_state_dict(copy.deepcopy(state))
        now = state_tensors(players, optimizers)
        with torch.no_grad():
            for t, value in zip(now, start, strict=True):
                t.copy_(value)
            now[index].view(-1)[entry] += delta
        step()
        return flatten(state_tensors(players, optimizers)).detach().clone()

    # Second moments are small and must not become negative: perturb every entry by its own scale.
    for index, t in enumerate(start):
        for entry in range(t.numel()):
            delta = epsilon * min(1.0, max(t.view(-1)[entry].abs().item(), 1e-9))
            columns.append((after(index, entry, delta) - after(index, entry, -delta)) / (2 * delta))
    expected = torch.stack(columns, 1)
    scale = expected.abs().max(0).values.clamp(min=1.0)  # per column: d/dv of Adam's step is large for small v
    assert ((M - expected).abs() / scale).max() < tolerance
    return M


ONCE = ("adam_fused", "momentum", "optimistic_adam")


@pytest.mark.parametrize(("name", "n_critic"), [(n, c) for n in OPTIMIZERS for c in (1, 2) if c == 1 or n not in ONCE])
def test_update_jacobian_equals_differences_of_the_real_step(name, n_critic):
    game, players = mlp_game(5, batch=4, width=2, dim=1)
    optimizers = [OPTIMIZERS[name](player.parameters()) for player in players]
    step = outer_step(game, players, optimizers, alternating(n_critic))
    for _ in range(3):
        step()
    check_update(step, players, optimizers)


def test_update_jacobian_of_extra_adam():
    game, players = mlp_game(6, batch=4, width=2, dim=1)
    optimizers = [ExtraAdam(player.parameters(), lr=0.01) for player in players]
    step = extragradient_step(game, players, optimizers)
    step(), step()
    check_update(step, players, optimizers)


def test_a_users_own_loop_body_is_differentiated_as_it_is():
    """zero_grad, backward, optimizer.step, detached fakes and a projection: no part of it is modelled."""
    game, players = mlp_game(7, detach=True, batch=4, width=2, dim=1)
    optimizers = [torch.optim.Adam(player.parameters(), lr=0.02, betas=(0.5, 0.9)) for player in players]

    def step():
        for i in (1, 1, 0):
            optimizers[i].zero_grad()
            game[i]().backward()
            optimizers[i].step()
            if i == 1:
                constraints.clip_weights_(players[1], 0.8)

    step(), step()
    M = check_update(step, players, optimizers)
    n = sum(p.numel() for p in players[0].parameters())
    assert M[:n, n:].abs().max() > 1e-4


def test_everything_is_left_as_found():
    torch.manual_seed(3)
    generator = nn.Sequential(nn.Linear(1, 2), nn.BatchNorm1d(2), nn.Tanh(), nn.Linear(2, 1)).to(F64)
    critic = constraints.spectral_norm(nn.Sequential(nn.Linear(1, 2), nn.Tanh(), nn.Linear(2, 1)).to(F64))
    players = (generator, critic)

    def generator_loss():
        return losses.hinge.generator(critic(generator(torch.randn(8, 1, dtype=F64))))

    def critic_loss():
        real, z = torch.randn(8, 1, dtype=F64), torch.randn(8, 1, dtype=F64)
        return losses.non_saturating.critic(critic(real), critic(generator(z).detach()))

    game = (generator_loss, critic_loss)
    optimizers = [torch.optim.Adam(p.parameters(), lr=1e-3, fused=True) for p in players]
    step = outer_step(game, players, optimizers)
    for _ in range(2):
        step()
    critic.eval()

    def snapshot():
        modes = [m.training for player in players for m in player.modules()]
        gradients = [p.grad.clone() for player in players for p in player.parameters()]
        states = [copy.deepcopy(x.state_dict()) for x in (*players, *optimizers)]
        return modes, gradients, states, torch.get_rng_state()

    def same(a, b):
        if isinstance(a, torch.Tensor):
            return torch.equal(a, b)
        if isinstance(a, dict):
            return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
        if isinstance(a, list | tuple):
            return len(a) == len(b) and all(map(same, a, b))
        return a == b

    before = snapshot()
    field_jacobian(game, players)
    eigenvalues(game, players, k=2, which="LM")
    update_jacobian(step, players, optimizers)
    assert same(before, snapshot())
    assert optimizers[0].param_groups[0]["fused"] is True


def test_an_optimizer_that_has_not_stepped_is_analysed_and_left_empty():
    made, J = bilinear(1)
    optimizers = [Momentum(p.parameters(), lr=0.1, momentum=0.3) for p in made.players]
    M = update_jacobian(outer_step(made.losses, made.players, optimizers, ((0, 1),)), made.players, optimizers)
    assert M.shape[0] == 2 * J.shape[0]
    assert not optimizers[0].state
    n = J.shape[0]
    torch.testing.assert_close(M[:n, :n], torch.eye(n, dtype=F64) + 0.1 * J, rtol=0, atol=1e-12)


@pytest.mark.parametrize("which", ["LM", "SM", "LR", "SR", "LI", "SI"])
@pytest.mark.parametrize("kind", ["rotations of one real part", "no curvature", "linear critic"])
def test_eigenvalues_of_small_games_need_no_iteration(kind, which):
    if kind == "linear critic":
        critic, z = nn.Linear(90, 1, bias=False).to(F64), torch.ones(1, 2, dtype=F64)
        generator = nn.Linear(2, 40, bias=False).to(F64)
        pad = torch.eye(40, 90, dtype=F64)
        game = (lambda: -critic(generator(z) @ pad).sum(), lambda: critic(generator(z) @ pad).sum())
        players = (generator, critic)
    elif kind == "no curvature":
        players = tuple(nn.Linear(60, 1).to(F64) for _ in range(2))
        game = tuple(lambda p=p: p.weight.sum() + p.bias.sum() for p in players)
    else:
        made, _ = bilinear(0, m=75, n=60, gamma=0.3)
        game, players = made.losses, made.players
    exact = torch.linalg.eigvals(field_jacobian(game, players))
    found = eigenvalues(game, players, k=6, which=which)
    key = {"M": torch.abs, "R": torch.real, "I": lambda v: v.imag.abs()}[which[1]]
    wanted = key(exact).sort(descending=which[0] == "L").values[:6]
    torch.testing.assert_close(key(found.values), wanted, rtol=0, atol=1e-7)
    assert nearest(found.values, exact) < 1e-7
    assert found.residuals.max() < 1e-9
