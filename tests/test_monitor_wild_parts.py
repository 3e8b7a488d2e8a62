"""Public trainings that call parts of networks, lists of critics, policies, and critics that are skipped by choice."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from monitor_loop import BATCH, LATENT, Loop, bce, gp, interpolates, mlp, ring
from monitor_setting import Setting
from tightrope.monitor import Monitor


def alarms(monitor: Monitor) -> list[str]:
    found = monitor.diagnose()
    assert not monitor.failures and not monitor.history.problems
    return [f.cause for f in found if f.confidence != "low" and f.cause != "healthy"]


class Mapped(nn.Module):
    """A generator that is only ever called part by part, as StyleGAN2's mapping and synthesis."""

    def __init__(self) -> None:
        super().__init__()
        self.mapping, self.synthesis = mlp(LATENT, 16, 8, norm=True), mlp(8, 16, 2)

    def forward(self, z: Tensor) -> Tensor:
        raise AssertionError


@pytest.mark.parametrize(("cleared", "named"), [(True, []), (False, ["generator_gradient_accumulated"])])
def test_parts_are_made_again_one_by_one(cleared, named):
    s = Setting(g=Mapped())
    assert isinstance(s.g, Mapped)
    for real, z in s.updates(9):
        s.opt_d.zero_grad()
        fake = s.g.synthesis(s.g.mapping(z)).detach()
        (softplus(-s.d(real)).mean() + softplus(s.d(fake)).mean()).backward()
        s.opt_d.step()
        if cleared:
            s.opt_g.zero_grad()
        softplus(-s.d(s.g.synthesis(s.g.mapping(z)))).mean().backward()
        s.opt_g.step()
    accounts = [a for w in s.monitor.history.windows[1:] for a in w.generator.accounts]
    assert len(accounts) > 1 and {a.kind for a in accounts[1:]} == ({"losses"} if cleared else {"start"})
    assert alarms(s.monitor) == named


class Pair(nn.Module):
    """A critic of two scales that returns scores and features of both of its inputs."""

    def __init__(self, *widths: int) -> None:
        super().__init__()
        self.nets = nn.ModuleList(mlp(2, w, w) for w in widths)
        self.heads = nn.ModuleList(nn.Linear(w, 1) for w in widths)

    def forward(self, x: Tensor, y: Tensor) -> tuple[list[Tensor], ...]:
        features = [[net(t).relu() for net in self.nets] for t in (x, y)]
        scores = [[head(f) for head, f in zip(self.heads, of, strict=True)] for of in features]
        return scores[0], scores[1], features[0], features[1]


LIST: dict[str, tuple[dict[str, Any], list[str]]] = {
    "healthy": ({}, []),
    "critic turned": ({"targets": (0.0, 1.0)}, ["critic_sign_flipped"]),
    "generator turned": ({"target": 0.0}, ["generator_sign_flipped"]),
    "no real half": ({"half": 0.0}, ["critic_real_half_missing"]),
    "cut": ({"cut": True}, ["generator_loss_without_critic"]),
}


@pytest.mark.parametrize("how", LIST, ids=str)
def test_a_list_of_critics_is_heard_at_each_of_them(how):
    told, named = LIST[how]
    s = Setting("least_squares", d=nn.ModuleList([Pair(16, 8), Pair(12)]))
    assert isinstance(s.d, nn.ModuleList)
    real_target, fake_target = told.get("targets", (1.0, 0.0))

    def squares(scores: list[Tensor], target: float) -> Any:
        return sum(((score - target) ** 2).mean() for score in scores)

    for real, z in s.updates(9):
        fake = s.g(z)
        s.opt_d.zero_grad()
        loss: Any = 0.0
        for critic in s.d:
            r, f, *_ = critic(real, fake.detach())
            loss = loss + told.get("half", 1.0) * squares(r, real_target) + squares(f, fake_target)
        loss.backward()
        s.opt_d.step()
        s.opt_g.zero_grad()
        loss = (fake - real).abs().mean()
        for critic in s.d:
            _, f, of_real, of_fake = critic(real, fake.detach() if told.get("cut") else fake)
            matched = sum((a.detach() - b).abs().mean() for a, b in zip(of_real, of_fake, strict=True))
            loss = loss + squares(f, told.get("target", 1.0)) + matched
        loss.backward()
        s.opt_g.step()
        if s.monitor.steps == 2 and named:
            assert alarms(s.monitor)[:1] == named
    assert alarms(s.monitor)[:1] == named
    if not named:
        assert {a.kind for w in s.monitor.history.windows for a in w.critic.accounts} == {"losses"}


@pytest.mark.parametrize(("sign", "named"), [(1, []), (-1, ["critic_sign_flipped"])])
def test_a_list_of_layers_that_the_loop_calls_is_one_critic(sign, named):
    s = Setting(d=nn.ModuleList([mlp(2, 16, 16), nn.Linear(16, 1)]))
    assert isinstance(s.d, nn.ModuleList)
    net, head = s.d
    for real, z in s.updates(9):
        s.opt_d.zero_grad()
        r, f = head(net(real).relu()), head(net(s.g(z).detach()).relu())
        (softplus(-sign * r).mean() + softplus(sign * f).mean()).backward()
        s.opt_d.step()
        s.opt_g.zero_grad()
        softplus(-head(net(s.g(z)).relu())).mean().backward()
        s.opt_g.step()
    assert alarms(s.monitor) == named
    assert any(w.critic.fit for w in s.monitor.history.windows[1:])


@pytest.mark.parametrize(("way", "said"), [("detach", True), ("one-sided", False)])
def test_a_graph_that_comes_back_to_the_points_tells_a_flat_penalty_from_none(way, said):
    """A critic flatter than 1: a one-sided penalty gives nothing, and passes the points all the same."""
    extra = gp(detach=True) if way == "detach" else gp(one_sided=True)
    loop = Loop("wasserstein", penalty=("gp", 10.0), extra=extra, steps=3)
    monitor = loop.run()
    assert monitor is not None
    slopes = torch.autograd.grad(loop.d(x := interpolates(ring(8, torch.Generator()), torch.zeros(8, 2))).sum(), x)[0]
    assert float(slopes.norm(dim=1).max()) < 1.0
    assert alarms(monitor) == (["penalty_absent"] if said else [])


def test_a_policy_that_the_critic_only_rewards_may_take_many_steps():
    s = Setting()
    for real, z in s.updates(12):
        with torch.no_grad():
            mean = s.g(z)
            action = mean + 0.3 * torch.randn_like(mean)
            reward = softplus(s.d(action)).flatten()
        s.opt_d.zero_grad()
        (bce(s.d(real), 1.0) + bce(s.d(action), 0.0)).backward()
        s.opt_d.step()
        for _ in range(4):
            s.opt_g.zero_grad()
            ((action - s.g(z)).square().sum(1) * (reward - reward.mean())).mean().backward()
            s.opt_g.step()
    assert s.monitor.history.counters["generator"].steps == 48
    assert "n_critic_swapped" not in alarms(s.monitor)


@pytest.mark.parametrize(("computed", "said"), [(True, False), (False, True)])
def test_a_critic_that_is_skipped_by_choice_is_no_swap(computed, said):
    s = Setting()
    for k, (real, z) in enumerate(s.updates(14)):
        if computed or k % 4 == 0:
            loss = bce(s.d(real), 1.0) + bce(s.d(s.g(z).detach()), 0.0)
            if k % 4 == 0:
                s.opt_d.zero_grad()
                loss.backward()
                s.opt_d.step()
        s.opt_g.zero_grad()
        bce(s.d(s.g(z)), 1.0).backward()
        s.opt_g.step()
    assert ("n_critic_swapped" in alarms(s.monitor)) == said


@pytest.mark.parametrize(("flip", "named"), [(False, []), (True, ["critic_sign_flipped"])])
def test_soft_labels_the_other_way_round(flip, named):
    s = Setting()
    for real, z in s.updates(9):
        high, low = 0.7 + 0.3 * torch.rand(BATCH, 1), 0.3 * torch.rand(BATCH, 1)
        of_real, of_fake = (low, high) if flip else (high, low)
        loss = nn.functional.binary_cross_entropy_with_logits
        s.opt_d.zero_grad()
        (loss(s.d(real), of_real) + loss(s.d(s.g(z).detach()), of_fake)).backward()
        s.opt_d.step()
        s.opt_g.zero_grad()
        bce(s.d(s.g(z)), 1.0).backward()
        s.opt_g.step()
    assert alarms(s.monitor) == named


@pytest.mark.parametrize("augment", [True, False])
def test_a_lazy_penalty_behind_an_augmentation_keeps_its_weight(augment):
    """Its points are no leaves then, so that calls between windows are not counted."""
    s = Setting(penalty=("r1", 1.0))
    for k, (real, z) in enumerate(s.updates(40)):
        for loss in (lambda r=real, z=z: bce(s.d(r), 1.0) + bce(s.d(s.g(z).detach()), 0.0), None):
            if loss is None and k % 16:
                continue
            s.opt_d.zero_grad()
            if loss is None:
                x = real.clone().requires_grad_()
                (g,) = torch.autograd.grad(s.d(-x if augment else x).sum(), x, create_graph=True)
                (16 * 0.5 * g.square().sum(1).mean()).backward()
            else:
                loss().backward()
            s.opt_d.step()
        s.opt_g.zero_grad()
        bce(s.d(s.g(z)), 1.0).backward()
        s.opt_g.step()
    assert alarms(s.monitor) == []
