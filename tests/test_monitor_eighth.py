"""What the eighth frozen set found: losses written for columns, Views that compute, hooks, encodings, averages."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits as bce
from torch.nn.functional import cross_entropy, mse_loss, softplus

from monitor_loop import LATENT, mlp, ring
from monitor_setting import Setting
from tightrope import View
from tightrope.monitor import Monitor


def alarms(monitor: Monitor) -> list[str]:
    found = monitor.diagnose()
    assert not monitor.failures and not monitor.history.problems
    return [f.cause for f in found if f.confidence != "low" and f.cause != "healthy"]


def kinds(monitor: Monitor) -> set[str]:
    fits = [w.player(name).fit for w in monitor.history.windows for name in ("critic", "generator")]
    return {fit.kind for fit in fits if fit is not None}


def in_columns(real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """Targets of the shape that the critic returns, ``[n, 1]``, which flat scores do not have."""
    one, zero = torch.full((len(real), 1), 0.9), torch.zeros(len(fake), 1)
    return bce(real, one) + bce(fake, zero), bce(fake, torch.ones(len(fake), 1))


def broadcast(real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """Flat scores are not refused here, and would give the squares of all pairs of a score and a target."""
    one, zero = (torch.linspace(low, low + 0.2, n).unsqueeze(1) for low, n in ((0.8, len(real)), (0.0, len(fake))))
    return ((real - one) ** 2).mean() + ((fake - zero) ** 2).mean(), ((fake - one) ** 2).mean()


@pytest.mark.parametrize("loss", [in_columns, broadcast])
@pytest.mark.parametrize("saturating", [False, True])
def test_a_loss_that_asks_for_columns(loss, saturating: bool) -> None:
    s = Setting(loss)
    for real, z in s.updates(8):
        s.opt_d.zero_grad()
        loss(s.d(real), s.d(s.g(z).detach()))[0].backward()
        s.opt_d.step()
        s.opt_g.zero_grad()
        scores = s.d(s.g(z))
        (-bce(scores, torch.zeros_like(scores)) if saturating else loss(scores.detach(), scores)[1]).backward()
        s.opt_g.step()
    assert alarms(s.monitor) == (["generator_loss_other"] if saturating else [])
    assert saturating or kinds(s.monitor) == {"claim"}


def of_two_classes(logits: Tensor) -> Tensor:
    return logits[:, 0] - logits[:, 1]


def logistic(real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    return softplus(-real).mean() + softplus(fake).mean(), softplus(-fake).mean()


@pytest.mark.parametrize(("wanted", "named"), [(0, []), (1, ["generator_sign_flipped"])])
def test_scores_that_a_view_computes_of_two_classes(wanted: int, named: list[str]) -> None:
    d = mlp(2, 16, 2)
    s = Setting(logistic, d=d, view=View(d, scores=of_two_classes))
    for real, z in s.updates(8):
        classes = torch.zeros(len(real), dtype=torch.long), torch.ones(len(z), dtype=torch.long)
        s.opt_d.zero_grad()
        (cross_entropy(d(real), classes[0]) + cross_entropy(d(s.g(z).detach()), classes[1])).backward()
        s.opt_d.step()
        s.opt_g.zero_grad()
        cross_entropy(d(s.g(z)), classes[wanted]).backward()
        s.opt_g.step()
    assert alarms(s.monitor) == named
    assert named or kinds(s.monitor) == {"claim"}
    assert 0.0 <= s.monitor.history.windows[-1].numbers["auc"] <= 1.0


def test_a_loss_of_more_than_the_scores_is_none_of_them() -> None:
    d = mlp(2, 16, 2)
    s = Setting(logistic, d=d, view=View(d, scores=of_two_classes))
    for real, z in s.updates(4):
        s.opt_d.zero_grad()
        logits = d(real), d(s.g(z).detach())
        (logistic(*map(of_two_classes, logits))[0] + (logits[0].sum(1) ** 2).mean()).backward()
        s.opt_d.step()
        s.opt_g.zero_grad()
        softplus(-of_two_classes(d(s.g(z)))).mean().backward()
        s.opt_g.step()
    fits = [w.critic.fit.kind for w in s.monitor.history.windows if w.critic.fit is not None]
    assert "claim" not in fits


def relative(real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    critic = ((real - fake.mean() - 1) ** 2).mean() + ((fake - real.mean() + 1) ** 2).mean()
    return critic, ((real - fake.mean() + 1) ** 2).mean() + ((fake - real.mean() - 1) ** 2).mean()


def test_real_rows_that_the_generators_turn_draws_for_itself() -> None:
    s = Setting(relative)
    for real, z in s.updates(13):
        s.opt_d.zero_grad()
        relative(s.d(real), s.d(s.g(z).detach()))[0].backward()
        s.opt_d.step()
        s.d.requires_grad_(False)
        s.opt_g.zero_grad()
        relative(s.d(1.5 * ring(len(real), s.rng) + 0.5), s.d(s.g(z)))[1].backward()
        s.opt_g.step()
        s.d.requires_grad_(True)
    fits = [w.generator.fit for w in s.monitor.history.windows]
    assert alarms(s.monitor) == [] and kinds(s.monitor) == {"claim"}
    assert max(fit.residual for fit in fits if fit is not None) < 1e-5


class Pairs(nn.Module):
    """Samples beside their latents, and rows beside what an encoder makes of them."""

    def __init__(self) -> None:
        super().__init__()
        self.g, self.e = mlp(LATENT, 16, 2), mlp(2, 16, LATENT)

    def forward(self, z: Tensor) -> Tensor:
        return torch.cat((self.g(z), z), 1)

    def encode(self, x: Tensor) -> Tensor:
        return torch.cat((x, self.e(x)), 1)


@pytest.mark.parametrize("learns", [True, False])
def test_encodings_that_move_as_their_network_learns_are_in_no_order(learns: bool) -> None:
    torch.manual_seed(0)
    g, d, rng = Pairs(), mlp(2 + LATENT, 32, 1), torch.Generator().manual_seed(1)
    if not learns:
        g.e.requires_grad_(False)
    opt_g = torch.optim.Adam([*g.g.parameters(), *(g.e.parameters() if learns else ())], 2e-2, betas=(0.5, 0.9))
    opt_d = torch.optim.Adam(d.parameters(), 2e-3, betas=(0.5, 0.9))
    monitor = Monitor(g, d, logistic, 5, optimizers=(opt_g, opt_d), budget=1e9)
    for step in range(40):
        real, z = ring(64, rng), torch.randn(64, LATENT)
        real = real if learns else real + 0.1 * step  # rows that are drawn in an order
        opt_d.zero_grad()
        shown = g.encode(real).detach()
        logistic(d(shown), d(g(z).detach()))[0].backward()
        opt_d.step()
        opt_g.zero_grad()
        scores, of_real = d(g(z)), d(g.encode(real))
        (softplus(of_real).mean() + softplus(-scores).mean()).backward()
        opt_g.step()
        monitor.step(shown, z)
    assert max(value for _, value in monitor.history.series("order")) > 8
    assert ("unshuffled" in alarms(monitor)) == (not learns)


@pytest.mark.parametrize("terms", ["classes", "scores"])
def test_an_optimiser_of_both_players_that_has_them_agree_on_classes(terms: str) -> None:
    torch.manual_seed(0)
    g, d, rng = mlp(LATENT, 16, 2), TwoHeads(), torch.Generator().manual_seed(1)
    opts = [torch.optim.Adam(net.parameters(), 2e-3, betas=(0.0, 0.9)) for net in (g, d)]
    info = torch.optim.Adam([*g.parameters(), *d.parameters()], 1e-5, betas=(0.0, 0.9))
    of_players = {"generator": [opts[0], info], "critic": [opts[1], info]}
    picked = View(d, scores=lambda out: out[0])
    monitor = Monitor(g, picked, squares, 5, optimizers=of_players, budget=1e9)
    for _ in range(24):
        real, z = ring(32, rng), torch.randn(32, LATENT)
        opts[0].zero_grad()
        squares(d(real)[0], d(g(z))[0])[1].backward()
        opts[0].step()
        opts[1].zero_grad()
        squares(d(real)[0], d(g(z).detach())[0])[0].backward()
        opts[1].step()
        info.zero_grad()
        scores, classes = d(g(torch.randn(32, LATENT)))
        loss = cross_entropy(classes, torch.zeros(32, dtype=torch.long))
        (loss if terms == "classes" else loss + ((scores - 1) ** 2).mean()).backward()
        info.step()
        monitor.step(real, z)
    assert alarms(monitor) == ([] if terms == "classes" else ["generator_gradient_in_critic"])


class TwoHeads(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body, self.score, self.classes = mlp(2, 16, 16), nn.Linear(16, 1), nn.Linear(16, 3)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = torch.relu(self.body(x))
        return self.score(h), self.classes(h)


def squares(real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    one = torch.ones_like(fake)
    return (mse_loss(real, torch.ones_like(real)) + mse_loss(fake, torch.zeros_like(fake))) / 2, mse_loss(fake, one)


@pytest.mark.parametrize("average", ["late", "same", "no memory", "kept"])
def test_an_average_that_begins_late_is_no_live_one(average: str) -> None:
    s = Setting("bce")
    held = s.g if average == "same" else copy.deepcopy(s.g)
    s.monitor.close()
    monitor = Monitor(s.g, s.d, "bce", 5, optimizers=(s.opt_g, s.opt_d), ema=held, budget=1e9)
    early = []
    for step in range(140):
        real, z = ring(32, s.rng), torch.randn(32, LATENT)
        s.opt_d.zero_grad()
        (softplus(-s.d(real)) + softplus(s.d(s.g(z).detach()))).mean().backward()
        s.opt_d.step()
        s.opt_g.zero_grad()
        softplus(-s.d(s.g(z))).mean().backward()
        s.opt_g.step()
        keep = {"late": 0.0 if step < 20 else 0.9, "no memory": 0.0, "same": 0.0, "kept": 0.9}[average]
        with torch.no_grad():
            for a, b in zip(held.parameters(), s.g.parameters(), strict=True):
                a.copy_(keep * a + (1 - keep) * b)
        monitor.step(real, z)
        early += alarms(monitor) if step == 12 else []
    assert early == (["average_is_live"] if average == "same" else [])
    assert alarms(monitor) == (["average_is_live"] if average in ("same", "no memory") else [])


def test_a_penalty_beside_scores_of_sides_that_nobody_can_tell_under_a_loss_scale() -> None:
    """Rows that an augmentation has moved on both sides: whose scores they are is not known, nor is their scale."""
    for weight, named in ((0.3, []), (30.0, ["penalty_weight_wrong"])):
        s = Setting("bce", penalty=("gp", 0.3))
        for real, z in s.updates(5):
            s.opt_d.zero_grad()
            for _ in range(2):
                fake = s.g(z).detach()
                shown = [torch.roll(t, 3, 0) * torch.rand(len(t), 1) - 2 * torch.rand(len(t), 1) for t in (real, fake)]
                t = torch.rand(len(real), 1)
                x = (t * shown[0] + (1 - t) * shown[1]).requires_grad_()
                (slope,) = torch.autograd.grad(s.d(x).sum(), x, create_graph=True)
                loss = (softplus(-s.d(shown[0])) + softplus(s.d(shown[1]))).mean()
                (256 * (loss + weight * ((slope.norm(2, 1) - 1) ** 2).mean())).backward()
            for p in s.d.parameters():
                assert p.grad is not None
                p.grad /= 256
            s.opt_d.step()
            s.opt_g.zero_grad()
            softplus(-s.d(s.g(z))).mean().backward()
            s.opt_g.step()
        assert all(w.critic.fit is None for w in s.monitor.history.windows)
        assert alarms(s.monitor) == named


@pytest.mark.parametrize(
    ("weight", "named"),
    [(0.1, []), (1e-8, ["adversarial_drowns_reconstruction"]), (1e6, ["reconstruction_drowns_adversarial"])],
)
@pytest.mark.parametrize("first", [True, False])
def test_terms_beside_a_critic_that_is_shown_the_condition_too(weight: float, named: list[str], first: bool) -> None:
    torch.manual_seed(0)
    g, d, rng = mlp(2 + LATENT, 16, 2), mlp(4, 16, 1), torch.Generator().manual_seed(1)
    opts = [torch.optim.Adam(net.parameters(), 1e-3, betas=(0.5, 0.9)) for net in (g, d)]
    monitor = Monitor(g, d, "bce", 5, optimizers=tuple(opts), budget=1e9)

    def beside(condition: Tensor, rows: Tensor) -> Tensor:
        return torch.cat((condition, rows) if first else (rows, condition), 1)

    for _ in range(36):
        given, z = ring(32, rng), torch.randn(32, LATENT)
        real = given.flip(1) + 0.1 * torch.randn(32, 2)
        fake = g(torch.cat((given, z), 1))
        opts[1].zero_grad()
        (softplus(-d(beside(given, real))) + softplus(d(beside(given, fake).detach()))).mean().backward()
        opts[1].step()
        opts[0].zero_grad()
        (softplus(-d(beside(given, fake))).mean() + weight * (fake - real).abs().mean()).backward()
        opts[0].step()
        monitor.step(beside(given, real), z)
    shares = [value for _, value in monitor.history.series("other_share")]
    assert len(shares) >= 3 and 0 <= min(shares) <= max(shares) <= 1
    assert alarms(monitor) == named


@pytest.mark.parametrize(("scale", "named"), [(1.0, []), (0.5, ["critic_shown_other_real"])])
def test_scaled_real_rows_beside_a_history_of_samples(scale: float, named: list[str]) -> None:
    s = Setting("bce", held_out=ring(200, torch.Generator().manual_seed(5)))
    old: list[Tensor] = []
    for real, z in s.updates(21):
        made = s.g(z).detach()
        fake = torch.cat((old[-1][:16], made[16:])) if old else made
        old.append(made)
        s.opt_d.zero_grad()
        (softplus(-s.d(scale * real + (1 - scale))).mean() + softplus(s.d(fake)).mean()).backward()
        s.opt_d.step()
        s.opt_g.zero_grad()
        softplus(-s.d(s.g(z))).mean().backward()
        s.opt_g.step()
    found = [f.cause for f in s.monitor.diagnose() if f.confidence != "low" and f.cause != "healthy"]
    assert found == named
