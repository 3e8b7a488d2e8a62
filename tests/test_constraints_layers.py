"""Weight clipping, and which layers and kernel matrices constraints find in other people's networks."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from constraint_cases import block_diagonal, zoo
from tightrope import constraints
from tightrope.layers.find import find_batch_norm, find_layers
from tightrope.layers.kernel import kernel_shape

# ---------------------------------------------------------------------------------------------------------- clipping


def test_clipping_reaches_every_parameter_and_nothing_is_left_out_by_default():
    network = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(3, 1))
    assert constraints.clip_weights_(network, 0.02) is network
    assert all(p.abs().max() <= 0.02 for p in network.parameters())
    assert network[1].weight.unique().item() == pytest.approx(0.02)


def test_clipping_options_leave_out_what_they_name():
    def fresh() -> nn.Sequential:
        network = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(3, 1))
        for p in network.parameters():
            nn.init.ones_(p)
        return network

    def clipped(network: nn.Sequential) -> list[str]:
        return [name for name, p in network.named_parameters() if p.abs().max() < 1]

    assert clipped(constraints.clip_weights_(fresh(), norm_layers=False)) == [
        "0.weight",
        "0.bias",
        "3.weight",
        "3.bias",
    ]
    assert clipped(constraints.clip_weights_(fresh(), biases=False)) == ["0.weight", "1.weight", "3.weight"]
    assert clipped(constraints.clip_weights_(fresh(), layers="convolutions")) == ["0.weight"]
    with pytest.raises(ValueError, match="positive bound"):
        constraints.clip_weights_(fresh(), 0.0)


def test_a_clipped_linear_critic_is_bounded_by_the_one_norm_of_the_mean_difference():
    torch.manual_seed(0)
    critic = nn.Linear(4, 1, bias=False).double()
    real, fake = torch.randn(50, 4, dtype=torch.float64) + 1, torch.randn(50, 4, dtype=torch.float64)
    optimiser = torch.optim.RMSprop(critic.parameters(), 1e-2)
    for _ in range(50):
        optimiser.zero_grad()
        (critic(fake).mean() - critic(real).mean()).backward()
        optimiser.step()
        constraints.clip_weights_(critic, 0.1)
    value = (critic(real).mean() - critic(fake).mean()).item()
    assert value == pytest.approx(0.1 * (real.mean(0) - fake.mean(0)).abs().sum().item(), rel=1e-9)


# --------------------------------------------------------------------------------------------- kernel matrices, layers


@pytest.mark.parametrize("name", list(zoo()))
def test_kernel_matrix_is_the_block_diagonal_one_and_its_inverse_restores_the_weight(name):
    torch.manual_seed(0)
    layer = zoo()[name].double()
    shape = kernel_shape(layer)
    matrix = shape.matrix(layer.weight)
    assert torch.equal(torch.block_diag(*matrix), block_diagonal(layer))
    assert torch.equal(shape.weight(matrix, layer.weight.shape), layer.weight)


def test_batch_norm_is_found_by_name():
    network = nn.Sequential(nn.Conv2d(1, 1, 1), nn.Sequential(nn.SyncBatchNorm(1), nn.LayerNorm(1)), nn.BatchNorm1d(2))
    assert find_batch_norm(network) == ["1.0", "2"]


def test_unknown_weights_are_refused_by_name_and_can_be_skipped():
    network = nn.ModuleDict({"body": nn.Linear(2, 2), "memory": nn.LSTM(2, 2)})
    with pytest.raises(TypeError, match=r"LSTM.*'memory'"):
        constraints.spectral_norm(network)
    constraints.spectral_norm(network, skip=("memory",))
    assert list(constraints.constrained_layers(network)) == ["body"]
    with pytest.raises(ValueError, match="already constrained"):
        constraints.spectral_norm(network, skip=("memory",))
    with pytest.raises(ValueError, match="skip"):
        constraints.spectral_norm(nn.Linear(1, 1), skip=("nowhere",))
    with pytest.raises(ValueError, match="none"):
        constraints.spectral_norm(nn.ReLU())


def test_layers_are_found_once_and_in_order():
    shared = nn.Linear(2, 2)
    network = nn.Sequential(shared, nn.ReLU(), shared, nn.Conv1d(1, 1, 1))
    assert list(find_layers(network)) == ["0", "3"]
