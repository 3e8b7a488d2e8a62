"""The two half-steps as pure functions: the Dirac-GAN's spectra, sharing of forwards, perturbations, schedules."""

from __future__ import annotations

import cmath
import copy
import itertools
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, stack_module_state, vmap

from tightrope import losses, methods, penalties
from tightrope.methods import Method, build
from tightrope.methods.game import critic_objective, generator_objective
from tightrope.optimizers.settings import Optimizer
from tightrope.penalties import Penalty
from tightrope.perturbations import InstanceNoise
from tightrope.schedules import Linear


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=rng(seed), dtype=torch.float64)


def network(*sizes: int, seed: int = 0) -> nn.Module:
    layers: list[nn.Module] = []
    for a, b in itertools.pairwise(sizes):
        layers += [nn.Linear(a, b), nn.Tanh()]
    net = nn.Sequential(*layers[:-1]).double()
    with torch.no_grad():
        for i, p in enumerate(net.parameters()):
            p.copy_(0.7 * normal(*p.shape, seed=100 * seed + i))
    return net


def mine(loss: losses.Loss = losses.hinge, **pieces: object) -> Method:
    return Method("mine", loss, Optimizer(), Optimizer(), **pieces)


# --------------------------------------------------------------------------------------------------- the Dirac-GAN


def dirac_jacobian(method: Method, n: int = 2, seed: int = 0) -> list[list[float]]:
    """Jacobian at 0 of the players' descent directions in (theta, psi), by central differences; exact to h^2."""
    h = 1e-4
    zeros = torch.zeros(n, 1, dtype=torch.float64)

    def field(theta: float, psi: float) -> tuple[float, float]:
        t = torch.tensor(theta, dtype=torch.float64, requires_grad=True)
        p = torch.tensor(psi, dtype=torch.float64, requires_grad=True)

        def critic(x: Tensor) -> Tensor:
            return p * x[:, 0]

        def generator(z: Tensor) -> Tensor:
            return t + 0 * z

        second = critic_objective(method, critic, zeros, generator(zeros), rng=rng(seed)).total
        first = generator_objective(method, generator, critic, zeros, real=zeros, rng=rng(seed)).total
        return -torch.autograd.grad(first, t)[0].item(), -torch.autograd.grad(second, p)[0].item()

    columns = []
    for a, b in ((h, 0.0), (0.0, h)):
        up, down = field(a, b), field(-a, -b)
        columns.append([(u - d) / (2 * h) for u, d in zip(up, down, strict=True)])
    return [[columns[j][i] for j in range(2)] for i in range(2)]


def eigenvalues(m: list[list[float]]) -> list[complex]:
    half, det = (m[0][0] + m[1][1]) / 2, m[0][0] * m[1][1] - m[0][1] * m[1][0]
    root = cmath.sqrt(half**2 - det)
    return sorted((half + root, half - root), key=lambda v: (v.real, v.imag))


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        (build("dcgan"), (-0.5j, 0.5j)),
        (build("dcgan", loss="minimax"), (-0.5j, 0.5j)),
        (build("dcgan", loss="least_squares"), (-2j, 2j)),
        (build("sn_gan"), (-1j, 1j)),  # hinge, inside its margin
        (build("wgan"), (-1j, 1j)),  # inside the box
        (build("wgan_gp", one_sided=True), (-1j, 1j)),  # inside the ball
        (build("r1", gamma=0.3), (-0.15 - 0.476969601j, -0.15 + 0.476969601j)),
        (build("r1", gamma=10.0), (-9.974937186, -0.025062814)),
        (build("r1", gamma=0.3, at="fake"), (-0.15 - 0.476969601j, -0.15 + 0.476969601j)),
        (build("r1", gamma=0.3, at="both"), (-0.3 - 0.4j, -0.3 + 0.4j)),
        (build("r3gan", gamma=0.3), (-0.3 - 0.4j, -0.3 + 0.4j)),
        (mine(losses.wasserstein, penalties=(Penalty(penalties.r1, {"gamma": 1.2}),)), (-0.6 - 0.8j, -0.6 + 0.8j)),
    ],
)
def test_spectra_of_the_dirac_gan(method, expected):
    """Closed forms of 1801.04406 for what the half-steps really compute: only R1 and R2 move the spectrum left."""
    m = dirac_jacobian(method)
    for value, exact in zip(
        eigenvalues(m), sorted(map(complex, expected), key=lambda v: (v.real, v.imag)), strict=True
    ):
        assert value.real == pytest.approx(exact.real, abs=1e-6) and value.imag == pytest.approx(exact.imag, abs=1e-6)
    assert (
        m[0][1] > 0 > m[1][0]
    )  # theta runs towards higher scores, the critic lowers the scores of what it finds there


def test_instance_noise_acts_on_the_dirac_gan_as_r1_does():
    """Eigenvalues b s^2 +- sqrt(b^2 s^4 - a^2); n = 20 000 draws of each kind, chosen beforehand, 4 standard errors."""
    n, sigma = 20_000, 0.7
    m = dirac_jacobian(mine(losses.non_saturating, perturbation=InstanceNoise(sigma)), n=n)
    assert m[1][1] == pytest.approx(-2 * 0.25 * sigma**2, rel=4 * (2 / (2 * n)) ** 0.5)
    assert m[0][1] == pytest.approx(0.5, abs=4 * 0.25 * sigma / n**0.5)
    assert m[1][0] == pytest.approx(-0.5, abs=4 * 0.25 * sigma / n**0.5)
    low, high = eigenvalues(m)
    assert low.real == high.real == pytest.approx(-0.1225, rel=0.03) and high.imag == pytest.approx(0.4848, rel=0.03)


# ------------------------------------------------------------------------------------------------------- the parts


def test_fakes_are_detached_without_penalties_too():
    critic, generator = network(3, 5, 1), network(2, 3, seed=1)
    result = critic_objective(mine(losses.non_saturating), critic, normal(6, 3), generator(normal(6, 2, seed=1)))
    result.total.backward()
    assert all(p.grad is None for p in generator.parameters())
    assert all(p.grad is not None for p in critic.parameters())


def test_objectives_are_the_loss_plus_the_penalties():
    critic, generator, real, z = network(3, 5, 1), network(2, 3, seed=1), normal(6, 3), normal(6, 2, seed=1)
    method = mine(losses.non_saturating, penalties=(Penalty(penalties.r1, {"gamma": 0.4}), Penalty(penalties.r2)))
    fake = generator(z)
    result = critic_objective(method, critic, real, fake)
    loss = losses.non_saturating.critic(critic(real), critic(fake)).item()
    penalty = (penalties.r1(critic, real, fake, gamma=0.4) + penalties.r2(critic, real, fake)).item()
    assert result.loss.item() == pytest.approx(loss, rel=1e-13)
    assert result.penalty.item() == pytest.approx(penalty, rel=1e-13)
    assert result.total.item() == pytest.approx(loss + penalty, rel=1e-13)
    assert torch.allclose(result.d_real, critic(real)) and torch.allclose(result.d_fake, critic(fake))
    result.total.backward()
    assert all(p.grad is None for p in generator.parameters())  # the fakes are detached here

    other = generator_objective(method, generator, critic, z)
    assert other.penalty is None and other.d_real is None
    assert other.total.item() == other.loss.item()
    assert other.loss.item() == pytest.approx(losses.non_saturating.generator(critic(fake)).item(), rel=1e-13)
    assert critic_objective(mine(), critic, real, fake).penalty is None


def test_a_paired_generator_loss_needs_real_samples():
    critic, generator, real, z = network(3, 5, 1), network(2, 3, seed=1), normal(6, 3), normal(6, 2, seed=1)
    method = mine(losses.relativistic)
    with pytest.raises(ValueError, match="real"):
        generator_objective(method, generator, critic, z)
    result = generator_objective(method, generator, critic, z, real=real)
    expected = losses.relativistic.generator(critic(generator(z)), critic(real)).item()
    assert result.total.item() == pytest.approx(expected, rel=1e-13)
    assert torch.allclose(result.d_real, critic(real))


@pytest.mark.parametrize(
    ("chosen", "forwards"),
    [(("r1",), 2), (("r2",), 2), (("r1", "r2"), 2), (("gradient_penalty",), 3), ((), 2)],
)
def test_the_critics_objective_shares_forwards_with_r1_and_r2(chosen, forwards):
    critic, real, fake, seen = network(3, 5, 1), normal(4, 3, seed=1), normal(4, 3, seed=2), []
    critic.register_forward_pre_hook(lambda _, args: seen.append(args[0].detach().clone()))
    method = mine(penalties=tuple(Penalty(penalties.PENALTIES[name]) for name in chosen))
    objective = critic_objective(method, critic, real, fake, rng=rng(3))
    assert len(seen) == forwards
    assert torch.equal(seen[0], real) and torch.equal(seen[1], fake)
    shared = torch.autograd.grad(objective.total, list(critic.parameters()))
    plain = losses.hinge.critic(critic(real), critic(fake))
    for name in chosen:  # the same again without any sharing
        plain = plain + penalties.PENALTIES[name](critic, real, fake, rng=rng(3))
    assert objective.total.item() == pytest.approx(plain.item(), rel=1e-13)
    for g, h in zip(shared, torch.autograd.grad(plain, list(critic.parameters())), strict=True):
        assert torch.allclose(g, h, rtol=1e-11, atol=1e-14)
    assert not real.requires_grad and real.grad is None


def test_lazy_penalties_come_due_by_critic_steps_and_follow_images():
    critic, real, fake = network(3, 5, 1), normal(4, 3, seed=1), normal(4, 3, seed=2)
    method = mine(penalties=(Penalty(penalties.r1, {"gamma": Linear(2.0, 0.0, 100)}, every=4),))
    unit = penalties.r1(critic, real, gamma=1.0).item()
    for step, images, gamma in ((0, 0, 8.0), (8, 50, 4.0), (4, 100, 0.0)):
        result = critic_objective(method, critic, real, fake, critic_step=step, images_seen=images)
        assert result.penalty.item() == pytest.approx(gamma * unit, rel=1e-12)
    for step in (1, 2, 3, 5):
        result = critic_objective(method, critic, real, fake, critic_step=step)
        assert result.penalty is None and result.total.item() == result.loss.item()


def test_perturbations_touch_real_and_fake_in_both_half_steps():
    seen: list[Tensor] = []

    def critic(x: Tensor) -> Tensor:
        seen.append(x.detach().clone())
        return x.sum(1)

    method = mine(losses.relativistic, perturbation=InstanceNoise(Linear(1.0, 0.0, 10)))
    zeros, z = torch.zeros(500, 8), torch.zeros(500, 8)

    def both(images: int) -> list[Tensor]:
        seen.clear()
        critic_objective(method, critic, zeros, zeros, images_seen=images, rng=rng(images))
        generator_objective(method, lambda z: z, critic, z, real=zeros, images_seen=images, rng=rng(images + 1))
        return list(seen)

    for images, sigma in ((0, 1.0), (5, 0.5)):
        noisy = both(images)
        assert len(noisy) == 4
        for x in noisy:
            assert x.std().item() == pytest.approx(sigma, rel=4 / (2 * 4000) ** 0.5)
        for i in range(4):  # independent draws for real and fake, critic and generator
            for j in range(i):
                assert abs((noisy[i] * noisy[j]).mean().item()) < 4 * sigma**2 / 4000**0.5
    assert all(torch.equal(x, zeros) for x in both(10))
    seen.clear()
    critic_objective(method, critic, zeros, zeros, rng=rng())  # schedules stand at 0 images unless told otherwise
    generator_objective(method, lambda z: z, critic, z, real=zeros, rng=rng())
    assert len({x.square().sum().item() for x in seen}) == 2  # the same two draws at the same level
    assert seen[0].std().item() == pytest.approx(1.0, rel=4 / (2 * 4000) ** 0.5)


def test_randomness_comes_from_the_generator_that_is_handed_over():
    critic, real, fake = network(3, 5, 1), normal(4, 3, seed=1), normal(4, 3, seed=2)
    state = torch.get_rng_state()
    for method in (build("wgan_gp"), mine(perturbation=InstanceNoise(0.5))):
        first, again, other = (critic_objective(method, critic, real, fake, rng=rng(s)).total.item() for s in (1, 1, 2))
        assert first == again != other
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("name", list(methods.METHODS))
def test_many_seeds_at_once_equal_each_seed_alone(name):
    """vmap over stacked critics of the gradient of the critic's objective, and the same for generators."""
    method, real, z = build(name), normal(4, 3, seed=1), normal(4, 2, seed=2)
    critics, generators = ([network(*s, seed=k) for k in range(3)] for s in ((3, 4, 1), (2, 3)))
    skeletons = copy.deepcopy(critics[0]), copy.deepcopy(generators[0])
    stacked = stack_module_state(critics)[0], stack_module_state(generators)[0]

    def critic_loss(p: dict[str, Tensor], fake: Tensor) -> Tensor:
        return critic_objective(method, partial(functional_call, skeletons[0], p), real, fake).total

    def generator_loss(g: dict[str, Tensor], p: dict[str, Tensor]) -> Tensor:
        stateless = (partial(functional_call, s, q) for s, q in zip(skeletons[::-1], (g, p), strict=True))
        return generator_objective(method, *stateless, z, real=real).total

    fakes = real.expand(3, 4, 3)  # interpolates of real and real do not depend on the draw
    slopes = vmap(grad(critic_loss), randomness="same")(stacked[0], fakes)
    torch.manual_seed(0)  # the clamped methods' directions
    others = vmap(grad(generator_loss), randomness="same")(stacked[1], stacked[0])
    for i, (critic, generator) in enumerate(zip(critics, generators, strict=True)):
        torch.manual_seed(0)
        own = generator_objective(method, generator, critic, z, real=real).total
        objectives = (
            (slopes, critic, critic_objective(method, critic, real, fakes[i]).total),
            (others, generator, own),
        )
        for batched, net, total in objectives:
            names, parameters = zip(*net.named_parameters(), strict=True)
            exact = torch.autograd.grad(total, parameters, allow_unused=True, materialize_grads=True)
            for k, g in zip(names, exact, strict=True):
                assert torch.allclose(batched[k][i], g, rtol=1e-9, atol=1e-12), k
