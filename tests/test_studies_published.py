"""The papers' own experiments: each arm is what its paper says, and samples are judged against held-out images."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tightrope import constraints, losses
from tightrope.methods import Method
from tightrope.optimizers.settings import Adam, RMSprop
from tightrope.studies import published
from tightrope.studies.design import Cell
from tightrope.studies.dirac_forms import measured


def arm(part: str, name: str) -> tuple[Cell, Method]:
    """The first cell at paper scale, and its method."""
    every = [cell for one in published.GRID["paper"] for cell in one.cells]
    cell = next(cell for cell in every if (cell["part"], cell["arm"]) == (part, name))
    return cell, published._method(cell)


def only_penalty(method: Method) -> dict[str, Any]:
    (penalty,) = method.penalties
    return dict(penalty.hyperparameters)


def test_wgan_is_algorithm_1_beside_a_gan_of_one_critic_step():
    _, wgan = arm("wgan", "wgan")
    assert (wgan.loss, wgan.n_critic, wgan.critic_optimizer) == (losses.wasserstein, 5, RMSprop(5e-5))
    critic = nn.Linear(3, 1)
    nn.init.constant_(critic.weight, 1.0)
    assert wgan.projection is not None
    wgan.projection.function(critic)
    assert float(critic.weight.detach().abs().max()) == pytest.approx(0.01)
    _, gan = arm("wgan", "gan")
    assert (gan.loss, gan.n_critic, gan.projection) == (losses.non_saturating, 1, None)
    assert gan.critic_optimizer == gan.generator_optimizer == Adam(2e-4, (0.5, 0.999))


def test_arms_that_are_compared_differ_in_what_they_say():
    _, ttur = arm("orthogonal", "ttur")
    rates = ttur.critic_optimizer.learning_rate, ttur.generator_optimizer.learning_rate, ttur.n_critic
    assert rates == (pytest.approx(3e-4), 1e-4, 1)
    assert [arm("critic", name)[1].n_critic for name in ("five", "one", "one_clamped")] == [5, 1, 1]
    for part, name in (("conditioning", "clamped"), ("critic", "one_clamped")):
        (clamping,) = arm(part, name)[1].generator_penalties
        assert (clamping.hyperparameters["low"], clamping.hyperparameters["high"]) == (1.0, 20.0)
    none, r1 = (arm("convergence", name)[1] for name in ("none", "r1"))
    assert none.penalties == () and only_penalty(r1)["gamma"] == 10.0
    assert none.critic_optimizer == r1.critic_optimizer == r1.generator_optimizer == RMSprop(1e-4, 0.99)
    plain, sn = (arm("reparametrised", name)[1] for name in ("gp", "gp_sn"))
    assert plain.constraint is None and sn.constraint is not None
    assert sn.constraint.function is constraints.spectral_norm and only_penalty(plain) == only_penalty(sn)
    for name in ("sn", "orthonormal"):
        _, method = arm("resnet", name)
        assert (method.loss, method.n_critic, method.critic_optimizer) == (losses.hinge, 5, Adam(2e-4, (0.0, 0.9)))


class Copies(nn.Module):
    """A generator that gives held-out images in their order, whatever the latents, times a factor."""

    def __init__(self, x: Tensor, factor: float) -> None:
        super().__init__()
        self.x, self.at, self.factor = x, 0, nn.Parameter(torch.tensor(factor))

    def forward(self, z: Tensor) -> Tensor:
        self.at, begun = self.at + len(z), self.at
        return self.factor * self.x[begun : self.at]


@pytest.mark.parametrize("factor", [1.0, 0.5])
def test_held_out_images_have_no_distance_to_themselves(factor):
    cell: Cell = {"data": "digits", "pixels": 8, "network": "dcgan", "features": "random", "fakes": 300, "latent": 2,
                  "labels": False}  # fmt: skip
    data = published._opened("digits", 8, "test")
    generator = Copies(data.batch(torch.arange(300)).x, factor)
    run: Any = SimpleNamespace(generator=generator, average=None)
    distance, spread = published._judged(run, cell, torch.Generator().manual_seed(0))
    assert spread == pytest.approx(factor)
    assert (abs(distance) < 1e-4) == (factor == 1.0) and generator.training


def test_the_flow_dragan_and_the_penalty_of_roth_et_al():
    assert measured({"part": "conserved", "variant": "gan", "time": 20.0}, 0)["left"] < 1e-8
    found = measured({"part": "conserved", "variant": "nsgan", "time": 20.0}, 0)
    assert found["left"] > 1e-2  # NSGAN's flow does come nearer
    assert measured({"part": "dragan", "weight": 0.35, "rate": 0.2, "steps": 200}, 0)["least"] > 0.5
    for gamma, abscissa in ((0.6, -0.15), (2.0, -0.5)):  # -gamma/4 up to gamma = 2
        roth = measured({"part": "roth", "weight": gamma}, 0)
        assert roth["error"] < 1e-7 and roth["abscissa"] == pytest.approx(abscissa, abs=1e-7)
