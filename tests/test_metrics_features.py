from __future__ import annotations

import pytest
import torch
from torch import nn

from tightrope.evaluation.features import from_module, pixels, random_convolutions
from tightrope.evaluation.features.network import BATCH, shrink, weights_digest


def uniform(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_pixels_are_the_sample_itself():
    x = uniform(5, 1, 4, 6)
    network = pixels((1, 4, 6))
    assert network.dimension == 24
    assert torch.equal(network(x), x.flatten(1))
    with pytest.raises(ValueError, match="no class scores"):
        network.logits(network(x))


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 17, 12), (2, 50), (3, 70, 80)])
def test_random_convolutions(shape):
    x = uniform(6, *shape)
    network = random_convolutions(shape)
    before = torch.get_rng_state()
    features = network(x)
    assert torch.equal(before, torch.get_rng_state())
    assert features.shape == (6, network.dimension)
    assert features.isfinite().all()
    assert random_convolutions(shape).digest == network.digest
    assert torch.equal(random_convolutions(shape)(x), features)
    assert random_convolutions(shape, seed=1).digest != network.digest
    assert features.std(dim=0).max() > 0
    assert "random" in network.label


def test_random_convolutions_refuse_vectors():
    with pytest.raises(ValueError, match="pixels"):
        random_convolutions((5,))


def test_values_do_not_depend_on_how_samples_arrive():
    shape = (2, 9, 9)
    x, network = uniform(BATCH + 37, *shape), random_convolutions(shape)
    whole = network(x)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    pieces = torch.cat([network(part) for part in x.split(50)])
    shuffled = torch.empty_like(whole)
    shuffled[order] = network(x[order])
    for other in (pieces, shuffled):
        torch.testing.assert_close(other, whole, rtol=0, atol=1e-6)


def test_shrink_averages_blocks():
    x = torch.arange(24.0).reshape(1, 1, 4, 6)
    assert torch.equal(shrink(x, 6), x)
    small = shrink(x, 3)
    assert small.shape == (1, 1, 2, 3)
    assert small[0, 0, 0, 0] == x[0, 0, :2, :2].mean()
    assert shrink(torch.ones(1, 1, 5, 5), 2).unique().tolist() == [1.0]
    assert shrink(torch.zeros(2, 3, 10), 4).shape == (2, 3, 1, 4)


def test_a_module_is_copied_and_frozen():
    module = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Dropout(0.5))
    head = nn.Linear(3, 2)
    network = from_module(module, "mine", dimension=3, prepare=lambda x: 2 * x, head=head)
    x = uniform(10, 1, 2, 2)
    first, logits = network(x), network.logits(network(x))
    torch.testing.assert_close(first, module.eval()(2 * x).detach())
    torch.testing.assert_close(logits, head(first).detach())
    module.train()
    with torch.no_grad():
        module[1].weight.zero_()
    assert torch.equal(network(x), first)
    assert module.training
    assert module[1].weight.requires_grad
    assert from_module(module, "mine", dimension=3).digest != network.digest
    with pytest.raises(ValueError, match=r"features of shape \(256, 7\)"):
        from_module(module, "mine", dimension=7)(x)


def test_digest_sees_names_shapes_types_and_bits():
    base = {"a": torch.arange(4.0)}
    others = [{"b": base["a"]}, {"a": base["a"].reshape(2, 2)}, {"a": base["a"].double()}, {"a": base["a"] + 1e-6}, {}]
    digests = {weights_digest(tensors) for tensors in (base, *others)}
    assert len(digests) == 6
    kernel = uniform(4, 3, 2, 2)
    assert weights_digest({"a": kernel}) == weights_digest({"a": kernel.contiguous(memory_format=torch.channels_last)})


def test_points_are_no_images_for_convolutions():
    with pytest.raises(ValueError, match=r"images \[n, channels, height, width\]"):
        random_convolutions((3, 16, 16))(torch.ones(4, 7))
