"""What the third frozen set found: false alarms, verdicts without evidence, parts that nobody stepped; with twins."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import softmax
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from monitor_hands import transformed
from monitor_loop import BATCH, LATENT, Loop, bce, mlp, ring
from monitor_setting import Setting
from tightrope.monitor import Monitor
from tightrope.monitor.finding import CONFIDENCES, Diagnosis, Finding, ranked


class Heads(nn.Module):
    """Several heads on one trunk, joined; each with what makes values of its output."""

    def __init__(self, *ends: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.trunk = mlp(LATENT, 16)
        self.heads = nn.ModuleList(nn.Linear(16, 2) for _ in ends)
        self.ends = ends

    def forward(self, z: Tensor) -> Tensor:
        h = self.trunk(z).relu()
        return torch.cat([end(head(h)) for end, head in zip(self.ends, self.heads, strict=True)], 1)


def free(x: Tensor) -> Tensor:
    return x


def shares(x: Tensor) -> Tensor:
    return softmax(x, 1)


def table(n: int, rng: torch.Generator) -> Tensor:
    return torch.cat([3 * ring(n, rng), torch.eye(2)[torch.randint(2, (n,), generator=rng)]], 1)


def causes(monitor: Monitor) -> list[str]:
    found = monitor.diagnose()
    assert not monitor.failures, monitor.failures
    return [f.cause for f in found if f.confidence != "low" and f.cause != "healthy"]


@pytest.mark.parametrize("ends", [(free, shares), (shares, free), (free, torch.tanh)])
def test_heads_of_several_kinds_are_not_judged_by_what_they_have_given(ends):
    monitor = Loop(generator=Heads(*ends), critic=mlp(4, 16, 1), batch=table).run()
    assert monitor is not None and "data_range" not in causes(monitor)


def test_a_bounded_output_is_still_judged():
    monitor = Loop(generator=Heads(torch.tanh), batch=lambda n, rng: 3 * ring(n, rng)).run()
    assert monitor is not None and causes(monitor)[0] == "data_range"


def averaged(buffers: bool, steps: int = 30) -> Monitor:
    torch.manual_seed(0)
    g = mlp(LATENT, 16, 2, norm=True)
    average = AveragedModel(g, multi_avg_fn=get_ema_multi_avg_fn(0.999), use_buffers=True)
    average.update_parameters(g)
    s = Setting(g=g, ema=average.module)
    for real, z in s.updates(steps):
        s.opt_d.zero_grad()
        (bce(s.d(real), 1.0) + bce(s.d(s.g(z).detach()), 0.0)).backward()
        s.opt_d.step()
        s.opt_g.zero_grad()
        bce(s.d(s.g(z)), 1.0).backward()
        s.opt_g.step()
        if buffers:
            average.update_parameters(g)
        else:
            with torch.no_grad():
                for p, q in zip(average.module.parameters(), g.parameters(), strict=True):
                    p.lerp_(q, 0.001)
    return s.monitor


@pytest.mark.parametrize("buffers", [True, False])
def test_buffers_that_are_averaged_are_right_and_ones_left_behind_are_not(buffers):
    assert causes(averaged(buffers)) == ([] if buffers else ["average_buffers_not_copied"])


class WithFeatures(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = mlp(2, 16, 16), nn.Linear(16, 1)

    def features(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = self.body(x)
        return h, self.head(h.relu())

    def forward(self, x: Tensor) -> Tensor:
        return self.features(x)[1]


def through_a_method(method: bool, steps: int = 40) -> Monitor:
    s = Setting(d=WithFeatures())
    for real, z in s.updates(steps):
        s.opt_d.zero_grad()
        (bce(s.d(real), 1.0) + bce(s.d(s.g(z).detach()), 0.0)).backward()
        s.opt_d.step()
        s.opt_g.zero_grad()
        scores = s.d.features(s.g(z))[1] if method else s.d(s.g(z))
        bce(scores, 1.0).backward()
        s.opt_g.step()
    return s.monitor


def verdict(found: Diagnosis) -> tuple[str, str, bool]:
    return found[0].cause, found[0].confidence, "healthy so far" in str(found)


def written_out(steps: int = 20) -> Monitor:
    """The critic's layers are never called: its weights are used by hand."""
    s = Setting(d=mlp(2, 16, 1))
    first, _, last = s.d

    def scores(x: Tensor) -> Tensor:
        return (x @ first.weight.T + first.bias).relu() @ last.weight.T + last.bias

    for real, z in s.updates(steps):
        s.opt_d.zero_grad()
        (bce(scores(real), 1.0) + bce(scores(s.g(z).detach()), 0.0)).backward()
        s.opt_d.step()
        s.opt_g.zero_grad()
        bce(scores(s.g(z)), 1.0).backward()
        s.opt_g.step()
    return s.monitor


def test_losses_that_were_never_seen_are_not_called_healthy():
    found = written_out().diagnose()
    assert verdict(found) == ("healthy", "low", False), str(found)
    assert "seen" in found[0].sentence and any("loss" in words for words in found.not_checked)


@pytest.mark.parametrize(
    "run", [lambda: transformed(40), lambda: through_a_method(True), lambda: through_a_method(False)]
)
def test_losses_that_were_seen_are(run):
    assert verdict(run().diagnose()) == ("healthy", "high", True)


def test_what_is_sure_comes_before_what_is_likely_among_findings_of_one_section():
    found = [Finding(f"cause {k}", "", confidence=c, rank=8) for k, c in enumerate(reversed(CONFIDENCES))]
    assert [f.confidence for f in ranked(found)] == ["high", "medium", "low"]
    first = Finding("cause of it", "", confidence="medium", rank=3)
    assert ranked([*found, first])[0] is first, "a cause before its consequences"


@pytest.mark.parametrize("whole", [True, False])
def test_parameters_count_as_trainable_at_their_own_step(whole, steps=14):
    s = Setting()
    held = list(s.d.parameters())
    s.opt_d = torch.optim.Adam(held if whole else held[2:], 1e-3)
    s.monitor.close()
    s.monitor = Monitor(s.g, s.d, loss="bce", every=5, budget=1e9, optimizers=(s.opt_g, s.opt_d))
    for real, z in s.updates(steps):
        s.d.requires_grad_(True).zero_grad()
        (bce(s.d(real), 1.0) + bce(s.d(s.g(z).detach()), 0.0)).backward()
        s.opt_d.step()
        s.d.requires_grad_(False)
        s.opt_g.zero_grad()
        bce(s.d(s.g(z)), 1.0).backward()
        s.opt_g.step()
    assert causes(s.monitor) == ([] if whole else ["optimizer_misses_parameters"])


def clipped_first(limit: float, rate: float, steps: int = 60, **options: object) -> list[str]:
    """Weights are clamped through ``.data`` before the critic's step, which moves them off the clip again."""
    s = Setting("wasserstein", **options)
    s.opt_d.param_groups[0]["lr"] = rate
    for real, z in s.updates(steps):
        for p in s.d.parameters():
            p.data.clamp_(-limit, limit)
        s.opt_d.zero_grad()
        (s.d(s.g(z).detach()).mean() - s.d(real).mean()).backward()
        s.opt_d.step()
        s.opt_g.zero_grad()
        (-s.d(s.g(torch.randn(BATCH, LATENT))).mean()).backward()
        s.opt_g.step()
    return causes(s.monitor)


@pytest.mark.parametrize(("limit", "named"), [(0.05, False), (1e9, True)])
def test_a_clip_before_the_step_is_one(limit, named):
    assert ("loss_needs_lipschitz" in clipped_first(limit, 1e-3)) == named


@pytest.mark.parametrize(("limit", "named"), [(0.05, []), (1e9, ["clip_absent"])])
def test_a_claimed_clip_before_the_step_is_there(limit, named):
    found = clipped_first(limit, 0.05, penalty=("clip", 0.05))
    assert [cause for cause in found if cause.startswith("clip")] == named


def one_optimiser(real_side: float, fake_side: float, steps: int = 40) -> Monitor:
    """One optimiser of both players, each backward with ``inputs``; a zero-centred penalty on both sides."""
    s = Setting()
    optimizer = torch.optim.Adam([{"params": n.parameters()} for n in (s.g, s.d)], 1e-3)
    s.monitor.close()
    claims = [("r1", 0.1), ("r2", 0.1)]
    s.monitor = Monitor(s.g, s.d, loss="bce", penalty=claims, every=5, budget=1e9, optimizers=(optimizer, optimizer))
    for real, z in s.updates(steps):
        optimizer.zero_grad()
        fake = s.g(z)
        loss = torch.zeros(())
        for x, target, weight in ((real, 1.0, real_side), (fake.detach(), 0.0, fake_side)):
            x = x.clone().requires_grad_()
            scores = s.d(x)
            loss = loss + bce(scores, target)
            if weight >= 0:
                (slope,) = torch.autograd.grad(scores.sum(), x, create_graph=True)
                loss = loss + weight / 2 * slope.square().sum(1).mean()
        loss.backward(inputs=list(s.d.parameters()))
        bce(s.d(fake), 1.0).backward(inputs=list(s.g.parameters()))
        optimizer.step()
    return s.monitor


@pytest.mark.parametrize(
    ("real_side", "fake_side", "named"),
    [
        (0.1, 0.1, []),
        (0.2, 0.2, []),  # without the half of the papers
        (0.0, 0.0, ["penalty_absent"]),
        (0.1, -1.0, ["penalty_absent"]),
        (-1.0, 0.1, ["penalty_absent"]),
        (20.0, 20.0, ["penalty_weight_wrong"]),
    ],
)
def test_two_penalties_of_one_weight_are_looked_at(real_side, fake_side, named):
    assert causes(one_optimiser(real_side, fake_side)) == named
