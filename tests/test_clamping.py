"""Jacobian clamping against closed forms, and that its gradient reaches the generator's optimiser and nothing else."""

from __future__ import annotations

import copy
import inspect
import math

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from tightrope import conditioning, methods, penalties
from tightrope._plumbing.errors import UserError
from tightrope.autodiff import Remembered, View
from tightrope.conditioning import reference_gain
from tightrope.methods import build
from tightrope.methods.game import generator_objective
from tightrope.networks import NETWORKS
from tightrope.penalties.clamping import finite_gain, jacobian_clamping
from tightrope.training import critic_step, generator_step, start


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def linear(scale: float = 1.0, latent: int = 3) -> nn.Linear:
    layer = nn.Linear(latent, latent, bias=False).double()
    nn.init.orthogonal_(layer.weight, gain=scale, generator=rng(1))
    return layer


def latents(n: int = 16, latent: int = 3) -> Tensor:
    return torch.randn(n, latent, generator=rng(2), dtype=torch.float64)


@pytest.mark.parametrize(
    ("gain", "low", "high", "expected"),
    [(0.5, 1.0, 20.0, 0.25), (3.0, 1.0, 2.0, 1.0), (1.5, 1.0, 2.0, 0.0), (2.0, 2.0, 2.0, 0.0), (7.0, 0.0, 5.0, 4.0)],
)
def test_one_gain_everywhere(gain, low, high, expected):
    value = jacobian_clamping(linear(gain), latents(), low=low, high=high, rng=rng())
    assert value.item() == pytest.approx(expected, abs=1e-12)
    weighted = jacobian_clamping(linear(gain), latents(), low=low, high=high, weight=0.25, rng=rng())
    assert weighted.item() == pytest.approx(0.25 * expected, abs=1e-12)


def test_published_defaults():
    parameters = inspect.signature(jacobian_clamping).parameters
    assert [parameters[n].default for n in ("low", "high", "epsilon", "weight")] == [1.0, 20.0, 1.0, 1.0]
    assert penalties.jacobian_clamping is jacobian_clamping
    assert {"jacobian_clamping": jacobian_clamping} == penalties.GENERATOR_PENALTIES


def test_zero_exactly_when_every_gain_lies_within_the_bounds():
    A = torch.diag(torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64))
    gains = finite_gain(lambda z: z @ A, latents(200), rng=rng())
    least, most = gains.min().item(), gains.max().item()
    within = jacobian_clamping(lambda z: z @ A, latents(200), low=least, high=most, rng=rng())
    assert within.item() == 0.0
    assert jacobian_clamping(lambda z: z @ A, latents(200), low=least + 1e-6, high=most, rng=rng()).item() > 0
    assert jacobian_clamping(lambda z: z @ A, latents(200), low=least, high=most - 1e-6, rng=rng()).item() > 0


def test_per_sample_as_written_out_sample_by_sample():
    torch.manual_seed(0)
    g = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 5)).double()
    z, low, high, epsilon = latents(9), 0.2, 0.3, 0.7
    direction = torch.randn(9, 3, generator=rng(5), dtype=torch.float64)
    total = 0.0
    for i in range(9):
        d = epsilon * direction[i] / direction[i].norm()
        q = ((g(z[i] + d) - g(z[i])).norm() / d.norm()).item()
        total += (max(q, high) - high) ** 2 + (min(q, low) - low) ** 2
    value = jacobian_clamping(g, z, low=low, high=high, epsilon=epsilon, rng=rng(5)).item()
    assert value == pytest.approx(total / 9, rel=1e-12)


def test_mean_squared_gain_is_the_trace_over_the_latents():
    A = torch.randn(30, 6, generator=rng(3), dtype=torch.float64)
    gains = finite_gain(lambda z: z @ A.mT, torch.zeros(20_000, 6, dtype=torch.float64), rng=rng(4))
    assert gains.square().mean().item() == pytest.approx((A.mT @ A).trace().item() / 6, rel=0.02)


def test_the_step_has_the_length_epsilon_in_every_direction():
    seen: list[Tensor] = []

    def spy(z: Tensor) -> Tensor:
        seen.append(z)
        return z

    finite_gain(spy, latents(500), epsilon=0.3, rng=rng())
    (both,) = seen
    step = both[500:] - both[:500]
    assert torch.allclose(step.norm(dim=1), torch.full((500,), 0.3, dtype=torch.float64), rtol=1e-12)
    assert step.mean(0).norm() < 0.05  # uniform on the sphere, a new direction for each sample


def test_a_collapsed_generator_gives_a_finite_gradient():
    g = linear(0.0)
    value = jacobian_clamping(g, latents(), rng=rng())
    (slope,) = torch.autograd.grad(value, [g.weight])
    assert value.item() == pytest.approx(1.0) and torch.isfinite(slope).all()


@pytest.mark.parametrize("bad", [{"low": 3.0, "high": 2.0}, {"low": -1.0}, {"epsilon": 0.0}])
def test_refuses_bounds_that_are_none(bad):
    with pytest.raises(ValueError, match="Expected"):
        jacobian_clamping(linear(), latents(), **bad)


def test_batch_norm_sees_one_joint_batch_and_moves_once():
    torch.manual_seed(0)
    g = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)).double()
    other = copy.deepcopy(g)
    z = latents(6)
    jacobian_clamping(g, z, epsilon=0.5, rng=rng(7))
    direction = torch.randn(6, 3, generator=rng(7), dtype=torch.float64)
    other(torch.cat((z, z + 0.5 * direction / direction.norm(dim=1, keepdim=True))))
    assert int(g[1].num_batches_tracked) == 1
    assert torch.allclose(g[1].running_mean, other[1].running_mean, rtol=1e-12)
    assert torch.allclose(g[1].running_var, other[1].running_var, rtol=1e-12)


def test_labels_are_shared_by_both_forwards():
    class Conditional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.calls: list[Tensor] = []

        def forward(self, z: Tensor, labels: Tensor) -> Tensor:
            self.calls.append(labels)
            return z * (1 + labels[:, None])

    labels = torch.tensor([0, 1, 2, 1])
    for give in (lambda g: (g, labels), lambda g: (View(g, labels=labels), None)):
        g = Conditional()
        generator, given = give(g)
        finite_gain(generator, latents(4), labels=given)  # the first time a generator is called once more
        g.calls.clear()
        gains = finite_gain(generator, latents(4), labels=given, rng=rng())
        assert torch.allclose(gains, 1.0 + labels.double(), rtol=1e-12)
        assert [c.tolist() for c in g.calls] == [labels.tolist() * 2]


# ------------------------------------------------------------------------------------------------- as part of a method


def small(seed: int = 0, **options: object) -> tuple[nn.Module, nn.Module]:
    stream = rng(seed)
    network = NETWORKS["mlp"]
    g = network.generator((4,), latent=3, width=8, depth=1, rng=stream, **options)
    return g, network.critic((4,), width=8, depth=1, rng=stream, **options)


def test_the_objective_is_the_loss_of_the_first_half_plus_the_penalty():
    g, c = small()
    z = torch.randn(8, 3, generator=rng(1))
    method = build("dcgan_clamped", low=0.5, high=0.6)
    calls = []
    jacobian_clamping(g, z)  # the first time a generator is called once more
    g.register_forward_hook(lambda m, a, out: calls.append(len(out)))
    now = generator_objective(method, g, c, z, rng=rng(2))
    assert calls == [16]  # one joint forward
    plain = generator_objective(build("dcgan"), g, c, z)
    assert now.loss.item() == pytest.approx(plain.loss.item(), rel=1e-6)
    assert now.d_fake.shape == plain.d_fake.shape
    expected = jacobian_clamping(g, z, low=0.5, high=0.6, rng=rng(2)).item()
    assert now.penalty is not None and now.penalty.item() == pytest.approx(expected, rel=1e-6) and expected > 0
    assert now.total.item() == pytest.approx(now.loss.item() + expected, rel=1e-6)


@pytest.mark.parametrize("name", ["dcgan_clamped", "wgan_gp_clamped"])
def test_the_gradient_reaches_the_generators_optimiser_and_nothing_else(name):
    moved = {}
    for weight in (0.0, 1.0):
        g, c = small()
        run = start(build(name, low=5.0, high=6.0, clamping_weight=weight), g, c, seed=0, batch_size=16)
        real = torch.randn(16, 4, generator=rng(3))
        critic_step(run, real)
        before = [p.detach().clone() for p in c.parameters()]
        half = generator_step(run)
        assert all(torch.equal(p, q) for p, q in zip(c.parameters(), before, strict=True))
        assert half.objective.penalty is not None
        moved[weight] = [p.detach().clone() for p in g.parameters()], float(half.gradient_norm), before
    assert all(torch.equal(p, q) for p, q in zip(moved[0.0][2], moved[1.0][2], strict=True))
    assert moved[1.0][1] > moved[0.0][1]
    assert any(not torch.equal(p, q) for p, q in zip(moved[0.0][0], moved[1.0][0], strict=True))


def test_clamping_pulls_the_gain_into_the_bounds():
    g = linear(0.2)
    adam = torch.optim.Adam(g.parameters(), 0.05)
    stream = rng(9)
    for _ in range(200):
        adam.zero_grad()
        jacobian_clamping(g, torch.randn(64, 3, generator=stream, dtype=torch.float64), rng=stream).backward()
        adam.step()
    assert finite_gain(g, latents(500), rng=stream).min() > 0.95


def test_conditional_methods_train():
    g, c = small(classes=3)
    run = start(build("dcgan_clamped"), g, c, seed=0, batch_size=4)
    labels = torch.tensor([0, 1, 2, 1])
    critic_step(run, torch.randn(4, 4, generator=rng()), labels)
    assert math.isfinite(float(generator_step(run, None, labels).objective.total))


def test_bounds_in_units_of_the_data():
    real = 3.0 * torch.randn(50_000, 2, 5, generator=rng(4))
    assert reference_gain(real, latent=10) == pytest.approx(3.0, rel=0.02)
    assert reference_gain(real, latent=40) == pytest.approx(1.5, rel=0.02)
    (penalty,) = build("dcgan_clamped", reference_gain=2.0).generator_penalties
    assert dict(penalty.hyperparameters) == {"low": 0.8, "high": 8.0, "epsilon": 1.0, "weight": 1.0}
    (penalty,) = build("dcgan_clamped", units="data", reference_gain=2.0, low=0.5, high=3.0).generator_penalties
    assert (penalty.hyperparameters["low"], penalty.hyperparameters["high"]) == (1.0, 6.0)
    (penalty,) = build("wgan_gp_clamped", units="absolute", reference_gain=2.0).generator_penalties
    assert (penalty.hyperparameters["low"], penalty.hyperparameters["high"]) == (1.0, 20.0)
    with pytest.raises(UserError, match="reference_gain"):
        build("dcgan_clamped", units="data")
    for bad in ({"low": 30.0}, {"epsilon": 0.0}, {"low": -1.0}):
        with pytest.raises(UserError, match="bounds"):
            build("dcgan_clamped", **bad)
    with pytest.raises(ValueError, match="two samples"):
        reference_gain(real[:1], latent=2)


def test_samples_are_remembered_for_the_latents_of_one_step():
    calls = []

    def g(z: Tensor) -> Tensor:
        calls.append(len(z))
        return 2 * z

    z = latents(5)
    remembering = Remembered(g)
    value = jacobian_clamping(remembering, z, low=3.0, rng=rng())
    assert torch.equal(remembering(z), 2 * z) and calls == [10] and value.item() == pytest.approx(1.0)
    assert torch.equal(remembering(z.clone()), 2 * z) and calls == [10, 5]


def test_half_precision_samples_are_compared_in_float32():
    g = linear(2.0).float()
    with torch.autocast("cpu", torch.bfloat16):
        value = jacobian_clamping(g, latents().float(), rng=rng())
    assert value.dtype == torch.float32


def test_stacked_seeds_under_functional_transforms_equal_single_ones():
    method = methods.build("dcgan_clamped", low=0.5, high=0.7)
    pairs = [small(seed) for seed in (1, 2)]
    stacks = [
        {k: torch.stack([dict(pair[i].named_parameters())[k].detach() for pair in pairs]) for k in names}
        for i, names in enumerate([dict(n.named_parameters()) for n in pairs[0]])
    ]
    z = torch.randn(2, 8, 3, generator=rng(6))

    def total(g: dict[str, Tensor], c: dict[str, Tensor], z: Tensor) -> Tensor:
        generator, critic = pairs[0]
        return generator_objective(
            method, lambda z: functional_call(generator, g, (z,)), lambda x: functional_call(critic, c, (x,)), z
        ).total

    torch.manual_seed(0)
    stacked = vmap(grad(total), randomness="same")(stacks[0], stacks[1], z)
    for i, (g, c) in enumerate(pairs):
        torch.manual_seed(0)
        objective = generator_objective(method, g, c, z[i])
        assert objective.penalty is not None and objective.penalty.item() > 0
        single = torch.autograd.grad(objective.total, list(g.parameters()))
        for (name, _), slope in zip(g.named_parameters(), single, strict=True):
            assert torch.allclose(stacked[name][i], slope, rtol=1e-4, atol=1e-7)


def test_names_at_the_package():
    assert conditioning.jacobian_clamping is jacobian_clamping


def test_noise_of_its_own_for_each_row_is_refused():
    """One seed in the forward is no random state: the gain of such a generator was 1.88 for 3.5."""

    class Rows(nn.Module):
        def __init__(self, wide):
            super().__init__()
            self.layer, self.wide = nn.Linear(4, 3), wide

        def forward(self, z):
            rng = torch.Generator().manual_seed(0)
            return self.layer(z) + torch.randn(len(z) if self.wide else 1, 3, generator=rng, dtype=z.dtype)

    z = torch.randn(8, 4, generator=torch.Generator().manual_seed(1))
    generator = Rows(wide=True)
    for _ in range(2):
        with pytest.raises(ValueError, match="in whatever row"):
            jacobian_clamping(generator, z)
    assert jacobian_clamping(Rows(wide=False), z).isfinite()
