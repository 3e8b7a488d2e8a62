"""Spectra against the dense matrix of each layer, built column by column from the layer itself, in float64."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import nn

from tightrope import constraints, spectra
from tightrope.layers.linear_map import input_shapes, linear_map


def dense(layer: nn.Module, shape: tuple[int, ...]) -> torch.Tensor:
    """The layer's matrix from its own forward on unit vectors, bias subtracted."""
    n = math.prod(shape)
    basis = torch.eye(n, dtype=torch.float64).reshape(n, *shape)
    with torch.no_grad():
        out = layer(basis) - layer(torch.zeros(1, *shape, dtype=torch.float64))
    return out.reshape(n, -1).T


def geometries() -> list[tuple[nn.Module, tuple[int, ...]]]:
    torch.manual_seed(0)
    cases: list[tuple[nn.Module, tuple[int, ...]]] = []
    for k, s in itertools.product((1, 2, 3, 4, 5, 7), (1, 2, 3)):
        for mode, p in (("zeros", 0), ("zeros", k // 2), ("circular", k // 2), ("circular", (k - 1) // 2)):
            if mode == "circular" and p == 0 and k > 2:
                continue
            cases.append((nn.Conv2d(2, 3, k, s, p, padding_mode=mode), (2, 7, 9)))
    for mode in ("reflect", "replicate", "circular", "zeros"):
        cases.append((nn.Conv2d(3, 2, 3, 1, 1, padding_mode=mode), (3, 5, 4)))
        cases.append((nn.Conv2d(3, 2, (3, 5), 2, (1, 2), padding_mode=mode), (3, 6, 8)))
        cases.append((nn.Conv2d(2, 4, 3, 1, 2, dilation=2, padding_mode=mode), (2, 6, 5)))
        cases.append((nn.Conv2d(4, 6, 3, 1, 1, groups=2, padding_mode=mode), (4, 5, 5)))
        cases.append((nn.Conv2d(4, 4, 3, 2, 1, groups=4, padding_mode=mode), (4, 6, 6)))
        cases.append((nn.Conv1d(2, 3, 4, 2, 1, padding_mode=mode), (2, 10)))
        cases.append((nn.Conv2d(2, 3, 4, padding="same", padding_mode=mode), (2, 6, 5)))
    cases += [
        (nn.Conv3d(2, 2, 3, padding=1), (2, 3, 4, 3)),
        (nn.Conv3d(1, 2, 3, 2, 1, padding_mode="circular"), (1, 4, 4, 6)),
        (nn.Conv2d(3, 20, 4, 2, 1, padding_mode="circular"), (3, 8, 6)),
        (nn.Conv2d(2, 3, 3, 3, 1, dilation=2, padding_mode="circular"), (2, 9, 6)),
        (nn.Conv2d(3, 5, 2, 2), (3, 6, 6)),
        (nn.Conv2d(3, 5, 2, 3), (3, 7, 8)),
        (nn.Conv2d(3, 14, 2, 2), (3, 5, 6)),
        (nn.ConvTranspose2d(3, 2, 3), (3, 4, 5)),
        (nn.ConvTranspose2d(3, 2, 4, 2, 1), (3, 4, 4)),
        (nn.ConvTranspose2d(4, 6, 3, 2, 1, 1, groups=2), (4, 4, 3)),
        (nn.ConvTranspose2d(3, 2, 3, 2, 1, dilation=2), (3, 4, 4)),
        (nn.ConvTranspose2d(3, 4, 2, 2), (3, 4, 4)),
        (nn.ConvTranspose2d(4, 6, 2, 3, 0, 1, groups=2), (4, 3, 3)),
        (nn.ConvTranspose1d(3, 2, 5, 3), (3, 4)),
        (nn.Linear(6, 4), (6,)),
        (nn.Linear(3, 5), (4, 3)),
    ]
    return cases


CASES = geometries()


def test_there_are_enough_geometries():
    assert len(CASES) >= 60


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize("case", range(len(CASES)))
def test_spectrum_and_norm_agree_with_the_dense_matrix(case):
    layer, shape = CASES[case]
    layer = layer.double()
    matrix = dense(layer, shape)
    truth = torch.linalg.svdvals(matrix)
    of = linear_map(layer, shape)
    assert torch.allclose(of.matrix(layer.weight.detach()), matrix, atol=1e-12)

    found = spectra.singular_values(layer, shape)
    assert found.complete
    assert found.values.shape == truth.shape
    assert (found.values - truth).abs().max() <= 1e-8 * truth[0]

    norm = spectra.operator_norm(layer, shape)
    assert norm.value == pytest.approx(truth[0].item(), rel=1e-8)
    assert norm.lower <= truth[0] <= norm.upper


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize("case", range(0, len(CASES), 3))
def test_iterated_norm_and_torus_bound_contain_the_truth(case, monkeypatch):
    layer, shape = CASES[case]
    layer = layer.double()
    truth = torch.linalg.matrix_norm(dense(layer, shape), 2).item()
    monkeypatch.setattr(spectra.operator, "_SMALL", 0)
    norm = spectra.operator_norm(layer, shape, tolerance=1e-9)
    assert norm.value == pytest.approx(truth, rel=1e-8)
    assert norm.lower <= truth * (1 + 1e-12)
    assert truth <= norm.upper <= 4 * truth


@pytest.mark.parametrize("case", range(0, len(CASES), 4))
def test_adjoint_and_weight_gradient_are_those_of_the_map(case):
    layer, shape = CASES[case]
    layer = layer.double()
    of, W = linear_map(layer, shape), layer.weight.detach()
    x = torch.randn(1, *of.input_shape, dtype=torch.float64)
    y = torch.randn(1, *of.output_shape, dtype=torch.float64)
    assert (of.apply(W, x) * y).sum().item() == pytest.approx((x * of.adjoint(W, y)).sum().item(), rel=1e-10)
    assert (of.weight_gradient(W, y, x) * W).sum().item() == pytest.approx((of.apply(W, x) * y).sum().item(), rel=1e-10)


def test_ways_are_named():
    def way(layer: nn.Module, shape: tuple[int, ...], **options: int) -> str:
        return spectra.singular_values(layer, shape, **options).way

    assert way(nn.Conv2d(2, 3, 3, padding=1), (2, 6, 6)) == "matrix"
    assert way(nn.Conv2d(2, 3, 3, padding=1, padding_mode="circular"), (2, 6, 6)) == "fft"
    assert way(nn.Conv2d(2, 3, 2, 2), (2, 6, 6)) == "kernel"
    assert way(nn.Conv2d(2, 3, 3, padding=1), (2, 6, 6), memory_limit_bytes=100) == "lanczos"


def test_lanczos_extremes_and_density_beyond_the_memory_limit():
    torch.manual_seed(0)
    layer, shape = nn.Conv2d(3, 4, 3, padding=1).double(), (3, 12, 12)
    truth = torch.linalg.svdvals(dense(layer, shape))
    found = spectra.singular_values(layer, shape, memory_limit_bytes=0)
    assert not found.complete
    assert found.count == truth.numel()
    assert found.values.numel() >= 3
    distance = (found.values[:, None] - truth).abs().amin(1)
    assert distance.max() <= found.error <= 1e-3 * truth[0]
    assert found.values[0].item() == pytest.approx(truth[0].item(), rel=1e-8)
    nodes, masses = found.density
    assert masses.sum().item() == pytest.approx(1, abs=1e-9)
    second_moment = (nodes.square() * masses).sum().item()
    assert second_moment == pytest.approx(truth.square().sum().item() / math.prod(shape), rel=0.1)


def test_embedding_and_shapes_that_do_not_fit():
    layer = nn.Embedding(5, 3).double()
    truth = torch.linalg.svdvals(layer.weight.detach())
    assert torch.allclose(spectra.singular_values(layer, (7,)).values, truth)
    with pytest.raises(ValueError, match="max_norm"):
        spectra.singular_values(nn.Embedding(5, 3, max_norm=1.0), ())
    with pytest.raises(ValueError, match="2 channels and 2 sizes"):
        spectra.singular_values(nn.Conv2d(2, 3, 3), (1, 2, 5, 5))
    with pytest.raises(ValueError, match="at least as large"):
        spectra.operator_norm(nn.Conv2d(2, 3, 3), (2, 2, 2))
    with pytest.raises(ValueError, match="ending in 4"):
        spectra.singular_values(nn.Linear(4, 1), (3,))
    with pytest.raises(TypeError, match="ReLU"):
        spectra.singular_values(nn.ReLU(), (3,))
    with torch.no_grad():
        broken = nn.Linear(2, 2)
        broken.weight[0, 0] = float("nan")
    with pytest.raises(ValueError, match="finite"):
        spectra.kernel_singular_values(broken)


def test_ranks_and_condition_numbers():
    flat, single = torch.ones(4, dtype=torch.float64), torch.tensor([3.0, 0, 0, 0], dtype=torch.float64)
    assert spectra.stable_rank(flat).item() == pytest.approx(4)
    assert spectra.stable_rank(single).item() == pytest.approx(1)
    assert spectra.stable_rank_fraction(flat).item() == pytest.approx(1)
    assert spectra.effective_rank(flat).item() == pytest.approx(4)
    assert spectra.effective_rank(single).item() == pytest.approx(1)
    assert spectra.condition_number(torch.tensor([4.0, 2.0, 1.0])).item() == pytest.approx(4)
    assert math.isinf(spectra.condition_number(single).item())
    two = torch.tensor([2.0, 1.0], dtype=torch.float64)
    assert spectra.stable_rank(two).item() == pytest.approx(1.25)
    p = torch.tensor([2 / 3, 1 / 3], dtype=torch.float64)
    assert spectra.effective_rank(two).item() == pytest.approx(math.exp(-(p * p.log()).sum().item()))
    for f in (spectra.stable_rank, spectra.effective_rank):
        assert f(torch.zeros(3)).item() == 0


class Twice(nn.Module):
    """One convolution used at two sizes, and one layer that is never reached."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 2, 3, padding=1)
        self.bn = nn.BatchNorm2d(2)
        self.idle = nn.Linear(3, 3)
        self.head = nn.Linear(8, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.bn(self.conv(x))
        x = self.conv(nn.functional.avg_pool2d(x, 2))
        return self.head(x.flatten(1)[:, :8])


def test_layer_spectra_trace_a_network_and_leave_it_as_it_was():
    network = constraints.spectral_norm(Twice(), skip=("head",))
    network.train()
    state = {k: v.clone() for k, v in network.state_dict().items()}
    rng = torch.get_rng_state()
    found = spectra.layer_spectra(network, torch.randn(1, 2, 8, 8, generator=torch.Generator().manual_seed(0)))
    assert torch.equal(torch.get_rng_state(), rng)
    assert network.training
    assert network.bn.training
    assert all(torch.equal(v, state[k]) for k, v in network.state_dict().items())
    assert [(s.name, s.input_shape) for s in found] == [
        ("conv", (2, 8, 8)),
        ("conv", (2, 4, 4)),
        ("head", (8,)),
    ]
    assert found[0].kernel_norm == pytest.approx(1, abs=0.02)
    assert found[0].norm.value > 1.02
    assert found[0].norm.lower <= found[0].norm.value <= found[0].norm.upper
    assert "kernel norm" in found[0].constraint
    assert found[2].constraint == ""
    assert found[2].kind == "Linear"
    assert found[0].kind == "Conv2d"
    text = spectra.table(found)
    assert len(text.splitlines()) == 4
    assert "2x8x8" in text
    quick = spectra.layer_spectra(network, torch.zeros(1, 2, 8, 8), complete=False)
    assert quick[0].operator is None
    assert quick[0].norm.value == pytest.approx(found[0].norm.value, rel=1e-4)


def test_kernel_spectra_see_the_constrained_weight_and_disturb_nothing():
    network = constraints.spectral_norm(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 3, groups=2)))
    with torch.no_grad():
        for p in network.parameters():
            p.mul_(3)
    state = {k: v.clone() for k, v in network.state_dict().items()}
    found = spectra.kernel_spectra(network)
    assert list(found) == ["0", "2"]
    assert [v.numel() for v in found.values()] == [4, 2]
    assert all(v[0].item() == pytest.approx(1, abs=0.05) for v in found.values())
    assert all(torch.equal(v, state[k]) for k, v in network.state_dict().items())
    assert spectra.evenly_picked(torch.arange(100.0), 3).tolist() == [0, 50, 99]
    assert spectra.evenly_picked(torch.arange(2.0), 3).tolist() == [0, 1]


def test_input_shapes_restore_even_when_the_call_fails():
    network = Twice()
    with pytest.raises(RuntimeError):
        input_shapes(network, lambda: network(torch.zeros(1, 3, 8, 8)))
    assert network.training
    assert not network.conv._forward_pre_hooks
