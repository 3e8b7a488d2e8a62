"""Rules that the seventh frozen set changed, on windows written by hand."""

from __future__ import annotations

import pytest
import torch

from tightrope.monitor.claims import Claims
from tightrope.monitor.counting import Counters
from tightrope.monitor.held_out import read_units
from tightrope.monitor.history import History
from tightrope.monitor.ledger.hypotheses import claim_of
from tightrope.monitor.ledger.parameters import Account
from tightrope.monitor.ledger.scores import Fit
from tightrope.monitor.rules import diagnosis
from tightrope.monitor.sides import Sides, copies
from tightrope.monitor.window import Window

STEPS = (1, 2, 3, 5, 8, 13, 21, 34, 55, 76, 89, 100, 120, 144)


def history(**numbers: float | list[float]) -> History:
    """Windows with these numbers, each the same in all or one for each; both players move as sound ones do."""
    found = History(claim_of("non_saturating"), Claims(True))
    found.counters = {
        name: Counters(adaptive=True, top_rate=1e-3, rate=1e-3, steps=144) for name in ("generator", "critic")
    }
    for k, step in enumerate(STEPS):
        window = Window(step, numbers={key: v[k] if isinstance(v, list) else v for key, v in numbers.items()})
        for player in (window.generator, window.critic):
            player.moved, player.steps = 0.01, 1
        found.add(window)
    return found


def said(found: History, cause: str) -> list[str]:
    return [f.confidence for f in diagnosis(found, 144, {}) if f.cause == cause]


def thrown(found: History, player: str) -> History:
    for window in found.windows[:5]:
        window.player(player).moved = 0.8
    return found


FALLING = [0.6 * 0.8**k + 0.01 for k in range(len(STEPS))]


@pytest.mark.parametrize(
    ("auc", "spread", "distance", "confidence"),
    [
        (0.99, 0.6, 0.12, ["medium"]),
        (0.99, 1.0, 0.12, ["low"]),
        (0.55, 0.6, 0.12, ["low"]),
        (0.99, 0.6, FALLING, ["low"]),
        (0.99, 0.6, 0.01, ["low"]),
    ],
)
def test_other_terms_drown_a_critic_that_sees_through_the_samples(auc, spread, distance, confidence) -> None:
    found = history(other_share=0.99, auc=auc, spread=spread, distance=distance)
    assert said(found, "reconstruction_drowns_adversarial") == confidence


@pytest.mark.parametrize(("share", "confidence"), [(1e-5, ["medium"]), (5e-3, ["low"]), (0.1, [])])
def test_a_term_that_is_as_if_it_were_not_there(share: float, confidence: list[str]) -> None:
    assert said(history(other_share=share, distance=0.01), "adversarial_drowns_reconstruction") == confidence
    hurled = thrown(history(other_share=share, distance=0.01), "critic")
    assert said(hurled, "adversarial_drowns_reconstruction") == ["low" for _ in confidence]


@pytest.mark.parametrize(
    ("apart", "drawn", "live", "training", "confidence"),
    [
        (0.2, 0.2, 0.016, 0.0, ["medium"]),
        (0.2, 0.2, 0.016, 1.0, []),
        (0.2, 0.2, 0.1, 0.0, []),
        (0.05, 0.2, 0.016, 0.0, []),
        (0.5, 0.6, 0.1, 0.0, ["medium"]),
    ],
)
def test_statistics_that_make_drawn_samples_worse_than_live_ones(apart, drawn, live, training, confidence) -> None:
    found = history(other_mode=apart, sampled_distance=drawn, distance=live, sampled_in_training_mode=training)
    assert said(found, "sampled_in_other_mode") == confidence


@pytest.mark.parametrize(
    ("rate", "moved", "spread", "distance", "confidence"),
    [
        (2e-5, 1e-4, 1.5, 0.08, ["medium"]),
        (2e-5, 1e-4, 1.0, 0.08, ["low"]),
        (2e-5, 1e-4, 1.5, FALLING, ["low"]),
        (1e-4, 1e-4, 1.5, 0.08, []),
    ],
)
def test_a_critic_that_stands_nearly_still_while_samples_go_past_the_data(
    rate, moved, spread, distance, confidence
) -> None:
    found = history(spread=spread, distance=distance)
    found.counters["critic"].top_rate = rate
    for window in found.windows:
        window.critic.moved = moved
    assert said(found, "critic_step_too_small") == confidence


@pytest.mark.parametrize(("moved", "confidence"), [(0.5, "medium"), (0.01, "low")])
def test_samples_that_the_first_updates_threw_away_without_a_large_step(moved: float, confidence: str) -> None:
    found = history(distance=[0.2, 85.0, 156.0, *[50.0] * 11])
    for window in found.windows[:3]:
        window.generator.moved = moved
    assert confidence in said(found, "generator_step_too_large")


@pytest.mark.parametrize(("hurled", "confidence"), [(True, "low"), (False, "medium")])
def test_a_penalty_that_drowns_the_loss_of_a_critic_thrown_about(hurled: bool, confidence: str) -> None:
    found = history(distance=0.45)
    found.claims = Claims(True, penalties=(("r1", 0.3),))
    for window in found.windows:
        window.critic.accounts = [Account("claim", "R1", left=1e-7, weight=0.3, share=2000.0)]
    if hurled:
        thrown(found, "critic")
    assert said(found, "penalty_too_strong") == [confidence]


@pytest.mark.parametrize(("factor", "named"), [(1024.0, []), (1.0, ["medium"])])
def test_a_weight_under_a_loss_scale_is_that_beside_the_loss_itself(factor: float, named: list[str]) -> None:
    found = history(distance=0.45)
    found.claims = Claims(True, penalties=(("r1", 0.2),))
    for window in found.windows:
        window.critic.accounts = [Account("claim", "R1", left=1e-7, weight=204.8, share=0.5)]
        window.critic.fit = Fit("claim", factor=factor)
    assert said(found, "penalty_too_strong") == named


@pytest.mark.parametrize(("squashed", "confidence"), [(6, "low"), (0, "high")])
def test_other_losses_fit_scores_at_the_ends_of_a_sigmoid(squashed: int, confidence: str) -> None:
    found = history()
    for window in found.windows[:squashed]:
        window.critic.fit = Fit("double_sigmoid", "a sigmoid too many", residual=0.3)
    for window in found.windows[-3:]:
        window.critic.fit = Fit("loss", "least_squares", residual=0.7, explained=1e-3)
    assert said(found, "critic_loss_other") == [confidence]
    assert diagnosis(found, 144, {})[0].cause == ("double_sigmoid" if squashed else "critic_loss_other")


def test_rows_that_come_twice_in_a_batch_because_there_are_few() -> None:
    found = history(distinct_rows=20.0, batch=32.0, distinct_in_batch=0.45, values_per_row=1.0, real_std=1.0)
    assert said(found, "few_rows") == ["medium"] and said(found, "rows_repeated") == ["low"]
    many = history(distinct_rows=800.0, batch=32.0, distinct_in_batch=0.45, values_per_row=1.0, real_std=1.0)
    assert said(many, "few_rows") == [] and said(many, "rows_repeated") == ["medium"]


@pytest.mark.parametrize(("fed", "confidence"), [(54.0, ["medium"]), (1.0, ["low"])])
def test_a_generator_that_is_given_rows_in_the_same_units_is_no_witness(fed: float, confidence: list[str]) -> None:
    found = history(units=127.0, units_held=0.55, real_std=70.0, shown_fake_std=45.0, latent_std=fed)
    assert said(found, "data_scale") == confidence


def test_sides_are_those_of_all_windows() -> None:
    rng = torch.Generator().manual_seed(0)
    real = torch.randn(64, 3, generator=rng)
    sides = Sides()
    for k in range(5):
        fake = torch.randn(64, 3, generator=rng)
        fake[:, 0] = fake[:, 0].relu()
        fake[:, 1] = fake[:, 1].abs() + 0.5  # far from zero: samples that lie elsewhere, and may well come here
        found = sides.read(real, fake)
        assert found["sided"] == 1.0 and found["sided_rows"] == 64.0 * (k + 1)
    fake[0, 0] = -1.0
    assert sides.read(real, fake)["sided"] == 0.0 and not sides.over
    assert sides.read(real, fake * torch.nan) == {}
    assert sides.read(real, -fake)["sided"] == 0.0
    assert sides.read(real, fake) == {}  # none can count any more


def test_copies_are_told_to_rounding() -> None:
    z = torch.randn(32, 4, generator=torch.Generator().manual_seed(0))
    two = (z[:, :1] > 0).float() @ torch.ones(1, 5)
    assert copies(z, two + 1e-9 * z[:, :1]) == {"distinct_given": 1.0, "distinct_fakes": 2 / 32}
    assert copies(z, 1e-3 * z) == {"distinct_fakes": 1.0}
    assert copies(z[:4], two[:4]) == {}


@pytest.mark.parametrize(("moved", "first"), [(0.5, "generator_step_too_large"), (0.01, "non_finite")])
def test_what_exploded_before_values_were_not_finite(moved: float, first: str) -> None:
    gone = [0.4, 0.5, 0.5, 0.5, 0.6, 8.0, *[float("nan")] * 8]
    found = history(distance=gone, samples_finite=[1.0] * 6 + [0.0] * 8)
    found.windows[5].generator.moved = moved
    causes = [f.cause for f in diagnosis(found, 144, {}) if f.confidence != "low"]
    assert causes[0] == first and "non_finite" in causes


def test_samples_that_still_spread_are_not_drowned() -> None:
    grown = [0.03 * 1.2**k for k in range(len(STEPS))]
    assert said(
        history(other_share=0.98, auc=0.6, spread=grown, distance=0.6), "reconstruction_drowns_adversarial"
    ) == ["low"]
    assert said(history(other_share=0.98, auc=0.6, spread=1.5, distance=0.6), "reconstruction_drowns_adversarial") == [
        "medium"
    ]


@pytest.mark.parametrize(
    ("told", "swings", "confidence"), [(True, 2, "medium"), (False, 2, "low"), (False, 3, "medium")]
)
def test_turning_is_surer_of_trainings_of_which_more_was_said(told: bool, swings: int, confidence: str) -> None:
    spread = [0.2, *[1.8, 0.3] * swings, *[0.3] * (len(STEPS) - 1 - 2 * swings)]
    spread[-3] = 1.0
    found = history(spread=spread, auc=0.6, distance=0.5)
    found.claims, found.told = Claims(False), told
    for window in found.windows:
        window.critic.accounts = [Account("losses", left=1e-7)]
    assert said(found, "rotation_undamped") == [confidence]


@pytest.mark.parametrize(
    ("shift", "swap", "apart", "order"), [(0.0, True, 1.0, 0.0), (0.0, False, 0.0, 0.0), (3.0, False, 1.0, 1.0)]
)
def test_features_in_another_order_than_those_of_held_out_rows(shift, swap: bool, apart: float, order: float) -> None:
    rng = torch.Generator().manual_seed(0)
    means = torch.tensor([-3.0, 0.0, 3.0, 6.0])
    rows, batch = (torch.randn(n, 4, generator=rng) + means for n in (200, 64))
    window = Window(1)
    read_units(window, [batch.flip(1) + shift if swap else batch + shift], rows)
    assert (window.numbers["held_apart"], window.numbers["held_order"]) == (apart, order)
    found = history(**window.numbers, real_std=3.0, shown_fake_std=1.0, held_out_drop=0.6, held_out_z=9.0)
    assert said(found, "channel_order") == (["medium"] if swap else [])
    assert said(found, "critic_overfitting") == ["low" if apart else "medium"]


def test_samples_that_a_turned_sign_drove_to_one_side() -> None:
    found = history(sided=2.0, sided_rows=400.0, sided_share=0.5, features=2.0)
    assert diagnosis(found, 144, {})[0].cause == "generator_range_rectified"
    for window in found.windows:
        window.critic.fit, window.generator.fit = Fit("flipped", "minus the loss"), Fit("claim")
    causes = [f.cause for f in diagnosis(found, 144, {})]
    assert causes[:2] == ["critic_sign_flipped", "generator_range_rectified"]
