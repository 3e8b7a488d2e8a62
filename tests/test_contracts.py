"""The battery that every penalty goes through; a new one is enrolled by one line here."""

from __future__ import annotations

import inspect

import pytest
import torch
from torch import nn

from tightrope.penalties import PENALTIES

# Penalty -> one other value for each of its hyperparameters.
ENROLLED = {
    "dragan": {"weight": 2.0, "target": 0.5, "scale": 0.2},
    "gradient_penalty": {"weight": 3.0, "target": 0.5, "one_sided": True},
    "r1": {"gamma": 3.0},
    "r2": {"gamma": 3.0},
    "finite_difference_r1": {"gamma": 3.0, "sigma": 0.2, "draws": 2},
    "finite_difference_r2": {"gamma": 3.0, "sigma": 0.2, "draws": 2},
}
SHAPES = ((3,), (2, 4), (2, 4, 4))


def samples(shape: tuple[int, ...], batch: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(1)
    real, fake = torch.randn(2, batch, *shape, generator=rng, dtype=torch.float64).unbind()
    return real, fake + 0.5


def network(shape: tuple[int, ...], *, zero: bool = False) -> nn.Module:
    d = torch.Size(shape).numel()
    net = nn.Sequential(nn.Flatten(), nn.Linear(d, 6), nn.Tanh(), nn.Linear(6, 1)).double()
    rng = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in net.parameters():
            p.copy_(0.3 * torch.randn(p.shape, generator=rng, dtype=torch.float64))
        if zero:
            net[3].weight.zero_()
    return net


def test_every_penalty_is_enrolled_with_all_its_hyperparameters():
    assert set(ENROLLED) == set(PENALTIES)
    for name, function in PENALTIES.items():
        signature = inspect.signature(function)
        assert list(signature.parameters)[:3] == ["critic", "real", "fake"]
        keywords = [n for n, p in signature.parameters.items() if p.kind is p.KEYWORD_ONLY]
        assert keywords[-1] == "rng" and set(keywords) - {"rng"} == set(ENROLLED[name])
        assert all(p.default is not p.empty for p in signature.parameters.values() if p.kind is p.KEYWORD_ONLY)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", list(ENROLLED))
def test_finite_non_negative_and_differentiable_also_where_the_gradient_is_zero(name, shape):
    real, fake = samples(shape)
    for zero in (False, True):
        critic = network(shape, zero=zero)
        value = PENALTIES[name](critic, real, fake, rng=torch.Generator().manual_seed(0))
        assert value.shape == () and value.dtype == torch.float64 and torch.isfinite(value) and value >= 0
        slopes = torch.autograd.grad(value, list(critic.parameters()), allow_unused=True)
        assert any(g is not None for g in slopes)
        assert all(torch.isfinite(g).all() for g in slopes if g is not None)
        assert zero or any(g is not None and g.abs().max() > 0 for g in slopes)


@pytest.mark.parametrize(("name", "option"), [(n, o) for n, options in ENROLLED.items() for o in options])
def test_each_hyperparameter_changes_the_value(name, option):
    real, fake = samples((3,))
    critic = network((3,))
    usual, other = (
        PENALTIES[name](critic, real, fake, rng=torch.Generator().manual_seed(0), **options).item()
        for options in ({}, {option: ENROLLED[name][option]})
    )
    assert abs(usual - other) > 1e-6 * abs(usual)


@pytest.mark.parametrize("name", list(ENROLLED))
def test_proportional_to_the_weight_and_a_mean_over_samples(name):
    real, fake = samples((3,), batch=1)
    critic = network((3,))
    weight = "weight" if name in ("gradient_penalty", "dragan") else "gamma"

    def value(real: torch.Tensor, fake: torch.Tensor, **options: float) -> float:
        return PENALTIES[name](critic, real, fake, rng=torch.Generator().manual_seed(0), **options).item()

    once = value(real, fake, **{weight: 1.0})
    assert value(real, fake, **{weight: 2.5}) == pytest.approx(2.5 * once, rel=1e-12)
    if not name.startswith(("finite_difference", "dragan")):  # those draw a new step for each sample
        alike = value(real.expand(7, 3), real.expand(7, 3), **{weight: 1.0})
        assert alike == pytest.approx(value(real, real, **{weight: 1.0}), rel=1e-12)
