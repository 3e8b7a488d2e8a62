"""Losses against arithmetic done by hand, slow loops over plain numbers, and the papers' values at the optimum."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from torch import nn

from tightrope import losses

NAMES = ("minimax", "non_saturating", "wasserstein", "hinge", "least_squares", "relativistic")
LOG2, LOG3, LOG4 = math.log(2.0), math.log(3.0), math.log(4.0)


def f64(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def mean(values: list[float]) -> float:
    return math.fsum(values) / len(values)


def softplus(t: float) -> float:
    return max(t, 0.0) + math.log1p(math.exp(-abs(t)))


def slow_critic(name: str, r: list[float], f: list[float]) -> float:
    """The critic's loss, one score at a time; real scores high, both players minimise."""
    if name in ("minimax", "non_saturating"):  # -E log D(x) - E log(1 - D(G(z))) with D = sigmoid(score)
        return mean([softplus(-x) for x in r]) + mean([softplus(y) for y in f])
    if name == "wasserstein":
        return mean(f) - mean(r)
    if name == "hinge":
        return mean([max(0.0, 1 - x) for x in r]) + mean([max(0.0, 1 + y) for y in f])
    if name == "least_squares":
        return mean([(x - 1) ** 2 for x in r]) + mean([(y + 1) ** 2 for y in f])
    return mean([softplus(-(x - y)) for x, y in zip(r, f, strict=True)])


def slow_generator(name: str, f: list[float], r: list[float]) -> float:
    if name == "minimax":  # E log(1 - D(G(z)))
        return mean([-softplus(y) for y in f])
    if name == "non_saturating":  # -E log D(G(z))
        return mean([softplus(-y) for y in f])
    if name in ("wasserstein", "hinge"):
        return -mean(f)
    if name == "least_squares":
        return mean([(y - 1) ** 2 for y in f])
    return mean([softplus(-(y - x)) for x, y in zip(r, f, strict=True)])


def test_the_table_holds_exactly_the_published_losses():
    assert set(losses.LOSSES) == set(NAMES)
    for name, loss in losses.LOSSES.items():
        assert loss.name == name
        assert loss is getattr(losses, name)
        assert loss.paired == (name == "relativistic")
        assert loss.needs_lipschitz == (name == "wasserstein")
        assert loss.source
    with pytest.raises(dataclasses.FrozenInstanceError):
        losses.hinge.name = "other"  # type: ignore[misc]


# By hand. Logistic losses at logarithms: softplus(log 3) = log 4, softplus(-log 3) = log 4/3.
# real (2, -1), fake (0.5, -3, 1) elsewhere: hinge real (0, 2), fake (1.5, 0, 2);
# least squares real (1, 4), fake (2.25, 4, 4), generator (0.25, 16, 0).
@pytest.mark.parametrize(
    ("name", "real", "fake", "critic", "generator"),
    [
        ("minimax", (LOG3, -LOG3), (LOG3, 0.0), (LOG4 - LOG3 + LOG4) / 2 + (LOG4 + LOG2) / 2, -(LOG4 + LOG2) / 2),
        ("non_saturating", (LOG3,), (LOG3, -LOG3), LOG4 - LOG3 + LOG4 - LOG3 / 2, (LOG4 - LOG3 + LOG4) / 2),
        ("wasserstein", (2.0, -1.0), (0.5, -3.0, 1.0), -1.0, 0.5),
        ("hinge", (2.0, -1.0), (0.5, -3.0, 1.0), 1.0 + 3.5 / 3, 0.5),
        ("least_squares", (2.0, -1.0), (0.5, -3.0, 1.0), 2.5 + 10.25 / 3, 16.25 / 3),
        ("relativistic", (LOG3, 1.0), (0.0, 1.0), (LOG4 - LOG3 + LOG2) / 2, (LOG4 + LOG2) / 2),
    ],
)
def test_values_worked_out_by_hand(name, real, fake, critic, generator):
    loss, r, f = losses.LOSSES[name], f64(*real), f64(*fake)
    assert loss.critic(r, f).item() == pytest.approx(critic, rel=1e-14)
    assert loss.generator(f, r if loss.paired else None).item() == pytest.approx(generator, rel=1e-14)


@pytest.mark.parametrize("name", NAMES)
def test_agrees_with_a_slow_loop_and_ignores_the_shape_of_the_scores(name):
    rng = torch.Generator().manual_seed(3)
    loss = losses.LOSSES[name]
    r, f = (2 * torch.randn(2, 36, generator=rng, dtype=torch.float64)).unbind()
    critic = slow_critic(name, r.tolist(), f.tolist())
    generator = slow_generator(name, f.tolist(), r.tolist())
    for shape in ((36,), (36, 1), (4, 1, 3, 3), (2, 18), (3, 2, 2, 3)):
        value = loss.critic(r.view(shape), f.view(shape))
        assert value.shape == () and value.dtype == torch.float64
        assert value.item() == pytest.approx(critic, rel=1e-13)
        assert loss.generator(f.view(shape), r.view(shape)).item() == pytest.approx(generator, rel=1e-13)
    if not loss.paired:  # real scores are optional, and of any number and shape
        assert loss.generator(f).item() == pytest.approx(generator, rel=1e-13)
        expected = slow_critic(name, r[:5].tolist(), f.tolist())
        assert loss.critic(r[:5].view(5, 1), f.view(4, 9)).item() == pytest.approx(expected, rel=1e-13)


def test_relativistic_pairs_elementwise_and_refuses_scores_that_do_not_pair():
    r, f = f64(1.0, 2.0, 4.0), f64(0.5, -1.0, 3.0)
    loss = losses.relativistic
    assert loss.critic(r, f).item() == pytest.approx(mean([softplus(-0.5), softplus(-3.0), softplus(-1.0)]))
    assert loss.critic(r.flip(0), f).item() == pytest.approx(mean([softplus(-3.5), softplus(-3.0), softplus(2.0)]))
    assert loss.generator(f, r).item() == pytest.approx(loss.critic(f, r).item(), rel=1e-15)  # the players swap roles
    assert loss.critic(r + 7, f + 7).item() == pytest.approx(loss.critic(r, f).item(), rel=1e-14)  # only differences
    for other in (f[:2], f.view(3, 1), f.view(1, 3), f[:1]):  # the last three would broadcast silently
        with pytest.raises(ValueError, match="shape"):
            loss.critic(r, other)
        with pytest.raises(ValueError, match="shape"):
            loss.generator(other, r)
    with pytest.raises(ValueError, match="real"):
        loss.generator(f)


@pytest.mark.parametrize(
    ("name", "first", "second"),
    [
        ("minimax", 0.5, 0.25),
        ("non_saturating", 0.5, 0.25),
        ("wasserstein", 1.0, 0.0),
        ("hinge", 1.0, 0.0),
        ("least_squares", 2.0, 2.0),
        ("relativistic", 0.5, 0.25),
    ],
)
def test_slopes_at_indifference_are_those_of_the_convergence_analysis(name, first, second):
    """|f'(0)| and |f''(0)| of 1801.04406: logistic 1/2, 1/4; Wasserstein and hinge 1, 0; least squares 2, 2."""
    loss = losses.LOSSES[name]
    r, f = f64(0.0).requires_grad_(), f64(0.0).requires_grad_()
    d_real, d_fake = torch.autograd.grad(loss.critic(r, f), (r, f), create_graph=True)
    assert d_real.item() == -first  # raising a real score lowers the critic's loss
    assert d_fake.item() == first
    assert loss.generator(f, r).item() == loss.generator(f.detach(), r.detach()).item()
    (g,) = torch.autograd.grad(loss.generator(f, r), f)
    assert g.item() == -first  # raising a fake score lowers the generator's loss
    curvature = torch.autograd.grad(d_fake, f)[0].item() if d_fake.requires_grad else 0.0
    assert curvature == second


def test_saturation_is_what_tells_minimax_from_non_saturating():
    f = f64(-20.0, 0.0, 20.0).requires_grad_()
    (saturating,) = torch.autograd.grad(losses.minimax.generator(f), f)
    (other,) = torch.autograd.grad(losses.non_saturating.generator(f), f)
    sigmoid = [1 / (1 + math.exp(-y)) for y in (-20.0, 0.0, 20.0)]
    assert (3 * saturating).tolist() == pytest.approx([-s for s in sigmoid], rel=1e-12)  # gone where the critic wins
    assert (3 * other).tolist() == pytest.approx([s - 1 for s in sigmoid], rel=1e-6)


def test_margins_of_hinge_and_targets_of_least_squares():
    zero = f64(0.0)
    assert losses.hinge.critic(f64(1.0), f64(-1.0)).item() == 0.0
    assert losses.hinge.critic(f64(5.0), f64(-9.0)).item() == 0.0  # nothing beyond the margin
    assert losses.hinge.critic(f64(0.0), f64(0.0)).item() == 2.0
    assert losses.hinge.generator(f64(-9.0, 5.0)).item() == 2.0  # the generator's side has no margin
    assert losses.least_squares.critic(f64(1.0), f64(-1.0)).item() == 0.0
    assert losses.least_squares.critic(zero, zero).item() == 2.0
    assert losses.least_squares.critic(f64(2.0), f64(-1.0)).item() == 1.0  # above the target costs as well
    assert losses.least_squares.generator(f64(1.0)).item() == 0.0
    r, f = f64(3.0, 0.5).requires_grad_(), f64(-3.0, -0.5).requires_grad_()
    d_real, d_fake = torch.autograd.grad(losses.hinge.critic(r, f), (r, f))
    assert d_real.tolist() == [0.0, -0.5] and d_fake.tolist() == [0.0, 0.5]


@pytest.mark.parametrize("name", NAMES)
def test_gradients_equal_numerical_differentiation(name):
    loss = losses.LOSSES[name]
    rng = torch.Generator().manual_seed(1)
    r = torch.randn(3, 2, generator=rng, dtype=torch.float64, requires_grad=True)
    f = torch.randn(3, 2, generator=rng, dtype=torch.float64, requires_grad=True)
    assert (torch.cat([r, f]).abs() - 1).abs().min() > 1e-3  # not at a kink of the hinge
    assert torch.autograd.gradcheck(loss.critic, (r, f))
    assert torch.autograd.gradcheck(lambda f: loss.generator(f, r.detach()), (f,))


@pytest.mark.parametrize("name", NAMES)
def test_huge_scores_stay_finite_with_finite_gradients(name):
    size = 1e18 if name == "least_squares" else 1e30  # beyond that, a square really exceeds float32
    loss = losses.LOSSES[name]
    for s in (size, -size):
        r, f = torch.tensor([s], requires_grad=True), torch.tensor([-s], requires_grad=True)
        for value, slow in (
            (loss.critic(r, f), slow_critic(name, [s], [-s])),
            (loss.generator(f, r.detach()), slow_generator(name, [-s], [s])),
        ):
            assert value.item() == pytest.approx(slow, rel=1e-6)
            for g in torch.autograd.grad(value, (r, f), allow_unused=True):
                assert g is None or torch.isfinite(g).all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_scores_are_widened_before_any_arithmetic(name, dtype):
    rng = torch.Generator().manual_seed(5)
    loss = losses.LOSSES[name]
    r, f = (3 * torch.randn(2, 64, generator=rng)).to(dtype).unbind()
    for value, expected in (
        (loss.critic(r, f), slow_critic(name, r.tolist(), f.tolist())),
        (loss.generator(f, r), slow_generator(name, f.tolist(), r.tolist())),
    ):
        assert value.dtype == torch.float32
        assert value.item() == pytest.approx(expected, rel=1e-5, abs=1e-6)
    assert loss.critic(r.float(), f.float()).dtype == torch.float32
    assert loss.critic(r.double(), f.double()).dtype == torch.float64


# A discrete case with exact divergences: p = (1/2, 1/2, 0), q = (0, 1/2, 1/2); KL(p||m) = KL(q||m) = log(2)/2.
JS = LOG2 / 2


def score_samples(t: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.stack([t[0], t[1]]), torch.stack([t[1], t[2]])


@pytest.mark.parametrize("name", ["minimax", "non_saturating"])
def test_value_at_the_optimal_critic_is_log_4_minus_twice_the_jensen_shannon_divergence(name):
    critic = losses.LOSSES[name].critic
    best = f64(50.0, 0.0, -50.0)  # log(p / q), with infinities cut at 50
    assert critic(*score_samples(best)).item() == pytest.approx(LOG4 - 2 * JS, abs=1e-12)
    best.requires_grad_()
    (g,) = torch.autograd.grad(critic(*score_samples(best)), best)
    assert g.abs().max() < 1e-12  # stationary
    same, apart = torch.zeros(8, dtype=torch.float64), torch.full((8,), 50.0, dtype=torch.float64)
    assert critic(same, same).item() == pytest.approx(LOG4, rel=1e-15)  # p = q: nothing to tell apart
    saturated = critic(apart, -apart).item()  # disjoint supports: JS = log 2 whatever the distance
    assert saturated == pytest.approx(0.0, abs=1e-15)
    assert (LOG4 - saturated) / 2 == pytest.approx(LOG2)
    if name == "minimax":  # zero sum: the players' values cancel up to the term the generator cannot touch
        f = f64(0.3, -2.0)
        assert (critic(f64(50.0), f) + losses.minimax.generator(f)).item() == pytest.approx(0.0, abs=1e-15)


def test_wasserstein_estimate_of_parallel_lines_is_their_distance():
    y = torch.linspace(0, 1, 11, dtype=torch.float64)
    for theta in (-1.0, -0.3, 0.0, 0.6):
        real, fake = torch.stack([torch.zeros_like(y), y], 1), torch.stack([torch.full_like(y, theta), y], 1)
        sign = -1.0 if theta > 0 else 1.0

        def potential(x: torch.Tensor, sign: float = sign) -> torch.Tensor:  # the Kantorovich potential, 1-Lipschitz
            return sign * x[:, 0]

        assert -losses.wasserstein.critic(potential(real), potential(fake)).item() == pytest.approx(abs(theta))


@pytest.mark.parametrize("name", NAMES)
def test_one_step_of_each_player_moves_the_scores_the_right_way(name):
    """The most common mistake in other people's code: a flipped sign in one of the two players."""
    loss = losses.LOSSES[name]
    rng = torch.Generator().manual_seed(8)
    real = torch.randn(32, 2, generator=rng, dtype=torch.float64) + 1
    z = torch.randn(32, 3, generator=rng, dtype=torch.float64)
    critic, generator = nn.Linear(2, 1, dtype=torch.float64), nn.Linear(3, 2, dtype=torch.float64)
    with torch.no_grad():
        for p in (*critic.parameters(), *generator.parameters()):
            p.copy_(0.1 * torch.randn(p.shape, generator=rng, dtype=torch.float64))

    def gap() -> float:
        with torch.no_grad():
            return (critic(real).mean() - critic(generator(z)).mean()).item()

    before = gap()
    loss.critic(critic(real), critic(generator(z).detach())).backward()
    assert all(p.grad is None for p in generator.parameters())
    torch.optim.SGD(critic.parameters(), 1e-2).step()
    assert gap() > before

    with torch.no_grad():
        low = critic(generator(z)).mean().item()
    loss.generator(critic(generator(z)), critic(real).detach()).backward()
    torch.optim.SGD(generator.parameters(), 1e-2).step()
    with torch.no_grad():
        assert critic(generator(z)).mean().item() > low
