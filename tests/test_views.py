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
from tightrope import constraints, critics, losses, methods, penalties, spectra
from tightrope._plumbing.errors import UserError
from tightrope.autodiff import View, input_gradient, modules_of, rows_of, samples_of, scores_of
from tightrope.dynamics import eigenvalues, field_jacobian, gradient_field
from tightrope.methods import Method
from tightrope.methods.game import critic_objective, game_of, generator_objective, mean_score
from tightrope.monitor import input_gradient_norms, signals
from tightrope.optimizers.settings import Optimizer
from tightrope.penalties import Penalty
from tightrope.training import critic_step, generator_step, joint_step, scalars, start, train

SHAPE = (1, 6, 6)
CONDITION = torch.tensor([0.3, -1.2, 0.7, 2.0], dtype=torch.float64)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=rng(seed), dtype=torch.float64)


class Three(nn.Module):
    """Two patch maps of different sizes and a vector, as multi-scale critics return them."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.fine, self.coarse, self.dense = nn.Conv2d(1, 1, 3), nn.Conv2d(1, 2, 4, 2), nn.Linear(36, 1)

    def forward(self, x: Tensor) -> list[Tensor]:
        return [self.fine(x).tanh(), 2 * self.coarse(x).sin(), self.dense(x.flatten(1).tanh())[:, 0]]


class WithFeatures(Three):
    def forward(self, x: Tensor) -> tuple[list[Tensor], list[Tensor]]:  # type: ignore[override]
        return super().forward(x), [x, 5 * x.square()]


class Conditional(Three):
    def forward(self, condition: Tensor, x: Tensor) -> list[Tensor]:  # type: ignore[override]
        return super().forward(x * condition.mean())


def critic(kind: str) -> tuple[nn.Module, Three, float]:
    """A critic as the library gets it, the plain one behind it, and what its samples are multiplied by."""
    if kind == "list":
        net = Three().double()
        return net, net, 1.0
    if kind == "features":
        net = WithFeatures().double()
        return View(net, scores=lambda out: out[0]), net, 1.0
    net = Conditional().double()
    return View(net, call=lambda net, x: net(CONDITION, x)), net, float(CONDITION.mean())


KINDS = ("list", "features", "condition")


def by_hand(net: Three, x: Tensor) -> list[Tensor]:
    """Each critic's scores as ``[batch, outputs]``, without the network's own forward."""
    fine = nn.functional.conv2d(x, net.fine.weight, net.fine.bias).tanh().flatten(1)
    coarse = 2 * nn.functional.conv2d(x, net.coarse.weight, net.coarse.bias, stride=2).sin().flatten(1)
    return [fine, coarse, x.flatten(1).tanh() @ net.dense.weight.T + net.dense.bias]


def slopes(net: Three, x: Tensor, scale: float) -> list[list[float]]:
    """Per critic and sample the norm of the gradient of that critic's summed score, one sample at a time."""
    found = []
    for k in range(3):
        row = []
        for i in range(len(x)):
            point = x[i : i + 1].clone().requires_grad_()
            (g,) = torch.autograd.grad(by_hand(net, scale * point)[k].sum(), point)
            row.append(math.sqrt(math.fsum(v * v for v in g.flatten().tolist())))
        found.append(row)
    return found


def data() -> tuple[Tensor, Tensor]:
    return normal(4, *SHAPE, seed=1), normal(4, *SHAPE, seed=2) + 0.5


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
        losses.hinge.critic(real, fake, reduce="none")
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
