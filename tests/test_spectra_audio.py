"""Spectra of critics of sound, shrunk: long lines, strides, groups and weight norm, against dense float64 matrices."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from tightrope import spectra
from tightrope.layers.linear_map import linear_map
from tightrope.linalg import krylov
from tightrope.spectra import layer as layers
from tightrope.spectra import operator, torus
from tightrope.spectra.layer import fourier_values


class Period(nn.Module):
    """A period critic: the wave folded into columns, kernels along the folded axis alone."""

    def __init__(self, period: int = 3, widths: tuple[int, ...] = (1, 4, 8, 12, 12)) -> None:
        super().__init__()
        self.period = period
        self.convs = nn.ModuleList(
            weight_norm(nn.Conv2d(a, b, (5, 1), (3 if b > a else 1, 1), (2, 0))) for a, b in pairwise(widths)
        )
        self.post = weight_norm(nn.Conv2d(widths[-1], 1, (3, 1), 1, (1, 0)))

    def forward(self, x: Tensor) -> Tensor:
        x = x.reshape(len(x), 1, -1, self.period)
        for conv in self.convs:
            x = nn.functional.leaky_relu(conv(x), 0.1)
        return self.post(x)


class Scale(nn.Module):
    """A scale critic: grouped kernels of many taps."""

    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.Sequential(
            weight_norm(nn.Conv1d(1, 8, 15, 1, 7)),
            weight_norm(nn.Conv1d(8, 8, 11, 2, 5, groups=2)),
            weight_norm(nn.Conv1d(8, 16, 11, 4, 5, groups=4)),
            weight_norm(nn.Conv1d(16, 16, 11, 1, 5, groups=4)),
            weight_norm(nn.Conv1d(16, 1, 3, 1, 1)),
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.convs(x)
        return y


def truths(network: nn.Module, found: list[spectra.LayerSpectrum]) -> list[Tensor]:
    """All singular values of each layer from its dense matrix."""
    modules = dict(network.named_modules())
    return [
        torch.linalg.svdvals(linear_map(m := modules[s.name], s.input_shape).matrix(m.weight.detach().double()))
        for s in found
    ]


@pytest.mark.parametrize("build", [Period, Scale])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("patience", [5e9, 0])
def test_every_layer_of_a_critic_of_sound(
    build: Any, dtype: torch.dtype, patience: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    network, x = build().to(dtype), torch.zeros(1, 1, 504 if build is Period else 96, dtype=dtype)
    close = 3e-6 if dtype == torch.float32 else 1e-10
    complete = spectra.layer_spectra(network, x)
    for found, truth in zip(complete, truths(network, complete), strict=True):
        assert found.operator is not None and found.operator.complete
        assert found.operator.values.numel() == truth.numel()
        assert float((found.operator.values - truth).abs().max()) <= close * float(truth[0])
    monkeypatch.setattr(operator, "_SMALL", 0)
    monkeypatch.setattr(operator, "PATIENCE", patience)
    monkeypatch.setattr(torus, "_SMALL", 1)
    for complete_too, limit in ((True, 0), (False, 2**27)):
        hurried = spectra.layer_spectra(network, x, complete=complete_too, memory_limit_bytes=limit)
        for found, truth in zip(hurried, truths(network, hurried), strict=True):
            top, norm = float(truth[0]), found.norm
            assert norm.way == "lanczos"
            assert norm.lower <= top * (1 + close) and top <= norm.upper * (1 + close)
            assert norm.value == pytest.approx(top, rel=2e-3)
            assert float((truth - norm.value).abs().min()) <= norm.residual + close * top
            assert norm.upper <= 1.3 * top
    for found, truth in zip(spectra.layer_spectra(network, x, complete=False, tolerance=1e-5), complete, strict=True):
        assert found.norm.value == pytest.approx(truth.norm.value, rel=1e-5)


@pytest.mark.parametrize("taps", [2, 3, 4])
@pytest.mark.parametrize("frequencies", [3, 5, 7])
def test_between_the_frequencies_that_are_looked_at_nothing_is_missed(
    taps: int, frequencies: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torus, "_LONG", 0)
    monkeypatch.setattr(torus, "_PER_DEGREE", frequencies)
    worst = 0.0
    for seed in range(6):
        torch.manual_seed(seed)
        layer = nn.Conv1d(2, 2, taps, padding=taps // 2, bias=False).double()
        if not seed:  # largest at the frequency -1, half way between two that are looked at if their number is odd
            with torch.no_grad():
                layer.weight.zero_()[0, 0, :2] = torch.tensor([1.0, -1.0])
        of, weight = linear_map(layer, (2, 4096)), layer.weight.detach()
        bound, truth = torus.torus_bound(of, weight, (4096,)), float(fourier_values(of, weight, (4096,)).max())
        reached = math.cos(math.pi / (2 * frequencies))
        assert truth * (1 - 1e-12) <= bound <= truth / reached * (1 + 1e-12)
        guessed = torus.torus_bound(of, weight, (4096,), near=1.01 * truth)
        assert guessed == pytest.approx(max(1.01 * truth, bound * reached) / reached, rel=1e-12)
        worst = max(worst, bound / truth)
    assert worst > 1


def test_a_picture_is_looked_at_on_fewer_frequencies_of_both_axes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torus, "_LONG", 0)
    monkeypatch.setattr(torus, "_PER_DEGREE", 4)
    torch.manual_seed(0)
    layer = nn.Conv2d(3, 2, (3, 4), (1, 2), (1, 1)).double()
    of, weight = linear_map(layer, (3, 64, 128)), layer.weight.detach()
    fewer, reached = torus.sample(of, (64, 128))
    assert fewer == (8, 4)
    bound, truth = torus.torus_bound(of, weight, (64, 128)), float(fourier_values(of, weight, (64, 128)).max())
    assert truth <= bound <= truth / reached


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Conv1d(70, 80, 3, 2, 1), (70, 9)),
        (nn.Conv1d(70, 3, 3), (70, 50)),
        (nn.Conv2d(4, 8, 3, padding=1, groups=2, padding_mode="reflect"), (4, 9, 8)),
        (nn.ConvTranspose2d(6, 4, 4, 2, 1), (6, 5, 5)),
        (nn.Linear(300, 90), (300,)),
    ],
)
def test_gram_matrices_in_float64_lose_nothing_of_float32(layer: Any, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    with torch.no_grad():
        layer.weight.normal_()
        layer.weight[-1] = layer.weight[0]  # of less than full rank
    truth = torch.linalg.svdvals(linear_map(layer, shape).matrix(layer.weight.detach().double()))
    found = spectra.singular_values(layer, shape)
    assert found.complete and found.values.dtype == torch.float32
    assert float((found.values - truth).abs().max()) <= 2e-7 * float(truth[0])
    assert spectra.operator_norm(layer, shape).value == pytest.approx(float(truth[0]), rel=2e-7)
    kernel = spectra.kernel_singular_values(layer)
    exact = spectra.kernel_singular_values(layer.double())
    assert float((kernel - exact).abs().max()) <= 2e-7 * float(exact[0])


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Conv1d(256, 300, 5, 3, 2, dilation=2), (256, 40)),
        (nn.Conv2d(256, 128, (3, 4), (1, 2), (1, 0)), (256, 7, 8)),
    ],
)
def test_products_with_patches_are_the_convolution(layer: Any, shape: tuple[int, ...]) -> None:
    of, weight = linear_map(layer.double(), shape), layer.weight.detach()
    assert layers._is_mostly_weight(of)
    apply, adjoint = layers.vector_functions(of, weight)
    x, y = torch.randn(of.inputs, dtype=torch.float64), torch.randn(of.outputs, dtype=torch.float64)
    torch.testing.assert_close(apply(x), of.apply(weight, x.reshape(1, *of.input_shape)).flatten())
    torch.testing.assert_close(adjoint(y), of.adjoint(weight, y.reshape(1, *of.output_shape)).flatten())


def test_a_density_takes_fewer_probes_of_large_maps() -> None:
    torch.manual_seed(7)
    values = torch.rand(3000, dtype=torch.float64)
    begun = krylov.bidiagonalise(lambda x: values * x, lambda y: values * y, krylov.start_vector(3000, values), 40)
    nodes, masses = krylov.spectral_density(lambda x: values * x, lambda y: values * y, 3000, begun)
    assert len(nodes) == 3 * 40 and float(masses.sum()) == pytest.approx(1, abs=1e-9)
    for power in (1, 2, 4):
        assert float((nodes**power * masses).sum()) == pytest.approx(float((values**power).mean()), rel=0.04)
    alone, _ = krylov.spectral_density(lambda x: values * x, lambda y: values * y, 3000, begun, enough=3000)
    assert len(alone) == 40


def test_an_iteration_on_few_outputs_ends_where_they_are_exhausted(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    monkeypatch.setattr(operator, "_SMALL", 0)  # as for a last layer of 1,024 channels on 3,000 cells
    layer = Period().post
    truth = torch.linalg.svdvals(linear_map(layer, (12, 7, 3)).matrix(layer.weight.detach().double()))
    found = spectra.operator_norm(layer, (12, 7, 3))
    assert found.way == "lanczos" and found.value == pytest.approx(float(truth[0]), rel=1e-6)
    few = spectra.singular_values(layer, (12, 7, 3), memory_limit_bytes=0)
    assert not few.complete and float(few.values[0]) == pytest.approx(float(truth[0]), rel=1e-6)
