"""Activation checkpoints in trained networks: the same steps as without them, or one sentence."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from tightrope import constraints, critics, dynamics, methods
from tightrope._plumbing.errors import UserError
from tightrope.training import start, train
from tightrope.training.run import Run

# said by torch under no_grad too, where it means nothing; what it warns of is what these tests look at
pytestmark = pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad=True")


class Net(nn.Module):
    def __init__(self, inputs: int, outputs: int, reentrant: bool | None) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(inputs, 16), nn.Tanh(), nn.Linear(16, 16), nn.Tanh())
        self.head = nn.Linear(16, outputs)
        self.reentrant = reentrant

    def forward(self, x: Tensor) -> Tensor:
        if self.reentrant is None:
            return self.head(self.body(x))
        return self.head(checkpoint(self.body, x, use_reentrant=self.reentrant))


CONSTRAINTS = {
    "nothing": lambda c: c,
    "spectral": constraints.spectral_norm,
    "spectral, forward": lambda c: constraints.spectral_norm(c, update="forward"),
    "exact": lambda c: constraints.spectral_norm(c, exact=True),
    "orthogonal": constraints.orthogonal,
    "weight": lambda c: constraints.weight_norm(c, gain=True),
}


def run(method: str, reentrant: bool | None, constrain=CONSTRAINTS["nothing"], steps: int = 3) -> Run:
    torch.manual_seed(0)
    generator, critic = Net(4, 2, reentrant), constrain(Net(2, 1, reentrant))
    made = start(methods.build(method), generator, critic, seed=0, latent=4, batch_size=8)
    data = torch.randn(8, 2, generator=torch.Generator().manual_seed(1))
    for _ in train(made, [data], steps=steps):
        pass
    return made


def same(a: Run, b: Run) -> None:
    for player in ("generator", "critic"):
        state = getattr(b, player).state_dict()
        for key, value in getattr(a, player).state_dict().items():
            assert torch.allclose(value, state[key], rtol=1e-5, atol=1e-7), (player, key)


@pytest.mark.parametrize("reentrant", [False, True])
@pytest.mark.parametrize("constrain", CONSTRAINTS.values(), ids=CONSTRAINTS)
def test_training_is_that_without_checkpoints(constrain, reentrant):
    same(run("dcgan", reentrant, constrain), run("dcgan", None, constrain))


@pytest.mark.parametrize("method", ["r1", "wgan_gp", "sn_gan", "orthogonal_wgan", "consensus", "extra_adam"])
def test_every_kind_of_step_is_that_without_non_reentrant_checkpoints(method):
    same(run(method, False), run(method, None))


@pytest.mark.parametrize("method", ["r1", "wgan_gp", "consensus", "extra_adam"])
def test_what_reentrant_checkpoints_cannot_do_is_said(method):
    with pytest.raises(UserError, match="pass use_reentrant=False"):
        run(method, True)


def test_a_constrained_weight_first_used_without_gradients_still_gets_one():
    class Twice(Net):
        def forward(self, x: Tensor) -> Tensor:
            with torch.no_grad():
                scale = 1 + self.body(x).abs().mean()
            return self.head(self.body(x)) / scale

    torch.manual_seed(0)
    critic = constraints.spectral_norm(Twice(2, 1, None))
    before = copy.deepcopy(critic.state_dict())
    made = start(methods.build("dcgan"), Net(4, 2, None), critic, seed=0, latent=4, batch_size=8)
    for _ in train(made, [torch.randn(8, 2)], steps=1):
        pass
    for name, p in critic.named_parameters():
        assert not torch.equal(p, before[name]) or name == "head.bias", name


def test_a_recomputation_does_not_advance_the_power_iteration():
    states = []
    for reentrant in (None, False):
        torch.manual_seed(0)
        critic = constraints.spectral_norm(Net(2, 1, reentrant), update="forward")
        critic(torch.ones(3, 2)).sum().backward()
        states.append(critic.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(states[0].values(), states[1].values(), strict=True))


@pytest.mark.skipif(torch.__version__ < "2.8", reason="checkpoints there know no vmap")
def test_diagnostics_of_critics_with_checkpoints_are_those_without():
    x = torch.randn(32, 2, generator=torch.Generator().manual_seed(2))
    found = []
    for reentrant in (None, False):
        torch.manual_seed(0)
        critic = constraints.spectral_norm(Net(2, 1, reentrant))
        interval = critics.lipschitz_interval(critic, x[:16], x[16:], steps=3, keep=4)
        estimate = critics.wasserstein_estimate(critic, x[:16], x[16:], exact=False)
        found.append((interval.lower, interval.upper, estimate.slope))
    assert found[0] == pytest.approx(found[1], rel=1e-5)


class Whole(nn.Module):
    """A generator that is nothing but a reentrant checkpoint, around latents that need no gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2))

    def forward(self, z: Tensor) -> Tensor:
        return checkpoint(self.body, z, use_reentrant=True)


@pytest.mark.parametrize("method", ["consensus", "extra_adam", "symplectic"])
def test_a_generator_inside_a_reentrant_checkpoint_is_not_left_standing(method):
    made = start(methods.build(method), Whole(), nn.Linear(2, 1), seed=0, latent=4, batch_size=8)
    with pytest.raises(UserError, match="use_reentrant=False"):
        list(train(made, [torch.randn(8, 2)], steps=1))


def test_the_jacobian_of_such_a_game_is_refused():
    generator, critic, z = Whole().double(), Net(2, 1, None).double(), torch.randn(8, 4, dtype=torch.float64)
    losses = (lambda: -critic(generator(z)).mean(), lambda: critic(generator(z)).mean())
    with pytest.raises(UserError, match="use_reentrant=False"):
        dynamics.field_jacobian(losses, (generator, critic), check=False)


def test_a_weight_that_is_another_one_in_the_backward_is_refused():
    critic = Net(2, 1, False)
    nn.utils.spectral_norm(critic.body[0])
    made = start(methods.build("r1"), Net(4, 2, None), critic, seed=0, latent=4, batch_size=8)
    with pytest.raises(UserError, match="old spectral_norm"):
        list(train(made, [torch.randn(8, 2)], steps=1))
    critic.eval()
    outside = Net(2, 1, False)
    nn.utils.spectral_norm(outside.head)  # not in the checkpoint
    made = start(methods.build("r1"), Net(4, 2, None), outside, seed=0, latent=4, batch_size=8)
    assert len(list(train(made, [torch.randn(8, 2)], steps=1))) == 1
