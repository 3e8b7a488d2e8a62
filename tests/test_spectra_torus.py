"""The norm over all frequencies of a torus against all singular values of each, and kernels of one column."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tightrope.layers.linear_map import linear_map
from tightrope.spectra import operator_norm, singular_values, torus
from tightrope.spectra.layer import fourier_values
from tightrope.spectra.operator import torus as torus_sizes

GEOMETRIES: list[tuple[int, int, tuple[int, ...], tuple[int, ...], tuple[int, ...], int, tuple[int, ...]]] = [
    # inputs, outputs, kernel, stride, dilation, groups, size
    (6, 4, (3, 3), (1, 1), (1, 1), 1, (9, 8)),
    (6, 4, (5, 1), (3, 1), (1, 1), 1, (31, 4)),
    (4, 8, (5, 1), (3, 1), (1, 1), 1, (30, 5)),
    (6, 6, (3,), (2,), (2,), 2, (17,)),
    (6, 6, (5,), (1,), (1,), 1, (16,)),
    (4, 4, (4, 4), (2, 2), (1, 1), 1, (8, 9)),
    (3, 3, (3, 3), (1, 1), (2, 1), 3, (7, 7)),
    (4, 4, (1, 3), (2, 1), (1, 1), 2, (6, 7)),
    (4, 5, (2, 2, 2), (1, 1, 1), (1, 1, 1), 1, (4, 4, 5)),
    (8, 5, (3, 2), (2, 1), (3, 1), 1, (15, 6)),
]


def convolution(geometry: Any, dtype: torch.dtype = torch.float64) -> nn.Module:
    inputs, outputs, kernel, stride, dilation, groups, _ = geometry
    kind: Any = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}[len(kernel)]
    torch.manual_seed(1)
    options = {"stride": stride, "dilation": dilation, "groups": groups, "padding": tuple(k // 2 for k in kernel)}
    layer: nn.Module = kind(inputs, outputs, kernel, **options)
    return layer.to(dtype)


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("at_once", [1, 2**24])
def test_norm_on_a_torus_is_the_largest_of_all_frequencies(
    geometry: Any, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torus, "_SMALL", 1)
    monkeypatch.setattr(torus, "_AT_ONCE", at_once)
    for dtype, tolerance in ((torch.float64, 1e-12), (torch.float32, 2e-6)):
        layer = convolution(geometry, dtype)
        of, weight = linear_map(layer, (geometry[0], *geometry[-1])), layer.weight.detach()
        found = torus.torus_norm(of, weight, torus_sizes(of))
        assert found == pytest.approx(float(fourier_values(of, weight, torus_sizes(of)).max()), rel=tolerance)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_frequencies_that_are_all_alike(value: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torus, "_SMALL", 1)
    decomposed: list[Tensor] = []
    real = torch.linalg.eigvalsh
    monkeypatch.setattr(torch.linalg, "eigvalsh", lambda x: decomposed.append(x) or real(x))
    layer = nn.Conv1d(4, 4, 3, padding=1, bias=False).double()
    with torch.no_grad():
        layer.weight.zero_()
        layer.weight[:, :, 1] = value * torch.linalg.qr(torch.randn(4, 4, dtype=torch.float64)).Q
    assert torus.torus_norm(linear_map(layer, (4, 32)), layer.weight.detach(), (32,)) == pytest.approx(value, rel=1e-12)
    assert len(decomposed) == 1  # the others are proven not to lie above, without eigenvalues


@pytest.mark.parametrize("padding_mode", ["zeros", "reflect", "replicate"])
@pytest.mark.parametrize("memory", [2**27, 0])
def test_axes_that_the_kernel_does_not_mix_repeat_the_spectrum(padding_mode: str, memory: int) -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(2, 3, (5, 1), (3, 1), padding=(2, 0), padding_mode=padding_mode).double()
    of = linear_map(layer, (2, 11, 4))
    dense = torch.linalg.svdvals(of.matrix(layer.weight.detach()))
    found = singular_values(layer, (2, 11, 4), memory_limit_bytes=memory)
    assert found.count == len(dense) and found.complete is bool(memory)
    if found.complete:
        torch.testing.assert_close(found.values, dense, rtol=1e-10, atol=1e-12)
    assert float(found.values[0]) == pytest.approx(float(dense[0]), rel=1e-9)
    assert operator_norm(layer, (2, 11, 4)).value == pytest.approx(float(dense[0]), rel=1e-9)
