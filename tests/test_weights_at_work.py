"""Weights that work without their layer being called, or that no layer holds: found, or named in the result."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tightrope import constraints, critics, spectra
from tightrope.layers.kernel import effective_weight


class Functional(nn.Module):
    """As R3GAN's convolution: the layer holds the weight, and a function uses it."""

    def __init__(self, layer: nn.Module, **options: object) -> None:
        super().__init__()
        self.layer, self.options = layer, options

    def forward(self, x: Tensor) -> Tensor:
        weight = self.layer.weight.to(x.dtype)
        if isinstance(self.layer, nn.Linear):
            return F.linear(x, weight)
        f = F.conv_transpose2d if isinstance(self.layer, nn.ConvTranspose2d) else F.conv2d
        return f(x, weight, **self.options)


class Scaled(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight * 3, self.bias, self.stride, self.padding)


class Own(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4, 2, 3, 3))

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight, padding=1)


X = torch.randn(2, 2, 6, 6, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("wrap", [lambda n: n, constraints.spectral_norm, constraints.weight_norm])
@pytest.mark.parametrize(
    ("layer", "options"),
    [
        (lambda: nn.Conv2d(2, 4, 3, padding=1), {"padding": 1}),
        (lambda: nn.Conv2d(2, 4, 4, 2, 1, groups=2, bias=False), {"stride": (2, 2), "padding": 1, "groups": 2}),
        (lambda: nn.Conv2d(2, 4, 3, padding="same"), {"padding": "same"}),
        (lambda: nn.ConvTranspose2d(2, 4, 4, 2, 1), {"stride": 2, "padding": 1}),
    ],
)
def test_a_function_with_the_layers_own_settings_is_a_call_of_it(layer, options, wrap):
    network = wrap(nn.Sequential(Functional(layer(), **options), nn.Flatten()))
    found = spectra.layer_spectra(network, X)
    assert [(s.name, s.input_shape) for s in found] == [("0.layer", (2, 6, 6))]
    assert not found.not_understood
    called = spectra.operator_norm(network[0].layer, (2, 6, 6))
    assert found[0].norm.value == pytest.approx(called.value, rel=1e-6)


def test_the_operator_norm_can_be_constrained_of_layers_that_functions_use():
    network = nn.Sequential(Functional(nn.Conv2d(2, 4, 3, padding=1), padding=1), nn.ReLU(), nn.Conv2d(4, 3, 3))
    constraints.spectral_norm(network, "operator", input_shape=(2, 6, 6), warmup=200)
    for found in spectra.layer_spectra(network, X):
        assert found.norm.value == pytest.approx(1, rel=1e-3), found.name


def test_other_settings_scaled_weights_and_weights_without_a_layer_are_named_in_the_result_and_in_the_table():
    network = nn.Sequential(
        Own(), Scaled(4, 4, 3, padding=1), Functional(nn.Conv2d(4, 2, 3), padding=2), nn.Conv2d(2, 1, 3), nn.Flatten()
    )
    network.idle = None
    found = spectra.layer_spectra(network, X)
    assert [s.name for s in found] == ["1", "3"]
    assert found.not_understood.keys() == {"0.weight", "1", "2.layer"}
    assert "Own" in found.not_understood["0.weight"] and "of its own" in found.not_understood["1"]
    assert "conv2d" in found.not_understood["2.layer"]
    text = spectra.table(found)
    assert all(f"not understood: {name} " in text for name in found.not_understood)
    assert spectra.kernel_spectra(network).not_understood == {"0.weight": "Own"}
    with pytest.raises(ValueError, match=r"0\.weight is held by Own"):
        spectra.layer_spectra(network[0:1], X)


def test_a_subclass_that_computes_as_its_class_is_understood():
    class Same(nn.Conv2d):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x)

    network = nn.Sequential(Same(2, 4, 3, padding=1), nn.Flatten())
    assert not spectra.layer_spectra(network, X).not_understood


def test_attention_and_recurrence_are_named():
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.r, self.head = nn.MultiheadAttention(4, 2), nn.GRU(4, 4), nn.Linear(4, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.r(self.a(x, x, x)[0])[0])

    found = spectra.layer_spectra(Net(), torch.randn(3, 2, 4))
    assert [s.name for s in found] == ["head"]
    assert found.not_understood.keys() == {"a.in_proj_weight", "a.out_proj", "r.weight_ih_l0", "r.weight_hh_l0"}


def test_the_interval_gives_a_function_that_works_as_a_layer_its_own_row():
    torch.manual_seed(0)
    network = nn.Sequential(Own(), nn.LeakyReLU(0.2), nn.Conv2d(4, 1, 3), nn.Flatten(), nn.Linear(16, 1))
    found = critics.lipschitz_interval(network, X, X + 1, steps=3)
    assert [(layer.name, layer.kind) for layer in found.layers] == [("0", "conv2d"), ("2", "Conv2d"), ("4", "Linear")]
    product = torch.tensor([layer.factor for layer in found.layers]).prod().item()
    assert found.upper == pytest.approx(product, rel=1e-5), "the rows account for the whole bound"
    assert all(layer.attained <= layer.factor * 1.001 for layer in found.layers) and found.layers[0].attained > 0
    assert "conv2d" in found.table()


def test_constraints_refuse_what_they_would_leave_free_and_list_what_was_skipped():
    network = nn.Sequential(Own(), nn.ReLU(), nn.Conv2d(4, 1, 3), nn.Flatten(), nn.Linear(16, 1))
    with pytest.raises(TypeError, match="hold them in such layers"):
        constraints.spectral_norm(network)
    constraints.spectral_norm(network, skip=("0", "4"))
    assert constraints.unconstrained_weights(network) == {"0.weight": "Own", "4.weight": "Linear"}
    assert not constraints.unconstrained_weights(network[2])


@pytest.mark.parametrize("wrap", [nn.utils.weight_norm, nn.utils.spectral_norm], ids=["weight", "spectral"])
def test_layers_with_old_hooks_are_measured_with_the_weight_they_compute_with(wrap):
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        layer = wrap(nn.Linear(5, 4))
    layer(torch.randn(3, 5))
    with torch.no_grad():
        for p in layer.parameters():
            p.mul_(torch.linspace(0.5, 3, p.numel()).reshape(p.shape))
    stale = layer.weight.detach().clone()
    got = spectra.kernel_singular_values(layer)
    layer.eval()(torch.randn(3, 5))
    assert not torch.allclose(stale, layer.weight)
    assert torch.allclose(got, torch.linalg.svdvals(layer.weight.detach()), rtol=1e-5)
    assert torch.equal(effective_weight(layer), layer.weight)
    network = nn.Sequential(layer, nn.Linear(4, 1))
    found = spectra.layer_spectra(network, torch.randn(2, 5))
    assert not found.not_understood
    assert found[0].constraint.startswith("torch's old ") and not found[1].constraint
