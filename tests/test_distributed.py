"""What the tutorial says about penalties and torch's wrappers for several processes, in a group of one process."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn.functional import softplus

from tightrope import penalties

dist = pytest.importorskip("torch.distributed")
if not (dist.is_available() and dist.is_gloo_available()):
    pytest.skip("needs torch with gloo", allow_module_level=True)


@pytest.fixture
def group():
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def critic() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 8), nn.Softplus(), nn.Linear(8, 1))


def parts(network, real, fake):
    loss = softplus(-network(real)).mean() + softplus(network(fake)).mean()
    return loss, penalties.r1(network, real, fake, gamma=1.0)


def test_one_backward_of_loss_and_penalty_works_with_ddp(group):
    plain = critic()
    wrapped = nn.parallel.DistributedDataParallel(copy.deepcopy(plain))
    real, fake = torch.randn(16, 2), torch.randn(16, 2)
    for network in (plain, wrapped):
        for _ in range(2):  # the second step is the one that an unfinished first one would spoil
            network.zero_grad()
            sum(parts(network, real, fake)).backward()
    for p, q in zip(plain.parameters(), wrapped.parameters(), strict=True):
        torch.testing.assert_close(q.grad, p.grad)


def test_a_penalty_with_its_own_backward_is_stopped_by_ddp(group):
    wrapped = nn.parallel.DistributedDataParallel(critic())
    real, fake = torch.randn(16, 2), torch.randn(16, 2)
    with pytest.raises(RuntimeError, match="Expected to have finished reduction"):
        for _ in range(2):
            wrapped.zero_grad()
            parts(wrapped, real, fake)[0].backward()
            penalties.r1(wrapped, real, fake, gamma=1.0).backward()


def test_fsdp2_stops_at_the_gradient_of_a_gradient(group):
    from torch.distributed.fsdp import fully_shard

    network = critic()
    fully_shard(network, mesh=dist.init_device_mesh("cpu", (1,)))
    with pytest.raises(RuntimeError, match="setStorage"):
        sum(parts(network, torch.randn(16, 2), torch.randn(16, 2))).backward()
