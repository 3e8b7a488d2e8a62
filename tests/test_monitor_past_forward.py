"""Calls that go past ``forward``, views and pieces of batches, shares, places and weights of penalties; with twins."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad
from torch.nn.functional import l1_loss

from monitor_hands import transformed
from monitor_loop import BATCH, LATENT, NO_CLAIM, Loop, bce, mlp, ring
from monitor_setting import Setting
from test_monitor_shown import painted
from tightrope.monitor import Monitor
from tightrope.monitor.places import where
from tightrope.monitor.pools import changed, shifted
from tightrope.monitor.roles import Judged, same


def causes(monitor: Monitor) -> list[str]:
    found = monitor.diagnose()
    assert not monitor.failures, monitor.failures
    return [f.cause for f in found if f.confidence != "low" and f.cause != "healthy"]


class ByParts(nn.Module):
    """A critic that the loop calls by its parts, and a generator likewise."""

    def __init__(self, a: int, b: int) -> None:
        super().__init__()
        self.body, self.head = mlp(a, 16, 16), nn.Linear(16, b)

    def both(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = self.body(x)
        return h, self.head(h.relu())

    def forward(self, x: Tensor) -> Tensor:
        return self.both(x)[1]


def by_parts(sign: float = 1.0, targets: tuple[float, float] = (1.0, 0.0), steps: int = 14) -> Monitor:
    s = Setting(g=ByParts(LATENT, 2), d=ByParts(2, 1))
    for real, z in s.updates(steps):
        with torch.no_grad():
            fake = s.g.both(z)[1]
        s.opt_d.zero_grad()
        (bce(s.d.both(real)[1], targets[0]) + bce(s.d.both(fake)[1], targets[1])).backward()
        s.opt_d.step()
        s.opt_g.zero_grad()
        fake = s.g.head(s.g.body(z).relu())
        features, scores = s.d.both(fake)
        (sign * bce(scores, 1.0) + 0.1 * features.mean(0).square().mean()).backward()
        s.opt_g.step()
    return s.monitor


@pytest.mark.parametrize(
    ("planted", "named"),
    [({}, []), ({"sign": -1.0}, ["generator_sign_flipped"]), ({"targets": (0.0, 1.0)}, ["critic_sign_flipped"])],
)
def test_networks_that_are_called_by_parts_are_seen(planted, named):
    assert causes(by_parts(**planted)) == named


def functional(sign: float = 1.0, fake_half: float = 1.0, weight: float = 10.0, steps: int = 14) -> Monitor:
    """Both players as functions of their parameters, with a penalty by a transform inside of a transform."""
    s = Setting("wgan", penalty=("gp", 10.0))

    def score(psi: dict[str, Tensor], x: Tensor) -> Tensor:
        return functional_call(s.d, psi, (x,))

    def of_critic(psi: dict[str, Tensor], real: Tensor, fake: Tensor) -> Tensor:
        e = torch.rand(len(real), 1)
        g = grad(lambda x: score(psi, x).sum())(e * real + (1 - e) * fake)
        cost = (g.norm(2, dim=1) - 1).square().mean()
        return fake_half * score(psi, fake).mean() - score(psi, real).mean() + weight * cost

    def of_generator(theta: dict[str, Tensor], z: Tensor) -> Tensor:
        return -sign * s.d(functional_call(s.g, theta, (z,))).mean()

    for real, z in s.updates(steps):
        fake = s.g(z).detach()
        players: tuple[tuple[nn.Module, Any, Callable[..., Tensor], tuple[Tensor, ...]], ...] = (
            (s.d, s.opt_d, of_critic, (real, fake)),
            (s.g, s.opt_g, of_generator, (z,)),
        )
        for net, optimizer, loss, given in players:
            found = grad(loss)({name: p.detach() for name, p in net.named_parameters()}, *given)
            for name, g in found.items():
                net.get_parameter(name).grad = g
            optimizer.step()
    return s.monitor


@pytest.mark.parametrize(
    ("planted", "named"),
    [({}, []), ({"sign": -1.0}, ["generator_sign_flipped"]), ({"fake_half": 0.0}, ["critic_fake_half_missing"]),
     ({"weight": 200.0}, ["penalty_weight_wrong"])],
)  # fmt: skip
def test_calls_inside_of_transforms_are_seen(planted, named):
    assert causes(functional(**planted)) == named


def test_weights_are_the_same_with_and_without_a_monitor_inside_of_transforms(monkeypatch):
    watched = transformed(6)
    monkeypatch.setattr(Monitor, "_open_window", lambda self: None)
    alone = transformed(6)
    for name in ("generator", "critic"):
        a, b = (m.players[name].module.state_dict() for m in (watched, alone))
        assert all(torch.equal(a[key], b[key]) for key in a)


def test_a_view_of_a_batch_is_another_batch():
    x = torch.randn(4, 1, 8, 8)
    assert same(x, x) and same(x.view(4, 1, 8, 8), x) and not same(x.transpose(2, 3), x)
    assert changed(x.transpose(2, 3), x)[0] == "order"
    assert painted(lambda real: real.transpose(-1, -2))[0].cause == "channel_order"


def test_rows_that_are_rolled_are_named_and_ones_rolled_anew_each_time_are_not():
    assert painted(lambda x: x.roll(1, 3))[0].cause == "critic_shown_other_real"
    draw = torch.Generator().manual_seed(0)
    anew = painted(lambda x: x.roll(int(torch.randint(1, 4, (), generator=draw)), 3))
    assert "critic_shown_other_real" not in [f.cause for f in anew if f.confidence != "low"]
    x = torch.randn(4, 3, 6)
    assert shifted(x.roll(2, 2), x) == "rolled by 2 along axis 2" and not shifted(x + 1, x) and not shifted(x, x)


def split(show: Callable[[Tensor], Tensor], steps: int = 14) -> list[str]:
    """Two micro-batches per step."""
    s = Setting(
        g=nn.Sequential(mlp(LATENT, 16, 12), nn.Unflatten(1, (3, 4))), d=nn.Sequential(nn.Flatten(), mlp(12, 16, 1))
    )
    s.monitor.close()
    s.monitor = Monitor(s.g, s.d, loss="bce", every=5, budget=1e9, optimizers=(s.opt_g, s.opt_d))
    for _ in range(steps):
        real, z = torch.randn(BATCH, 3, 4), torch.randn(BATCH, LATENT)
        s.opt_d.zero_grad()
        for part in real.chunk(2):
            fake = s.g(torch.randn(len(part), LATENT)).detach()
            ((bce(s.d(show(part)), 1.0) + bce(s.d(fake), 0.0)) / 2).backward()
        s.opt_d.step()
        s.opt_g.zero_grad()
        bce(s.d(s.g(z)), 1.0).backward()
        s.opt_g.step()
        s.monitor.step(real, z)
    return causes(s.monitor)


@pytest.mark.parametrize(("show", "named"), [(lambda x: x, []), (lambda x: x.flip(1), ["channel_order"])])
def test_pieces_of_a_batch_are_compared_with_it(show, named):
    assert split(show) == named


def generator_first(other: float, adversarial: float, steps: int = 14) -> list[str]:
    """The generator moves first, with a second term; the critic has moved when the window is read."""
    s = Setting()
    for real, z in s.updates(steps):
        fake = s.g(z)
        s.opt_g.zero_grad()
        (adversarial * bce(s.d(fake), 1.0) + other * l1_loss(fake, real)).backward()
        s.opt_g.step()
        s.opt_d.zero_grad()
        (bce(s.d(real), 1.0) + bce(s.d(fake.detach()), 0.0)).backward()
        s.opt_d.step()
    return causes(s.monitor)


@pytest.mark.parametrize(
    ("other", "adversarial", "named"),
    [(1.0, 1.0, []), (0.0, 1.0, []), (1.0, 1e-6, ["reconstruction_drowns_adversarial"])],
)
def test_shares_are_read_while_the_critic_is_as_it_was(other, adversarial, named):
    assert generator_first(other, adversarial) == named


def test_one_optimiser_that_holds_nothing_of_the_critic_does_not_step_it():
    s = Setting()
    optimizer = torch.optim.Adam(s.g.parameters(), 1e-3)
    s.monitor.close()
    s.monitor = Monitor(s.g, s.d, loss="bce", every=5, budget=1e9, optimizers=(optimizer, optimizer))
    for real, z in s.updates(24):
        optimizer.zero_grad()
        fake = s.g(z)
        (bce(s.d(real), 1.0) + bce(s.d(fake.detach()), 0.0)).backward(inputs=list(s.d.parameters()))
        bce(s.d(fake), 1.0).backward(inputs=list(s.g.parameters()))
        optimizer.step()
    assert causes(s.monitor)[0] == "critic_not_stepped"


def halves_one_by_one(cleared: bool, steps: int = 14) -> list[str]:
    """The tutorial's loop without ``detach``; the generator's gradient is cleared before its own backward."""
    s = Setting()
    for real, z in s.updates(steps):
        if cleared:
            s.opt_d.zero_grad()
        bce(s.d(real), 1.0).backward()
        fake = s.g(z)
        bce(s.d(fake), 0.0).backward(retain_graph=True)
        s.opt_d.step()
        if not cleared:
            s.opt_d.zero_grad()
        s.opt_g.zero_grad()
        bce(s.d(s.g(z)), 1.0).backward()
        s.opt_g.step()
    return causes(s.monitor)


@pytest.mark.parametrize(("cleared", "named"), [(True, []), (False, ["generator_gradient_in_critic"])])
def test_a_missing_detach_where_gradients_are_cleared_is_no_fault(cleared, named):
    assert halves_one_by_one(cleared) == named


def few_wide(n: int, rng: torch.Generator) -> Tensor:
    return torch.cat([ring(n, rng), torch.randn(n, 4, generator=rng)], 1)


def penalised(points: Callable[[Tensor, Tensor], Tensor], weight: float = 10.0, squash: bool = False) -> list[str]:
    def extra(critic: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
        x = points(real, fake.detach()).detach().requires_grad_()
        scores = critic(x).sigmoid() if squash else critic(x)
        (g,) = torch.autograd.grad(scores.sum(), x, create_graph=True)
        return weight * (g.norm(2, dim=1) - 1).square().mean()

    loop = Loop("wasserstein", penalty=("gp", 10.0), generator=mlp(LATENT, 16, 6), critic=mlp(6, 16, 1), batch=few_wide,
                extra=extra, steps=14)  # fmt: skip
    monitor = loop.run()
    assert monitor is not None
    return causes(monitor)


def between(real: Tensor, fake: Tensor) -> Tensor:
    e = torch.rand(len(real), 1)
    return e * real + (1 - e) * fake


@pytest.mark.parametrize(
    ("points", "named"),
    [
        (between, []),
        (lambda r, f: between(r, f[torch.randperm(len(f))]), []),
        (lambda r, f: r + 0.1 * torch.randn_like(r), []),
        (lambda r, f: r + 3 * torch.rand(len(r), 1) * (r - f), ["penalty_other_place"]),
        (lambda r, f: torch.randn_like(r), ["penalty_other_place"]),
        (lambda r, f: f + torch.rand_like(r) * (r - f), ["penalty_other_place"]),
    ],
)
def test_points_that_lie_between_no_rows_are_named(points, named):
    assert penalised(points) == named


@pytest.mark.parametrize(
    ("weight", "named"), [(10.0, []), (20.0, ["penalty_weight_wrong"]), (5.0, ["penalty_weight_wrong"])]
)
def test_twice_the_weight_is_another_weight(weight, named):
    assert penalised(between, weight) == named


def test_a_penalty_of_sigmoid_scores_is_of_another_kind():
    assert penalised(between, squash=True) == ["penalty_other_kind"]


def test_places():
    real, fake = torch.randn(8, 5), torch.randn(8, 5)

    def call(x: Tensor, role: str) -> Judged:
        one: Any = SimpleNamespace(x=x)
        return Judged(one, role, exact=True)

    found = [call(real, "real"), call(fake, "fake")]
    mixed = fake + torch.rand_like(real) * (real - fake)
    places = {
        "mixed": mixed, "interpolated": 0.3 * real + 0.7 * fake, "extrapolated": 1.5 * real - 0.5 * fake,
        "elsewhere": torch.randn(8, 5), "other": 0.3 * real + 0.7 * fake.flip(0),
    }  # fmt: skip
    for place, x in places.items():
        assert where(call(x, "points"), found) == place


@pytest.mark.parametrize("clamp", [True, False])
def test_a_logarithm_of_raw_scores_is_another_loss(clamp):
    def log(x: Tensor) -> Tensor:
        return x.clamp(min=1e-8).log() if clamp else (x.abs() + 1e-12).log()

    loop = Loop(critic_loss=lambda r, f: -(log(r) + log(1 - f)).mean(), generator_loss=lambda f, r: -log(f).mean())
    monitor = loop.run()
    assert monitor is not None and set(causes(monitor)) >= {"critic_loss_other", "generator_loss_other"}


@pytest.mark.parametrize("claim", ["wasserstein", "hinge", NO_CLAIM])
def test_a_logarithm_of_scores_below_zero_is_another_loss_whatever_was_claimed(claim):
    loop = Loop("wasserstein", claim=claim, generator_loss=lambda f, r: -f.log().mean())
    monitor = loop.run()
    assert monitor is not None
    said = {f.cause: f.sentence for f in monitor.diagnose()}
    if claim is NO_CLAIM:
        fits = {w.generator.fit.name for w in monitor.history.windows if w.generator.fit is not None}
        assert any("logarithm" in name for name in fits)
    else:
        assert "logarithm" in said["generator_loss_other"]


def test_a_schedule_that_begins_again_as_a_state_is_loaded_is_lost_and_a_warm_restart_is_not():
    for load in (True, False):
        s = Setting()
        for step, (real, z) in enumerate(s.updates(30)):
            if step == 20 and load:
                for one in (s.opt_g, s.opt_d):
                    one.load_state_dict(one.state_dict())
            for one in (s.opt_g, s.opt_d):
                one.param_groups[0]["lr"] = 1e-3 * 0.9 ** (step % 20)
            s.opt_d.zero_grad()
            (bce(s.d(real), 1.0) + bce(s.d(s.g(z).detach()), 0.0)).backward()
            s.opt_d.step()
            s.opt_g.zero_grad()
            bce(s.d(s.g(z)), 1.0).backward()
            s.opt_g.step()
        assert ("schedule_lost_on_resume" in causes(s.monitor)) == load


def test_samples_of_few_rows_again_and_again_are_memorised():
    rows = torch.randn(40, 6)

    def run(g: nn.Module, steps: int = 110) -> list[str]:
        s = Setting(g=g, d=mlp(6, 16, 1), held_out=torch.randn(200, 6),
                    sample=lambda: g(torch.randn(256, LATENT)))  # fmt: skip
        for p in g.parameters():
            p.requires_grad_(False)
        for _, z in s.updates(steps):
            real = rows[torch.randint(40, (BATCH,))]
            s.opt_d.zero_grad()
            (bce(s.d(real), 1.0) + bce(s.d(s.g(z)), 0.0)).backward()
            s.opt_d.step()
        assert not s.monitor.failures and not s.monitor.history.problems
        return [f.cause for f in s.monitor.diagnose()]

    class Copies(nn.Linear):
        def forward(self, z: Tensor) -> Tensor:
            return rows[(z[:, 0].abs() * 1000).long() % 40] + 0.01 * z[:, :1]

    assert "generator_memorising" in run(Copies(LATENT, 6)) and "generator_memorising" not in run(nn.Linear(LATENT, 6))


@pytest.mark.parametrize(("graph", "named"), [(True, []), (False, ["penalty_detached"])])
def test_a_lazy_penalty_with_a_step_of_its_own_that_applies_nothing_is_detached(graph, named):
    s = Setting(penalty=("r1", 1.0))
    for step, (real, z) in enumerate(s.updates(20)):
        s.opt_d.zero_grad()
        (bce(s.d(real), 1.0) + bce(s.d(s.g(z).detach()), 0.0)).backward()
        s.opt_d.step()
        if step % 4 == 0:
            x = real.clone().requires_grad_()
            scores = s.d(x)
            (g,) = torch.autograd.grad(scores.sum(), x, retain_graph=True, create_graph=graph)
            s.opt_d.zero_grad()
            (4 * g.square().sum(1).mean() / 2 + 0 * scores[0]).sum().backward()
            s.opt_d.step()
        s.opt_g.zero_grad()
        bce(s.d(s.g(z)), 1.0).backward()
        s.opt_g.step()
    assert causes(s.monitor) == named
