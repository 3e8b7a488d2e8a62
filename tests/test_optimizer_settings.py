"""Optimisers built from settings against the published update rules, written out in plain numbers."""

from __future__ import annotations

import math

import pytest
import torch

from tightrope._plumbing.errors import UserError
from tightrope.optimizers.settings import RULES, Optimizer, UpdateRule
from tightrope.optimizers.strides import match_strides_
from tightrope.schedules import Cosine, Linear

GRADIENTS = [0.5, -0.2, 0.9, 0.05, -1.4]


def run(settings: UpdateRule, start: float = 1.0) -> list[float]:
    p = torch.full((3,), start, dtype=torch.float64, requires_grad=True)
    optimizer, path = settings.build([p]), []
    for g in GRADIENTS:
        p.grad = torch.full_like(p, g)
        optimizer.step()
        assert p.unique().numel() == 1
        path.append(p[0].item())
    return path


@pytest.mark.parametrize(("b1", "b2", "lr", "eps"), [(0.0, 0.9, 1e-2, 1e-8), (0.5, 0.999, 2e-3, 1e-3)])
def test_adam(b1, b2, lr, eps):
    p, m, v, expected = 1.0, 0.0, 0.0, []
    for t, g in enumerate(GRADIENTS, 1):
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        p -= lr * (m / (1 - b1**t)) / (math.sqrt(v / (1 - b2**t)) + eps)
        expected.append(p)
    settings = Optimizer("adam", learning_rate=lr, betas=(b1, b2), eps=eps)
    assert run(settings) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("alpha", "momentum"), [(0.99, 0.0), (0.9, 0.6)])
def test_rmsprop(alpha, momentum):
    p, s, buffer, expected = 1.0, 0.0, 0.0, []
    for g in GRADIENTS:
        s = alpha * s + (1 - alpha) * g * g
        buffer = momentum * buffer + g / (math.sqrt(s) + 1e-4)
        p -= 0.01 * buffer
        expected.append(p)
    settings = Optimizer("rmsprop", learning_rate=0.01, alpha=alpha, momentum=momentum, eps=1e-4)
    assert run(settings) == pytest.approx(expected, rel=1e-12)
    if momentum == 0:  # the first step has size lr / sqrt(1 - alpha): ten times the rate at torch's alpha
        first = run(Optimizer("rmsprop", learning_rate=0.01, alpha=alpha))[0]
        assert 1 - first == pytest.approx(0.1, rel=1e-6)


@pytest.mark.parametrize("momentum", [0.0, 0.7])
def test_sgd(momentum):
    p, buffer, expected = 1.0, 0.0, []
    for g in GRADIENTS:
        buffer = momentum * buffer + g
        p -= 0.1 * buffer
        expected.append(p)
    assert run(Optimizer("sgd", learning_rate=0.1, momentum=momentum)) == pytest.approx(expected, rel=1e-12)


def test_integer_betas_are_what_they_say():
    assert run(Optimizer("adam", betas=(0, 0.9))) == run(Optimizer("adam", betas=(0.0, 0.9)))


def test_rates_and_betas_follow_their_schedules():
    settings = Optimizer("adam", learning_rate=Linear(1e-3, 0.0, 100), betas=(0.0, Cosine(0.9, 0.99, 100)))
    p = torch.ones(1, dtype=torch.float64, requires_grad=True)
    optimizer = settings.build([p])
    for images, rate, beta in (
        (0, 1e-3, 0.9),
        (25, 7.5e-4, None),
        (50, 5e-4, 0.945),
        (100, 0.0, 0.99),
        (500, 0.0, 0.99),
    ):
        settings.schedule_(optimizer, images)
        (group,) = optimizer.param_groups
        assert float(group["lr"]) == pytest.approx(rate, abs=1e-18)
        assert float(group["betas"][0]) == 0.0
        if beta is not None:
            assert float(group["betas"][1]) == pytest.approx(beta, rel=1e-14)
    p.grad = torch.ones_like(p)
    optimizer.step()
    assert p.item() == 1.0  # the rate 0 is really used
    settings.schedule_(optimizer, 0)
    optimizer.step()
    assert p.item() < 1.0
    sgd = Optimizer("sgd", learning_rate=Linear(1.0, 3.0, 10))
    other = sgd.build([p])
    assert float(other.param_groups[0]["lr"]) == 1.0
    sgd.schedule_(other, 5)
    assert float(other.param_groups[0]["lr"]) == 2.0


@pytest.mark.parametrize(
    "options",
    [
        {"kind": "nadam"},
        {"learning_rate": -1.0},
        {"learning_rate": math.nan},
        {"learning_rate": math.inf},
        {"betas": (0.0, 1.0)},
        {"betas": (-0.1, 0.9)},
        {"betas": (0.0, Linear(0.9, 1.0, 100))},  # a schedule that ends where Adam divides by zero
        {"betas": (0.9,)},
        {"learning_rate": Cosine(1e-3, -1e-3, 100)},
        {"eps": -1e-8},
        {"kind": "rmsprop", "alpha": 1.0},
        {"kind": "sgd", "momentum": -0.5},
        {"kind": "momentum", "momentum": -1.0},
    ],
)
def test_settings_that_make_no_sense_are_refused(options):
    with pytest.raises(UserError):
        Optimizer(**options)


FIELDS = {  # what each published rule reads besides its rate
    "adam": {"betas", "eps"}, "extra_adam": {"betas", "eps"}, "optimistic_adam": {"betas", "eps"},
    "rmsprop": {"alpha", "eps", "momentum"}, "sgd": {"momentum"}, "momentum": {"momentum"},
    "extra_sgd": set(), "optimistic_sgd": set(),
}  # fmt: skip
VALUES = {"betas": (0.5, 0.9), "eps": 1e-6, "alpha": 0.5, "momentum": 0.25}


@pytest.mark.parametrize("kind", list(RULES))
def test_a_rule_takes_what_it_reads_and_refuses_the_rest(kind):
    assert set(FIELDS) == set(RULES)
    for name, value in VALUES.items():
        if name in FIELDS[kind]:
            settings = Optimizer(kind, 0.1, **{name: value})
            assert type(settings) is RULES[kind] and getattr(settings, name) == value
            assert settings.build([torch.ones(1, requires_grad=True)]).param_groups[0].get(name, value) == value
        else:
            with pytest.raises(UserError, match=f"the optimiser {kind} reads.*got {name}.*leave it out"):
                Optimizer(kind, 0.1, **{name: value})
    with pytest.raises(UserError, match=r"got learning_rat \(did you mean learning_rate\?\)"):
        Optimizer(kind, learning_rat=0.1)


@pytest.mark.parametrize("kind", ["adam", "rmsprop", "sgd"])
def test_gradients_with_foreign_strides_are_brought_into_line(kind):
    """Fused CPU optimisers read a transposed gradient as if it were contiguous (pytorch issue 106951)."""
    rng = torch.Generator().manual_seed(0)
    start, g = torch.randn(2, 3, 5, generator=rng)
    same = start.clone().requires_grad_()
    same.grad = g.clone()
    settings = Optimizer(kind, learning_rate=0.1)
    settings.build([same]).step()

    p = start.clone().requires_grad_()
    p.grad = g.T.contiguous().T
    assert p.grad.stride() != p.stride()
    match_strides_([p, torch.ones(2, requires_grad=True)])  # a parameter without a gradient is skipped
    assert p.grad.stride() == p.stride() and torch.equal(p.grad, g)
    settings.build([p]).step()
    assert torch.equal(p, same)

    image = torch.randn(2, 3, 4, 4, generator=rng).to(memory_format=torch.channels_last).requires_grad_()
    image.grad = torch.randn(2, 3, 4, 4, generator=rng)
    kept = image.grad.clone()
    match_strides_([image])
    assert image.grad.stride() == image.stride() and torch.equal(image.grad, kept)
    plain = image.grad
    match_strides_([image])
    assert image.grad is plain or image.grad.data_ptr() == plain.data_ptr()  # already in line: nothing is copied
