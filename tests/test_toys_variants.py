"""Every named variant of the Dirac-GAN against the paper's eigenvalues at the equilibrium."""

from __future__ import annotations

import cmath
import math

import pytest
import torch

from tightrope._plumbing.errors import UserError
from tightrope.dynamics import field_jacobian
from tightrope.methods import METHODS, build
from tightrope.methods.game import Draw, critic_objective, generator_objective, losses_on
from tightrope.optimizers import outer_step
from tightrope.toys import PARAMETER, dirac_gan, dirac_variant


def pair(trace, determinant):
    root = cmath.sqrt(trace**2 / 4 - determinant)
    return trace / 2 - root, trace / 2 + root


# Trace and determinant at the equilibrium: section 2 of 1801.04406; f'(0) is 1/2 (logistic), 1 (Wasserstein, hinge), 2.
G, S = 0.3, 0.7
EXPECTED = {
    "gan": pair(0, 0.25),
    "nsgan": pair(0, 0.25),
    "wgan": pair(0, 1),
    "instance_noise": pair(-0.5 * S**2, 0.25),
    "r1": pair(-G, 0.25),
    "r2": pair(-G, 0.25),
    "r1_r2": pair(-2 * G, 0.25),
    "nsgan_r1": pair(-G, 0.25),
    "finite_difference_r1": pair(-G, 0.25),
    "relativistic": pair(0, 0.25),
    "r3gan": pair(-2 * G, 0.25),
    "consensus": (complex(-0.25 * G, -0.5), complex(-0.25 * G, 0.5)),
    "hinge": pair(0, 1),
}


def test_every_name_is_tested():
    # One-centred penalties have a kink at the equilibrium; least squares has its own two slopes.
    assert set(EXPECTED) | {"wgan_gp", "wgan_lp", "least_squares"} == set(PARAMETER)


@pytest.mark.parametrize("name", list(EXPECTED))
def test_eigenvalues_at_the_equilibrium(name):
    weights = {key: {"gamma": G, "sigma": S}[key] for key in [PARAMETER[name]] if key in ("gamma", "sigma")}
    variant = dirac_variant(name, theta=0.0, psi=0.0, **weights)
    J = field_jacobian(variant.losses, variant.players)
    found = sorted(torch.linalg.eigvals(J).tolist(), key=lambda x: (x.imag, x.real))
    assert found == pytest.approx(sorted(EXPECTED[name], key=lambda x: (x.imag, x.real)), abs=1e-8)


def test_least_squares_is_pulled_back_by_its_curvature():
    """Critic ``(D(x) - 1)^2 + (D(y) + 1)^2``, generator ``(D(y) - 1)^2``: slopes 2 and -2, no damping at the origin."""
    variant = dirac_variant("least_squares", theta=0.0, psi=0.0)
    J = field_jacobian(variant.losses, variant.players)
    assert J.flatten().tolist() == pytest.approx([0.0, 2.0, -2.0, 0.0], abs=1e-12)


@pytest.mark.parametrize(("name", "beyond", "within"), [("wgan_gp", 0.15, 0.15), ("wgan_lp", 0.15, 0.0)])
def test_one_centred_penalties_aim_at_the_target(name, beyond, within):
    """``gamma/2 (|psi| - 1)^2`` slopes by ``gamma (|psi| - 1)``; the one-sided form has no slope inside."""
    for psi, slope in ((1.5, -beyond), (0.5, within)):
        variant = dirac_variant(name, gamma=G, theta=0.0, psi=psi)
        (gradient,) = torch.autograd.grad(variant.losses[1](), variant.critic.psi)
        assert -gradient.item() == pytest.approx(slope, abs=1e-9)


def test_one_centred_penalties_have_a_kink_at_the_equilibrium():
    variant = dirac_variant("wgan_gp", theta=0.0, psi=0.0)
    with pytest.raises(ValueError, match="not differentiable"):
        field_jacobian(variant.losses, variant.players)


def test_clipping_acts_after_the_critics_step_alone():
    variant = dirac_variant("wgan", bound=0.4, theta=3.0, psi=0.0)
    optimizers = [torch.optim.SGD(p.parameters(), lr=1.0) for p in variant.players]
    outer_step(variant.losses, variant.players, optimizers, project=variant.project)()
    assert variant.critic.psi.item() == -0.4
    assert variant.generator.theta.item() == pytest.approx(3.0 - 0.4)
    assert not dirac_variant("r1").project


def test_start_and_authors_defaults():
    variant = dirac_variant("r1")
    assert (variant.generator.theta.item(), variant.critic.psi.item()) == (1.0, -1.0)
    assert math.hypot(variant.generator.theta.item(), variant.critic.psi.item()) == pytest.approx(math.sqrt(2))


def test_unknown_names_are_answered():
    with pytest.raises(ValueError, match="did you mean instance_noise"):
        dirac_variant("instance_nois")


def test_a_variant_refuses_what_it_does_not_read():
    for name, given in (("gan", {"gamma": 3.0}), ("r1", {"sigma": 0.5}), ("wgan", {"gama": 1.0})):
        with pytest.raises(UserError, match=f"the variant {name} reads.*leave it out"):
            dirac_variant(name, **given)
    with pytest.raises(UserError, match="penalties and perturbation"):
        dirac_gan(build("r1"), penalties=build("r1").penalties)


def test_the_dirac_gan_takes_any_method_and_asks_it_what_training_asks():
    """Half-steps, joint steps, toys and the analysis share one pair of objectives: the same numbers, exactly."""
    for name in METHODS:
        made = dirac_gan(build(name), theta=0.3, psi=-0.6)
        draw = Draw(made.real, made.z, made.z, lambda: torch.Generator().manual_seed(0))
        method, fake = made.method, made.generator(made.z)
        expected = (
            generator_objective(method, *made.players, made.z, real=made.real, rng=draw.noise()).total,
            critic_objective(method, made.critic, made.real, fake, rng=draw.noise()).total,
        )
        found = [loss().item() for loss in losses_on(method, *made.players, draw)]
        assert found == [value.item() for value in expected], name
        if not method.play.corrects:
            assert [loss().item() for loss in made.losses] == found, name
        optimizers = made.optimizers()
        made.step(optimizers)()
        assert len(optimizers) == (3 if name == "lookahead" else 2)
    assert build("r1").penalties == dirac_gan(build("r1")).method.penalties


def test_a_constraint_holds_the_toys_critic():
    """A spectrally normalised linear critic of one number has slope one, whatever its weight."""
    made = dirac_gan(build("sn_gan"), psi=-0.6)
    assert made.critic(torch.ones(1, 1, dtype=torch.float64)).item() == pytest.approx(-1.0, abs=1e-9)
    clipped = dirac_gan(build("wgan"), psi=-0.6)  # training projects before its first step as well
    assert clipped.critic.psi.item() == pytest.approx(-0.01)
