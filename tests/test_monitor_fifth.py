"""What the fifth frozen set found: critics beside a condition, one score for a batch, losses of both scores; twins."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from monitor_loop import LATENT, Loop, bce, mlp, ring
from monitor_setting import Setting
from tightrope.autodiff import View
from tightrope.monitor import Monitor


def alarms(monitor: Monitor) -> list[str]:
    found = monitor.diagnose()
    assert not monitor.failures and not monitor.history.problems
    return [f.cause for f in found if f.confidence != "low" and f.cause != "healthy"]


class OfBatch(nn.Module):
    """One number for a batch, as the first WGAN code has it."""

    def __init__(self) -> None:
        super().__init__()
        self.net = mlp(2, 16, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x).mean(0).view(1)


@pytest.mark.parametrize(
    ("critic", "generator", "named"),
    [(1, 1, []), (-1, 1, ["critic_sign_flipped"]), (1, -1, ["generator_sign_flipped"]), (-1, -1, [])],
)
def test_one_score_for_a_batch_tells_the_sign(critic, generator, named):
    loop = Loop("wasserstein", critic=OfBatch(), critic_loss=lambda r, f: critic * (f.mean() - r.mean()),
                generator_loss=lambda f, r: -generator * f.mean())  # fmt: skip
    monitor = loop.run()
    assert monitor is not None and alarms(monitor) == named


def average(r: Tensor, f: Tensor) -> tuple[Tensor, Tensor]:
    """A relativistic average loss, of whose generator's part the real scores are a constant."""
    d = softplus(-(r - f.mean())).mean() + softplus(f - r.mean()).mean()
    return d / 2, softplus(-(f - r.mean())).mean()


@pytest.mark.parametrize(
    ("loss", "named"),
    [
        (lambda f, r: average(r.detach(), f)[1], []),
        (lambda f, r: -average(r.detach(), f)[1], ["generator_sign_flipped"]),
        (lambda f, r: -f.mean(), ["generator_loss_other"]),
    ],
)
def test_a_loss_given_as_a_function_of_both_scores_is_compared_at_both(loss, named):
    s = Setting(average)  # type: ignore[arg-type]
    for real, z in s.updates(14):
        s.opt_g.zero_grad()
        fake = s.g(z)
        loss(s.d(fake), s.d(real)).backward()
        s.opt_g.step()
        s.opt_d.zero_grad()
        average(s.d(real), s.d(fake.detach()))[0].backward()
        s.opt_d.step()
    assert alarms(s.monitor) == named


def test_a_claim_without_a_value_refutes_nothing():
    s = Setting(lambda r, f: (average(r, f)[0], (r[:0].mean() * f).mean()))  # type: ignore[arg-type]
    for real, z in s.updates(14):
        s.opt_d.zero_grad()
        average(s.d(real), s.d(s.g(z).detach()))[0].backward()
        s.opt_d.step()
        s.opt_g.zero_grad()
        bce(s.d(s.g(z)), 1.0).backward()
        s.opt_g.step()
    assert "generator_loss_other" not in alarms(s.monitor)


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize(
    ("cleared", "sign", "named"),
    [(True, 1, []), (True, -1, ["critic_sign_flipped"]), (False, 1, ["generator_gradient_in_critic"])],
)
def test_samples_beside_a_condition_and_backward_after_the_generator_s_step(first, cleared, sign, named):
    """As pix2pixHD trains: all scores before any step, the critic's backward behind the generator's."""
    torch.manual_seed(0)
    critic, condition = mlp(5, 16, 1), torch.randn(32, 3)

    def joined(x: Tensor) -> Tensor:
        return torch.cat([condition, x] if first else [x, condition], 1)

    s = Setting(d=critic, view=View(critic, call=lambda net, x: net(joined(x))))
    for real, z in s.updates(14):
        fake = s.g(z)
        of_fake, of_real, for_generator = critic(joined(fake.detach())), critic(joined(real)), critic(joined(fake))
        if not cleared:
            s.opt_d.zero_grad()
        s.opt_g.zero_grad()
        bce(for_generator, 1.0).backward()
        s.opt_g.step()
        if cleared:
            s.opt_d.zero_grad()
        (sign * (bce(of_fake, 0.0) + bce(of_real, 1.0))).backward()
        s.opt_d.step()
    assert alarms(s.monitor) == named


class Timed(nn.Module):
    """A critic that is told a time step; nobody says that it is a label."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.net = nn.Embedding(4, 4), mlp(6, 16, 1)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        return self.net(torch.cat([x, self.embed(t)], 1))


@pytest.mark.parametrize("told", [True, False])
def test_whole_numbers_given_to_the_critic_are_labels_where_somebody_says_so(told):
    torch.manual_seed(0)
    critic = Timed()
    s = Setting(d=critic, view=View(critic, call=lambda net, x: net(x, torch.zeros(len(x), dtype=torch.long))))
    for _ in range(40):
        real, z = ring(32, s.rng), torch.randn(32, LATENT)
        t = torch.randint(4, (32,))
        s.opt_d.zero_grad()
        (bce(critic(real, t), 1.0) + bce(critic(s.g(z).detach(), torch.randint(4, (32,))), 0.0)).backward()
        s.opt_d.step()
        s.opt_g.zero_grad()
        bce(critic(s.g(z), torch.randint(4, (32,))), 1.0).backward()
        s.opt_g.step()
        s.monitor.step(real, z, **({"labels": t} if told else {}))
    said = {f.cause: f.confidence for f in s.monitor.diagnose()}
    assert said["labels_unrelated"] == ("medium" if told else "low")


@pytest.mark.parametrize("mode", [True, False])
def test_buffers_of_an_average_that_samples_in_training_mode_are_not_used(mode):
    torch.manual_seed(0)
    g = mlp(LATENT, 16, 2, norm=True)
    held = copy.deepcopy(g)

    def sample() -> Tensor:
        return held.train(mode)(torch.randn(64, LATENT))

    s = Setting(g=g, ema=held, sample=sample)
    for real, z in s.updates(40):
        s.opt_d.zero_grad()
        (bce(s.d(real), 1.0) + bce(s.d(s.g(z).detach()), 0.0)).backward()
        s.opt_d.step()
        s.opt_g.zero_grad()
        bce(s.d(s.g(z)), 1.0).backward()
        s.opt_g.step()
        with torch.no_grad():
            for p, q in zip(held.parameters(), g.parameters(), strict=True):
                p.lerp_(q, 0.2)
    found = {f.cause: f.confidence for f in s.monitor.diagnose()}
    assert found["average_buffers_not_copied"] == ("low" if mode else "high")


@pytest.mark.parametrize(
    ("of_fake", "of_real", "named"),
    [
        (lambda x: x, lambda x: x, None),
        (lambda x: -x, lambda x: x, "high"),
        (lambda x: x + 0.1 * torch.randn_like(x), lambda x: x, "low"),
        (lambda x: x + 0.1 * torch.randn_like(x), lambda x: x + 0.1 * torch.randn_like(x), None),
        (lambda x: 2 * x + 1, lambda x: x, None),
        (lambda x: x.clamp(-0.3, 0.3), lambda x: x, None),
        (lambda x: (64 * x).round() / 64, lambda x: x, None),
    ],
    ids=["as made", "turned", "noised", "both noised", "scaled", "clamped", "in steps"],
)
def test_generated_rows_that_are_changed_on_their_way_to_the_critic(of_fake, of_real, named):
    s = Setting(g=mlp(LATENT, 16, 6), d=mlp(6, 16, 1))
    for _ in range(14):
        real, z = ring(32, s.rng).repeat(1, 3), torch.randn(32, LATENT)
        s.opt_d.zero_grad()
        (bce(s.d(of_real(real)), 1.0) + bce(s.d(of_fake(s.g(z).detach())), 0.0)).backward()
        s.opt_d.step()
        s.opt_g.zero_grad()
        bce(s.d(of_fake(s.g(z))), 1.0).backward()
        s.opt_g.step()
        s.monitor.step(real, z)
    assert not s.monitor.failures
    assert {f.cause: f.confidence for f in s.monitor.diagnose()}.get("critic_shown_other_real") == named
