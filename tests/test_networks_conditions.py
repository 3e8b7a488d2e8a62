from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.func import functional_call, stack_module_state, vmap
from torch.nn import functional as F

from network_cases import ONE_EACH, batch, make, rng
from tightrope.networks import GroupSort, MaxMin
from tightrope.networks.layers import to_vector
from tightrope.training.messages import mean_of_gradients

# -------------------------------------------------------------------------------------------------------- activations


@pytest.mark.parametrize("shape", [(4, 8), (2, 8, 5), (2, 8, 3, 3)])
@pytest.mark.parametrize(("layer", "size"), [(MaxMin(), 2), (GroupSort(2), 2), (GroupSort(), 4), (GroupSort(8), 8)])
def test_sorting_activations(layer, size, shape):
    x = torch.randn(shape, dtype=torch.float64, generator=rng())
    expected = torch.cat([part.sort(dim=1).values for part in x.split(size, dim=1)], dim=1)
    torch.testing.assert_close(layer(x), expected, rtol=0, atol=0)


@pytest.mark.parametrize("layer", [MaxMin(), GroupSort(), GroupSort(8)])
@pytest.mark.parametrize("ties", [False, True])
def test_sorting_jacobian_is_a_permutation(layer, ties):
    x = torch.zeros(8, dtype=torch.float64) if ties else torch.randn(8, dtype=torch.float64, generator=rng())
    jacobian = torch.autograd.functional.jacobian(lambda v: layer(v[None])[0], x)
    torch.testing.assert_close(jacobian @ jacobian.T, torch.eye(8, dtype=torch.float64), rtol=0, atol=0)
    assert set(jacobian.flatten().tolist()) == {0.0, 1.0}


def test_sorting_refuses_odd_groups():
    with pytest.raises(ValueError, match="divisible by 4, got 6"):
        GroupSort()(torch.zeros(1, 6))
    with pytest.raises(ValueError, match="group_size must be at least 2"):
        GroupSort(1)
    assert "group_size=4" in repr(GroupSort())


# ------------------------------------------------------------------------------------------------- working conditions


def everything() -> list:
    return list(_everything())


def _everything():
    for name, shape in ONE_EACH:
        for role in ("generator", "critic"):
            yield pytest.param(name, role, shape, {}, id=f"{name}-{role}")
    for name in ("mlp", "dcgan", "sn_cnn"):
        for activation in ("relu", "groupsort", "maxmin"):
            option = {"activation": activation}
            yield pytest.param(name, "critic", dict(ONE_EACH)[name], option, id=f"{name}-critic-{activation}")


@pytest.mark.parametrize("classes", [0, 3])
@pytest.mark.parametrize(("name", "role", "shape", "option"), everything())
def test_working_conditions(name, role, shape, option, classes):
    network = make(name, role, shape, classes=classes, **option).eval()
    size = (network.latent,) if role == "generator" else shape
    x, labels = torch.randn(3, *size, generator=rng(2)), (torch.arange(3) if classes else None)
    out = network(x, labels).detach()
    strided = torch.stack((x, x), dim=-1)[..., 0]
    assert not strided.is_contiguous()
    torch.testing.assert_close(network(strided, labels), out)
    if x.ndim == 4:
        layout = {"memory_format": torch.channels_last}
        torch.testing.assert_close(copy.deepcopy(network).to(**layout)(x.contiguous(**layout), labels), out)
    torch.testing.assert_close(copy.deepcopy(network)(x, labels), out)
    half = functional_call(network, {k: v * 0.5 for k, v in network.named_parameters()}, (x, labels))
    assert not torch.equal(half, out)
    double = copy.deepcopy(network).double()(x.double(), labels)
    assert double.dtype == torch.float64
    torch.testing.assert_close(double.float(), out, rtol=1e-3, atol=1e-4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = network(x, labels)
    assert rough.isfinite().all()
    assert (rough.float() - out).abs().max() < 0.1 * (1 + out.abs().max())
    again = make(name, role, shape, seed=3, classes=classes, **option).eval()
    again.load_state_dict(network.state_dict())
    torch.testing.assert_close(again(x, labels), out)


@pytest.mark.parametrize(("name", "role", "shape", "option"), everything())
def test_batch_of_one_in_train_mode(name, role, shape, option):
    network = make(name, role, shape, **option)
    out = network(torch.randn(1, *((network.latent,) if role == "generator" else shape), generator=rng(2)))
    assert out.shape == ((1, *shape) if role == "generator" else (1,))
    assert out.isfinite().all()


@pytest.mark.parametrize("classes", [0, 3])
@pytest.mark.parametrize(("name", "role", "shape", "option"), [p for p in everything() if p.values[1] == "critic"])
def test_double_backward(name, role, shape, option, classes):
    critic = make(name, role, shape, classes=classes, **option)
    x, labels = batch(shape, classes)
    x.requires_grad_()
    (gradient,) = torch.autograd.grad(critic(x, labels).sum(), x, create_graph=True)
    penalty = gradient.square().sum()
    penalty.backward()
    gradients = [p.grad for p in critic.parameters() if p.grad is not None]
    assert penalty > 0
    assert all(g.isfinite().all() for g in gradients)
    assert sum(g.abs().sum() for g in gradients) > 0


@pytest.mark.parametrize("classes", [0, 3])
@pytest.mark.parametrize(
    ("name", "role", "shape", "option"),
    [
        ("mlp", "generator", (2,), {}),
        ("mlp", "critic", (2,), {}),
        ("mlp", "critic", (2,), {"activation": "groupsort"}),
        ("mlp", "critic", (2,), {"activation": "maxmin"}),
        ("dcgan", "generator", (1, 8, 8), {"batch_norm": False}),
        ("dcgan", "critic", (1, 8, 8), {}),
    ],
)
def test_vmap_over_stacked_parameters(name, role, shape, option, classes):
    networks = [make(name, role, shape, seed=seed, classes=classes, **option) for seed in range(3)]
    parameters, buffers = stack_module_state(networks)
    size = (networks[0].latent,) if role == "generator" else shape
    x, labels = torch.randn(3, 4, *size, generator=rng(7)), (torch.arange(4) % 3 if classes else None)
    out = vmap(lambda p, b, x: functional_call(networks[0], (p, b), (x, labels)))(parameters, buffers, x)
    torch.testing.assert_close(out, torch.stack([n(x[i], labels) for i, n in enumerate(networks)]))


# ---------------------------------------------------------------------------------------------------- the deep critic


@pytest.mark.parametrize(("depth", "size"), [(8, 32), (20, 32), (21, 32), (101, 8), (152, 32), (23, 48)])
def test_deep_resnet_has_the_depth_it_says(depth, size):
    critic = make("deep_resnet", "critic", (1, size, size), width=2, depth=depth)
    names = [n for n, m in critic.named_modules() if isinstance(m, nn.Conv2d | nn.Linear) and not n.endswith("skip")]
    assert len(names) == depth
    stages = sum(block.downsample for block in critic.blocks) + 1
    assert stages == {8: 1, 32: 3, 48: 4}[size]
    assert critic.blocks[-1].conv2.out_channels == 2 * 2 ** min(stages - 1, 2)


def input_gradient_norm(depth, branch, seed):
    critic = make("deep_resnet", "critic", (3, 32, 32), seed, depth=depth, branch=branch)
    x, _ = batch((3, 32, 32), 0, n=2)
    x.requires_grad_()
    scores = critic(x)
    assert scores.isfinite().all()
    assert scores.abs().max() < 10
    (gradient,) = torch.autograd.grad(scores.sum(), x)
    return gradient.flatten(1).norm(dim=1).mean().item()


@pytest.mark.parametrize("branch", ["scaled", "zero"])
def test_deep_resnet_gradient_neither_vanishes_nor_explodes(branch):
    norms = {depth: sum(input_gradient_norm(depth, branch, seed) for seed in (0, 1)) / 2 for depth in (20, 50, 152)}
    assert all(0.05 < norm < 2 for norm in norms.values()), norms
    assert max(norms.values()) < 3 * min(norms.values()), norms


@pytest.mark.parametrize(("depth", "branch"), [(152, "scaled"), (50, "zero")])
def test_deep_critics_train(depth, branch):
    generator = make("deep_resnet", "generator", (3, 32, 32))
    critic = make("deep_resnet", "critic", (3, 32, 32), width=4, depth=depth, branch=branch)
    optimizer = torch.optim.Adam(critic.parameters(), lr=1e-3, betas=(0.0, 0.9))
    real, _ = batch((3, 32, 32), 0, n=2)
    fake = generator(torch.randn(2, 100, generator=rng())).detach()
    losses = []
    for _ in range(2):
        loss = F.softplus(-critic(real)).mean() + F.softplus(critic(fake)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[1] < losses[0]
    assert all(p.grad is not None and p.grad.isfinite().all() for p in critic.parameters())
    assert all(block.conv2.weight.grad.abs().sum() > 0 for block in critic.blocks)


class Silent(torch.autograd.Function):
    """Sends nothing back to its input."""

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        return None


def test_what_sends_nothing_back_is_no_error() -> None:
    """Torch hands hooks None then."""
    p = torch.nn.Parameter(torch.randn(2, 8, 6, 6))
    x = to_vector((p * 1.0).to(memory_format=torch.channels_last))
    (Silent.apply(x).sum() + 2.0 * x[:, 0].sum()).backward()
    assert p.grad is not None and float(p.grad.sum()) == 4.0
    p.grad = None
    Silent.apply(to_vector((p * 1.0).to(memory_format=torch.channels_last))).sum().backward()
    p.register_hook(mean_of_gradients)
    Silent.apply(p).sum().backward()
    assert p.grad is None or not p.grad.any()
