"""Every method trains on real images and on the ring without an error, with its published settings."""

from __future__ import annotations

import math

import pytest
import torch

from tightrope.data import Sampler, open_data
from tightrope.methods import METHODS, build
from tightrope.networks import NETWORKS
from tightrope.training import scalars, start, train


@pytest.mark.parametrize("steps", [40, pytest.param(500, marks=pytest.mark.long)])
@pytest.mark.parametrize("source", ["digits", "toy:ring"])
@pytest.mark.parametrize("name", METHODS)
def test_every_method_trains(name: str, source: str, steps: int) -> None:
    data = open_data(source)
    rng = torch.Generator().manual_seed(0)
    network = NETWORKS["mlp" if source == "toy:ring" else "dcgan"]
    generator = network.generator(data.shape, latent=8, width=16, rng=rng)
    critic = network.critic(data.shape, width=16, rng=rng)
    run = start(build(name), generator, critic, seed=0, shape=data.shape, batch_size=16)
    untrained = [p.detach().clone() for p in generator.parameters()]
    for step in train(run, Sampler(data, 16, seed=0), steps=steps):
        if step.step % 20 == 0:
            assert all(math.isfinite(value) for value in (scalars(step.critic) | scalars(step.generator)).values())
    assert run.step == steps
    assert run.critic_steps == steps * run.method.n_critic
    assert run.images_seen == 16 * run.critic_steps
    assert all(not torch.equal(p, q) for p, q in zip(generator.parameters(), untrained, strict=True) if p.numel() > 1)
    with torch.no_grad():
        samples = run.average(run.latents(64))
    assert torch.isfinite(samples).all()
    assert samples.flatten(1).std(0).mean() > 1e-4, "the samples are not one point"
