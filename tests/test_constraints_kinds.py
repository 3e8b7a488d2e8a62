"""Kinds of tensors: devices, dtypes, scales, shapes and layouts work as they should or are refused in a sentence."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from constraint_cases import zoo
from tightrope import constraints, linalg
from tightrope._plumbing.errors import UserError

SHAPE = (3, 8, 8)
WAYS = {
    "spectral": lambda n: constraints.spectral_norm(n),
    "spectral, exact": lambda n: constraints.spectral_norm(n, exact=True),
    "spectral, gain": lambda n: constraints.spectral_norm(n, gain=True),
    "spectral, operator": lambda n: constraints.spectral_norm(n, "operator", input_shape=SHAPE),
    "spectral, exact operator": lambda n: constraints.spectral_norm(n, "operator", exact=True, input_shape=SHAPE),
    "weight norm": lambda n: constraints.weight_norm(n, gain=True),
    "Frobenius norm": lambda n: constraints.frobenius_norm(n),
    **{by: lambda n, by=by: constraints.orthogonal(n, by) for by in linalg.ORTHOGONALISERS},
    **{
        f"{by}, operator": lambda n, by=by: constraints.orthogonal(n, by, "operator", input_shape=SHAPE)
        for by in linalg.ORTHOGONALISERS
    },
}
KERNEL_WAYS = [name for name in WAYS if "operator" not in name]


def network() -> nn.Sequential:
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 64, 4, 2, 1), nn.ReLU(), nn.Conv2d(64, 4, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*layers, nn.ConvTranspose2d(4, 6, 4, 2, 1), nn.Flatten(), nn.Linear(6 * 64, 1))


@pytest.mark.parametrize("way", WAYS)
def test_a_network_without_storage_is_constrained_and_filled_later(way):
    filled = WAYS[way](network()).eval()
    with torch.device("meta"):
        empty = WAYS[way](network())
        assert empty(torch.zeros(2, *SHAPE)).shape == (2, 1)
    empty = empty.to_empty(device="cpu").eval()
    empty.load_state_dict(filled.state_dict())
    x = torch.randn(2, *SHAPE)
    assert torch.equal(empty(x), filled(x))


@pytest.mark.parametrize("way", WAYS)
def test_parameters_and_exported_weights_are_contiguous(way):
    constrained = WAYS[way](network())
    for candidate in (constrained, constraints.export(constrained)):
        assert all(p.is_contiguous() for p in candidate.parameters())
        nn.utils.parameters_to_vector(candidate.parameters())
    assert all(constrained[i].weight.is_contiguous() for i in (0, 2, 4, 6))


@pytest.mark.parametrize("layer", zoo())
@pytest.mark.parametrize("by", linalg.ORTHOGONALISERS)
def test_an_assigned_weight_is_stored_contiguously(by, layer):
    module = constraints.orthogonal(zoo()[layer], by)
    module.weight = torch.empty_like(module.weight).normal_(generator=torch.Generator().manual_seed(1))
    assert module.parametrizations.weight.original.is_contiguous()
    assert module.weight.is_contiguous()


@pytest.mark.parametrize("way", KERNEL_WAYS)
@pytest.mark.parametrize("shape", [(6, 4), (5, 7), (4, 6, 1)])
def test_an_assigned_weight_of_another_shape_is_refused(way, shape):
    layer = WAYS[way](nn.Linear(6, 4))
    before = layer.weight.detach().clone()
    with pytest.raises(UserError, match=r"expected a weight of shape \[4, 6\]"):
        layer.weight = torch.randn(shape)
    assert torch.equal(layer.weight, before)


@pytest.mark.parametrize("way", [*KERNEL_WAYS, "projection"])
def test_complex_weights_and_weights_without_entries_are_refused_by_name(way):
    call = WAYS.get(way, constraints.bound_singular_values_)
    with pytest.raises(ValueError, match="expected real weights with entries, got '0'"):
        call(nn.Sequential(nn.Linear(3, 4, dtype=torch.complex64)))
    empty = nn.Sequential(nn.Flatten(), nn.Linear(1, 4))
    empty[1].weight = nn.Parameter(torch.zeros(4, 0))
    with pytest.raises(ValueError, match="expected real weights with entries, got '1'"):
        call(empty)


def test_clipping_refuses_complex_parameters():
    with pytest.raises(ValueError, match="expected real parameters, got '0'"):
        constraints.clip_weights_(nn.Sequential(nn.Linear(3, 4, dtype=torch.complex64)))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("way", [name for name in KERNEL_WAYS if name not in linalg.ORTHOGONALISERS])
def test_weights_of_zero_stay_and_have_finite_gradients(way, dtype):
    layer = nn.Linear(5, 3, dtype=dtype)
    with torch.no_grad():
        layer.weight[1].zero_()
    layer = WAYS[way](layer)
    layer.weight.sum().backward()
    assert torch.equal(layer.weight[1], torch.zeros(5, dtype=dtype))
    assert all(p.grad.abs().max() < 1e3 for p in layer.parameters() if p.grad is not None)


@pytest.mark.parametrize("scale", [1e20, 1e-10])
@pytest.mark.parametrize("kind", ["one block", "blocks"])
@pytest.mark.parametrize("way", ["spectral", "spectral, exact", "polar", "bjorck", "qr"])
def test_weights_of_any_scale_reach_the_norm(way, kind, scale):
    torch.manual_seed(0)
    layer = nn.Linear(7, 5) if kind == "one block" else nn.Conv1d(6, 8, 3, groups=2)
    with torch.no_grad():
        layer.weight.mul_(scale)
    layer = WAYS[way](layer)
    blocks = layer.weight.detach().double().reshape(1 if kind == "one block" else 2, -1, layer.weight[0].numel())
    assert torch.linalg.matrix_norm(blocks, 2).max().item() == pytest.approx(1, abs=1e-3)
    layer.weight.square().sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in layer.parameters() if p.grad is not None)


@pytest.mark.parametrize("constrain", [constraints.weight_norm, constraints.frobenius_norm])
def test_weights_whose_squares_overflow_are_named(constrain):
    layer = nn.Sequential(nn.Linear(3, 2))
    with torch.no_grad():
        layer[0].weight.fill_(1e20)
    with pytest.raises(UserError, match="got '0' with entries up to"):
        constrain(layer)


@pytest.mark.parametrize("norm", ["kernel", "operator"])
def test_cayley_refuses_what_it_cannot_reach(norm):
    large = nn.Conv2d(5, 3, 1, bias=False)
    with torch.no_grad():
        large.weight.mul_(1e20)
    with pytest.raises(UserError, match="ordinary size"):
        constraints.orthogonal(large, "cayley", norm)
    layer = constraints.orthogonal(nn.Linear(3, 3), "cayley")
    with pytest.raises(UserError, match="turns a direction round"):
        layer.weight = torch.diag(torch.tensor([1.0, 1.0, -1.0]))


@pytest.mark.parametrize("name", linalg.ORTHOGONALISERS)
def test_orthogonalisers_refuse_or_take_every_kind_of_matrix(name):
    function = linalg.ORTHOGONALISERS[name]
    for wrong in (torch.ones(3, 2, dtype=torch.complex64), torch.ones(3, 2, dtype=torch.int64), torch.ones(3)):
        with pytest.raises(UserError, match="expected real floating-point matrices"):
            function(wrong)
    for shape in ((0, 3), (3, 0), (0, 3, 2)):
        assert function(torch.zeros(shape)).shape == shape
    assert function(torch.zeros(4, 3, device="meta")).device.type == "meta"


SCALES = {
    torch.float16: (1.0, 100.0),
    torch.bfloat16: (1.0, 1e20, 1e-10),
    torch.float32: (1.0, 1e20, 1e-10, 1e-20),
    torch.float64: (1.0, 1e20, 1e-10, 1e200, 1e-200),
}


@pytest.mark.parametrize(("dtype", "scale"), [(dtype, scale) for dtype in SCALES for scale in SCALES[dtype]])
@pytest.mark.parametrize("name", ["bjorck", "polar", "qr"])
def test_orthogonalisers_at_every_scale_and_precision(name, scale, dtype):
    W = scale * torch.randn(6, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    W = W.to(dtype)
    Q = linalg.ORTHOGONALISERS[name](W.requires_grad_())
    Q.square().sum().backward()
    eps = torch.finfo(dtype).eps if dtype in (torch.float16, torch.bfloat16) else 1e-7
    assert Q.dtype == dtype
    assert (Q.double().mT @ Q.double() - torch.eye(4)).abs().max() <= 10 * eps
    assert torch.isfinite(W.grad).all()
    exact = linalg.ORTHOGONALISERS[name](W.detach().double() / scale)
    assert (Q.double() - exact).abs().max() <= 10 * eps


@pytest.mark.parametrize("scale", [1e20, 1e-10, 1e200, 1e-200])
@pytest.mark.parametrize("shape", [(1, 4, 7), (3, 5, 2)])
def test_the_top_pair_is_of_unit_length_at_every_scale(shape, scale):
    M = torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    u, v = linalg.top_singular_pair(scale * M)
    assert torch.cat([u.norm()[None], v.norm()[None]]).tolist() == pytest.approx([1, 1], abs=1e-10)
    assert (u @ torch.block_diag(*M) @ v).item() == pytest.approx(torch.linalg.matrix_norm(M, 2).max().item())
