"""Augmentations inside a method: in both half-steps, with a strength that a checkpoint carries, by the command."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from torch import nn

from tightrope import UserError, methods, runs, training
from tightrope.methods.citations import sources
from tightrope.methods.game import critic_objective, generator_objective
from tightrope.perturbations import AdaptiveStrength, Augmentation, InOrder, InstanceNoise, diff_augment


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def augmented(name: str = "r1", perturbation: object = None) -> methods.Method:
    return dataclasses.replace(methods.build(name), perturbation=perturbation or Augmentation("diff"))


def pair() -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(0)
    generator = nn.Sequential(nn.Linear(4, 64), nn.Tanh(), nn.Unflatten(1, (1, 8, 8)))
    critic = nn.Sequential(nn.Conv2d(1, 4, 3), nn.LeakyReLU(0.2), nn.Flatten(), nn.Linear(144, 1))
    return generator, critic


def test_both_players_see_augmented_samples():
    generator, critic = pair()
    method, real, z = augmented(), torch.rand(6, 1, 8, 8) * 2 - 1, torch.randn(6, 4)
    fake = generator(z).detach()
    shown = critic_objective(method, critic, real, fake, rng=rng(1))
    draws = rng(1)
    seen_real, seen_fake = diff_augment(real, rng=draws), diff_augment(fake, rng=draws)
    assert torch.equal(shown.d_real, critic(seen_real)) and torch.equal(shown.d_fake, critic(seen_fake))
    theirs = generator_objective(method, generator, critic, z, rng=rng(2))
    assert torch.allclose(theirs.d_fake, critic(diff_augment(fake, rng=rng(2))))
    theirs.total.backward()
    assert float(generator[0].weight.grad.norm()) > 0


def test_an_adaptive_strength_is_the_runs_own_and_a_checkpoint_carries_it():
    strength = AdaptiveStrength(target=-0.99, images=60, every=2)
    method = augmented("r1", InOrder((Augmentation("ada", p=strength, policy="b"), InstanceNoise(0.01))))
    batches = [torch.rand(6, 1, 8, 8, generator=rng(k)) * 2 - 1 for k in range(9)]
    run = training.start(method, *pair(), seed=0, latent=4, shape=(1, 8, 8), batch_size=6)
    for real in batches[:5]:
        training.critic_step(run, real)
        training.generator_step(run)
    own = run.method.perturbation.adaptive
    assert strength.p == 0.0 and own.p > 0 and own.seen == 6  # 5 batches: two changes, and one batch since
    again = training.start(method, *pair(), seed=1, latent=4, shape=(1, 8, 8), batch_size=6)
    again.load_state_dict(run.state_dict())
    for real in batches[5:]:
        for one in (run, again):
            training.critic_step(one, real)
            training.generator_step(one)
    assert again.method.perturbation.adaptive == own and own.p == pytest.approx(4 * 12 / 60)
    for a, b in zip(run.generator.parameters(), again.generator.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("name", ["wgan", "wgan_gp", "r3gan"])
def test_an_adaptive_strength_needs_scores_whose_sign_means_something(name: str):
    with pytest.raises(UserError, match="signs of real scores"):
        augmented(name, Augmentation("ada"))
    assert augmented(name, Augmentation("ada", p=0.3)).perturbation.adaptive is None
    assert augmented(name).perturbation.kind == "diff"


def test_sources_name_what_the_critic_sees_through():
    found = sources(augmented("r1", InOrder((Augmentation("ada"), InstanceNoise(0.1)))))
    assert {"2006.06676", "1610.04490"} <= {source.arxiv for source in found}
    assert "2006.10738" in {source.arxiv for source in sources(augmented())}


def test_a_command_augments_logs_and_resumes(tmp_path: Path):
    wishes = {"network": "dcgan", "width": 4, "latent": 8, "batch_size": 8, "log_every": 1, "evaluate_every": 0}
    config = runs.resolve("digits", method="r1", augment="ada", steps=8, limit=200, threads=1, **wishes)
    assert config.method.augment == "ada"
    runs.begin(tmp_path / "run", config)
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert "critic_overfitting" in rows[-1] and 0 <= rows[-1]["augmentation_strength"] <= 1
    with pytest.raises(UserError, match="need images"):
        runs.resolve("toy:ring", method="r1", augment="diff", steps=8)
    with pytest.raises(UserError, match="signs of real scores"):
        runs.resolve("digits", method="wgan_gp", augment="ada", steps=8)
