"""Planted NaNs and overflows: training stops before the optimiser can spread them, and says where they are."""

from __future__ import annotations

import math
import pickle

import pytest
import torch
from torch import Tensor, nn

from tightrope._plumbing.errors import UserError
from tightrope.methods import METHODS, build
from tightrope.networks import NETWORKS
from tightrope.training import Run, critic_step, generator_step, start, train
from tightrope.training.nonfinite import NonFiniteError, locate

BATCH = 16
HALVES = [name for name in METHODS if not build(name).simultaneous]  # the others move both players at once


def begin(name: str = "r1", critic: nn.Module | None = None, generator: nn.Module | None = None) -> Run:
    rng = torch.Generator().manual_seed(0)
    pair = NETWORKS["mlp"]
    generator = generator or pair.generator((2,), latent=4, width=16, depth=2, rng=rng)
    critic = critic or pair.critic((2,), width=16, depth=2, rng=rng)
    return start(build(name), generator, critic, seed=0, latent=4, batch_size=BATCH)


def batch(k: int = 0) -> Tensor:
    return torch.randn(BATCH, 2, generator=torch.Generator().manual_seed(k))


def everything(run: Run) -> list[Tensor]:
    nets = [p.detach().clone() for net in (run.generator, run.critic, run.average) for p in net.parameters()]
    optimisers = [
        v.clone()
        for optimiser in (run.critic_optimizer, run.generator_optimizer)
        for state in optimiser.state_dict()["state"].values()
        for v in state.values()
        if isinstance(v, Tensor)
    ]
    return nets + optimisers


def unchanged(run: Run, before: list[Tensor]) -> bool:
    return all(torch.equal(a.nan_to_num(7.0), b.nan_to_num(7.0)) for a, b in zip(everything(run), before, strict=True))


class Overflow(nn.Module):
    """Squares what it gets three times: finite for small inputs, infinite for large ones."""

    def forward(self, x: Tensor) -> Tensor:
        return x.pow(8)


class BadSlope(nn.Module):
    """Finite values whose derivative at zero is infinite."""

    def forward(self, x: Tensor) -> Tensor:
        return (x - x.detach()).abs().sqrt() + x


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", HALVES)
def test_a_bad_weight_of_the_critic_is_named_and_nothing_moves(name, value):
    run = begin(name)
    list(train(run, [batch(k) for k in range(20)], steps=2))
    counters = run.step, run.critic_steps, run.images_seen
    with torch.no_grad():
        parameter = dict(run.critic.named_parameters())["hidden.2.bias"]
        parameter[3] = value
    before = everything(run)
    for player, act in (
        ("critic", lambda: critic_step(run, batch())),
        ("generator", lambda: generator_step(run, batch())),
    ):
        if player == "generator" and not math.isnan(value):
            continue  # a score of +inf is a perfect one: the loss and its gradient can be zero
        with pytest.raises(NonFiniteError) as caught:
            act()
        assert unchanged(run, before)
        assert (run.step, run.critic_steps, run.images_seen) == counters
        error = caught.value
        assert (error.step, error.player) == (2, player)
        assert "critic.hidden.2" in error.where and "bias" in error.where
        assert error.last and all(math.isfinite(v) for v in error.last.values())
        assert "2" in str(error) and error.where in str(error)


def test_a_bad_weight_of_the_generator_is_named_by_both_players():
    run = begin()
    with torch.no_grad():
        run.generator.last.weight[0, 0] = math.nan
    before = everything(run)
    for act in (lambda: generator_step(run, batch()), lambda: critic_step(run, batch())):
        with pytest.raises(NonFiniteError) as caught:
            act()
        assert "generator.last" in caught.value.where and "weight" in caught.value.where
        assert caught.value.step == 0 and dict(caught.value.last) == {}
        assert unchanged(run, before)


@pytest.mark.parametrize("name", HALVES)
def test_a_bad_sample_stops_the_critic(name):
    run, x = begin(name), batch()
    x[5, 1] = math.inf
    before = everything(run)
    with pytest.raises(NonFiniteError) as caught:
        critic_step(run, x)
    assert caught.value.player == "critic" and unchanged(run, before) and run.critic_steps == 0
    assert caught.value.where == "the real samples"


def test_the_layer_that_overflows_is_named():
    critic = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 8), Overflow(), nn.Linear(8, 1))
    run = begin("dcgan", critic=critic)
    critic_step(run, batch())
    with torch.no_grad():
        run.critic[2].weight.mul_(1e6)
    before, kept = everything(run), batch(1)
    with pytest.raises(NonFiniteError) as caught:
        critic_step(run, kept)
    assert caught.value.where.endswith("critic.3") and unchanged(run, before)
    assert torch.equal(kept, batch(1))

    generator = nn.Sequential(nn.Linear(4, 8), Overflow(), nn.Linear(8, 2))
    run = begin("dcgan", generator=generator)
    with torch.no_grad():
        run.generator[0].weight.fill_(1e6)
    before = everything(run)
    with pytest.raises(NonFiniteError) as caught:
        generator_step(run)
    assert caught.value.where.endswith("generator.1") and caught.value.player == "generator" and unchanged(run, before)


@pytest.mark.parametrize("name", HALVES)
def test_what_overflows_in_the_generator_is_not_blamed_on_the_critic(name):
    run = begin(name, generator=nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), Overflow(), nn.Linear(8, 2)))
    with torch.no_grad():
        run.generator[1].weight.fill_(1e20)
    before = everything(run)
    with pytest.raises(NonFiniteError, match="critic's step") as caught:
        critic_step(run, batch())
    assert caught.value.where == "the output of generator.2" and unchanged(run, before)
    assert caught.value.stained == ()


def test_statistics_that_have_taken_it_in_are_named():
    run = begin("dcgan", generator=nn.Sequential(nn.Linear(4, 8), Overflow(), nn.BatchNorm1d(8), nn.Linear(8, 2)))
    with torch.no_grad():
        run.generator[0].weight.fill_(1e6)
    with pytest.raises(NonFiniteError, match=r"generator\.2\.running_mean.* have taken it in") as caught:
        critic_step(run, batch())
    assert caught.value.where == "the output of generator.1"
    assert set(caught.value.stained) == {"generator.2.running_mean", "generator.2.running_var"}


class Scaled(nn.Module):
    """Only reads its buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("scale", torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("player", ["generator", "critic"])
def test_a_buffer_that_was_bad_before_is_the_place_and_has_not_taken_it_in(name, player):
    size = 4 if player == "generator" else 2
    network = nn.Sequential(nn.Linear(size, 8), Scaled(), nn.Linear(8, 2 if player == "generator" else 1))
    run = begin(name, **{player: network})
    getattr(run, player)[1].scale.fill_(math.inf)
    with pytest.raises(NonFiniteError) as caught:
        list(train(run, [batch()], steps=1))
    assert caught.value.where == f"the buffer {player}.1.scale"
    assert caught.value.stained == () and "taken it in" not in str(caught.value)


def test_statistics_of_evaluation_are_a_place_too():
    critic = nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.Linear(8, 1)).eval()
    critic[1].running_var.fill_(math.nan)
    place = locate({"critic": critic}, lambda: critic(batch()).sum())
    assert place == "the buffer critic.1.running_var"


def test_the_error_goes_through_a_pickle():
    error = NonFiniteError(3, "critic", "the loss", {"loss": 0.5}, ["critic.1.running_mean"])
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error) and vars(again) == vars(error)
    assert "critic.1.running_mean has taken it in" in str(again)


@pytest.mark.parametrize(
    ("last", "stained", "said"),
    [(None, (), "last as numbers by name"), (3, (), "last as numbers"), ([1.0], (), "last as numbers"),
     ({"loss": "x"}, (), "last as numbers"), ({"loss": int}, (), "last as numbers"), ({}, 3, "stained as names"),
     ({}, None, "stained as names"), ({}, (1, 2), "stained as names"), ({}, "abc", "stained as names")],
)  # fmt: skip
def test_an_error_built_of_other_things_is_refused(last, stained, said):
    with pytest.raises(UserError, match=f"^Expected {said}.*; pass "):
        NonFiniteError(1, "critic", "the loss", last, stained)


class Pair(nn.Module):
    """Scores and features, as a critic with feature matching returns them."""

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        return x, [x.pow(8)]


def test_a_layer_that_returns_several_tensors_is_looked_into():
    pair, last = Pair(), nn.Linear(2, 1)
    network = nn.ModuleDict({"pair": pair, "last": last})
    place = locate({"critic": network}, lambda: last(pair(torch.full((1, 2), 1e30))[1][0]).sum())
    assert place == "the output of critic.pair"


def test_a_bad_gradient_of_a_finite_loss_stops_as_well():
    critic = nn.Sequential(nn.Linear(2, 8), BadSlope(), nn.Linear(8, 1))
    run = begin("dcgan", critic=critic)
    before = everything(run)
    with pytest.raises(NonFiniteError) as caught:
        critic_step(run, batch())
    assert unchanged(run, before) and caught.value.player == "critic"
    assert "gradient" in caught.value.where and "critic.0" in caught.value.where


def test_looking_for_the_place_leaves_buffers_and_random_numbers_alone():
    """After the failure the run can be repaired by hand and continues as if the bad batch had not been there."""
    generator = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))
    run, torch_state = begin(generator=generator), torch.get_rng_state()
    statistics = generator[1].running_mean.clone()
    with torch.no_grad():
        run.critic.hidden[0].weight[0, 0] = math.nan
    with pytest.raises(NonFiniteError):
        generator_step(run)
    moved = generator[1].num_batches_tracked.item()
    assert moved <= 1  # the step's own forward may count, the search for the layer may not
    assert moved == 1 or torch.equal(generator[1].running_mean, statistics)
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert run.critic.training and all(p.requires_grad for p in run.critic.parameters())
    with torch.no_grad():
        run.critic.hidden[0].weight[0, 0] = 0.1
    critic_step(run, batch())
    generator_step(run)
    assert run.step == 1


def test_locate():
    net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    assert locate({"critic": net}) == "the loss"
    net[1].weight.grad = torch.full((1, 3), math.nan)
    assert "gradient" in locate({"critic": net}) and "critic.1.weight" in locate({"critic": net})
    with torch.no_grad():
        net[0].bias[0] = math.inf
    found = locate({"critic": net})
    assert "critic.0.bias" in found and "gradient" not in found  # the parameter comes first
    other = nn.Linear(2, 2)
    with torch.no_grad():
        other.weight[0, 0] = math.nan
    assert "generator.weight" in locate({"generator": other, "critic": net})
    assert "critic.0.bias" in locate({"critic": net, "generator": other})
    clean = nn.Sequential(nn.Linear(2, 2), Overflow())
    place = locate({"critic": clean}, lambda: clean(torch.full((1, 2), 1e30)).sum())
    assert "output" in place and place.endswith("critic.1")
