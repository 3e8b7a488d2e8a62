"""Games and training of critics with several outputs, and packs, against the sums written out by hand."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import relu, softplus

from tightrope import constraints, critics, losses, methods, penalties
from tightrope._plumbing.errors import UserError
from tightrope.autodiff import View, samples_of
from tightrope.dynamics import eigenvalues, field_jacobian, gradient_field
from tightrope.methods import Method
from tightrope.methods.game import critic_objective, game_of, generator_objective, mean_score
from tightrope.monitor import input_gradient_norms, signals
from tightrope.optimizers.settings import Optimizer
from tightrope.penalties import Penalty
from tightrope.training import critic_step, generator_step, joint_step, scalars, start, train
from view_cases import (
    KINDS,
    SHAPE,
    by_hand,
    critic,
    data,
    normal,
    rng,
    slopes,
)

# ------------------------------------------------------------------------------------------------ games and training


def generator() -> nn.Module:
    torch.manual_seed(5)
    return nn.Sequential(nn.Linear(2, 36), nn.Tanh(), nn.Unflatten(1, SHAPE)).double()


def mine(loss: losses.Loss, *terms: Penalty) -> Method:
    sgd = Optimizer("sgd", learning_rate=0.1)
    return Method("mine", loss, sgd, sgd, penalties=terms)


@pytest.mark.parametrize("kind", KINDS)
def test_objectives_and_the_game_of_several_critics_are_the_sums(kind):
    seen, net, scale = critic(kind)
    real, _ = data()
    g, z = generator(), normal(4, 2, seed=8)
    method = mine(losses.non_saturating, Penalty(penalties.r1, {"gamma": 0.6}))
    fake = g(z)
    result = critic_objective(method, seen, real, fake)
    r, f = by_hand(net, scale * real), by_hand(net, scale * fake)
    loss = sum((softplus(-a).mean() + softplus(b).mean()).item() for a, b in zip(r, f, strict=True))
    r1 = 0.3 * sum(sum(s * s for s in row) / 4 for row in slopes(net, real, scale))
    assert result.total.item() == pytest.approx(loss + r1, rel=1e-10)
    assert isinstance(result.d_real, list) and [s.shape for s in result.d_real] == [s.shape for s in result.d_fake]
    assert mean_score(result.d_real).item() == pytest.approx(sum(a.mean().item() for a in r), rel=1e-6)
    other = generator_objective(method, g, seen, z)
    assert other.total.item() == pytest.approx(sum(softplus(-b).mean().item() for b in f), rel=1e-10)

    game = game_of(method, g, seen, real, latent=2, seed=3)
    field = gradient_field(game, (g, seen))
    stream = rng(3)
    for_critic, for_generator = (torch.randn(4, 2, generator=stream).double() for _ in range(2))

    def critic_loss() -> Tensor:
        x = real.clone().requires_grad_()
        a, b = by_hand(net, scale * x), by_hand(net, scale * g(for_critic).detach())
        total = sum(softplus(-p).mean() + softplus(q).mean() for p, q in zip(a, b, strict=True))
        for part in a:
            (slope,) = torch.autograd.grad(part.sum(), x, create_graph=True)
            total = total + 0.3 * slope.flatten(1).square().sum(1).mean()
        return total

    def generator_loss() -> Tensor:
        return sum(softplus(-b).mean() for b in by_hand(net, scale * g(for_generator)))

    hand = (generator_loss, critic_loss)
    assert torch.allclose(field, gradient_field(hand, (g, net)), rtol=1e-9, atol=1e-12)
    if kind == "features":
        J, K = (field_jacobian(of, (g, net), check=False) for of in (game, hand))
        assert torch.allclose(J, K, rtol=1e-8, atol=1e-10)
        found = eigenvalues(game, (g, seen), k=2, which="LM")
        exact = torch.linalg.eigvals(K)
        assert found.values[0].abs().item() == pytest.approx(exact.abs().max().item(), rel=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_training_several_critics_moves_them_by_the_gradient_of_the_sum(kind):
    seen, net, scale = critic(kind)
    g, (real, _) = generator(), data()
    before = copy.deepcopy(net)
    method = mine(losses.hinge, Penalty(penalties.r1, {"gamma": 0.6}))
    run = start(method, g, seen, seed=0, latent=2, shape=SHAPE, batch_size=4)
    z = run.latents(4, copy.deepcopy(rng(0)))
    assert z.dtype == torch.float64
    half = critic_step(run, real)
    x = real.clone().requires_grad_()
    a, b = by_hand(before, scale * x), by_hand(before, scale * g(z).detach())
    total = sum(relu(1 - p).mean() + relu(1 + q).mean() for p, q in zip(a, b, strict=True))
    for part in a:
        (slope,) = torch.autograd.grad(part.sum(), x, create_graph=True)
        total = total + 0.3 * slope.flatten(1).square().sum(1).mean()
    moves = torch.autograd.grad(total, list(before.parameters()))
    for p, q, move in zip(net.parameters(), before.parameters(), moves, strict=True):
        assert torch.allclose(p, q - 0.1 * move, rtol=1e-9, atol=1e-12)
    assert scalars(half)["d_real"] == pytest.approx(sum(p.mean().item() for p in a), rel=1e-5)
    generator_step(run)
    (step,) = train(run, [real], steps=2)
    row = signals(run, step, real)
    assert all(math.isfinite(v) for v in row.values()) and 0 <= row["critic_accuracy"] <= 1
    run.load_state_dict(run.state_dict())
    consensus = methods.build("consensus", learning_rate=0.01)
    joint_step(start(consensus, generator(), critic(kind)[0], seed=0, latent=2, batch_size=4), real)


def test_a_view_of_a_generator_is_trained_averaged_and_constrained_like_a_module():
    class Styled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = generator()

        def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
            return self.net(z), z

    g = View(Styled(), scores=lambda out: out[0])
    seen, net, _ = critic("features")
    with pytest.raises(UserError, match=r"View\(generator"):
        start(methods.build("r1"), g.module, seen, seed=0, latent=2)
    run = start(methods.build("sn_gan"), g, seen, seed=0, latent=2, batch_size=4, ema_half_life_images=1)
    kept = run.average(torch.ones(1, 2).double()).clone()
    list(train(run, [data()[0]], steps=2))
    assert not torch.equal(run.average(torch.ones(1, 2).double()), kept)
    assert run.average.module is not run.generator.module and constraints.constrained_layers(net)
    assert samples_of(run.generator(torch.ones(1, 2).double())).shape == (1, *SHAPE)


def test_critics_of_a_method_without_penalties_never_see_the_generators_graph():
    """The mutation: no ``detach`` of the fakes where no penalty makes leaves of them."""
    seen, _, _ = critic("list")
    g = generator()
    result = critic_objective(mine(losses.hinge), seen, data()[0], g(normal(4, 2)))
    result.total.backward()
    assert all(p.grad is None for p in g.parameters())


def test_one_penalty_class_for_both_players():
    seen, net, _ = critic("list")
    g = Penalty(penalties.jacobian_clamping, {"low": 5.0, "high": 6.0}, player="generator")
    z = normal(4, 2)
    assert g(generator(), z, rng=rng(1)).item() == pytest.approx(
        penalties.jacobian_clamping(generator(), z, low=5.0, high=6.0, rng=rng(1)).item(), rel=1e-12
    )
    assert Penalty(penalties.r1, {"gamma": 0.5}, every=4)(seen, data()[0], None).item() == pytest.approx(
        4 * penalties.r1(net, data()[0], gamma=0.5).item(), rel=1e-12
    )
    with pytest.raises(UserError, match="every step"):
        Penalty(penalties.jacobian_clamping, every=2, player="generator")
    with pytest.raises(ValueError, match="player"):
        Penalty(penalties.r1, player="discriminator")


# ------------------------------------------------------------------------------------------------------------ packs


class Packs(nn.Module):
    """One score for ten rows, as CTGAN's critic gives them."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.a, self.b = nn.Linear(30, 8), nn.Linear(8, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.b(self.a(x.reshape(-1, 30)).tanh())


def test_packs_are_penalised_by_the_norm_of_a_packs_gradient():
    net = Packs().double()
    real, fake = normal(40, 3, seed=1), normal(40, 3, seed=2) + 1

    def norms(points: Tensor) -> list[float]:
        found = []
        for pack in points.reshape(4, 30):
            h = torch.tanh(net.a.weight @ pack + net.a.bias)
            g = ((1 - h * h) * net.b.weight[0]) @ net.a.weight
            found.append(math.sqrt(math.fsum(v * v for v in g.tolist())))
        return found

    for penalty in penalties.PENALTIES.values():
        with pytest.raises(UserError, match=r"View\(critic, rows=10\)"):
            penalty(net, real, fake)
    seen = View(net, rows=10)
    assert penalties.r1(seen, real, gamma=0.6).item() == pytest.approx(
        0.3 * sum(n * n for n in norms(real)) / 4, rel=1e-11
    )
    share = torch.rand(4, 1, 1, generator=rng(5), dtype=torch.float64)
    points = (share * real.reshape(4, 10, 3) + (1 - share) * fake.reshape(4, 10, 3)).reshape(40, 3)  # one per pack
    expected = 2 * sum((n - 0.5) ** 2 for n in norms(points)) / 4
    value = penalties.gradient_penalty(seen, real, fake, weight=2.0, target=0.5, rng=rng(5)).item()
    assert value == pytest.approx(expected, rel=1e-11)
    for call in (lambda x: penalties.r1(seen, x), lambda x: penalties.gradient_penalty(seen, x, x)):
        with pytest.raises(UserError, match="10 divides"):
            call(real[:25])
    found = critics.lipschitz_interval(seen, real, fake, steps=2, keep=3)
    assert found.witnesses.shape == (3, 10, 3)
    assert found.slopes.tolist() == pytest.approx([norms(w.repeat(4, 1))[0] for w in found.witnesses], rel=1e-9)
    a, b = (torch.linalg.matrix_norm(layer.weight, 2).item() for layer in (net.a, net.b))
    assert found.upper == pytest.approx(a * b, rel=1e-9)
    estimate = critics.wasserstein_estimate(seen, real, fake)
    assert estimate.raw == pytest.approx((net(real).mean() - net(fake).mean()).item(), rel=1e-10)
    packs = torch.cdist(real.reshape(4, 30), fake.reshape(4, 30))
    assert packs.min(1).values.mean().item() <= estimate.exact <= packs.diagonal().mean().item() + 1e-9
    norms_found = input_gradient_norms(seen, real, fake, rng=rng(4))
    assert norms_found["real"] == pytest.approx(sum(norms(real)) / 4, rel=1e-9)
    g = nn.Linear(2, 3).double()
    run = start(methods.build("wgan_gp"), g, seen, seed=0, latent=2, shape=(3,), batch_size=40)
    for step in train(run, [real], steps=2):
        assert step.critic.objective.d_real.shape == (4, 1)
    with pytest.raises(UserError, match="does not accept samples"):
        start(methods.build("wgan_gp"), g, net, seed=0, latent=2)
