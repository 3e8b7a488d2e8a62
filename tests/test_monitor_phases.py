"""Loops in phases: networks are frozen again between their backward and their optimiser's step, as StyleGAN2's are."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.functional import softplus

from tightrope.monitor import Diagnosis, Monitor


def diagnosed(*, flip: bool = False, frozen: bool = False) -> Diagnosis:
    torch.manual_seed(0)
    generator = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 2)).requires_grad_(False)
    critic = nn.Sequential(nn.Linear(2, 32), nn.LeakyReLU(0.2), nn.Linear(32, 1)).requires_grad_(False)
    first, second = (torch.optim.Adam(net.parameters(), 1e-3, betas=(0.0, 0.9)) for net in (generator, critic))
    monitor = Monitor(
        generator, critic, "non_saturating", penalty=("r1", 1.0), optimizers=(first, second), every=10, budget=1e9
    )
    for _ in range(24):
        real, z = torch.randn(64, 2) * 0.3 + torch.tensor([1.0, 0.0]), torch.randn(64, 8)
        first.zero_grad(set_to_none=True)
        generator.requires_grad_(True)
        loss = softplus(-critic(generator(z))).mean()
        (-loss if flip else loss).backward()
        generator.requires_grad_(False)
        first.step()
        second.zero_grad(set_to_none=True)
        critic.requires_grad_(True)
        if frozen:
            critic[0].requires_grad_(False)
        softplus(critic(generator(torch.randn(64, 8)))).mean().backward()
        x = real.clone().requires_grad_()
        scores = critic(x)
        (slope,) = torch.autograd.grad(scores.sum(), x, create_graph=True)
        (softplus(-scores).mean() + 0.5 * slope.square().sum(1).mean()).backward()
        critic.requires_grad_(False)
        second.step()
        monitor.step(real, z)
        assert not any(p.requires_grad for net in (generator, critic) for p in net.parameters())
    return monitor.diagnose()


def test_a_sound_loop_in_phases_is_healthy() -> None:
    found = diagnosed()
    assert found.healthy, str(found)


@pytest.mark.parametrize(("fault", "cause"), [("flip", "generator_sign_flipped"), ("frozen", "critic_frozen")])
def test_faults_of_a_loop_in_phases_are_named(fault: str, cause: str) -> None:
    assert next(iter(diagnosed(**{fault: True}))).cause == cause


class Judge(nn.Module):
    """Takes real and generated samples in one call, as vocoders' critics do."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(6, 16), nn.Linear(16, 1)

    def forward(self, y: torch.Tensor, made: torch.Tensor) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        features = [torch.relu(self.body(x)) for x in (y, made)]
        return [self.head(f) for f in features], features


def test_real_and_generated_samples_in_one_call_are_no_finding() -> None:
    torch.manual_seed(0)
    generator, critic = nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 6)), Judge()
    first, second = (torch.optim.Adam(net.parameters(), 1e-3, betas=(0.8, 0.99)) for net in (generator, critic))
    monitor = Monitor(generator, critic, "least_squares", optimizers=(first, second), every=10, budget=1e9)
    for _ in range(40):
        z = torch.randn(32, 6)
        y, made = z.cumsum(1), generator(z)
        second.zero_grad()
        (real, fake), _ = critic(y, made.detach())
        ((real - 1).square().mean() + fake.square().mean()).backward()
        second.step()
        first.zero_grad()
        (_, fake), (theirs, ours) = critic(y, made)
        ((fake - 1).square().mean() + 2 * (theirs - ours).abs().mean() + 45 * (y - made).abs().mean()).backward()
        first.step()
        monitor.step(y, z)
    assert monitor.diagnose().healthy, str(monitor.diagnose())


def with_a_step_for_the_penalty(*, cleared: bool = False, weight: float = 1.0) -> Diagnosis:
    """The penalty has its own backward and step, and holds the scores in its graph times 0, as StyleGAN2's does."""
    torch.manual_seed(0)
    generator = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 2))
    critic = nn.Sequential(nn.Linear(2, 32), nn.LeakyReLU(0.2), nn.Linear(32, 1))
    first, second = (torch.optim.Adam(net.parameters(), 1e-3, betas=(0.0, 0.9)) for net in (generator, critic))
    monitor = Monitor(
        generator, critic, "non_saturating", penalty=("r1", 1.0), optimizers=(first, second), every=10, budget=1e9
    )
    for _ in range(24):
        real, z = torch.randn(64, 2) * 0.3 + torch.tensor([1.0, 0.0]), torch.randn(64, 8)
        first.zero_grad()
        softplus(-critic(generator(z))).mean().backward()
        first.step()
        second.zero_grad()
        with torch.no_grad():
            fake = generator(torch.randn(64, 8))
        softplus(critic(fake)).mean().backward()
        softplus(-critic(real)).mean().backward()
        if not cleared:
            second.step()
        second.zero_grad()
        x = real.clone().requires_grad_()
        scores = critic(x)
        (slope,) = torch.autograd.grad(scores.sum(), x, create_graph=True)
        (0.5 * weight * slope.square().sum(1) + 0 * scores.flatten()).mean().backward()
        second.step()
        monitor.step(real, z)
    return monitor.diagnose()


def test_a_penalty_with_a_step_of_its_own_is_healthy() -> None:
    found = with_a_step_for_the_penalty()
    assert found.healthy and len(found) == 1, str(found)
    assert "the critic's loss at its scores, as claimed in 7 of 7" in " ".join(found.checked)


def test_its_weight_is_found_there() -> None:
    found = with_a_step_for_the_penalty(weight=50.0)[0]
    assert found.cause == "penalty_weight_wrong" and abs(found.evidence["weight"] - 50.0) < 0.1


def test_a_loss_that_is_cleared_before_the_penalty_s_step_is_named() -> None:
    assert with_a_step_for_the_penalty(cleared=True)[0].cause == "critic_not_stepped"
