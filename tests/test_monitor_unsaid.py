"""Rules on windows written by hand: penalties of which nothing was said, and evidence that a single look would miss."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from test_monitor_windows import history, named
from tightrope.monitor.claims import claims_of
from tightrope.monitor.counting import Counters
from tightrope.monitor.history import Ends, History
from tightrope.monitor.ledger.hypotheses import claim_of
from tightrope.monitor.ledger.parameters import Account
from tightrope.monitor.window import Window


def with_points(graph: float = 1.0, every: int = 1, **account: Any) -> Callable[[Window], None]:
    def write(window: Window) -> None:
        window.critic.accounts = [Account(**({"kind": "losses"} | account))]
        if window.step % every == 0 or every == 1:
            window.numbers |= {"points": 1, "points_with_graph": graph}

    return write


def unsaid(write: Callable[[Window], None], points: int = 144, claim: str = "wasserstein") -> History:
    found = history(write)
    found.claim, found.points = claim_of(claim), points
    return found


@pytest.mark.parametrize(
    ("write", "points", "said"),
    [
        (with_points(expected=1.0), 144, ("penalty_absent", "medium")),
        (with_points(expected=0.0), 144, ("penalty_absent", "low")),  # a one-sided one may be idle
        (with_points(graph=0.0, expected=1.0), 144, ("penalty_detached", "low")),  # a log may ask so
        (with_points(expected=1.0), 20, None),
        (with_points(kind="kind", name="1-centred", weight=10.0), 144, None),
    ],
)
def test_a_gradient_that_is_asked_for_and_never_used(
    write: Callable[[Window], None], points: int, said: tuple[str, str] | None
) -> None:
    found = {(c, k) for c, k in named(unsaid(write, points, "hinge")).items() if c.startswith("penalty")}
    assert found == ({said} if said else set())


@pytest.mark.parametrize(("place", "said"), [("fake", "low"), ("interpolated", None), ("other", None)])
def test_a_slope_of_one_asked_for_at_samples_alone_is_at_another_place(place: str, said: str | None) -> None:
    write = with_points(kind="kind", name="1-centred", weight=10.0, place=place)
    assert named(unsaid(write)).get("penalty_other_place") == said


@pytest.mark.parametrize(("spread", "said"), [(40.0, "medium"), (1.0, None)])
def test_points_asked_about_are_no_constraint_where_scores_run_apart(spread: float, said: str | None) -> None:
    def write(window: Window) -> None:
        with_points(expected=1.0)(window)
        window.numbers |= {"score_spread": spread, "real_std": 1.0, "features": 64, "at_clip": 0.0}

    found = unsaid(write, points=400)
    found.counters["critic"] = Counters(steps=400, top_rate=1e-4, rate=1e-4)
    assert named(found).get("loss_needs_lipschitz") == said


@pytest.mark.parametrize(("steps", "points", "said"), [(62, 2, "medium"), (62, 4, None)])
def test_a_penalty_at_one_step_in_thirty_is_too_lazy(steps: int, points: int, said: str | None) -> None:
    def write(window: Window) -> None:
        window.numbers["points"] = float(window.step == 1)
        window.critic.accounts = [Account("claim", weight=160.0, place="real", share=1.0)] if window.step == 1 else [
            Account("losses")]  # fmt: skip

    found = history(write, critic=Counters(steps=steps, top_rate=1e-4, rate=1e-4))
    found.claims, found.points = claims_of(("r1", 10.0)), points
    assert named(found).get("penalty_too_lazy") == said


@pytest.mark.parametrize(
    ("pool", "accuracy", "said"), [(220, 0.11, "medium"), (220, 0.18, None), (160, 0.11, None), (320, 0.17, "medium")]
)
def test_labels_at_chance_are_told_by_a_small_pool_only_near_to_it(pool: int, accuracy: float, said: str) -> None:
    def write(window: Window) -> None:
        window.numbers |= {"label_pool": pool, "label_chance": 0.1, "label_accuracy": accuracy}

    assert named(history(write)).get("labels_unrelated") == said


@pytest.mark.parametrize(("zero", "steps", "said"), [(144, 60, "medium"), (144, 30, None), (8, 60, None)])
def test_a_critic_whose_gradient_is_always_zero_has_none(zero: int, steps: int, said: str | None) -> None:
    def write(window: Window) -> None:
        window.critic.steps, window.critic.zero_gradient = 1, int(window.step <= zero)

    found = history(write, critic=Counters(steps=steps, top_rate=1e-4, rate=1e-4))
    assert named(found).get("critic_no_gradient") == said


@pytest.mark.parametrize(("real", "high", "said"), [(800.0, 1.0, "medium"), (2.0, 1.0, None), (800.0, 1.5, None)])
def test_data_in_units_beside_heads_that_are_bounded(real: float, high: float, said: str | None) -> None:
    def write(window: Window) -> None:
        window.numbers |= {
            "shown_fake_low": -0.7, "shown_fake_high": high, "shown_fake_std": 0.4, "shown_real_std": real,
        }  # fmt: skip

    found = history(write)
    found.ends["generator"] = Ends(-1000.0, 1000.0)
    assert named(found).get("data_range") == said


def test_a_critic_that_its_first_clip_moved_has_not_been_stepped() -> None:
    def write(window: Window) -> None:
        window.critic.moved = 0.3 if window.step == 1 else 0.0

    found = history(write, critic=Counters())
    assert named(found).get("critic_not_stepped") == "high"
