"""Networks in shards of FSDP: what needs their weights twice is refused in a sentence, what does not works."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import nn

from tightrope import constraints, losses, penalties
from tightrope._plumbing.errors import UserError
from tightrope.critics import lipschitz_interval
from tightrope.methods import build
from tightrope.training import start
from tightrope.training.average import averaged_copy, update_average_

fsdp = pytest.importorskip("torch.distributed.fsdp")
meshes = pytest.importorskip("torch.distributed.device_mesh")
X, Y = torch.randn(8, 6), torch.randn(8, 6)


@pytest.fixture(scope="module")
def mesh() -> Iterator[object]:
    if not hasattr(fsdp, "fully_shard") or dist.is_initialized():
        pytest.skip("no fully_shard here, or a process group already")
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield meshes.init_device_mesh("cpu", (1,))
    dist.destroy_process_group()


def sharded(mesh: object, inputs: int = 6, outputs: int = 1, constrain: Any = None) -> nn.Module:
    net: nn.Module = nn.Sequential(nn.Linear(inputs, 8), nn.Tanh(), nn.Linear(8, outputs))
    net = net if constrain is None else constrain(net)
    fsdp.fully_shard(net[0], mesh=mesh)
    return fsdp.fully_shard(net, mesh=mesh)


def test_what_needs_whole_weights_is_refused(mesh):
    for penalty in (penalties.r1, penalties.r2, penalties.gradient_penalty):
        with pytest.raises(UserError, match="in shards of FSDP"):
            penalty(sharded(mesh), X, Y)
        critic = sharded(mesh)  # however it is called
        for way in (lambda x, critic=critic: critic(x), critic.forward, partial(critic), critic.__call__):
            with pytest.raises(UserError, match="in shards of FSDP"):
                penalty(way, X, Y)
    for constrain in (constraints.spectral_norm, constraints.orthogonal, constraints.weight_norm):
        with pytest.raises(UserError, match="whole weights for a constraint"):
            constrain(sharded(mesh))
    with pytest.raises(UserError, match="whole weights for a copy that is averaged"):
        averaged_copy(sharded(mesh))
    for constrain in (None, constraints.spectral_norm):  # also one that was constrained before it was spread
        with pytest.raises(UserError, match="whole weights for a copy with plain weights"):
            constraints.export(sharded(mesh, constrain=constrain))
    with pytest.raises(UserError, match="whole weights for a penalty on them"):
        penalties.soft_orthogonality(sharded(mesh))
    for average, network in ((sharded(mesh), nn.Linear(6, 1)), (averaged_copy(nn.Linear(6, 1)), sharded(mesh))):
        with pytest.raises(UserError, match="whole weights for an average beside whole ones"):
            update_average_(average, network, 0.5)
    for method in ("r1", "wgan", "sn_gan"):
        with pytest.raises(UserError, match="whole weights for training here"):
            start(build(method), nn.Linear(4, 6), sharded(mesh), seed=0, latent=4)
        with pytest.raises(UserError, match="whole weights for training here"):
            start(build(method), sharded(mesh, 4, 6), nn.Linear(6, 1), seed=0, latent=4)


def test_an_average_in_shards_follows_a_network_in_shards(mesh):
    average, network = sharded(mesh), sharded(mesh)
    expected = [
        0.25 * a.full_tensor() + 0.75 * b.full_tensor()
        for a, b in zip(average.parameters(), network.parameters(), strict=True)
    ]
    update_average_(average, network, 0.25)
    for got, want in zip(average.parameters(), expected, strict=True):
        torch.testing.assert_close(got.full_tensor(), want)


def test_what_needs_one_backward_works(mesh):
    critic = sharded(mesh)
    total = losses.hinge.critic(critic(X), critic(Y)) + penalties.finite_difference_r1(critic, X)
    total.backward()
    assert all(p.grad is not None for p in critic.parameters())
    found = lipschitz_interval(sharded(mesh), X, Y)
    assert 0 < found.lower <= found.upper
