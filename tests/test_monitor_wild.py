"""Loops in the structure of public trainings: heads beside the score, nobody's detach, a part of the scores."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy, cross_entropy, mse_loss, relu, softplus

from monitor_loop import BATCH, LATENT, bce, mlp, ring
from monitor_setting import Setting
from tightrope.monitor import Monitor
from tightrope.monitor.capture import Listener
from tightrope.monitor.history import Ends
from tightrope.monitor.ledger.hypotheses import claim_of
from tightrope.monitor.ledger.scores import Scored, fit
from tightrope.monitor.players import Player
from tightrope.monitor.reach import ends


def alarms(monitor: Monitor) -> list[str]:
    found = monitor.diagnose()
    assert not monitor.failures and not monitor.history.problems
    return [f.cause for f in found if f.confidence != "low" and f.cause != "healthy"]


class Heads(nn.Module):
    """A probability and classes, the head of the classes called last: of a softmax, or of what a decoder draws."""

    def __init__(self, *, sigmoid: bool = True, decoder: bool = False) -> None:
        super().__init__()
        self.net, self.score, self.other = mlp(2, 16, 16), nn.Linear(16, 1), nn.Linear(16, 8)
        self.sigmoid, self.decoder = sigmoid, decoder

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = self.net(x).relu()
        s = self.score(h)
        return torch.sigmoid(s) if self.sigmoid else s, self.other(h).tanh() if self.decoder else self.other(h).softmax(
            1
        )


@pytest.mark.parametrize(("twice", "named"), [(False, []), (True, ["double_sigmoid"])])
def test_a_probability_beside_classes_is_one(twice, named):
    s, loss = Setting(d=Heads()), bce if twice else lambda p, t: binary_cross_entropy(p, torch.full_like(p, t))
    for real, z in s.updates(14):
        s.opt_g.zero_grad()
        fake = s.g(z)
        loss(s.d(fake)[0], 1.0).backward()
        s.opt_g.step()
        s.opt_d.zero_grad()
        (p, c), (q, _) = s.d(real), s.d(fake.detach())
        (loss(p, 1.0) + loss(q, 0.0) + cross_entropy(c, torch.randint(8, (BATCH,)))).backward()
        s.opt_d.step()
    assert alarms(s.monitor) == named


@pytest.mark.parametrize(("sigmoid", "kind"), [(True, "probability"), (False, "free")])
@pytest.mark.parametrize("decoder", [True, False])
def test_every_output_has_a_reach_of_its_own(sigmoid, kind, decoder):
    torch.manual_seed(0)
    critic = Heads(sigmoid=sigmoid, decoder=decoder)
    listener = Listener("critic", critic, iter(range(99)).__next__, lambda work: work())
    listener.listen(True)
    critic(torch.randn(8, 2))
    found = ends(Player("critic", critic, critic, listener, ()), listener.calls[0])
    assert found[0].kind == kind
    assert found[1].kind == ("bounded" if decoder else "free")


def test_a_mean_over_the_batch_hides_no_layer():
    torch.manual_seed(0)
    net = mlp(2, 16, 1)

    class Mean(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = net

        def forward(self, x: Tensor) -> Tensor:
            return self.net(x).mean(0).view(1)

    critic = Mean()
    listener = Listener("critic", critic, iter(range(99)).__next__, lambda work: work())
    listener.listen(True)
    critic(torch.randn(8, 2))
    assert ends(Player("critic", critic, critic, listener, ()), listener.calls[0]) == {0: Ends(-1000.0, 1000.0)}


class Star(nn.Module):
    """Scores at four places and classes, as StarGAN's."""

    def __init__(self) -> None:
        super().__init__()
        self.net, self.src, self.cls = mlp(2, 16, 16), nn.Linear(16, 4), nn.Linear(16, 4)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = self.net(x).relu()
        return self.src(h).view(-1, 1, 2, 2), self.cls(h)


class Translator(nn.Module):
    """Its samples resemble the real rows that they are made of."""

    def __init__(self) -> None:
        super().__init__()
        self.net = mlp(2, 16, 2)

    def forward(self, x: Tensor) -> Tensor:
        return 0.7 * x + 0.3 * self.net(x)


STAR: dict[str, tuple[dict[str, Any], list[str]]] = {
    "healthy": ({}, []),
    "mean over places": ({"mean": True}, []),
    "weight": ({"weight": 0.1}, ["penalty_weight_wrong"]),
    "kind": ({"target": 0.0}, ["penalty_other_kind"]),
    "place": ({"place": "real"}, ["penalty_other_place"]),
    "detached": ({"detach": True}, ["penalty_absent"]),
    "critic turned": ({"sign": -1.0}, ["critic_sign_flipped"]),
}


@pytest.mark.parametrize("how", STAR, ids=str)
def test_a_penalty_beside_classes_and_samples_made_of_real_rows(how):
    told, named = STAR[how]
    s = Setting("wasserstein", Translator(), Star(), penalty=("gp", 10.0))
    for update in range(9):
        for _ in range(2):
            real = ring(BATCH, s.rng)
            (s_real, classes), fake = s.d(real), s.g(real)
            s_fake = s.d(fake.detach())[0]
            t = torch.rand(BATCH, 1)
            x = (real.clone() if told.get("place") else t * real + (1 - t) * fake.detach()).requires_grad_()
            out = s.d(x)[0]
            out = out.mean((2, 3)) if told.get("mean") else out
            (g,) = torch.autograd.grad(out, x, torch.ones_like(out), create_graph=True)
            penalty = ((g.norm(dim=1) - told.get("target", 1.0)) ** 2).mean()
            penalty = told.get("weight", 10.0) * (penalty.detach() if told.get("detach") else penalty)
            loss = told.get("sign", 1.0) * (s_fake.mean() - s_real.mean()) + penalty
            s.opt_d.zero_grad()
            (loss + cross_entropy(classes, torch.randint(4, (BATCH,)))).backward()
            s.opt_d.step()
        s.opt_g.zero_grad()
        (-s.d(s.g(real))[0].mean()).backward()
        s.opt_g.step()
        s.monitor.step(real, real)
        if update == 2 and named:
            assert alarms(s.monitor)[:1] == named
    assert alarms(s.monitor) == named


@pytest.mark.parametrize(("sign", "missing", "named"), [
    (1, False, []), (-1, False, ["critic_sign_flipped"]), (1, True, ["critic_real_half_missing"]),
])  # fmt: skip
def test_samples_that_nobody_detached_and_batches_that_are_never_passed(sign, missing, named):
    """As WGAN-div trains: gradients at both batches themselves, five steps of the critic on new rows, no detach."""
    s = Setting("wasserstein")
    for _ in range(5):
        for _ in range(3):
            real, z = ring(BATCH, s.rng).requires_grad_(), torch.randn(BATCH, LATENT)
            s.opt_d.zero_grad()
            fake = s.g(z)
            r, f = s.d(real), s.d(fake)
            at = [
                torch.autograd.grad(o, x, torch.ones_like(o), create_graph=True)[0] for o, x in ((r, real), (f, fake))
            ]
            penalty = sum((g.square().sum(1) ** 3).mean() for g in at)
            (sign * (f.mean() - (0.0 if missing else r.mean())) + penalty).backward()
            s.opt_d.step()
        s.opt_g.zero_grad()
        (-s.d(s.g(z)).mean()).backward()
        s.opt_g.step()
        s.monitor.step(real.detach(), z)
    assert alarms(s.monitor) == named


class Denoised(nn.Module):
    """A critic of two states of one shape, of which the first is judged."""

    def __init__(self) -> None:
        super().__init__()
        self.net = mlp(4, 16, 1)

    def forward(self, x: Tensor, noisier: Tensor) -> Tensor:
        return self.net(torch.cat([x, noisier], 1))


@pytest.mark.parametrize(("critic", "generator", "cut", "named"), [
    (1, 1, False, []), (-1, 1, False, ["critic_sign_flipped"]), (1, -1, False, ["generator_sign_flipped"]),
    (1, 1, True, ["generator_detached"]),
])  # fmt: skip
def test_states_between_data_and_noise_judged_beside_the_noisier_one(critic, generator, cut, named):
    """As denoising diffusion GANs train: halves backpropagated apart, samples noised again and not detached."""
    s = Setting(g=mlp(2, 16, 2), d=Denoised())
    for _ in range(9):
        s.d.requires_grad_(True)
        s.opt_d.zero_grad()
        real = ring(BATCH, s.rng)
        x = (real + 0.2 * torch.randn_like(real)).requires_grad_()
        noisier = x.detach() + 0.5 * torch.randn_like(x)
        softplus(-critic * s.d(x, noisier)).mean().backward()
        softplus(critic * s.d(0.7 * s.g(noisier) + 0.3 * noisier, noisier)).mean().backward()
        s.opt_d.step()
        s.d.requires_grad_(False)
        s.opt_g.zero_grad()
        fake = 0.7 * s.g(noisier) + 0.3 * noisier
        loss = softplus(-generator * s.d(fake.detach() if cut else fake, noisier)).mean()
        if loss.requires_grad:
            loss.backward()
        s.opt_g.step()
        s.monitor.step(real, noisier)
    assert alarms(s.monitor)[:1] == named


@pytest.mark.parametrize(("sign", "named"), [(1, []), (-1, ["generator_sign_flipped"])])
def test_a_loss_of_the_best_scores_is_the_claimed_one(sign, named):
    s = Setting("hinge")
    for real, z in s.updates(9):
        s.opt_d.zero_grad()
        (relu(1 - s.d(real)).mean() + relu(1 + s.d(s.g(z).detach())).mean()).backward()
        s.opt_d.step()
        s.opt_g.zero_grad()
        (-sign * s.d(s.g(z)).flatten().topk(BATCH // 2)[0].mean()).backward()
        s.opt_g.step()
    fits = {w.generator.fit.kind for w in s.monitor.history.windows if w.generator.fit}
    assert fits == {"flipped" if named else "claim"} and alarms(s.monitor) == named


def test_a_part_of_the_scores_makes_no_half_of_a_loss():
    torch.manual_seed(0)
    real, fake = torch.randn(16, dtype=torch.float64), torch.randn(16, dtype=torch.float64)
    nothing, some = torch.zeros_like(real), torch.where(torch.arange(16) < 4, 1 / 4, 0.0).double()
    claim = claim_of("wasserstein")
    assert fit(Scored(real, fake, -some, some), claim, "critic").kind == "claim"
    assert fit(Scored(real, fake, some, -some), claim, "critic").kind == "flipped"
    assert fit(Scored(real, fake, nothing, some), claim, "critic").kind == "no real half"
    assert fit(Scored(real, fake, some * real, some * fake.exp()), claim, "critic").kind == "none"


@pytest.mark.parametrize("named", [[], ["generator_gradient_in_critic", "critic_gradient_accumulated"]])
def test_both_what_was_left_and_what_the_generator_added(named):
    s = Setting("least_squares")
    for real, z in s.updates(9):
        s.opt_g.zero_grad()
        fake = s.g(z)
        mse_loss(s.d(fake), torch.ones(BATCH, 1)).backward()
        s.opt_g.step()
        if not named:
            s.opt_d.zero_grad()
        r, f = s.d(real), s.d(fake.detach())
        (mse_loss(r, torch.ones_like(r)) + mse_loss(f, torch.zeros_like(f))).backward()
        s.opt_d.step()
    kinds = [{a.kind for a in w.critic.accounts} for w in s.monitor.history.windows[1:]]
    assert all(found == {"start"} if named else found <= {"losses"} for found in kinds)
    assert set(alarms(s.monitor)) <= set(named) and bool(alarms(s.monitor)) == bool(named)


def test_a_call_captured_of_latents_that_are_drawn_in_place():
    s, z = Setting(), torch.empty(BATCH, LATENT)
    for _ in range(3):
        real = ring(BATCH, s.rng)
        s.opt_d.zero_grad()
        (bce(s.d(real), 1.0) + bce(s.d(s.g(z.normal_()).detach()), 0.0)).backward()
        s.opt_d.step()
        s.opt_g.zero_grad()
        for _ in range(2):
            (bce(s.d(s.g(z.normal_())), 1.0) / 2).backward()
        s.opt_g.step()
        s.monitor.step(real, z)
    assert all([a.kind for a in w.generator.accounts] == ["losses"] for w in s.monitor.history.windows)
