"""Rules that the eighth frozen set changed, on windows written by hand."""

from __future__ import annotations

import pytest
import torch

from test_monitor_seventh_rules import history, said
from tightrope.monitor.claims import Claims, claims_of
from tightrope.monitor.counting import Counters
from tightrope.monitor.ledger.hypotheses import claim_of
from tightrope.monitor.ledger.parameters import Account
from tightrope.monitor.ledger.scores import Fit
from tightrope.monitor.rules import diagnosis
from tightrope.monitor.sides import Sides

GONE = [1.0] * 5 + [0.0] * 9


@pytest.mark.parametrize(
    ("moved", "momentum", "first"),
    [
        ((0.9, 4.0), 0.7, "critic_step_too_large"),
        ((0.9, 4.0), 0.99, "momentum_too_high"),
        ((0.01, 4.0), 0.7, "non_finite"),
        ((4.0, 0.9), 0.7, "non_finite"),
        ((0.4, 0.9), 0.7, "non_finite"),
    ],
)
def test_weights_that_multiplied_before_values_were_not_finite(moved, momentum: float, first: str) -> None:
    found = history(distance=0.5, samples_finite=GONE)
    for window, value in zip(found.windows[3:5], moved, strict=True):
        window.critic.moved, window.critic.momentum = value, momentum
    causes = [f.cause for f in diagnosis(found, 144, {}) if f.confidence != "low"]
    assert causes[0] == first and "non_finite" in causes


def counted(steps: list[tuple[int, float, int]]) -> Counters:
    """Steps of optimisers by number, with the rate of each and the update in which it is."""
    made = [torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], 1.0) for _ in range(2)]
    counters = Counters()
    for which, rate, update in steps:
        counters.cycle = 0
        counters.count(made[which], rate, update, adaptive=False, own=lambda: -1.0)
    return counters


def test_rates_of_optimisers_that_take_turns_are_no_schedule() -> None:
    turns = counted([(k % 2, (1e-1, 1e-4)[k % 2], k // 2) for k in range(60)])
    assert turns.fallen == (1e-1, 1e-1) and len(turns.rates) == 2
    at_once = counted([(0, 1e-1, 0), (1, 1e-4, 0)])
    assert at_once.fallen[0] == at_once.fallen[1]
    replaced = counted([(0, 1e-1, k) for k in range(9)] + [(1, 1e-4, k) for k in range(9, 20)])
    assert replaced.fallen == (1e-4, 1e-1)
    fell = counted([(k % 2, (1e-1, 1e-5 if k > 20 else 1e-2)[k % 2], k // 2) for k in range(60)])
    assert fell.fallen == (1e-5, 1e-2)
    for counters, named in ((turns, False), (at_once, False), (replaced, True), (fell, True)):
        found = history(distance=0.1)
        found.counters["critic"] = counters
        assert bool(said(found, "schedule_too_fast")) == named


def test_a_narrow_cloud_beside_zero_is_not_cut_off_there() -> None:
    rng = torch.Generator().manual_seed(0)
    real = torch.randn(128, 2, generator=rng)
    narrow, wide = (size * torch.rand(128, 2, generator=rng) for size in (0.05, 1.5))
    wide = wide * wide / 1.5  # dense at its end, as behind a smooth rectifier
    assert Sides().read(real, narrow)["sided"] == 0.0
    assert Sides().read(real, wide)["sided"] == 2.0


@pytest.mark.parametrize(("lasts", "confidence"), [(120, "low"), (60, "low"), (30, "medium")])
def test_a_schedule_to_nothing_that_the_training_outlives(lasts: int, confidence: str) -> None:
    found = history(distance=0.1)
    counters = found.counters["generator"]
    counters.rates = [(k, 1e-3 * (1 - k / lasts)) for k in range(lasts + 1)]
    counters.rate = 0.0
    assert said(found, "schedule_too_fast") == [confidence]


@pytest.mark.parametrize(
    ("rates", "named"),
    [
        ([(0, 1e-3), (1, 0.0), (71, 1e-4)], True),
        ([(0, 1e-3), (100, 0.0)], True),
        ([(0, 1e-3), (140, 0.0)], False),
        ([(0, 0.0), (12, 1e-3)], False),
        ([(0, 1e-3)], False),
    ],
)
def test_a_rate_that_was_zero_for_long(rates: list[tuple[int, float]], named: bool) -> None:
    found = history(distance=0.1)
    found.cycles = 144
    counters = found.counters["critic"]
    counters.rates, counters.rate = rates, rates[-1][1]
    assert said(found, "learning_rate_zero") == (["medium"] if named else [])


@pytest.mark.parametrize("made", [0.0, 1.0])
def test_encodings_are_nothing_to_swing_around(made: float) -> None:
    spread = [0.2, *[1.8, 0.3] * 3, *[0.3] * 7]
    spread[-3] = 1.0
    found = history(spread=spread, auc=0.6, distance=0.5, real_made=made)
    found.claims, found.told = Claims(False), True
    for window in found.windows:
        window.critic.accounts = [Account("losses", left=1e-7)]
    assert said(found, "rotation_undamped") == (["low"] if made else ["medium"])
    assert said(history(real_made=made, order=20.0), "unshuffled") == ([] if made else ["high"])


@pytest.mark.parametrize(("beta", "first"), [(0.99, "momentum_too_high"), (0.5, "non_finite")])
def test_what_was_said_before_values_were_not_finite(beta: float, first: str) -> None:
    gone = [0.5] * 11 + [float("nan")] * 3
    found = history(distance=gone, samples_finite=[1.0] * 11 + [0.0] * 3)
    for window in found.windows[:11]:
        window.critic.momentum = beta
    causes = [f.cause for f in diagnosis(found, 144, {}) if f.confidence != "low"]
    assert causes[0] == first and "non_finite" in causes


@pytest.mark.parametrize(
    ("loss", "high", "steps", "named"),
    [
        ("wasserstein", 0.9, 600, ["medium"]),
        ("wasserstein", 0.9, 200, []),
        ("wasserstein", [0.9] * 13 + [1.9], 600, []),
        ("non_saturating", 0.9, 600, []),
    ],
)
def test_a_clip_that_no_weight_came_near_to(loss: str, high: float | list[float], steps: int, named: list[str]) -> None:
    found = history(weight_high=high, at_clip=0.0, distance=0.1)
    found.claim, found.claims = claim_of(loss), claims_of(("clip", 2.0))
    found.counters["critic"].steps = steps
    assert said(found, "constraint_vacuous") == named
    for window in found.windows:
        window.numbers["at_clip"] = 0.3  # where all of these weights end, another clip acts
    assert said(found, "constraint_vacuous") == []


@pytest.mark.parametrize(
    ("real", "left", "named"), [(2.0, 0.06, ["medium"]), (1.0, 0.06, []), (2.0, 0.5, []), (0.5, 0.1, ["medium"])]
)
def test_both_sides_augmented_and_one_scaled_besides(real: float, left: float, named: list[str]) -> None:
    numbers = {"real_changed": 1.0, "fake_changed": 1.0, "fake_factor": 0.99, "fake_noise": 0.06}
    assert said(history(real_factor=real, real_left=left, **numbers), "critic_shown_other_real") == named


@pytest.mark.parametrize(("share", "error", "named"), [(600.0, 1e-3, []), (2.0, 1e-3, ["high"]), (20.0, 0.03, [])])
def test_a_weight_beside_losses_that_rounding_hides(share: float, error: float, named: list[str]) -> None:
    found = history(distance=0.1, points=1.0)
    found.claims = claims_of(("gp", 10.0))
    for window in found.windows:
        window.critic.fit = Fit("claim", factor=1.0)
        one = Account("claim", weight=700.0, share=share, error=error, applied=10.0, place="interpolated")
        window.critic.accounts = [one]
    assert said(found, "penalty_weight_wrong") == named


@pytest.mark.parametrize(("flat", "distance", "named"), [(5, 0.1, True), (4, 0.1, False), (14, 0.5, True)])
def test_a_loss_that_is_flat_where_the_samples_are(flat: int, distance: float, named: bool) -> None:
    found = history(distance=distance)
    for k, window in enumerate(found.windows):
        window.generator.fit = Fit("unknown", "the claimed loss is flat here") if k < flat else Fit("claim")
    assert said(found, "generator_gradient_vanishes") == (["medium"] if named else [])
    for window in found.windows[:8]:
        window.generator.fit = Fit("claim")
    assert said(found, "generator_gradient_vanishes") == (["medium"] if flat == 14 else [])


@pytest.mark.parametrize(
    ("share", "windows", "confidence"), [(0.99995, 5, "low"), (0.99995, 8, "medium"), (0.999999, 5, "medium")]
)
def test_little_comes_through_a_critic_that_has_just_begun(share: float, windows: int, confidence: str) -> None:
    found = history(other_share=share, distance=0.1)
    del found.windows[windows:]
    assert said(found, "reconstruction_drowns_adversarial") == [confidence]
