"""The faster weight gradient agrees with torch's convolution in value, gradient and second derivative."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from tightrope.methods import build
from tightrope.networks import NETWORKS
from tightrope.training import critic_step, generator_step, start
from tightrope.training.convolution import use_matrix_weight_gradients_

LAYERS = [
    nn.Conv2d(3, 5, 4, 2, 1),
    nn.Conv2d(2, 4, 3, 1, 1, bias=False),
    nn.Conv2d(2, 3, (3, 5), (2, 3), (0, 2)),
    nn.Conv2d(2, 3, 3, 2, 0),
    nn.ConvTranspose2d(3, 5, 4, 2, 1),
    nn.ConvTranspose2d(2, 3, 3, 2, 1, output_padding=1, bias=False),
    nn.ConvTranspose2d(2, 3, (2, 3), (1, 2), (0, 1)),
]


@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_gradients_agree_with_torch(layer: nn.Module) -> None:
    plain = copy.deepcopy(layer).double()
    fast = use_matrix_weight_gradients_(copy.deepcopy(plain))
    x = torch.randn(4, layer.in_channels, 8, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = []
    for network in (plain, fast):
        point = x.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(torch.tanh(network(point)).sum(), point, create_graph=True)
        (network(point).square().sum() + gradient.square().sum()).backward()
        found.append([network(x), gradient, point.grad, *(p.grad for p in network.parameters())])
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


def test_other_layers_are_left_alone() -> None:
    layers = [
        nn.Conv2d(4, 4, 3, groups=2),
        nn.Conv2d(2, 2, 3, dilation=2),
        nn.Conv2d(2, 2, 3, padding="same"),
        nn.Conv2d(2, 2, 3, padding=1, padding_mode="circular"),
        nn.Conv2d(2, 2, 1),
    ]
    use_matrix_weight_gradients_(nn.Sequential(*layers))
    assert all("forward" not in vars(layer) for layer in layers)


@pytest.mark.parametrize("method", ["dcgan", "sn_gan", "r1"])
def test_bf16_steps_stay_near_fp32_and_copies_are_independent(method: str) -> None:
    shape, losses = (3, 16, 16), {}
    real = torch.rand(8, *shape, generator=torch.Generator().manual_seed(1)) * 2 - 1
    for precision in ("fp32", "bf16"):
        rng = torch.Generator().manual_seed(0)
        network = NETWORKS["dcgan"]
        generator = network.generator(shape, latent=8, width=16, rng=rng)
        critic = network.critic(shape, width=16, rng=rng)
        run = start(build(method), generator, critic, seed=0, shape=shape, batch_size=8, precision=precision)
        losses[precision] = [float(critic_step(run, real).objective.loss) for _ in range(3)]
        generator_step(run)
        with torch.no_grad():
            assert not torch.equal(run.average(torch.ones(2, 8)), run.generator.eval()(torch.ones(2, 8)))
    assert losses["bf16"] == pytest.approx(losses["fp32"], rel=0.03)
