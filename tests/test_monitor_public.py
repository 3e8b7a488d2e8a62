"""Documented bugs of public scripts, rebuilt; beside them the nearest loops that are sound."""

from __future__ import annotations

import importlib
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from monitor_loop import LATENT, Loop, interpolates, mlp, slopes
from monitor_setting import Setting
from tightrope.autodiff import View
from tightrope.monitor import Monitor

SECOND, THIRD = (importlib.import_module(f"benchmarks.diagnosis.public_bugs_{name}") for name in ("second", "third"))
diagnosed = importlib.import_module("benchmarks.diagnosis.public_bugs").diagnosed
BUGS = SECOND.BUGS | THIRD.BUGS


@pytest.mark.parametrize("name", BUGS)
def test_a_documented_bug_is_named_first(name: str) -> None:
    found = diagnosed(BUGS[name], every=10)
    assert found and found[0][0] in BUGS[name].causes and found[0][1] != "low", found


def alarms(monitor: Monitor) -> list[str]:
    found = monitor.diagnose()
    assert not monitor.failures and not monitor.history.problems
    return [f.cause for f in found if f.confidence != "low" and f.cause != "healthy"]


class Several(nn.Module):
    """Two critics and what they felt: scores in a list, then a feature of the first."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.end = mlp(2, 4), mlp(2, 16, 1), nn.Linear(4, 1)

    def forward(self, x: Tensor) -> tuple[list[Tensor], Tensor]:
        feature = self.first(x)
        return [self.end(feature.relu()), self.second(x)], feature


def several(for_critic: Callable[[list[Tensor]], Tensor], for_generator: Callable[[list[Tensor]], Tensor]) -> Monitor:
    """Wasserstein losses of sums over critics, and feature matching for the generator alone."""
    torch.manual_seed(0)
    critics = Several()
    s = Setting("wasserstein", d=critics, view=View(critics, scores=lambda out: out[0]))
    for real, z in s.updates(14):
        s.opt_d.zero_grad()
        (for_critic(s.d(s.g(z).detach())[0]) - for_critic(s.d(real)[0])).backward()
        s.opt_d.step()
        s.opt_g.zero_grad()
        scores, feature = s.d(s.g(z))
        (0.1 * (feature - s.d(real)[1].detach()).abs().mean() - for_generator(scores)).backward()
        s.opt_g.step()
    return s.monitor


def both(scores: list[Tensor]) -> Tensor:
    return scores[0].mean() + scores[1].mean()


def last(scores: list[Tensor]) -> Tensor:
    return 2 * scores[1].mean()


@pytest.mark.parametrize(
    ("critic", "generator", "named"),
    [(both, both, []), (last, both, ["critic_no_gradient"]), (both, last, ["generator_loss_other"]), (last, last, [])],
)
def test_critics_that_one_player_leaves_out(critic, generator, named):
    assert [cause for cause in alarms(several(critic, generator)) if cause in (
        "critic_no_gradient", "generator_loss_other")] == named  # fmt: skip


@pytest.mark.parametrize("steps", [12, 60])
@pytest.mark.parametrize("one_sided", [False, True])
def test_a_penalty_left_out_while_the_critic_is_flat_is_told_from_a_one_sided_one(steps, one_sided):
    def computed(critic: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
        over = slopes(critic, interpolates(real, fake)).norm(dim=1) - 1
        return 10 * over.relu().square().mean() if one_sided else 0.0 * over.square().mean().detach()

    flat = mlp(2, 16, 1)
    with torch.no_grad():
        for p in flat.parameters():
            p.mul_(0.3)
    loop = Loop("wasserstein", critic=flat, penalty=("gp", 10.0), extra=computed, steps=steps, rates=(1e-4, 1e-5))
    monitor = loop.run()
    assert monitor is not None
    said = {f.cause: f for f in monitor.diagnose()}
    if one_sided:
        assert "penalty_absent" not in said or said["penalty_absent"].confidence != "high"
    else:
        assert said["penalty_absent"].confidence == "high"


def test_an_old_gradient_is_no_gradient_and_one_that_is_computed_ahead_is():
    def run(own: bool) -> Monitor:
        torch.manual_seed(0)
        s = Setting("wasserstein", g=mlp(LATENT, 16, 2))
        for step, (real, z) in enumerate(s.updates(24)):
            if own or step < 2:
                s.opt_d.zero_grad()
                (s.d(s.g(z).detach()).mean() - s.d(real).mean()).backward()
            kept = [p.grad for p in s.d.parameters()]
            s.opt_d.step()
            s.opt_g.zero_grad()
            (-s.d(s.g(z)).mean()).backward()
            for p, gradient in zip(s.d.parameters(), kept, strict=True):
                p.grad = gradient
            s.opt_g.step()
        return s.monitor

    assert ("critic_no_gradient" in alarms(run(own=False)), "critic_no_gradient" in alarms(run(own=True))) == (
        True, False)  # fmt: skip
