"""Instance noise: moments with sample sizes fixed beforehand, and its schedule."""

from __future__ import annotations

import math

import pytest
import torch

from tightrope.perturbations import InstanceNoise, instance_noise
from tightrope.schedules import Linear


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("sigma", [0.05, 1.0, 3.0])
def test_noise_is_white_and_gaussian_with_the_standard_deviation_asked_for(sigma):
    n = 40_000  # entries: 5000 samples of 2x2x2; bounds are 4 standard errors of the normal's moments
    x = torch.linspace(-1, 1, n, dtype=torch.float64).view(5000, 2, 2, 2)
    kept = x.clone()
    y = instance_noise(x, sigma=sigma, rng=rng())
    e = (y - x) / sigma
    assert torch.equal(x, kept) and y.shape == x.shape and y.dtype == x.dtype
    assert abs(e.mean().item()) < 4 / math.sqrt(n)
    assert abs(e.var().item() - 1) < 4 * math.sqrt(2 / n)
    assert abs((e**4).mean().item() - 3) < 4 * math.sqrt(96 / n)
    flat = e.flatten(1)  # entries of one sample are independent, as are samples
    for i in range(8):
        for j in range(i):
            assert abs((flat[:, i] * flat[:, j]).mean().item()) < 4 / math.sqrt(5000)
    assert abs((flat[1:] * flat[:-1]).mean().item()) < 4 / math.sqrt(n)


def test_determinism_and_the_global_stream():
    x, state = torch.zeros(4, 3), torch.get_rng_state()
    first = instance_noise(x, sigma=1.0, rng=rng(2))
    assert torch.equal(first, instance_noise(x, sigma=1.0, rng=rng(2)))
    assert not torch.equal(first, instance_noise(x, sigma=1.0, rng=rng(3)))
    assert torch.equal(torch.get_rng_state(), state)
    assert instance_noise(x, sigma=0.0) is x
    assert instance_noise(x.half(), sigma=1.0, rng=rng()).dtype == torch.float16
    with pytest.raises(ValueError, match="sigma"):
        instance_noise(x, sigma=-0.1)


def test_the_level_follows_its_schedule_and_gradients_pass():
    fading = InstanceNoise(Linear(2.0, 0.0, 1000))
    x = torch.zeros(100, 5, dtype=torch.float64)
    full = fading(x, images_seen=0, rng=rng())
    assert torch.equal(fading(x, images_seen=500, rng=rng()), full / 2)
    assert torch.equal(fading(x, images_seen=1000, rng=rng()), x)
    assert torch.equal(InstanceNoise(2.0)(x, images_seen=10**9, rng=rng()), full)
    leaf = torch.zeros(3, 2, requires_grad=True)
    fading(leaf, images_seen=10, rng=rng()).sum().backward()
    assert torch.equal(leaf.grad, torch.ones(3, 2))
