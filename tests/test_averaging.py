"""The averaged generator against the recursion in plain numbers, in float64."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from tightrope.training.average import averaged_copy, decay_for, update_average_


def network() -> nn.Module:
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)).double()
    net.register_buffer("table", torch.tensor([1, 2, 3]))
    rng = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in net.parameters():
            p.copy_(torch.randn(p.shape, generator=rng, dtype=torch.float64))
    return net


def test_the_copy_is_separate_in_eval_mode_and_takes_no_gradients():
    net = network()
    copied = averaged_copy(net)
    assert not copied.training and not copied[1].training and net.training
    assert not any(p.requires_grad for p in copied.parameters()) and all(p.requires_grad for p in net.parameters())
    for (name, a), (other, b) in zip(copied.state_dict().items(), net.state_dict().items(), strict=True):
        assert name == other and torch.equal(a, b) and a.data_ptr() != b.data_ptr()


def test_one_update_is_the_formula_for_parameters_and_floating_buffers():
    net = network()
    average = averaged_copy(net)
    before = {k: v.clone() for k, v in average.state_dict().items()}
    net(torch.randn(8, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64))  # moves the statistics
    with torch.no_grad():
        for p in net.parameters():
            p.mul_(-1.7).add_(0.3)
        net.table.add_(5)
    assert update_average_(average, net, 0.9) is None
    now = net.state_dict()
    for name, value in average.state_dict().items():
        if value.is_floating_point():
            expected = 0.9 * before[name] + 0.1 * now[name]
            assert torch.allclose(value, expected, rtol=1e-14, atol=1e-15), name
            assert not torch.equal(value, before[name]), name
        else:
            assert torch.equal(value, now[name]), name
    assert average.state_dict()["1.num_batches_tracked"] == 1
    for name, value in net.state_dict().items():
        assert torch.equal(value, now[name])
    assert not any(p.requires_grad or p.grad is not None for p in average.parameters())


def test_extremes_of_the_decay():
    net, other = network(), network()
    with torch.no_grad():
        for p in other.parameters():
            p.add_(1.0)
    average = averaged_copy(net)
    update_average_(average, other, 1.0)
    assert all(torch.equal(a, b) for a, b in zip(average.parameters(), net.parameters(), strict=True))
    update_average_(average, other, 0.0)
    assert all(torch.equal(a, b) for a, b in zip(average.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize("batches", [[1000], [10] * 100, [300, 1, 699]])
def test_after_one_half_life_half_of_the_distance_is_left(batches):
    net = network()
    average = averaged_copy(net)
    start = [p.clone() for p in average.parameters()]
    with torch.no_grad():
        for p in net.parameters():
            p.add_(2.0)
    seen = 0
    for images in batches:
        seen += images
        update_average_(average, net, decay_for(images, seen, half_life_images=1000, ramp_up=None))
    for a, p, s in zip(average.parameters(), net.parameters(), start, strict=True):
        assert torch.allclose(a, (p.detach() + s) / 2, rtol=1e-12)


def test_decay():
    assert decay_for(64, 10**9, half_life_images=64) == pytest.approx(0.5, rel=1e-15)
    assert decay_for(128, 10**9, half_life_images=64) == pytest.approx(0.25, rel=1e-15)
    assert decay_for(32, 10**9, half_life_images=64, ramp_up=None) == pytest.approx(0.5**0.5, rel=1e-15)
    assert decay_for(1, 10**9, half_life_images=0.5) == pytest.approx(0.25, rel=1e-15)
    # early: the half-life is at most 5 % of the images seen, as in the code of 1912.04958
    assert decay_for(50, 1000, half_life_images=10_000) == pytest.approx(0.5, rel=1e-14)
    assert decay_for(50, 1000, half_life_images=10_000, ramp_up=0.1) == pytest.approx(0.5**0.5, rel=1e-14)
    assert decay_for(50, 1000, half_life_images=10_000, ramp_up=None) == pytest.approx(0.5**0.005, rel=1e-14)
    assert decay_for(50, 10**6, half_life_images=100) == pytest.approx(0.5**0.5, rel=1e-14)  # the cap no longer binds
    assert decay_for(50, 0, half_life_images=10_000) == 0.0
    assert decay_for(50, 10**6, half_life_images=0) == 0.0
    assert decay_for(50, 10**6, half_life_images=0, ramp_up=None) == 0.0


class Narrowing(nn.Module):
    """As wrappers of bf16-true training do: inputs become half in the wrapper's own forward, outputs float32."""

    def __init__(self, network: nn.Module, dtype: torch.dtype, *, named: bool = False) -> None:
        super().__init__()
        self.network, self.dtype, self.named = network, dtype, named

    def forward(self, z: Tensor) -> Tensor:
        z = z.to(self.dtype)
        return (self.network(input=z) if self.named else self.network(z)).float()


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_an_average_of_a_network_that_is_narrowed_inside(dtype: torch.dtype, named: bool) -> None:
    inner: nn.Module = nn.Linear(3, 2) if named else nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Linear(8, 2))
    generator = Narrowing(inner.to(dtype), dtype, named=named).eval()
    average, z = averaged_copy(generator), torch.randn(5, 3)
    update_average_(average, generator, 0.5)
    found = average(z)
    assert found.dtype == torch.float32 and all(p.dtype == torch.float32 for p in average.parameters())
    torch.testing.assert_close(found, generator(z), atol=0.05, rtol=0.05)
    whole = copy.deepcopy(inner).float().eval()
    torch.testing.assert_close(found, whole(z.to(dtype).float()))


def test_buffers_that_are_no_statistics_are_copied() -> None:
    """The mean of two counters or tables is none, whatever their dtype."""
    generator = nn.Linear(3, 2)
    generator.register_buffer("count", torch.zeros(()))
    generator.register_buffer("table", torch.zeros(4, dtype=torch.float64))
    average = averaged_copy(generator)
    generator.count += 10
    generator.table += 7
    update_average_(average, generator, 0.9)
    assert float(average.count) == 10 and bool((average.table == 7).all())
