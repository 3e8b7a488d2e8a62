"""Players that lag, run or turn, clips and pools measured indirectly: each rule beside the nearest sound case."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from test_monitor_windows import history, named
from tightrope.monitor import Monitor
from tightrope.monitor.claims import Claims
from tightrope.monitor.counting import Counters
from tightrope.monitor.ledger.hypotheses import claim_of
from tightrope.monitor.ledger.parameters import Account
from tightrope.monitor.window import Window


@pytest.mark.parametrize(
    ("auc", "distance", "critic", "generator", "weak"),
    [
        (0.05, 0.9, 1e-3, 0.01, True),
        (0.05, 0.02, 1e-3, 0.01, False),
        (0.5, 0.9, 1e-3, 0.01, False),
        (0.05, 0.9, 0.02, 0.2, False),
        (0.05, 0.9, 0.02, 0.01, False),
        (0.05, 0.9, 0.0, 0.01, False),
    ],
    ids=["slow and wrong", "near the data", "at chance", "a generator thrown about", "as fast", "it does not move"],
)
def test_a_critic_too_slow_to_turn_its_verdict_is_behind(auc, distance, critic, generator, weak):
    """For some windows only: it may come round when the generator has gone far away."""

    def write(window: Window) -> None:
        wrong = 3 <= window.step <= 34
        window.numbers |= {"auc": auc if wrong else 0.9, "distance": distance if window.step > 20 else 1.0}
        window.generator.moved, window.critic.moved = generator, critic

    assert ("critic_too_weak" in named(history(write))) == weak


RUNNING = {"critic": 0.15, "generator": 0.004, "auc": 0.99, "rate": 0.004, "account": "losses"}


@pytest.mark.parametrize(
    ("changed", "cause"),
    [
        ({}, "critic_too_strong"),
        ({"auc": 0.8}, "critic_step_too_large"),
        ({"critic": 0.05}, None),
        ({"generator": 0.04}, None),
        ({"account": "claim"}, None),
        ({"critic": 0.03, "rate": 0.02}, "critic_too_strong"),
        ({"critic": 0.03, "rate": 0.02, "auc": 0.8}, None),
        ({"critic": 0.03, "rate": 0.009}, None),
    ],
    ids=["runs", "unsure", "as in sound runs", "both", "a penalty", "by its rate", "a rate, unsure", "a large rate"],
)
def test_a_critic_that_runs_without_any_constraint_is_too_strong(changed, cause):
    setting = RUNNING | changed

    def write(window: Window) -> None:
        window.numbers |= {"auc": setting["auc"], "distance": 1.0 if window.step < 30 else 0.1}
        window.critic.moved, window.generator.moved = setting["critic"], setting["generator"]
        window.critic.accounts = [Account(setting["account"])]

    rates = {"adaptive": True, "steps": 144}
    counted = Counters(top_rate=setting["rate"], rate=setting["rate"], **rates)
    found = named(history(write, critic=counted, generator=Counters(top_rate=5e-4, rate=5e-4, **rates)))
    assert {c for c in ("critic_too_strong", "critic_step_too_large") if found.get(c) == "medium"} == (
        {cause} if cause else set()
    )


@pytest.mark.parametrize("claims", [Claims(True, clip=0.1), Claims(True, constraint="spectral_norm")])
def test_a_constrained_critic_may_be_fast(claims):
    def write(window: Window) -> None:
        window.numbers |= {"auc": 0.99, "distance": 0.1}
        window.critic.moved, window.generator.moved = 0.15, 0.004
        window.critic.accounts = [Account("losses")]

    found = history(write)
    found.claims = claims
    assert not {"critic_too_strong", "critic_step_too_large"} & set(named(found))


@pytest.mark.parametrize(
    ("peaks", "back", "distance", "account", "told", "said"),
    [
        ((1.7, 1.7), 0.4, 0.9, "losses", True, "medium"),
        ((1.7, 1.7), 0.4, 0.9, "losses", False, "low"),
        ((0.3, 1.7), 0.4, 0.9, "losses", True, "low"),
        ((1.7, 1.7), 1.4, 0.9, "losses", True, None),
        ((1.1, 1.1), 0.3, 0.9, "losses", True, None),
        ((1.7, 1.7), 0.4, 0.05, "losses", True, None),
        ((1.7, 1.7), 0.4, 0.9, "claim", True, None),
    ],
    ids=["swings", "nothing told", "swings once", "stays wide", "never past the data", "near the data", "a penalty"],
)
def test_samples_that_swing_past_the_data_and_back_again_turn_undamped(peaks, back, distance, account, told, said):
    def write(window: Window) -> None:
        spread = {21: peaks[0], 55: peaks[1]}.get(window.step, 0.3 if window.step < 21 else back)
        window.numbers |= {"spread": spread, "auc": 0.65, "distance": 1.0 if window.step < 5 else distance}
        window.critic.accounts = [Account(account)]

    found = history(write)
    found.told = told
    assert named(found).get("rotation_undamped") == said


@pytest.mark.parametrize(
    ("loss", "gradient", "crippled"),
    [("wasserstein", 2e-7, True), ("wasserstein", 2e-3, False), ("lsgan", 2e-7, False)],
)
def test_what_reaches_the_samples_stands_for_a_slope_that_was_not_measured(loss, gradient, crippled):
    """Of the mean score of n samples each gets the slope over n: in all the slope over the root of n."""

    def write(window: Window) -> None:
        window.numbers |= {"gradient_at_samples": gradient, "batch": 64, "at_clip": 0.6, "weight_high": 1e-3}
        window.numbers["distance"] = 1.0 if window.step < 20 else 0.05
        window.critic.steps = 1

    found = history(write)
    found.claim, found.claims = claim_of(loss), Claims(True, clip=1e-3)
    assert ("clip_crippling" in named(found)) == crippled


@pytest.mark.parametrize(
    ("rows", "features", "batch", "levels", "few"),
    [
        (100, 64, 48, 50, True),
        (100, 64, 16, 50, True),
        (2000, 64, 48, 50, False),
        (400, 64, 48, 50, False),
        (100, 7, 48, 50, False),
        (100, 64, 48, 2, False),
        (100, 64, 4, 50, False),
    ],
    ids=["few", "small batches", "many", "more than few", "rows of few numbers", "words", "too little seen"],
)
def test_a_pool_is_known_by_the_rows_that_come_again(rows, features, batch, levels, few):
    torch.manual_seed(0)
    shown: set[int] = set()

    def write(window: Window) -> None:
        shown.update(torch.randint(rows, (batch,)).tolist())
        window.numbers |= {"distinct_rows": len(shown), "batch": batch, "features": features, "levels": levels}

    assert (named(history(write)).get("few_rows") == "medium") == few


@pytest.mark.parametrize(("levels", "confidence"), [(50, "medium"), (2, "low")])
def test_few_rows_of_codes_are_a_remark(levels: int, confidence: str) -> None:
    def write(window: Window) -> None:
        window.numbers |= {"distinct_rows": 6, "batch": 32, "distinct_in_batch": 6 / 32, "levels": levels}

    assert named(history(write)).get("few_rows") == confidence


@pytest.mark.parametrize("rate", [5e-4, 0.2])
def test_a_loop_whose_critic_is_four_hundred_times_slower_is_named_and_its_twin_is_not(rate):
    torch.manual_seed(2)
    generator = nn.Sequential(nn.Linear(4, 32), nn.Tanh(), nn.Linear(32, 2))
    critic = nn.Sequential(nn.Linear(2, 32), nn.Tanh(), nn.Linear(32, 1))
    both = torch.optim.SGD(generator.parameters(), 0.2), torch.optim.SGD(critic.parameters(), rate)
    monitor = Monitor(generator, critic, loss="non_saturating", every=10, optimizers=both, budget=1.0)
    soft = nn.functional.softplus
    for _ in range(150):
        real, z = torch.randn(64, 2) + torch.tensor([1.0, 0.0]), torch.randn(64, 4)
        both[1].zero_grad()
        (soft(-critic(real)).mean() + soft(critic(generator(z).detach())).mean()).backward()
        both[1].step()
        both[0].zero_grad()
        soft(-critic(generator(z))).mean().backward()
        both[0].step()
        monitor.step(real, z)
    found = monitor.diagnose()
    monitor.close()
    slow = rate < 0.01
    assert found.healthy == (not slow), str(found)
    assert ("critic_too_weak" in [f.cause for f in found if f.confidence != "low"]) == slow, str(found)


@pytest.mark.parametrize(("rate", "confidence"), [(1.0, "medium"), (2e-3, "low")])
def test_in_a_short_run_an_extreme_rate_says_more_than_movement_alone(rate, confidence):
    def write(window: Window) -> None:
        window.numbers |= {"distance": 0.9, "latent_width": 4, "latent_rank": 1.0, "real_rank": 2.0}
        window.generator.moved = 0.15

    found = history(write, generator=Counters(steps=70, top_rate=rate, rate=rate, adaptive=True))
    del found.windows[-4:]
    causes = named(found)
    assert found.step < 100 and causes["generator_step_too_large"] == confidence
    assert causes["generator_ill_conditioned"] == ("low" if rate > 0.05 else "medium")


def test_players_that_a_clip_brought_to_a_standstill_are_crippled_by_it():
    """Every unit is dead: no gradient comes to the samples any more."""

    def write(window: Window) -> None:
        window.numbers |= {"at_clip": 0.5, "weight_high": 4e-3, "batch": 64, "distance": 0.9 / window.step}
        window.critic.steps = window.generator.steps = 1
        if window.step < 40:
            window.numbers["gradient_at_samples"] = 4e-6
        else:
            window.critic.moved = window.generator.moved = 0.0

    found = history(write)
    found.claim, found.claims = claim_of("wasserstein"), Claims(True, clip=4e-3)
    assert "clip_crippling" in named(found)
    for window in found.windows:
        window.generator.moved = 0.01
    assert "clip_crippling" not in named(found)
