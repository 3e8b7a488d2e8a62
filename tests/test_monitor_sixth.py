"""What the sixth frozen set found: classes of latents, units of held-out rows, rates set back, places of penalties."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from monitor_loop import LATENT, Loop, mlp, ring
from monitor_setting import Setting
from tightrope.monitor import Monitor
from tightrope.monitor.claims import Claims
from tightrope.monitor.counting import Counters
from tightrope.monitor.history import History
from tightrope.monitor.ledger.hypotheses import claim_of
from tightrope.monitor.ledger.parameters import Account
from tightrope.monitor.rules import diagnosis
from tightrope.monitor.window import Window

CLASSES = 6


def alarms(monitor: Monitor) -> list[str]:
    found = monitor.diagnose()
    assert not monitor.failures and not monitor.history.problems
    return [f.cause for f in found if f.confidence != "low" and f.cause != "healthy"]


class Told(nn.Module):
    """A network that is told classes."""

    def __init__(self, given: int, out: int) -> None:
        super().__init__()
        self.embed, self.net = nn.Embedding(CLASSES, 4), mlp(given + 4, 16, out)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.net(torch.cat([x, self.embed(y)], 1))


@pytest.mark.parametrize("passed", ["the latents'", "real rows'"])
@pytest.mark.parametrize("sound", [True, False])
def test_classes_may_be_passed_for_the_latents(passed: str, sound: bool) -> None:
    """Those that samples were made with say nothing of real rows; whose neighbours tell all the same."""
    s = Setting(g=Told(LATENT, 2), d=Told(2, 1))
    for _ in range(21):
        real, z = ring(32, s.rng), torch.randn(32, LATENT)
        y = (torch.atan2(real[:, 1], real[:, 0]) / 6.2832 * CLASSES).floor().long() % CLASSES
        asked = torch.randint(0, CLASSES, (32,))
        s.opt_d.zero_grad()
        of_real, of_fake = s.d(real, y if sound else y.roll(1)), s.d(s.g(z, asked).detach(), asked)
        (softplus(-of_real).mean() + softplus(of_fake).mean()).backward()
        s.opt_d.step()
        s.opt_g.zero_grad()
        softplus(-s.d(s.g(z, asked), asked)).mean().backward()
        s.opt_g.step()
        s.monitor.step(real, z, asked if passed == "the latents'" else y)
    assert alarms(s.monitor) == ([] if sound else ["labels_unrelated"])


def history(**numbers: float) -> History:
    found = History(claim_of("non_saturating"), Claims(True))
    found.counters = {"generator": Counters(), "critic": Counters()}
    for step in (1, 2, 3, 5, 8, 13, 21, 34, 55, 89):
        found.add(Window(step, numbers=dict(numbers)))
    return found


def said(found: History, cause: str) -> list[str]:
    return [f.confidence for f in diagnosis(found, 89, {}) if f.cause == cause]


@pytest.mark.parametrize(
    ("rows", "held", "confidence"), [(20.0, 1.0, ["medium"]), (1.0, 20.0, ["low"]), (20.0, 20.0, []), (1.0, 0.5, [])]
)
def test_rows_and_held_out_rows_in_other_units(rows: float, held: float, confidence: list[str]) -> None:
    unseen = held * ring(64, torch.Generator().manual_seed(7))
    monitor = Loop(batch=lambda n, rng: rows * ring(n, rng), options={"held_out": unseen}).run()
    assert monitor is not None
    assert [f.confidence for f in monitor.diagnose() if f.cause == "data_scale"] == confidence


FALLING = [0.002 * 0.8**k for k in range(6)]


@pytest.mark.parametrize(
    ("rates", "lost"),
    [
        ([*FALLING, *FALLING[:3]], True),
        (FALLING, False),
        ([*FALLING, *FALLING, *FALLING], False),
        ([0.002 * (1 + torch.cos(torch.tensor(torch.pi * k / 6)).item()) / 2 for k in (*range(6), *range(4))], False),
        ([*FALLING, 0.002, 0.002], False),
    ],
    ids=["set back", "falls", "restarts that come again", "cosine restart", "not falling since"],
)
def test_a_rate_set_back_in_the_midst_of_its_schedule(rates: list[float], lost: bool) -> None:
    found = history()
    for counters in found.counters.values():
        counters.rates = [(10 * k, rate) for k, rate in enumerate(rates) if k == 0 or rate != rates[k - 1]]
        counters.steps, counters.rate, counters.top_rate = 89, rates[-1], max(rates)
    assert said(found, "schedule_lost_on_resume") == (["low"] if lost else [])  # a warm restart looks the same


@pytest.mark.parametrize(
    "account", [Account("losses", left=1e-7, expected=1e-3), Account("claim", "R1", left=1e-7, weight=2e-5)]
)
def test_a_penalty_too_small_to_be_seen_is_neither_absent_nor_another(account: Account) -> None:
    found = history(points=1.0, points_with_graph=1.0, real_std=1.0)
    found.claims = Claims(True, penalties=(("r1", 1e-7),))
    for window in found.windows:
        window.critic.accounts = [account]
    assert said(found, "penalty_too_weak") == ["medium"]
    assert not said(found, "penalty_absent") and not said(found, "penalty_weight_wrong")


def squares(critic: nn.Module, x: Tensor) -> Tensor:
    x = x.detach().requires_grad_(True)
    slope = torch.autograd.grad(critic(x).sum(), x, create_graph=True)[0]
    return slope.square().sum(1).mean()


@pytest.mark.parametrize(
    ("places", "claims", "named"),
    [
        ("real fake", ("r1", 0.5), ["penalty_other_place"]),
        ("real", ("r1", 0.5), []),
        ("fake", ("r1", 0.5), ["penalty_other_place"]),
        ("half half", ("r1", 0.5), []),
        ("real fake", [("r1", 0.5), ("r2", 0.5)], []),
    ],
)
def test_a_penalty_on_squares_at_both_sides_is_not_the_claimed_one_at_real_rows(places, claims, named) -> None:
    s = Setting("non_saturating", penalty=claims)
    for real, z in s.updates(10):
        fake = s.g(z).detach()
        loss = softplus(-s.d(real)).mean() + softplus(s.d(fake)).mean()
        at = {"real": [real], "fake": [fake], "half": [real[: len(real) // 2]]}
        halves = {"half half": [real[: len(real) // 2], real[len(real) // 2 :]]}
        batches = halves.get(places) or [x for name in places.split() for x in at[name]]
        s.opt_d.zero_grad()
        (loss + sum(0.25 * squares(s.d, x) for x in batches) / (2 if places == "half half" else 1)).backward()
        s.opt_d.step()
        s.opt_g.zero_grad()
        softplus(-s.d(s.g(z))).mean().backward()
        s.opt_g.step()
    assert alarms(s.monitor) == named
