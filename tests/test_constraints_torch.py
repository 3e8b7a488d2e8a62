"""Torch's own constraints: named, taken off, replaced, and never passed over in silence."""

from __future__ import annotations

import copy
import itertools
import warnings

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize

from tightrope import constraints, spectra


def old(wrap):
    def wrapped(layer: nn.Module) -> nn.Module:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            return wrap(layer)

    return wrapped


TORCH = {
    "torch's spectral_norm": parametrizations.spectral_norm,
    "torch's weight_norm": parametrizations.weight_norm,
    "torch's orthogonal": parametrizations.orthogonal,
    "torch's old spectral_norm": old(nn.utils.spectral_norm),
    "torch's old weight_norm": old(nn.utils.weight_norm),
}
OURS = {
    "spectral": constraints.spectral_norm,
    "operator": lambda n, **o: constraints.spectral_norm(n, "operator", input_shape=(2, 6, 6), **o),
    "orthogonal": constraints.orthogonal,
    "orthogonal operator": lambda n, **o: constraints.orthogonal(n, norm="operator", **o),
    "weight": constraints.weight_norm,
    "frobenius": constraints.frobenius_norm,
}
X = torch.randn(3, 2, 6, 6, generator=torch.Generator().manual_seed(1))
quiet = pytest.mark.filterwarnings("ignore:the weights of .* are new parameters")


def network(wrap) -> nn.Sequential:
    torch.manual_seed(0)
    found = nn.Sequential(wrap(nn.Conv2d(2, 4, 3)), nn.Tanh(), nn.Flatten(), wrap(nn.Linear(64, 3)))
    for _ in range(10):
        found(X)  # the old power iteration starts from nowhere
    return found


@quiet
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", TORCH)
def test_remove_and_export_leave_plain_weights_with_the_same_outputs(name, training):
    found = network(TORCH[name]).train(training)
    assert constraints.constrained_layers(found) == {"0": name, "3": name}
    assert [s.constraint for s in spectra.layer_spectra(found, X)] == [name, name]
    assert not constraints.unconstrained_weights(found)
    expected = copy.deepcopy(constraints.export(found))(X)
    assert len(constraints.constrained_layers(found)) == 2, "an export leaves the original alone"
    assert constraints.remove(found) is found
    assert constraints.constrained_layers(found) == {}
    assert all(isinstance(found[i].weight, nn.Parameter) for i in (0, 3))
    assert {key.rpartition(".")[2] for key in found.state_dict()} == {"weight", "bias"}
    assert torch.equal(found(X), expected)
    twin = network(TORCH[name]).eval()
    assert torch.equal(twin(X), expected)


def test_reading_the_weight_of_torchs_spectral_norm_advances_nothing():
    found = network(parametrizations.spectral_norm)
    state = {key: value.clone() for key, value in found.state_dict().items()}
    spectra.layer_spectra(found, X)
    spectra.kernel_spectra(found)
    spectra.operator_norm(found[0], (2, 6, 6))
    assert all(torch.equal(state[key], value) for key, value in found.state_dict().items())
    assert all(m.training for m in found.modules())


@quiet
@pytest.mark.parametrize(("theirs", "ours"), list(itertools.product(TORCH, OURS)))
def test_ours_refuse_theirs_by_name_and_replace_them_when_asked_to(theirs, ours):
    found, kept = network(TORCH[theirs]), constraints.export(network(TORCH[theirs]))
    state = {key: value.clone() for key, value in found.state_dict().items()}
    with pytest.raises(ValueError, match=f"'0' already constrained by {theirs}; pass replace=True"):
        OURS[ours](found)
    assert all(torch.equal(state[key], value) for key, value in found.state_dict().items())
    torch.manual_seed(5)
    OURS[ours](found, replace=True)
    torch.manual_seed(5)
    OURS[ours](kept)
    for key, value in kept.state_dict().items():
        assert torch.equal(found.state_dict()[key], value), "as if they had been plain weights of the same values"
    assert torch.equal(found.eval()(X), kept.eval()(X))
    assert not any(name.startswith("torch's") for name in constraints.constrained_layers(found).values())


def test_replace_leaves_ours_and_unknown_parametrisations_refused_and_a_refusal_changes_nothing():
    class Symmetric(nn.Module):
        def forward(self, W: torch.Tensor) -> torch.Tensor:
            return W.triu() + W.triu(1).mT

    ours = constraints.spectral_norm(nn.Linear(3, 3))
    with pytest.raises(ValueError, match=r"call constraints\.remove"):
        constraints.orthogonal(ours, replace=True)
    mixed = parametrizations.spectral_norm(nn.Linear(3, 3))
    parametrize.register_parametrization(mixed, "weight", Symmetric())
    with pytest.raises(ValueError, match="already constrained"):
        constraints.orthogonal(mixed, replace=True)
    two = nn.Sequential(parametrizations.spectral_norm(nn.Linear(3, 3)), constraints.weight_norm(nn.Linear(3, 3)))
    with pytest.raises(ValueError, match="'1' already constrained; call"):
        constraints.spectral_norm(two, replace=True)
    assert constraints.constrained_layers(two)["0"] == "torch's spectral_norm"
    with pytest.raises(ValueError, match="input_shape"):
        constraints.spectral_norm(two[:1], "operator", replace=True)
    assert constraints.constrained_layers(two)["0"] == "torch's spectral_norm"


def test_a_weight_that_torchs_hooks_share_is_not_untied():
    a, b = (old(nn.utils.weight_norm)(nn.Linear(3, 3)) for _ in range(2))
    b.weight_v = a.weight_v
    with pytest.raises(ValueError, match="shared by '0' and '1'"):
        constraints.spectral_norm(nn.Sequential(a, b), replace=True)


def test_parametrisations_that_are_no_constraints_stay_and_are_named():
    class Positive(nn.Module):
        def forward(self, W: torch.Tensor) -> torch.Tensor:
            return W.abs()

    found = nn.Sequential(nn.Linear(3, 3))
    parametrize.register_parametrization(found[0], "weight", Positive())
    with pytest.warns(UserWarning, match="parametrisations of '0' are no constraints known here and stay"):
        constraints.remove(found)
    assert parametrize.is_parametrized(found[0])


@pytest.mark.parametrize("name", TORCH)
def test_projections_and_clipping_say_that_remove_takes_torchs_own_off(name):
    found = network(TORCH[name])
    for project in (constraints.bound_singular_values_, constraints.clip_weights_):
        with pytest.raises(ValueError, match=r"constraints\.remove\(network\) first$"):
            project(found)
