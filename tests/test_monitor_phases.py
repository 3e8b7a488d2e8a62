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
