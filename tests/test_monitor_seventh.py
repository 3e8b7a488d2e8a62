"""What the seventh frozen set found: claims as functions, penalties in transforms, loss scales, samples on curves."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn.functional import binary_cross_entropy_with_logits, mse_loss, softplus

from monitor_loop import LATENT, Loop, mlp, r1
from monitor_setting import Setting
from tightrope.monitor import Monitor
from tightrope.monitor.ledger.columns import Column
from tightrope.monitor.ledger.hypotheses import claim_of
from tightrope.monitor.ledger.parameters import account, without_scale


def alarms(monitor: Monitor) -> list[str]:
    found = monitor.diagnose()
    assert not monitor.failures and not monitor.history.problems
    return [f.cause for f in found if f.confidence != "low" and f.cause != "healthy"]


def squares(real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """As in scripts: targets of the fake scores' shape for both sides, which no batch without real rows fits."""
    one, zero = torch.ones_like(fake), torch.zeros_like(fake)
    assert real.shape == fake.shape
    return (mse_loss(real, one) + mse_loss(fake, zero)) / 2, mse_loss(fake, one)


def generator_first(target: float, of_generator: Callable[[Tensor], Tensor]) -> Monitor:
    s = Setting(squares)
    for real, z in s.updates(8):
        s.opt_g.zero_grad()
        fake = s.g(z)
        of_generator(s.d(fake)).backward()
        s.opt_g.step()
        s.opt_d.zero_grad()
        of_real, of_fake = s.d(real), s.d(fake.detach())
        loss = mse_loss(of_real, torch.ones_like(of_real)) + mse_loss(of_fake, torch.full_like(of_fake, target))
        (loss / 2).backward()
        s.opt_d.step()
    return s.monitor


def to_one(scores: Tensor) -> Tensor:
    return mse_loss(scores, torch.ones_like(scores))


@pytest.mark.parametrize(
    ("target", "of_generator", "named"),
    [
        (0.0, to_one, []),
        (1.0, to_one, ["critic_sign_flipped"]),
        (0.0, lambda scores: -scores.mean(), ["generator_loss_other"]),
    ],
)
def test_a_function_of_both_sides_is_a_claim_of_either_player(target, of_generator, named) -> None:
    monitor = generator_first(target, of_generator)
    assert alarms(monitor) == named
    fit = monitor.history.windows[0].generator.fit
    assert fit is not None and fit.kind == ("loss" if "generator_loss_other" in named else "claim")


@pytest.mark.parametrize(
    ("function", "known"),
    [
        (squares, "least_squares"),
        (lambda r, f: (3 * (softplus(-r).mean() + softplus(f).mean()), softplus(-f).mean()), "non_saturating"),
        (lambda r, f: (softplus(-r).mean() + softplus(f).mean(), -softplus(f).mean()), "minimax"),
        (lambda r, f: (softplus(-r).mean() + softplus(f).mean(), -f.mean()), "non_saturating"),
        (lambda r, f: (f.mean() - r.mean(), -f.mean()), "wasserstein"),
        (lambda r, f: (f.mean() - 2 * r.mean(), -f.mean()), ""),
        (lambda r, f: (r.log().mean(), -f.mean()), ""),
        (lambda r, f: 1 / 0, ""),
    ],
)
def test_a_function_is_known_by_its_slopes(function, known: str) -> None:
    claim = claim_of(function)
    assert claim is not None and claim.like == known and claim.family == (known or claim.name)


@pytest.mark.parametrize("ends", [True, False])
def test_a_function_of_logits_beside_a_critic_that_ends_in_a_sigmoid(ends: bool) -> None:
    def logits(r: Tensor, f: Tensor) -> tuple[Tensor, Tensor]:
        bce, one = binary_cross_entropy_with_logits, torch.ones_like
        return bce(r, one(r)) + bce(f, 0 * one(f)), bce(f, one(f))

    critic = nn.Sequential(mlp(2, 16, 1), nn.Sigmoid()) if ends else mlp(2, 16, 1)
    monitor = Loop(critic=critic, claim=logits).run()
    assert monitor is not None
    assert alarms(monitor) == (["double_sigmoid"] if ends else [])


@pytest.mark.parametrize(
    ("centre", "at", "named"),
    [(0.0, "real", []), (0.0, "fake", ["penalty_other_place"]), (1.0, "real", ["penalty_other_kind"])],
)
def test_a_penalty_inside_of_a_function_transform(centre: float, at: str, named: list[str]) -> None:
    s = Setting("non_saturating", penalty=("r1", 2.0))
    for real, z in s.updates(8):
        fake = s.g(z).detach()
        weights = dict(s.d.named_parameters())

        def cost(row: Tensor, weights: dict[str, Tensor] = weights) -> Tensor:
            slope = grad(lambda v: functional_call(s.d, weights, (v,)).sum())(row)
            return slope.square().sum() if centre == 0.0 else (slope.norm() - centre) ** 2

        loss = softplus(-s.d(real)).mean() + softplus(s.d(fake)).mean()
        s.opt_d.zero_grad()
        (loss + vmap(cost)(real if at == "real" else fake).mean()).backward()
        s.opt_d.step()
        s.opt_g.zero_grad()
        softplus(-s.d(s.g(z))).mean().backward()
        s.opt_g.step()
    assert alarms(s.monitor) == named


SCALE = 1024.0


@pytest.mark.parametrize(
    ("claims", "centre", "taken_out", "named"),
    [
        (None, 0.0, True, []),
        (("r1", 0.2), 0.0, True, []),
        (None, 1.0, False, ["penalty_under_loss_scale"]),
        (("gp", 10.0), 1.0, False, ["penalty_under_loss_scale"]),
    ],
)
def test_a_loss_scale_that_was_taken_out_of_a_penalty(claims, centre: float, taken_out: bool, named) -> None:
    """Squares of slopes are those of 1-centred ones of scaled slopes but for the weight, and that gives it away."""
    s = Setting("non_saturating", **({} if claims is None else {"penalty": claims}))
    for real, z in s.updates(40):
        x = real.clone().requires_grad_(True)
        slope = torch.autograd.grad(SCALE * s.d(x).sum(), x, create_graph=True)[0]
        slope = slope / SCALE if taken_out else slope
        penalty = 0.1 * slope.square().sum(1).mean() if centre == 0 else 10 * ((slope.norm(dim=1) - 1) ** 2).mean()
        loss = softplus(-s.d(real)).mean() + softplus(s.d(s.g(z).detach())).mean()
        s.opt_d.zero_grad()
        (SCALE * (loss + penalty)).backward()
        for p in s.d.parameters():
            p.grad /= SCALE
        s.opt_d.step()
        s.opt_g.zero_grad()
        softplus(-s.d(s.g(z))).mean().backward()
        s.opt_g.step()
    found = [cause for cause in alarms(s.monitor) if cause != "penalty_other_place"]
    assert found[:1] == named


def test_losses_under_a_loss_scale_are_not_cleared_beside_a_strong_penalty() -> None:
    rng = torch.Generator().manual_seed(0)
    losses, vector = torch.randn(2, 200, generator=rng, dtype=torch.float64)
    column = Column("claim", "0-centred", vector, expected=5000.0, at=3)
    applied = losses / SCALE + 5000.0 * vector
    found = account(applied, losses * 1000, [lambda: [column]], error=0.03, sizes=[200])
    assert found.kind == "cleared"
    sound = without_scale(found, 1000 * SCALE)
    assert sound.kind == "claim" and sound.at == 3
    assert sound.weight == pytest.approx(5000.0, rel=1e-3)
    true = 5000.0 * float(vector.norm()) / float((losses / SCALE).norm())
    assert sound.share == pytest.approx(true, rel=1e-3)
    assert without_scale(found, 1.0) is found and without_scale(found, 1.5) is found


class Curve(nn.Module):
    """A generator with a layer of one number inside, in half precision if asked."""

    def __init__(self, inner: int, half: bool) -> None:
        super().__init__()
        self.net, self.half = nn.Sequential(nn.Linear(LATENT, inner), mlp(inner, 16, 2)), half

    def forward(self, z: Tensor) -> Tensor:
        return self.net(z)


@pytest.mark.parametrize("half", [True, False])
@pytest.mark.parametrize(("inner", "named"), [(1, ["generator_ill_conditioned"]), (3, [])])
def test_a_layer_of_one_number_inside(inner: int, named: list[str], half: bool) -> None:
    s = Setting("non_saturating", g=Curve(inner, half))
    for real, z in s.updates(40):
        with torch.autocast("cpu", torch.bfloat16, half):
            fake = s.g(z)
            of_real, of_fake = s.d(real).float(), s.d(fake.detach()).float()
        s.opt_d.zero_grad()
        (softplus(-of_real).mean() + softplus(of_fake).mean()).backward()
        s.opt_d.step()
        with torch.autocast("cpu", torch.bfloat16, half):
            score = s.d(fake).float()
        s.opt_g.zero_grad()
        softplus(-score).mean().backward()
        s.opt_g.step()
    assert alarms(s.monitor) == named


class Cut(nn.Module):
    """A generator whose samples are changed at the end."""

    def __init__(self, change: Callable[[Tensor], Tensor], before: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.net, self.change, self.before = mlp(LATENT, 16, 2), change, before

    def forward(self, z: Tensor) -> Tensor:
        return self.change(self.net(self.before(z)))


def first_rectified(x: Tensor) -> Tensor:
    return torch.cat([x[:, :1].relu(), x[:, 1:]], 1)


def same(x: Tensor) -> Tensor:
    return x


def its_sign(z: Tensor) -> Tensor:
    return (z[:, :1] > 0).float().expand(-1, LATENT)


@pytest.mark.parametrize(
    ("change", "before", "named"),
    [
        (first_rectified, same, ["generator_range_rectified"]),
        (torch.abs, same, ["generator_range_rectified"]),
        (same, its_sign, ["mode_collapse_partial"]),
        (same, same, []),
    ],
)
def test_samples_on_one_side_and_samples_that_are_copies(change, before, named: list[str]) -> None:
    monitor = Loop(
        generator=Cut(change, before), steps=90, rates=(5e-3, 5e-3), extra=r1(0.5), penalty=("r1", 0.5)
    ).run()
    assert monitor is not None
    assert alarms(monitor)[:1] == named
