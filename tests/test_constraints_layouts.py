"""A weight's layout in memory changes nothing: transposed views, channels last, expanded and sliced weights."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from test_constraints_kinds import SHAPE, WAYS, network
from tightrope import constraints


def transposed(weight: Tensor) -> Tensor:
    axes = list(range(weight.dim()))[::-1]
    return weight.permute(axes).contiguous().permute(axes)


def channels_last(weight: Tensor) -> Tensor:
    return weight.contiguous(memory_format=torch.channels_last) if weight.dim() == 4 else transposed(weight)


def sliced(weight: Tensor) -> Tensor:
    wide = torch.zeros(*weight.shape[:-1], 2 * weight.shape[-1], dtype=weight.dtype)
    wide[..., ::2] = weight
    return wide[..., ::2]


def expanded(weight: Tensor) -> Tensor:
    return weight[..., :1].expand_as(weight)


LAYOUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "transposed": transposed,
    "channels last": channels_last,
    "sliced": sliced,
    "expanded": expanded,
}


def pair(way: str, layout: str) -> tuple[nn.Module, nn.Module]:
    """The same weights under one constraint: contiguous ones, and in the layout."""
    net = network().double()
    for module in net.modules():
        if isinstance(getattr(module, "weight", None), nn.Parameter):
            module.weight = nn.Parameter(LAYOUTS[layout](module.weight.detach()))
    plain = copy.deepcopy(net)
    for p in plain.parameters():
        p.data = p.data.clone(memory_format=torch.contiguous_format)
    assert any(not p.is_contiguous() for p in net.parameters())
    return seeded(way, plain), seeded(way, net)


def seeded(way: str, net: nn.Module) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return WAYS[way](net)


def forward_and_gradients(net: nn.Module) -> list[Tensor]:
    x = torch.randn(2, *SHAPE, generator=torch.Generator().manual_seed(2), dtype=torch.float64).requires_grad_()
    score = net(x)
    (slope,) = torch.autograd.grad(score.sum(), x, create_graph=True)
    (score.square().sum() + slope.square().sum()).backward()
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in net.parameters()]
    return [score.detach(), slope.detach(), *gradients, *(b.detach() for b in net.buffers() if b.is_floating_point())]


CASES = [(way, layout) for way in WAYS for layout in LAYOUTS if "operator" not in way or layout == "transposed"]


@pytest.mark.parametrize(("way", "layout"), CASES)
def test_constrained_networks_do_not_depend_on_the_layout(way, layout):
    plain, other = pair(way, layout)
    for _ in range(2):  # the second meets moved vectors
        for got, wanted in zip(forward_and_gradients(other), forward_and_gradients(plain), strict=True):
            assert torch.allclose(got, wanted, rtol=1e-6, atol=1e-6 * float(wanted.abs().max())), (got, wanted)
    if layout != "channels last":  # which is kept, since it is faster; torch itself cannot flatten it
        vector = parameters_to_vector(other.parameters())
        assert torch.allclose(vector, parameters_to_vector(plain.parameters()), rtol=1e-9)
        vector_to_parameters(vector, other.parameters())
    flat, bare = constraints.export(copy.deepcopy(other)), constraints.export(copy.deepcopy(plain))
    assert layout == "channels last" or all(p.is_contiguous() for p in flat.parameters())
    for p, q in zip(flat.parameters(), bare.parameters(), strict=True):
        assert torch.allclose(p, q, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("way", ["spectral", "weight norm", "Frobenius norm", "polar", "cayley"])
@pytest.mark.parametrize("layout", ["transposed", "expanded"])
def test_such_networks_are_optimised_and_saved(way, layout, tmp_path):
    safetensors = pytest.importorskip("safetensors.torch")
    plain, other = pair(way, layout)
    x = torch.randn(4, *SHAPE, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    for net in (plain, other):
        lbfgs = torch.optim.LBFGS(net.parameters(), lr=0.1, max_iter=2)

        def closure(net: nn.Module = net, lbfgs: torch.optim.Optimizer = lbfgs) -> Tensor:
            lbfgs.zero_grad()
            loss = (net(x) - 1).square().mean()
            loss.backward()
            return loss

        lbfgs.step(closure)
    for p, q in zip(plain.parameters(), other.parameters(), strict=True):
        assert torch.allclose(p, q, rtol=1e-6, atol=1e-9)
    safetensors.save_file(other.state_dict(), tmp_path / "critic.safetensors")
    exported = constraints.export(other)
    safetensors.save_file(exported.state_dict(), tmp_path / "exported.safetensors")
    read = safetensors.load_file(tmp_path / "exported.safetensors")
    assert all(torch.equal(read[name], value) for name, value in exported.state_dict().items())
