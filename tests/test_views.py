"""Critics with several outputs, several inputs and packed samples against the sums written out by hand in float64."""

from __future__ import annotations

import copy
import math
import pickle
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import relu, softplus

import tightrope
from tightrope import critics, losses, penalties, spectra
from tightrope._plumbing.errors import UserError
from tightrope.autodiff import View, input_gradient, modules_of, rows_of, samples_of, scores_of
from tightrope.monitor import input_gradient_norms
from view_cases import (
    CONDITION,
    KINDS,
    SHAPE,
    Conditional,
    Three,
    WithFeatures,
    by_hand,
    critic,
    data,
    normal,
    rng,
    slopes,
)

# --------------------------------------------------------------------------------------------------------- the rule


def test_what_counts_as_scores():
    a, b = normal(3), normal(3, 2)
    assert scores_of(a) == (a,) and scores_of([a, b]) == (a, b) == scores_of((a, b))
    for nested, what in (
        ([[a], b], "list of list, Tensor"),
        ((a, [b]), "tuple of Tensor, list"),
        ({"logits": a}, "dict with 'logits'"),
        ([], "list of nothing"),
        (None, "NoneType"),
        (a > 0, "torch.bool"),
        ((a, a.argmax()), "tuple of Tensor, Tensor"),
    ):
        with pytest.raises(UserError, match=what) as caught:
            scores_of(nested)
        assert "View(critic, scores=lambda out: out[" in str(caught.value)
    with pytest.raises(UserError, match=r"scores=lambda out: out\['logits'\]"):
        scores_of({"logits": a})
    assert samples_of(b) is b
    with pytest.raises(UserError, match=r"View\(generator, scores=lambda out: out\[0\]\)"):
        samples_of((b, a))
    assert tightrope.View is View


def test_a_view_holds_its_module_and_a_copy_holds_the_copy():
    net = WithFeatures().double()
    view = View(net, call=lambda net, x: net(2 * x), scores=lambda out: out[0])
    x = normal(3, *SHAPE)
    assert all(torch.equal(a, b) for a, b in zip(view(x), Three.forward(net, 2 * x), strict=True))
    assert list(view.parameters()) == list(net.parameters()) and view.module is net
    twin = copy.deepcopy(view)
    with torch.no_grad():
        twin.module.dense.bias += 1
    assert torch.allclose(twin(x)[2], view(x)[2] + 1, rtol=1e-12)
    view.eval()
    assert not net.fine.training
    assert rows_of(View(View(net, rows=2), rows=5)) == 10 and rows_of(View(net)) == 1 == rows_of(net)
    labels = torch.tensor([0, 1, 2])
    inner = View(nn.Bilinear(2, 3, 1), call=lambda net, x, y: net(x, nn.functional.one_hot(y, 3).float()))
    assert View(inner, labels=labels)(torch.ones(3, 2)).shape == (3, 1)
    assert torch.equal(View(inner, labels=labels).with_labels(lambda y: y[1:]).labels, labels[1:])


def test_calls_that_would_not_follow_a_copy_or_take_something_else_are_refused():
    net = Conditional()
    with pytest.raises(UserError, match="first argument"):
        View(net, call=lambda _, x: net(CONDITION, x))
    with pytest.raises(UserError, match="lambda critic, x"):
        View(net, call=lambda x: net(CONDITION, x))
    for rows in (0, 2.5):
        with pytest.raises(ValueError, match="rows"):
            View(net, rows=rows)


def test_a_critic_of_several_inputs_is_told_of_views():
    with pytest.raises(UserError, match=r"View\(critic, call=lambda critic, x: critic\(x, \.\.\.\)\)"):
        penalties.r1(nn.Bilinear(2, 2, 1), torch.randn(4, 2))


def test_modules_are_found_where_functions_hold_them_and_nowhere_else():
    a, b, unused = nn.Linear(2, 1), nn.Linear(2, 1), nn.BatchNorm1d(2)

    class Trainer:
        def __init__(self) -> None:
            self.critic, self.generator, self.many = a, unused, {"first": a, "second": b}

        def score(self, x: Tensor) -> Tensor:
            return self.critic(x)

        def __call__(self, x: Tensor) -> Tensor:
            return self.many["first"](x) + self.many["second"](x)

    trainer = Trainer()
    cases = {
        (a,): [a, lambda x: a(x), trainer.score, lambda x: trainer.critic(x), partial(lambda f, x: f(x), a), a.forward],
        (a, b): [
            lambda x: a(x) + b(x), trainer, (a, b), lambda x, f=(a, [b]): f[0](x), partial(partial(max, a), key=b),
            lambda x: (lambda y: a(y) + b(y))(x),
        ],
        (): [len, torch.relu, lambda x: x.sum(1), None, "a", torch.zeros(1), nn.functional.softplus],
    }  # fmt: skip
    for expected, things in cases.items():
        for thing in things:
            assert set(modules_of(thing)) == set(expected), thing
    view = View(lambda x: a(x), scores=lambda out: b(out))
    assert set(modules_of(view)) == {view, a, b}
    assert modules_of(lambda x: GLOBAL(x)) == (GLOBAL,)


GLOBAL = nn.Linear(2, 1)


# ------------------------------------------------------------------------------------------------- several critics


@pytest.mark.parametrize("kind", KINDS)
def test_losses_add_over_critics(kind):
    seen, net, scale = critic(kind)
    real, fake = data()
    r, f = by_hand(net, scale * real), by_hand(net, scale * fake)
    expected = {
        "minimax": ([softplus(-a).mean() + softplus(b).mean() for a, b in zip(r, f, strict=True)], None),
        "hinge": ([relu(1 - a).mean() + relu(1 + b).mean() for a, b in zip(r, f, strict=True)], [-b.mean() for b in f]),
        "wasserstein": ([b.mean() - a.mean() for a, b in zip(r, f, strict=True)], [-b.mean() for b in f]),
        "least_squares": (
            [(a - 1).square().mean() + (b + 1).square().mean() for a, b in zip(r, f, strict=True)],
            [(b - 1).square().mean() for b in f],
        ),
        "relativistic": (
            [softplus(b - a).mean() for a, b in zip(r, f, strict=True)],
            [softplus(a - b).mean() for a, b in zip(r, f, strict=True)],
        ),
    }
    for name, (for_critic, for_generator) in expected.items():
        loss = losses.LOSSES[name]
        total = sum(v.item() for v in for_critic)
        assert loss.critic(seen(real), seen(fake)).item() == pytest.approx(total, rel=1e-12)
        assert loss.critic(seen(real), seen(fake), reduce="mean").item() == pytest.approx(total / 3, rel=1e-12)
        if for_generator is not None:
            total = sum(v.item() for v in for_generator)
            given = (seen(fake), seen(real)) if loss.paired else (seen(fake),)
            assert loss.generator(*given).item() == pytest.approx(total, rel=1e-12)
            assert loss.generator(*given, reduce="mean").item() == pytest.approx(total / 3, rel=1e-12)


def test_how_losses_are_reduced_may_stand_in_the_loss_and_both_sides_must_fit():
    real, fake = [normal(3), normal(3, seed=1)], [normal(3, seed=2), normal(3, seed=3)]
    mean = losses.Loss("mine", losses.hinge.critic, losses.hinge.generator, reduce="mean")
    assert mean.critic(real, fake).item() == pytest.approx(losses.hinge.critic(real, fake).item() / 2, rel=1e-12)
    assert mean.critic(real, fake, reduce="sum").item() == losses.hinge.critic(real, fake).item()
    assert pickle.loads(pickle.dumps(losses.hinge)) == losses.hinge
    with pytest.raises(UserError, match="of 2 and 1"):
        losses.hinge.critic(real, fake[0])
    with pytest.raises(ValueError, match="reduce"):
        losses.hinge.critic(real, fake, reduce="half")
    with pytest.raises(UserError, match="per critic"):
        losses.hinge.generator({"fake": fake[0]})


@pytest.mark.parametrize("kind", KINDS)
def test_a_penalty_is_the_sum_of_each_critics_own(kind):
    seen, net, scale = critic(kind)
    real, fake = data()
    r1 = sum(sum(s * s for s in row) / 4 for row in slopes(net, real, scale))
    assert penalties.r1(seen, real, gamma=0.6).item() == pytest.approx(0.3 * r1, rel=1e-10)
    r2 = sum(sum(s * s for s in row) / 4 for row in slopes(net, fake, scale))
    assert penalties.r2(seen, None, fake, gamma=0.6).item() == pytest.approx(0.3 * r2, rel=1e-10)
    points = penalties.interpolate(real, fake, rng=rng(5))
    for one_sided in (False, True):
        excess = [[s - 1.1 for s in row] for row in slopes(net, points, scale)]
        cost = sum(sum(max(e, 0.0) ** 2 if one_sided else e * e for e in row) / 4 for row in excess)
        options = {"weight": 3.0, "target": 1.1, "one_sided": one_sided, "rng": rng(5)}
        assert penalties.gradient_penalty(seen, real, fake, **options).item() == pytest.approx(3 * cost, rel=1e-10)
    noise = torch.randn(real.shape, generator=rng(6), dtype=torch.float64)
    moved, here = by_hand(net, scale * (real + 0.1 * noise)), by_hand(net, scale * real)
    cost = sum((a.sum(1) - b.sum(1)).square().mean().item() for a, b in zip(moved, here, strict=True))
    value = penalties.finite_difference_r1(seen, real, gamma=0.4, sigma=0.1, rng=rng(6)).item()
    assert value == pytest.approx(0.4 / (2 * 0.1**2) * cost, rel=1e-10)


@pytest.mark.parametrize("name", list(penalties.PENALTIES))
def test_parameter_gradients_of_several_critics_equal_numerical_differentiation(name):
    seen, net, _ = critic("features")
    real, fake = data()

    def value() -> Tensor:
        return penalties.PENALTIES[name](seen, real, fake, rng=rng(9))

    value().backward()
    for p in net.parameters():
        direction = torch.randn(p.shape, generator=rng(3), dtype=torch.float64)
        ends = []
        for step in (1e-6, -1e-6):
            with torch.no_grad():
                p += step * direction
            ends.append(value().item())
            with torch.no_grad():
                p -= step * direction
        slope = (ends[0] - ends[1]) / 2e-6
        found = 0.0 if p.grad is None else (p.grad * direction).sum().item()
        assert found == pytest.approx(slope, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_diagnostics_of_several_critics_are_those_of_the_sum(kind):
    seen, net, scale = critic(kind)
    real, fake = data()

    def total(x: Tensor) -> Tensor:
        return sum(part.sum(1) for part in by_hand(net, scale * x))

    def steepness(x: Tensor) -> Tensor:
        x = x.clone().requires_grad_()
        return torch.autograd.grad(total(x).sum(), x)[0].flatten(1).norm(dim=1)

    assert torch.allclose(input_gradient(seen, real).flatten(1).norm(dim=1), steepness(real), rtol=1e-10)
    found = critics.lipschitz_interval(seen, real, fake, steps=3, keep=4)
    assert torch.allclose(found.slopes, steepness(found.witnesses), rtol=1e-9)
    assert found.lower <= found.upper < math.inf and not found.reasons
    assert {layer.name for layer in found.layers} == {"fine", "coarse", "dense"}
    assert steepness(3 * normal(200, *SHAPE, seed=7)).max() <= found.upper
    estimate = critics.wasserstein_estimate(seen, real, fake)
    assert estimate.raw == pytest.approx((total(real).mean() - total(fake).mean()).item(), rel=1e-10)
    norms = input_gradient_norms(seen, real, fake, rng=rng(4))
    assert norms["fake"] == pytest.approx(steepness(fake).mean().item(), rel=1e-9)
    whole = {s.name: s for s in spectra.layer_spectra(seen, real)}
    assert set(whole) == {"fine", "coarse", "dense"}
    for name, layer in (("fine", net.fine), ("coarse", net.coarse)):
        kernel = torch.linalg.svdvals(layer.weight.detach().flatten(1))
        assert torch.allclose(whole[name].kernel, kernel, rtol=1e-10)
        assert whole[name].input_shape == SHAPE
