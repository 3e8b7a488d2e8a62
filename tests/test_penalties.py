"""Penalties against closed forms on linear, quadratic and Dirac critics, and against numerical differentiation."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import Tensor, nn

from tightrope import penalties
from tightrope.penalties import Penalty

SHAPE = (3, 4, 5)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=rng(seed), dtype=torch.float64)


class Linear(nn.Module):
    """D(x) = <w, x> + b over all axes of a sample: its gradient is w everywhere."""

    def __init__(self, w: Tensor, b: float = 0.3) -> None:
        super().__init__()
        self.w, self.b = nn.Parameter(w.clone()), nn.Parameter(torch.tensor(b, dtype=w.dtype))

    def forward(self, x: Tensor) -> Tensor:
        return (x * self.w).flatten(1).sum(1) + self.b


class Quadratic(nn.Module):
    """D(x) = x'Ax/2 + b'x with symmetric A: its gradient is Ax + b."""

    def __init__(self, A: Tensor, b: Tensor) -> None:
        super().__init__()
        self.A, self.b = nn.Parameter((A + A.T) / 2), nn.Parameter(b.clone())

    def forward(self, x: Tensor) -> Tensor:
        return torch.einsum("ni,ij,nj->n", x, self.A, x) / 2 + x @ self.b


def squares(x: Tensor) -> float:
    return math.fsum(v * v for v in x.flatten().tolist())


def smooth_critic(seed: int = 0, d: int = 3) -> nn.Module:
    net = nn.Sequential(nn.Linear(d, 5), nn.Tanh(), nn.Linear(5, 4), nn.Softplus(), nn.Linear(4, 1)).double()
    with torch.no_grad():
        for i, p in enumerate(net.parameters()):
            p.copy_(0.7 * normal(*p.shape, seed=100 * seed + i))
    return net


# ---------------------------------------------------------------------------------------------------- closed forms


@pytest.mark.parametrize("batch", [1, 6])
@pytest.mark.parametrize("scale", [0.02, 3.0])
def test_on_a_linear_critic_every_penalty_is_its_formula_in_the_norm_over_all_axes(batch, scale):
    w = scale * normal(*SHAPE)
    critic, length = Linear(w), math.sqrt(squares(w))
    real, fake = normal(batch, *SHAPE, seed=1), normal(batch, *SHAPE, seed=2)
    for target in (0.0, 1.0, 2.5):
        value = penalties.gradient_penalty(critic, real, fake, weight=7.0, target=target, rng=rng())
        assert value.item() == pytest.approx(7 * (length - target) ** 2, rel=1e-12)
        one = penalties.gradient_penalty(critic, real, fake, weight=7.0, target=target, one_sided=True, rng=rng())
        assert one.item() == pytest.approx(7 * max(0.0, length - target) ** 2, rel=1e-12)
    published = penalties.gradient_penalty(critic, real, fake, rng=rng())
    assert published.item() == pytest.approx(10 * (length - 1) ** 2, rel=1e-12)  # lambda 10, two-sided, aimed at 1
    assert published.shape == () and published.dtype == torch.float64
    for penalty in (penalties.r1, penalties.r2):
        assert penalty(critic, real, fake, gamma=3.0).item() == pytest.approx(1.5 * squares(w), rel=1e-12)
        assert penalty(critic, real, fake).item() == pytest.approx(5 * squares(w), rel=1e-12)  # gamma 10
    assert penalties.r1(critic, real, gamma=3.0).item() == pytest.approx(1.5 * squares(w), rel=1e-12)
    assert penalties.r2(critic, None, fake, gamma=3.0).item() == pytest.approx(1.5 * squares(w), rel=1e-12)


def test_on_a_quadratic_critic_each_penalty_looks_at_its_own_points():
    critic = Quadratic(normal(4, 4), normal(4, seed=1))
    real, fake = normal(5, 4, seed=2), 2 * normal(5, 4, seed=3) + 1
    seen: list[Tensor] = []

    def watched(x: Tensor) -> Tensor:
        seen.append(x.detach().clone())
        return critic(x)

    def gradient(x: Tensor) -> list[float]:
        A, b = critic.A.tolist(), critic.b.tolist()
        return [math.fsum(a * v for a, v in zip(row, x.tolist(), strict=True)) + c for row, c in zip(A, b, strict=True)]

    def norms(points: Tensor) -> list[float]:
        return [math.sqrt(math.fsum(g * g for g in gradient(x))) for x in points]

    r1 = penalties.r1(critic, real, fake, gamma=0.8).item()
    assert r1 == pytest.approx(0.4 * sum(n * n for n in norms(real)) / 5, rel=1e-12)
    r2 = penalties.r2(critic, real, fake, gamma=0.8).item()
    assert r2 == pytest.approx(0.4 * sum(n * n for n in norms(fake)) / 5, rel=1e-12)
    for one_sided in (False, True):
        seen.clear()
        value = penalties.gradient_penalty(watched, real, fake, weight=2, target=3, one_sided=one_sided, rng=rng())
        (points,) = seen
        excess = [n - 3 for n in norms(points)]
        assert min(excess) < 0 < max(excess)  # both sides of the target occur
        cost = [max(0.0, e) ** 2 if one_sided else e * e for e in excess]
        assert value.item() == pytest.approx(2 * sum(cost) / 5, rel=1e-12)
        share = (points - fake) / (real - fake)  # one coefficient per sample, within the segment
        assert torch.allclose(share, share[:, :1].expand_as(share), rtol=1e-9)
        assert ((share >= 0) & (share <= 1)).all() and len(set(share[:, 0].tolist())) == 5


def test_interpolation_coefficients_are_uniform_and_one_per_sample():
    n = 20_000  # chosen beforehand; bounds are 4 standard errors of a uniform's first two moments
    points = penalties.interpolate(torch.ones(n, 2, 2, dtype=torch.float64), torch.zeros(n, 2, 2).double(), rng=rng())
    e = points[:, 0, 0]
    assert torch.equal(points, e[:, None, None].expand_as(points)) and not points.requires_grad
    assert e.min() >= 0 and e.max() <= 1
    assert abs(e.mean().item() - 1 / 2) < 4 * math.sqrt(1 / 12 / n)
    assert abs((e**2).mean().item() - 1 / 3) < 4 * math.sqrt(4 / 45 / n)
    assert torch.equal(points, penalties.interpolate(torch.ones_like(points), torch.zeros_like(points), rng=rng()))
    moved = penalties.interpolate(torch.full_like(points, 5.0), torch.full_like(points, 4.0), rng=rng())
    assert moved.min() >= 4 and moved.max() <= 5


@pytest.mark.parametrize("psi", [-1.3, 0.0, 0.4])
def test_dirac_critic(psi):
    """D(x) = psi x with data at 0 and the generator at theta: 1801.04406, sections 3.2 and 4.1."""
    critic = Linear(torch.tensor([psi], dtype=torch.float64), b=0.0)
    real, fake = torch.zeros(4, 1, dtype=torch.float64), torch.full((4, 1), 0.7, dtype=torch.float64)
    sign = (psi > 0) - (psi < 0)
    for penalty, options, value, slope in (
        (penalties.r1, {"gamma": 0.3}, 0.15 * psi**2, 0.3 * psi),
        (penalties.r2, {"gamma": 0.3}, 0.15 * psi**2, 0.3 * psi),
        (penalties.gradient_penalty, {"weight": 0.7}, 0.7 * (abs(psi) - 1) ** 2, 1.4 * (abs(psi) - 1) * sign),
        (
            penalties.gradient_penalty,
            {"weight": 0.7, "one_sided": True},
            0.7 * max(0, abs(psi) - 1) ** 2,
            1.4 * max(0, abs(psi) - 1) * sign,
        ),
    ):
        critic.zero_grad()
        result = penalty(critic, real, fake, rng=rng(), **options)
        result.backward()
        assert result.item() == pytest.approx(value, abs=1e-15)
        assert critic.w.grad.item() == pytest.approx(slope, abs=1e-15)


# ---------------------------------------------------------------------------------------------- finite differences


@pytest.mark.parametrize("which", ["real", "fake"])
def test_finite_differences_have_the_expectation_and_the_spread_they_claim(which):
    """n = 20 000 draws, chosen beforehand. On a linear critic a draw is (gamma/2)|w|^2 chi^2_1: relative sd sqrt 2."""
    n, w = 20_000, normal(*SHAPE)
    penalty = penalties.finite_difference_r1 if which == "real" else penalties.finite_difference_r2
    x, junk = normal(n, *SHAPE, seed=1), torch.full((n, *SHAPE), torch.nan)
    pair = (x, junk) if which == "real" else (junk, x)
    for gamma, sigma in ((10.0, 0.01), (0.5, 0.2)):
        value = penalty(Linear(w), *pair, gamma=gamma, sigma=sigma, rng=rng(4)).item()
        exact = gamma / 2 * squares(w)
        assert abs(value / exact - 1) < 4 * math.sqrt(2 / n)
    draws = torch.tensor([penalty(Linear(w), x[:16], x[:16], gamma=2.0, rng=rng(i)).item() for i in range(400)])
    ratio = (
        draws.std().item() / squares(w) / math.sqrt(2 / 16)
    )  # the standard error of a standard deviation: 1/sqrt(2N)
    assert abs(ratio - 1) < 4 * math.sqrt((1 + 6 / 16) / (2 * 400))  # with the excess kurtosis of chi^2_16 / 16


def test_finite_differences_of_a_quadratic_have_the_exact_bias_in_sigma():
    """E (D(x + s e) - D(x))^2 / s^2 = |Ax + b|^2 + s^2/4 (tr(A)^2 + 2 tr(A^2)): the odd moments vanish."""
    n, sigma = 40_000, 0.5  # chosen beforehand; four standard errors, taken from the draws of an independent loop
    critic, x = Quadratic(normal(3, 3), normal(3, seed=1)), normal(1, 3, seed=2)
    A, b = critic.A.detach(), critic.b.detach()
    exact = squares(A @ x[0] + b) + sigma**2 / 4 * (A.trace().item() ** 2 + 2 * (A @ A).trace().item())
    e = normal(n, 3, seed=3)
    draws = (sigma * e @ (A @ x[0] + b) + sigma**2 / 2 * ((e @ A) * e).sum(1)) ** 2 / sigma**2
    error = draws.std().item() / math.sqrt(n)
    value = penalties.finite_difference_r1(critic, x.expand(n, 3), gamma=2.0, sigma=sigma, rng=rng(5)).item()
    assert abs(value - exact) < 4 * error
    assert error < 0.02 * exact  # the test has the power to see a missing term
    for penalty, pair in ((penalties.finite_difference_r1, (x,)), (penalties.finite_difference_r2, (None, x))):
        usual = penalty(critic, *pair, rng=rng()).item()  # gamma 10 and sigma 0.01, and the other batch is not needed
        assert usual == penalty(critic, *pair, gamma=10.0, sigma=0.01, rng=rng()).item()
    for bad in (0.0, -0.1):
        with pytest.raises(ValueError, match="sigma"):
            penalties.finite_difference_r1(critic, x, sigma=bad)
        with pytest.raises(ValueError, match="sigma"):
            penalties.finite_difference_r2(critic, x, x, sigma=bad)


# ------------------------------------------------------------------------------------------------ differentiability


@pytest.mark.parametrize("name", list(penalties.PENALTIES))
@pytest.mark.parametrize("options", [{}, {"one_sided": True, "target": 0.2}])
def test_parameter_gradients_equal_numerical_differentiation(name, options):
    if options and name != "gradient_penalty":
        options = {"target": 0.2} if name == "dragan" else {"gamma": 0.37}
    critic, real, fake = smooth_critic(), normal(4, 3, seed=1), normal(4, 3, seed=2)

    def value() -> Tensor:
        return penalties.PENALTIES[name](critic, real, fake, rng=rng(9), **options)

    exact = torch.autograd.grad(value(), list(critic.parameters()), allow_unused=True, materialize_grads=True)
    assert max(g.abs().max().item() for g in exact) > 1e-3
    h = 1e-6
    for p, g in zip(critic.parameters(), exact, strict=True):
        for i in range(p.numel()):
            with torch.no_grad():
                p.view(-1)[i] += h
            up = value().item()
            with torch.no_grad():
                p.view(-1)[i] -= 2 * h
            slope = (up - value().item()) / (2 * h)
            with torch.no_grad():
                p.view(-1)[i] += h
            assert g.view(-1)[i].item() == pytest.approx(slope, rel=2e-4, abs=2e-6)


def test_a_critic_with_zero_gradient_gives_finite_values_and_gradients():
    """The gradient of sqrt(sum of squares) at zero is NaN: the classic trap of home-made gradient penalties."""
    x, y = normal(3, *SHAPE, seed=1), normal(3, *SHAPE, seed=2)
    flat = Linear(torch.zeros(SHAPE, dtype=torch.float64))
    silent = nn.Sequential(nn.Flatten(), nn.Linear(60, 8), nn.ReLU(), nn.Linear(8, 1)).double()
    nn.init.zeros_(silent[3].weight)
    dead = copy.deepcopy(silent)
    nn.init.constant_(dead[1].bias, -1e3)  # every unit off
    for critic in (flat, silent, dead):
        for name, penalty in penalties.PENALTIES.items():
            critic.zero_grad()
            value = penalty(critic, x, y, rng=rng())
            value.backward()
            assert value.item() == pytest.approx(10.0 if name in ("gradient_penalty", "dragan") else 0.0, abs=1e-18)
            assert all(torch.isfinite(p.grad).all() for p in critic.parameters() if p.grad is not None)


def test_several_scores_per_sample_are_summed_before_the_gradient():
    kernels = normal(1, 2, 3, 3)
    conv = nn.Conv2d(2, 1, 3, bias=False).double()
    with torch.no_grad():
        conv.weight.copy_(kernels)
    real, fake = normal(3, 2, 5, 5, seed=1), normal(3, 2, 5, 5, seed=2)
    total = torch.zeros(2, 5, 5, dtype=torch.float64)  # gradient of the sum of the 3x3 map of scores, by hand
    for i in range(3):
        for j in range(3):
            total[:, i : i + 3, j : j + 3] += kernels[0]
    assert penalties.r1(conv, real, gamma=2.0).item() == pytest.approx(squares(total), rel=1e-12)
    assert penalties.r2(conv, real, fake, gamma=2.0).item() == pytest.approx(squares(total), rel=1e-12)
    value = penalties.gradient_penalty(conv, real, fake, weight=1.0).item()
    assert value == pytest.approx((math.sqrt(squares(total)) - 1) ** 2, rel=1e-12)


# ------------------------------------------------------------------------------------------------ what is refused


@pytest.mark.parametrize("name", ["gradient_penalty", "r1", "r2"])
def test_batch_normalisation_in_training_mode_is_refused(name):
    x, y = normal(6, 3), normal(6, 3, seed=1)
    net = nn.Sequential(nn.Linear(3, 4), nn.Sequential(nn.BatchNorm1d(4), nn.ReLU()), nn.Linear(4, 1)).double()
    with pytest.raises(ValueError, match=r"(?i)batch.?norm"):
        penalties.PENALTIES[name](net, x, y)
    net.eval()
    assert torch.isfinite(penalties.PENALTIES[name](net, x, y))
    net.train()
    net[1][0].eval()  # frozen statistics inside a network in training mode treat samples one by one
    assert torch.isfinite(penalties.PENALTIES[name](net, x, y))
    for fine in (nn.LayerNorm(4), nn.GroupNorm(2, 4)):
        other = nn.Sequential(nn.Linear(3, 4), fine, nn.Linear(4, 1)).double()
        assert torch.isfinite(penalties.PENALTIES[name](other, x, y))


@pytest.mark.parametrize("name", ["gradient_penalty", "r1", "r2"])
def test_batch_normalisation_without_running_statistics_is_refused_in_evaluation_mode_too(name):
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4, track_running_stats=False), nn.Linear(4, 1)).double().eval()
    with pytest.raises(ValueError, match=r"found 1\)"):
        penalties.PENALTIES[name](net, normal(6, 3), normal(6, 3, seed=1))


def test_shapes_that_do_not_match_are_refused():
    critic = smooth_critic()
    with pytest.raises(ValueError, match="shape"):
        penalties.gradient_penalty(critic, normal(4, 3), normal(5, 3))
    with pytest.raises(ValueError, match="shape"):
        penalties.gradient_penalty(critic, normal(4, 3), normal(1, 3))  # would broadcast
    assert torch.isfinite(penalties.r1(critic, normal(4, 3), normal(7, 3)))


# ------------------------------------------------------------------------------------------ what must not be touched


@pytest.mark.parametrize("name", list(penalties.PENALTIES))
def test_samples_flags_and_other_networks_are_left_alone(name):
    critic, generator = smooth_critic(), nn.Linear(2, 3).double()
    real, fake = normal(4, 3, seed=1), generator(normal(4, 2, seed=2))
    kept = real.clone(), fake.detach().clone()
    penalties.PENALTIES[name](critic, real, fake, rng=rng()).backward()
    assert torch.equal(real, kept[0]) and torch.equal(fake, kept[1])
    assert not real.requires_grad and real.grad is None and fake.requires_grad
    assert all(p.grad is None for p in generator.parameters())
    assert any(p.grad is not None and p.grad.abs().max() > 0 for p in critic.parameters())
    assert all(p.requires_grad for p in critic.parameters()) and critic.training


@pytest.mark.parametrize("name", list(penalties.PENALTIES))
def test_an_explicit_generator_decides_everything_and_spares_the_global_one(name):
    critic, real, fake = smooth_critic(), normal(4, 3, seed=1), normal(4, 3, seed=2)
    penalty = penalties.PENALTIES[name]
    state = torch.get_rng_state()
    first, again, other = (penalty(critic, real, fake, rng=rng(s)).item() for s in (5, 5, 6))
    assert torch.equal(torch.get_rng_state(), state)
    assert first == again
    assert (first == other) == (name in ("r1", "r2"))
    source = rng(5)
    penalty(critic, real, fake, rng=source)
    assert torch.equal(source.get_state(), rng(5).get_state()) == (name in ("r1", "r2"))


def test_batches_of_one_and_samples_that_already_require_a_gradient():
    critic, x = smooth_critic(), normal(1, 3, seed=1)
    expected = penalties.r1(critic, x).item()
    leaf = x.clone().requires_grad_()
    assert penalties.r1(critic, leaf).item() == expected
    assert leaf.grad is None and leaf.requires_grad
    for name, penalty in penalties.PENALTIES.items():
        assert penalty(critic, x, x, rng=rng()).shape == (), name


def test_half_precision_scores_are_summed_in_single_precision():
    """Under bf16 autocast the penalty is a float32 number close to the float32 one."""
    w = normal(*SHAPE).float()
    critic = nn.Sequential(nn.Flatten(), nn.Linear(60, 1))
    with torch.no_grad():
        critic[1].weight.copy_(w.flatten()[None])
    x = normal(4, *SHAPE, seed=1).float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = penalties.r1(critic, x, gamma=2.0)
        other = penalties.gradient_penalty(critic, x, x, weight=1.0, target=0.0)
    assert value.dtype == other.dtype == torch.float32
    assert value.item() == pytest.approx(squares(w), rel=1e-2)  # bf16 keeps 8 bits of the weights
    assert other.item() == pytest.approx(squares(w), rel=1e-2)


# ------------------------------------------------------------------------------------------------- lazy application


@pytest.mark.parametrize("every", [1, 4, 16])
def test_lazy_application_averages_to_the_penalty_and_spares_the_critic(every):
    critic, real, calls = smooth_critic(), normal(4, 3, seed=1), []

    def counted(x: Tensor) -> Tensor:
        calls.append(len(x))
        return critic(x)

    lazily = penalties.lazy(penalties.r1, every)
    for first in (0, 3 * every):
        calls.clear()
        values = [lazily(counted, real, real, step=first + k, gamma=0.9) for k in range(every)]
        assert len(calls) == 1  # of a whole period
        mean = sum(v.item() for v in values) / every
        assert mean == pytest.approx(penalties.r1(critic, real, gamma=0.9).item(), rel=1e-12)
        assert all(v.shape == () for v in values)
        assert values[0].item() > 0 and all(v.item() == 0 for v in values[1:])
    for bad in (0, -1):
        with pytest.raises(ValueError, match="step"):
            penalties.lazy(penalties.r1, bad)
        with pytest.raises(ValueError, match="step"):
            Penalty(penalties.r1, {"gamma": 1.0}, every=bad)
    at_fakes = penalties.lazy(penalties.r2, every)(critic, real, 2 * real, step=0).item()
    assert at_fakes == pytest.approx(every * penalties.r2(critic, real, 2 * real).item(), rel=1e-12)
    bound = Penalty(penalties.r1, {"gamma": 0.9}, every=every)
    assert [k for k in range(40) if bound.due(k)] == list(range(0, 40, every))
    expected = every * penalties.r1(critic, real, gamma=0.9).item()
    assert bound(critic, real, real).item() == pytest.approx(expected, rel=1e-12)


def test_conversion_from_the_authors_code():
    """GAN_stability multiplies E|grad|^2 by reg_param 10 without the half: gamma 20 in the paper's convention."""
    assert penalties.from_gan_stability(10.0) == 20.0
    w = normal(4)
    value = penalties.r1(Linear(w), normal(3, 4, seed=1), gamma=penalties.from_gan_stability(10.0)).item()
    assert value == pytest.approx(10 * squares(w), rel=1e-12)
