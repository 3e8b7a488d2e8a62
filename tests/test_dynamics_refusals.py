"""One clear sentence instead of a number: games and points that the analysis refuses."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dynamics_cases import F64, bilinear, mlp_game
from tightrope import losses, penalties, toys
from tightrope.dynamics import (
    eigenvalues,
    field_jacobian,
    gradient_field,
    largest_safe_step,
    path_angle,
    predict,
    update_jacobian,
)
from tightrope.optimizers import outer_step
from tightrope.penalties import Penalty


def analyses(game, players):
    """Every function of the analysis on one game, by name."""

    def stepped(analysis):
        optimizers = [torch.optim.SGD(list(p), lr=0.1) for p in players]
        return analysis(outer_step(game, players, optimizers), players, optimizers)

    size = sum(p.numel() for player in players for p in player)
    return {
        "gradient_field": lambda: gradient_field(game, players),
        "field_jacobian": lambda: field_jacobian(game, players),
        "eigenvalues": lambda: eigenvalues(game, players, k=1),
        "update_jacobian": lambda: stepped(update_jacobian),
        "predict": lambda: stepped(predict),
        "largest_safe_step": lambda: stepped(largest_safe_step),
        "path_angle": lambda: path_angle(game, players, torch.zeros(size, dtype=F64), torch.ones(size, dtype=F64)),
    }


def two_points(generator=(0.3, 0.2), critic=(0.1, -0.2)):
    x, y = (torch.tensor(v, dtype=F64, requires_grad=True) for v in (generator, critic))
    return x, y, ([x], [y])


SMOOTH = ("gradient_field", "path_angle")  # need no derivative of the field


@pytest.mark.parametrize("name", analyses((), ((), ())))
def test_every_analysis_refuses_what_is_no_game(name):
    x, y, players = two_points()

    def own():
        return -(x * y).sum()

    refused = {
        "is nan": lambda: (x * y).sum() * float("nan"),
        "is inf": lambda: (x * y).sum() + float("inf"),
        "player 0 does not depend": lambda: y.square().sum(),
        "to return a tensor, got float": lambda: 1.0,
        "scalar loss of player 0": lambda: x * y,
    }
    for sentence, loss in refused.items():
        with pytest.raises(ValueError, match=sentence):
            analyses((loss, own), players)[name]()
    with pytest.raises(ValueError, match="share a parameter"):
        analyses((own, own), ([x], [x]))[name]()
    assert x.tolist() == [0.3, 0.2] and y.tolist() == [0.1, -0.2]


@pytest.mark.parametrize("name", [n for n in analyses((), ((), ())) if n not in SMOOTH])
@pytest.mark.parametrize("kind", ["kink", "jump"])
def test_every_derivative_of_the_field_refuses_a_point_without_one(name, kind):
    """``x |x|`` has a gradient with a kink at zero, ``|x|`` (the norm) one that jumps; torch derives both."""
    x, y, players = two_points(generator=(0.0, 0.0))
    bend = {"kink": lambda: (x * x.abs()).sum(), "jump": lambda: torch.linalg.vector_norm(x)}[kind]
    game = (lambda: bend() + (x * y).sum(), lambda: -(x * y).sum())
    with pytest.raises(ValueError, match=r"not differentiable at this point|derivative.* is not finite"):
        analyses(game, players)[name]()
    smooth = (lambda: x.square().sum() + (x * y).sum(), lambda: -(x * y).sum())
    analyses(smooth, players)[name]()
    assert x.tolist() == [0.0, 0.0]


def test_a_kink_is_not_looked_for_when_told_not_to():
    x, y, players = two_points(generator=(0.0, 0.0))
    game = (lambda: (x * x.abs()).sum() + (x * y).sum(), lambda: -(x * y).sum())
    optimizers = [torch.optim.SGD(list(p), lr=0.1) for p in players]
    step = outer_step(game, players, optimizers)
    assert eigenvalues(game, players, k=1, check=False).values.shape == (1,)
    assert update_jacobian(step, players, optimizers, check=False).shape == (4, 4)
    assert predict(step, players, optimizers, check=False).verdict == "marginal"


def test_a_loss_that_does_not_depend_on_its_player():
    game, players = mlp_game()
    with pytest.raises(ValueError, match="player 0 does not depend"):
        gradient_field((lambda: torch.tensor(1.0), game[1]), players)
    with pytest.raises(ValueError, match="player 1 does not depend"):
        field_jacobian((game[0], lambda: players[0](torch.ones(1, 2, dtype=F64)).sum()), players)


def test_values_that_are_not_finite():
    game, players = mlp_game()
    with torch.no_grad():
        next(players[1].parameters()).view(-1)[0] = float("nan")
    with pytest.raises(ValueError, match="expected a finite number"):
        field_jacobian(game, players)
    made, _ = bilinear(0)
    with pytest.raises(ValueError, match="gradient of player 0 is not finite"):
        gradient_field((lambda: made.generator.theta.abs().sqrt().sum(), made.losses[1]), made.players)


@pytest.mark.parametrize(
    "penalty",
    [
        Penalty(penalties.gradient_penalty, {"weight": 1.0}),
        Penalty(penalties.gradient_penalty, {"weight": 1.0, "target": 0.5, "one_sided": True}),
    ],
)
def test_points_without_a_derivative(penalty):
    """The one-centred penalty jumps where the gradient vanishes; the one-sided one has a kink at its target."""
    one_sided = "one_sided" in penalty.hyperparameters
    made = toys.dirac_gan(losses.wasserstein, theta=0.3, psi=0.5 if one_sided else 0.0, penalties=(penalty,))
    with pytest.raises(ValueError, match="not differentiable"):
        field_jacobian(made.losses, made.players)
    away = toys.dirac_gan(losses.wasserstein, theta=0.3, psi=0.7, penalties=(penalty,))
    J = field_jacobian(away.losses, away.players)
    torch.testing.assert_close(J, torch.tensor([[0.0, 1.0], [-1.0, -2.0]], dtype=F64))


def test_losses_that_draw_from_a_generator_of_their_own():
    rng = torch.Generator().manual_seed(0)
    _, players = mlp_game()

    def critic_loss():
        real = torch.randn(4, 2, generator=rng, dtype=F64)
        return losses.wasserstein.critic(players[1](real), players[1](players[0](real))) + penalties.r1(
            players[1], real
        )

    game = (lambda: -players[1](players[0](torch.ones(1, 2, dtype=F64))).mean(), critic_loss)
    with pytest.raises(ValueError, match="deterministic game"):
        field_jacobian(game, players)
    state = rng.get_state()
    first = field_jacobian(game, players, generators=(rng,))
    assert torch.equal(first, field_jacobian(game, players, generators=(rng,)))
    assert torch.equal(state, rng.get_state())


def test_an_iteration_that_does_not_converge():
    made, _ = bilinear(0, m=40, n=40)
    with pytest.raises(ValueError, match="did not converge"):
        eigenvalues(made.losses, made.players, k=2, which="SM", restarts=1, subspace=6)


def test_adam_at_an_exact_equilibrium_has_no_derivative():
    made, _ = bilinear(0)
    optimizers = [torch.optim.Adam(p.parameters(), lr=0.1) for p in made.players]
    with pytest.raises(ValueError, match="second moment is zero"):
        update_jacobian(outer_step(made.losses, made.players, optimizers), made.players, optimizers)


def test_incomplete_games():
    game, players = mlp_game()
    with pytest.raises(ValueError, match="one loss per player"):
        gradient_field(game[:1], players)
    with pytest.raises(ValueError, match="no parameter that requires"):
        gradient_field(game, (nn.Tanh(), players[1]))
    with pytest.raises(ValueError, match="no parameter: expected leaf"):
        gradient_field(game, ([players[0][0].weight * 1], players[1]))
    with pytest.raises(ValueError, match="scalar loss of player 1"):
        gradient_field((game[0], lambda: players[1](torch.ones(3, 2, dtype=F64))), players)
    with pytest.raises(ValueError, match="one optimiser per player"):
        outer_step(game, players, [torch.optim.SGD(players[0].parameters(), lr=0.1)])
    with pytest.raises(ValueError, match="which out of"):
        eigenvalues(game, players, which="largest")


def test_no_kink_is_seen_where_half_precision_rounds():
    game, players = mlp_game()
    for player in players:
        player.bfloat16()
    with pytest.raises(ValueError, match="in float32 or float64 for a test by differences, got half precision"):
        field_jacobian(game, players)


@pytest.mark.parametrize("largest", [float("inf"), 1e300, 10**400, -1.0, float("nan")])
def test_a_search_without_an_end_is_refused(largest):
    x = torch.zeros(1, dtype=F64, requires_grad=True)
    sgd = torch.optim.SGD([x], lr=0.1)
    with pytest.raises(ValueError, match="Expected largest as a f"):
        largest_safe_step(lambda: None, ([x],), (sgd,), largest=largest)
