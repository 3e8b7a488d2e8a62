"""Training in bf16, with labels, with gradients of foreign strides, on short batches, and twice from one seed."""

from __future__ import annotations

import re

import pytest
import torch
from torch import Tensor, nn

from tightrope import UserError
from tightrope.data import open_data
from tightrope.methods import METHODS, build
from tightrope.training import critic_step, generator_step, scalars, start, train
from training_cases import BATCH, batches, begin, networks, rng


@pytest.fixture(scope="module")
def ring() -> Tensor:
    return open_data("toy:ring").batch(torch.arange(4096)).x


@pytest.mark.parametrize("name", list(METHODS))
def test_bf16_trains(name, ring):
    run = begin(name, precision="bf16")
    for step in train(run, batches(ring), steps=2):
        for half in (step.critic, step.generator):
            assert all(torch.isfinite(torch.tensor(v)) for v in scalars(half).values())
            assert half.objective.loss.dtype == torch.float32
    assert all(p.dtype == torch.float32 for p in (*run.critic.parameters(), *run.generator.parameters()))


@pytest.mark.parametrize("name", ["wgan_gp", "sn_gan", "r3gan"])
def test_bf16_trains_on_images(name):
    generator = nn.Sequential(
        nn.Linear(4, 32), nn.Unflatten(1, (2, 4, 4)), nn.ConvTranspose2d(2, 1, 4, 2, 1), nn.Tanh()
    )
    critic = nn.Sequential(nn.Conv2d(1, 4, 4, 2, 1), nn.LeakyReLU(0.2), nn.Flatten(), nn.Linear(64, 1))
    run = start(build(name), generator, critic, seed=0, latent=4, shape=(1, 8, 8), batch_size=8, precision="bf16")
    images = [torch.rand(8, 1, 8, 8, generator=rng(k)) * 2 - 1 for k in range(12)]
    for step in train(run, images, steps=2):
        assert all(torch.isfinite(torch.tensor(v)) for v in scalars(step.critic).values())


def test_gradients_with_foreign_strides_do_not_derail_a_step(ring):
    """A hook, as distributed training installs, may leave a gradient whose layout differs from its parameter's."""
    results = []
    for hooked in (False, True):
        run = begin("wgan_gp")
        for p in (*run.critic.parameters(), *run.generator.parameters()) if hooked else ():
            if p.dim() == 2:
                p.register_post_accumulate_grad_hook(lambda p: setattr(p, "grad", p.grad.T.contiguous().T))
        list(train(run, batches(ring), steps=2))
        results.append([p.detach().clone() for p in (*run.critic.parameters(), *run.generator.parameters())])
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_a_short_batch_and_a_generator_step_on_labels_alone(ring):
    run = begin("r3gan")
    critic_step(run, ring[:20])
    half = generator_step(run, ring[20:40])  # the last batch of an epoch: as many fakes as there are real samples
    assert half.objective.d_fake.shape == half.objective.d_real.shape == (20,)
    assert run.images_seen == 20
    run, labels = begin("sn_gan", classes=3), torch.arange(7) % 3
    assert generator_step(run, labels=labels).objective.d_fake.shape == (7,)


@pytest.mark.parametrize("name", list(METHODS))
def test_conditional_networks_train_on_the_labels_of_the_batch(name, ring):
    run = begin(name, classes=3)
    labels = torch.arange(BATCH) % 3
    given: list[Tensor] = []
    for net in (run.generator, run.critic):
        net.register_forward_pre_hook(
            lambda _, args, kwargs: given.append((*args, *kwargs.values())[1]), with_kwargs=True
        )
    list(train(run, [(x, labels) for x in batches(ring)], steps=2))
    assert run.step == 2 and len(given) >= 8
    twice = labels.repeat(2)  # clamping draws two samples of each label at once
    assert all(torch.equal(g, labels) or torch.equal(g, twice) for g in given)
    assert any(torch.equal(g, twice) for g in given) == bool(run.method.generator_penalties)


def test_two_runs_of_one_seed_agree_and_two_seeds_do_not(ring):
    def result(seed: int) -> Tensor:
        run = start(build("wgan_gp"), *networks(0), seed=seed, batch_size=BATCH)
        list(train(run, batches(ring), steps=2))
        return torch.cat([p.detach().flatten() for p in run.generator.parameters()])

    state = torch.get_rng_state()
    assert torch.equal(result(1), result(1))
    assert not torch.equal(result(1), result(2))
    assert torch.equal(torch.get_rng_state(), state)  # the global stream is never used


@pytest.mark.parametrize(
    "error",
    [AssertionError(), ValueError("expected 4D input"), KeyError("x"), IndexError(), TypeError(), RuntimeError()],
)
@pytest.mark.parametrize("whose", ["generator", "critic"])
def test_whatever_a_network_raises_at_its_first_call_is_in_a_sentence(whose, error):
    class Fails(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(2))

        def forward(self, x):
            raise error

    networks = {"generator": nn.Linear(3, 2), "critic": nn.Linear(2, 1), whose: Fails()}
    said = str(error) or type(error).__name__
    with pytest.raises(UserError, match=re.escape(f"The {whose} does not accept")) as found:
        start(build("r1"), **networks, seed=0, latent=3, shape=(2,))
    assert f"({said})" in str(found.value)
