"""Forwards that are compared share their randomness and their weights; how noisy an approximated penalty is."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from functools import partial
from statistics import fmean, stdev

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.func import vmap

from tightrope import constraints, penalties
from tightrope._plumbing.errors import UserError
from tightrope.autodiff import Remembered
from tightrope.penalties.clamping import finite_gain, jacobian_clamping
from tightrope.penalties.noise import gradient_noise


class Noise(nn.Module):
    def __init__(self, own: bool) -> None:
        super().__init__()
        self.rng = torch.Generator().manual_seed(0) if own else None

    def forward(self, x: Tensor) -> Tensor:
        return x + 0.1 * torch.randn(x.shape, generator=self.rng, dtype=x.dtype)


def mlp(*extra: nn.Module, inputs: int = 2, outputs: int = 1) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(*extra[:1], nn.Linear(inputs, 32), nn.Tanh(), *extra[1:], nn.Linear(32, outputs)).double()


def torchs(network: nn.Sequential) -> nn.Sequential:
    for layer in network:
        if isinstance(layer, nn.Linear):
            nn.utils.parametrizations.spectral_norm(layer)
            layer.parametrizations.weight[0]._u.copy_(torch.ones_like(layer.bias) / layer.bias.numel() ** 0.5)
    return network


CRITICS = {
    "dropout": lambda: mlp(nn.Identity(), nn.Dropout(0.3)),
    "noise": lambda: mlp(Noise(False)),
    "noise of its own generator": lambda: mlp(Noise(True)),
    "advances at every forward": lambda: constraints.spectral_norm(mlp(), update="forward", warmup=0),
    "torch's spectral norm": lambda: torchs(mlp()),
}
X = torch.randn(256, 2, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


class Shift(nn.Module):
    """A critic that adds one number to all scores, drawn at each forward; differences do not see it."""

    def __init__(self, draw: Callable[[], float], held: object = None) -> None:
        super().__init__()
        self.net, self.draw, self.held = mlp(), draw, held

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x) + self.draw()


PYTHON, NUMPY = random.Random(0), np.random.default_rng(0)
SHIFTS = {
    "Python's global state": lambda: Shift(random.random),
    "NumPy's global state": lambda: Shift(np.random.rand),
    "a generator of Python that the module holds": lambda: Shift(PYTHON.random, PYTHON),
    "a generator of NumPy that the module holds": lambda: Shift(NUMPY.random, NUMPY),
}


@pytest.mark.parametrize("critic", SHIFTS.values(), ids=SHIFTS)
def test_draws_of_python_and_numpy_are_shared_too(critic):
    def values(critic: nn.Module) -> list[Tensor]:
        def rng() -> torch.Generator:
            return torch.Generator().manual_seed(0)

        return [
            penalties.finite_difference_r1(critic, X, rng=rng()),
            penalties.consistency(critic, X, X, augment=lambda x, rng=None: 1.01 * x),
            penalties.latent_consistency(critic, torch.tanh, X, rng=rng()),
            finite_gain(critic, X, epsilon=0.1, rng=rng()).mean(),
        ]

    torch.testing.assert_close(values(critic()), values(mlp()))


class Many(nn.Module):
    def __init__(self, how: str) -> None:
        super().__init__()
        self.net, self.how = mlp(nn.Identity(), nn.RReLU(0.1, 0.9)), how

    def forward(self, x: Tensor) -> Tensor:
        if self.how == "values":
            return self.net(x)
        self.rng = getattr(self, "rng", torch.Generator().manual_seed(0))
        return x.sum(1) + torch.randn(len(x), generator=self.rng)


@pytest.mark.parametrize(("how", "words"), [("values", "as many as its values ask for"), ("late", "from the start")])
def test_draws_that_cannot_be_shared_are_refused(how, words):
    with pytest.raises(UserError, match=words):
        penalties.finite_difference_r1(Many(how), X, sigma=0.5)
    if how == "values":
        assert penalties.finite_difference_r1(Many(how).eval(), X).isfinite()


@pytest.mark.parametrize("scored", [False, True])
@pytest.mark.parametrize("critic", CRITICS.values(), ids=CRITICS)
@pytest.mark.parametrize("which", ["r1", "r2"])
def test_finite_differences_of_random_and_moving_critics_are_those_of_one_function(which, critic, scored):
    rng, critic = torch.Generator().manual_seed(0), critic()
    seen = Remembered(critic) if scored else critic
    if scored:
        seen(X), seen(X + 1)  # scores of other draws and other weights, which a comparison must not use
    twin = copy.deepcopy(critic)
    near = getattr(penalties, f"finite_difference_{which}")(seen, X, X, draws=32, rng=rng)
    exact = torch.stack([getattr(penalties, which)(twin, X, X) for _ in range(16)])
    typical = exact[0] if not any(isinstance(m, (nn.Dropout, Noise)) for m in twin.modules()) else exact.mean()
    assert near.item() == pytest.approx(typical.item(), rel=0.15)


def test_a_critic_without_draws_is_called_once_more_and_its_known_scores_are_used():
    class Counting(nn.Linear):
        calls = 0

        def forward(self, x: Tensor) -> Tensor:
            self.calls += 1
            return super().forward(x)

    critic = Counting(2, 1).double()
    penalties.finite_difference_r1(critic, X)  # at its first use a critic is called twice at one point
    critic.calls = 0
    scored = Remembered(critic)
    scored(X)
    state = torch.get_rng_state()
    penalties.finite_difference_r1(scored, X, rng=torch.Generator())
    assert critic.calls == 2 and torch.equal(torch.get_rng_state(), state)


def test_draws_are_averaged_and_one_is_the_published_form():
    critic = mlp()
    several = penalties.finite_difference_r1(critic, X, draws=3, rng=torch.Generator().manual_seed(1))
    rng = torch.Generator().manual_seed(1)
    single = [penalties.finite_difference_r1(critic, X, rng=rng) for _ in range(3)]
    assert several.item() == pytest.approx(torch.stack(single).mean().item(), rel=1e-9)
    bound = penalties.Penalty(penalties.finite_difference_r1, {"draws": 3})
    assert torch.isfinite(bound(critic, X, X, rng=rng)), "a hyperparameter as a Method carries it"
    for bad in (0, -1, 1.5):
        with pytest.raises(UserError, match="whole number of draws"):
            penalties.finite_difference_r1(critic, X, draws=bad)


def test_after_a_comparison_the_random_state_is_that_after_one_forward():
    critic = mlp(nn.Identity(), nn.Dropout(0.5))
    torch.manual_seed(7)
    critic(X)
    expected = torch.get_rng_state()
    torch.manual_seed(7)
    penalties.finite_difference_r1(critic, X, draws=4, rng=torch.Generator())
    assert torch.equal(torch.get_rng_state(), expected)


@pytest.mark.parametrize("epsilon", [1.0, 1e-4])
@pytest.mark.parametrize("kind", ["dropout", "noise"])
def test_the_gain_of_a_random_generator_is_that_of_one_draw_of_it(kind, epsilon):
    A = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64))[0]
    last = nn.Dropout(0.5) if kind == "dropout" else Noise(False)
    z = torch.randn(200, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    network = nn.Sequential(nn.Linear(3, 3, bias=False).double(), last)
    network[0].weight.data.copy_(A)
    gain = finite_gain(network, z, epsilon=epsilon, rng=torch.Generator().manual_seed(2))
    if kind == "noise":
        assert torch.allclose(gain, torch.ones(200).double(), atol=1e-8), "the noise is the same on both sides"
    else:
        assert gain.max() <= 2 + 1e-8, "twice the kept directions at most"
    assert torch.isfinite(jacobian_clamping(network, z, epsilon=epsilon))


def test_draws_beside_batch_statistics_are_refused_and_either_alone_is_not():
    z = torch.randn(8, 3)
    both = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))
    with pytest.raises(UserError, match="share their random draws"):
        jacobian_clamping(both, z)
    both[2].eval()
    assert torch.isfinite(jacobian_clamping(both, z))
    both[2].train(), both[1].eval()
    assert torch.isfinite(jacobian_clamping(both, z))


def test_inside_a_transform_dropout_is_refused():
    critic = mlp(nn.Identity(), nn.Dropout(0.5))
    step = torch.Generator().manual_seed(0)

    def value(x: Tensor) -> Tensor:
        return penalties.finite_difference_r1(critic, x, rng=step)

    with pytest.raises(UserError, match=r"inside torch\.func"):
        vmap(value, randomness="different")(X.reshape(2, 128, 2))
    critic.eval()
    assert torch.isfinite(vmap(value, randomness="different")(X.reshape(2, 128, 2))).all()


def test_gradient_noise_of_a_penalty_without_draws_is_none():
    critic = mlp()
    found = gradient_noise(partial(penalties.r1, gamma=1.0), critic, X, draws=3)
    assert found.deviation == pytest.approx(0, abs=1e-12) and found.cosine() == pytest.approx(1, abs=1e-9)
    slopes = torch.autograd.grad(penalties.r1(critic, X, gamma=1.0), list(critic.parameters()), allow_unused=True)
    assert found.signal == pytest.approx(sum(g.square().sum().item() for g in slopes if g is not None), rel=1e-9)
    assert found.noise == pytest.approx(0, abs=1e-12)
    assert all(p.grad is None for p in critic.parameters())
    with pytest.raises(UserError, match="draws >= 2"):
        gradient_noise(penalties.r1, critic, X, draws=1)


def test_gradient_noise_tells_the_cosine_with_the_exact_gradient():
    critic, x, rng = mlp(), X[:32], torch.Generator().manual_seed(0)
    rough = partial(penalties.finite_difference_r1, sigma=1e-3)
    found = gradient_noise(rough, critic, x, draws=200, rng=rng)

    def gradient(value: Tensor) -> Tensor:
        found = torch.autograd.grad(value, list(critic.parameters()), allow_unused=True)
        return torch.cat([g.flatten() for g in found if g is not None])

    exact = gradient(penalties.r1(critic, x))
    assert found.mean == pytest.approx(penalties.r1(critic, x).item(), rel=0.1)
    assert found.signal == pytest.approx(exact.square().sum().item(), rel=0.3)
    for draws in (1, 8):
        seen = [gradient(rough(critic, x, draws=draws, rng=rng)) for _ in range(60)]
        cosines = torch.stack([torch.cosine_similarity(g[: len(exact)], exact, dim=0) for g in seen])
        assert found.cosine(draws) == pytest.approx(cosines.mean().item(), abs=0.1)


def test_finite_differences_are_never_taken_in_half_precision():
    """A step of 0.01 is lost in bfloat16's rounding: the same number under autocast, a refusal of such networks."""
    x = torch.randn(16, 2, generator=torch.Generator().manual_seed(1))
    value = {}
    for lower in (False, True):
        for shared in (False, True):
            with torch.autocast("cpu", torch.bfloat16, enabled=lower):
                critic = Remembered(mlp().float()) if shared else mlp().float()
                critic(x)  # what the loss has seen is in half precision
                value[lower, shared] = penalties.finite_difference_r1(critic, x, rng=torch.Generator().manual_seed(2))
    assert torch.stack(list(value.values())).eq(value[False, False]).all(), value
    for way in (mlp().bfloat16(), Remembered(mlp().half()), partial(torch.nn.Module.__call__, mlp().bfloat16())):
        with pytest.raises(UserError, match="half precision, whose rounding is larger"):
            penalties.finite_difference_r1(way, x.bfloat16())
        with pytest.raises(UserError, match="half precision, whose rounding is larger"):
            penalties.finite_difference_r2(way, None, x.bfloat16())


def test_the_deviation_of_a_noisy_penalty_is_that_of_its_draws():
    critic, drawn = nn.Linear(2, 1, bias=False).double(), []

    def penalty(critic: nn.Module, real: Tensor, fake: Tensor | None, *, rng: torch.Generator | None) -> Tensor:
        factor = torch.randn((), generator=rng, dtype=torch.float64)
        drawn.append(float(factor) * float(critic.weight.detach().sum()))
        return factor * critic.weight.sum()

    rng = torch.Generator().manual_seed(3)
    found = gradient_noise(penalty, critic, torch.randn(4, 2, dtype=torch.float64), draws=4, rng=rng)
    assert len(drawn) == 4 and found.mean == pytest.approx(fmean(drawn), rel=1e-12)
    assert found.deviation == pytest.approx(stdev(drawn), rel=1e-12)
