"""Rules about settings and slow signals on windows written by hand, each beside the nearest case that is sound."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest
import torch

from monitor_loop import Loop
from tightrope.monitor.claims import Claims
from tightrope.monitor.counting import Counters
from tightrope.monitor.finding import Finding, ranked
from tightrope.monitor.history import History
from tightrope.monitor.ledger.hypotheses import claim_of
from tightrope.monitor.ledger.parameters import Account
from tightrope.monitor.ledger.scores import Fit
from tightrope.monitor.readings import Reader
from tightrope.monitor.rules import diagnosis
from tightrope.monitor.window import Window

STEPS = (1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 120, 132, 144)


def history(write: Callable[[Window], None] = lambda window: None, **counters: Counters) -> History:
    """Thirteen windows of a claimed hinge loss whose gradients are as claimed."""
    counted = {name: counters.get(name, Counters(steps=144, top_rate=1e-4, rate=1e-4))
               for name in ("generator", "critic")}  # fmt: skip
    found = History(claim_of("hinge"), Claims(False), counters=counted, cycles=144)
    for step in STEPS:
        window = Window(step)
        for player in (window.generator, window.critic):
            player.fit, player.moved = Fit("claim", "hinge"), 0.01
        write(window)
        found.add(window)
    return found


def named(found: History) -> dict[str, str]:
    """Causes of all findings with their confidence."""
    return {f.cause: f.confidence for f in diagnosis(found, 144, {})}


def scheduled(rates: Iterable[float]) -> Counters:
    steps = list(enumerate(rates, 1))
    return Counters(steps=len(steps), rates=steps, first_rate=steps[0][1], top_rate=max(r for _, r in steps),
                    rate=steps[-1][1])  # fmt: skip


@pytest.mark.parametrize(
    ("rates", "confidence"),
    [
        ([1e-3 * 0.97**k for k in range(100)], "medium"),
        ([1e-3 * 0.985**k for k in range(200)], None),
        ([1e-3 * (1 - k / 101) for k in range(100)], None),
    ],
    ids=["a factor meant for epochs", "a factor that halves in 46 updates", "a line to nothing at the end"],
)
def test_a_factor_at_every_update_is_too_fast_from_a_tenth_on(rates, confidence):
    assert named(history(generator=scheduled(rates))).get("schedule_too_fast") == confidence


@pytest.mark.parametrize(("far", "thrown"), [(120.0, True), (8.0, False)])
def test_samples_that_the_first_updates_threw_away(far, thrown):
    def write(window: Window) -> None:
        window.numbers["distance"] = {1: 1.0, 2: far, 3: far / 2}.get(window.step, 0.2)

    assert ("generator_step_too_large" in named(history(write))) == thrown


@pytest.mark.parametrize(
    ("spread", "distance", "confidence"),
    [(0.2, 0.8, "medium"), (0.4, 0.8, "low"), (0.2, 0.02, None), (0.8, 0.8, None)],
)
def test_samples_that_stay_narrow_and_far_have_collapsed_in_part(spread, distance, confidence):
    def write(window: Window) -> None:
        window.numbers |= {"spread": spread, "distance": distance if window.step > 20 else 1.0}

    assert named(history(write)).get("mode_collapse_partial") == confidence


def test_samples_that_grow_wider_have_not_collapsed():
    def write(window: Window) -> None:
        window.numbers |= {"spread": 0.1 + 0.002 * window.step, "distance": 0.8}

    assert "mode_collapse_partial" not in named(history(write))


@pytest.mark.parametrize(
    ("rate", "adaptive", "confidence"), [(0.05, True, "medium"), (0.05, False, None), (0.005, True, None)]
)
def test_a_rate_by_which_adam_moves_every_parameter(rate, adaptive, confidence):
    def write(window: Window) -> None:
        window.numbers["distance"] = 0.8

    counted = Counters(steps=144, top_rate=rate, rate=rate, adaptive=adaptive)
    assert named(history(write, critic=counted)).get("critic_step_too_large") == confidence


@pytest.mark.parametrize(("rate", "confidence"), [(1e-8, "medium"), (1.9e-6, "low"), (1e-5, None)])
def test_a_rate_a_thousandth_of_the_other_one_is_meant_by_nobody(rate, confidence):
    def write(window: Window) -> None:
        window.generator.moved = 1e-5
        window.numbers["distance"] = 0.01

    counted = Counters(steps=144, top_rate=rate, rate=rate)
    assert named(history(write, generator=counted)).get("generator_step_too_small") == confidence


@pytest.mark.parametrize(
    ("behind", "theirs", "slow"), [(0.7, 0.9, True), (0.5, 0.9, False), (0.7, 0.2, False)]
)  # fmt: skip
def test_an_average_that_lags_behind_samples_worse_than_live_ones(behind, theirs, slow):
    def write(window: Window) -> None:
        window.numbers |= {"average_behind": behind, "average_moved": 0.01, "distance": 0.1,
                           "sampled_distance": theirs}  # fmt: skip

    assert ("average_too_slow" in named(history(write))) == slow


@pytest.mark.parametrize(("end", "gone"), [(60, True), (1000, False)])
def test_a_penalty_that_acted_and_then_was_left_out_is_absent(end, gone):
    def write(window: Window) -> None:
        acts = window.step < end
        window.numbers |= {"points": 2, "points_with_graph": 1.0}
        window.critic.accounts = (
            [Account("claim", "gp", 0.0, 1e-7, 10.0)] if acts else [Account("losses", "", 0.0, 1e-7, expected=0.5)]
        )

    found = history(write)
    found.claims = Claims(True, penalties=(("gp", 10.0),))
    assert ("penalty_absent" in named(found)) == gone
    if gone:
        said = next(f for f in diagnosis(found, 144, {}) if f.cause == "penalty_absent")
        assert said.since == 89 and "step 55" in said.sentence


def test_exact_evidence_of_one_confidence_comes_first():
    slow = Finding("mode_collapse_total", "", {}, 1, "high", rank=0)
    exact = Finding("generator_sign_flipped", "", {"exact": True}, 1, "high", rank=3)
    assert [f.cause for f in ranked([slow, exact])] == ["generator_sign_flipped", "mode_collapse_total"]


def test_health_is_not_said_with_confidence_where_a_part_of_the_monitor_failed():
    whole, part = (diagnosis(history(), 144, why)[0] for why in ({}, {"pools": "ValueError: of its own"}))
    assert (whole.cause, whole.confidence) == ("healthy", "high")
    assert (part.cause, part.confidence) == ("healthy", "low") and "pools" in part.sentence


def test_a_part_of_a_reading_that_fails_takes_no_other_along(monkeypatch):
    def broken(*_: object) -> None:
        raise ArithmeticError("a part that breaks")

    monkeypatch.setattr(Reader, "_fits", broken)
    torch.manual_seed(0)
    monitor = Loop(steps=30, options={"sample": lambda n: torch.randn(n, 2)}).run()
    assert monitor is not None
    monitor.diagnose()
    assert monitor.history.problems["losses"].startswith("ArithmeticError: a part that breaks")
    last = monitor.history.windows[-1]
    assert last.critic.fit is None and last.critic.accounts and last.critic.moved > 0
    assert monitor.history.series("distance")


@pytest.mark.parametrize(("size", "cause"), [(1.5, "critic_step_too_large"), (0.02, "generator_step_too_small")])
def test_a_critic_that_its_first_updates_threw_is_named_and_not_the_other_player(size, cause):
    def write(window: Window) -> None:
        window.numbers["distance"] = 0.8
        window.critic.moved = size if window.step <= 3 else 1e-3
        window.generator.moved = 1e-5

    found = named(history(write, generator=Counters(steps=144, top_rate=1e-4, rate=1e-4),
                          critic=Counters(steps=144, top_rate=1e-2, rate=1e-2)))  # fmt: skip
    causes = {"critic_step_too_large", "generator_step_too_small"}
    assert {c for c in causes if found.get(c, "low") != "low"} == {cause}


@pytest.mark.parametrize(("name", "accounts", "cut"), [("the claimed loss is flat here", 0, False), ("other", 0, True)])
def test_a_loss_that_is_flat_at_the_scores_is_not_cut_off(name, accounts, cut):
    def write(window: Window) -> None:
        window.generator.steps = 1
        window.generator.fit = Fit("unknown", name)
        window.numbers |= {"through_critic": accounts, "critic_calls": 3, "fakes_judged": 1, "at_samples": 1}

    assert ("generator_loss_without_critic" in named(history(write))) == cut


@pytest.mark.parametrize(
    ("weight", "share", "confidence", "cause"),
    [
        (200.0, 1e-5, "medium", "penalty_too_strong"),
        (1.0, 1e-5, None, "penalty_too_weak"),
        (1e-6, 1e-6, "medium", "penalty_too_weak"),
        (1.0, 0.3, None, "penalty_too_strong"),
    ],
)
def test_strengths_are_judged_by_the_weight_that_acts(weight, share, confidence, cause):
    def write(window: Window) -> None:
        window.numbers["distance"] = 0.8
        window.critic.accounts = [Account("claim", "0-centred", 0.0, 1e-7, weight, share, place="real")]

    found = history(write)
    found.claims = Claims(True, penalties=(("r1", weight),))
    assert named(found).get(cause) == confidence
