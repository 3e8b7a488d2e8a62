"""Rules on windows written by hand: what they ask for beside a number, and what one window alone may say."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from tightrope.monitor.claims import Claims
from tightrope.monitor.counting import Counters
from tightrope.monitor.history import History
from tightrope.monitor.ledger.hypotheses import claim_of
from tightrope.monitor.ledger.parameters import Account
from tightrope.monitor.ledger.scores import Fit
from tightrope.monitor.pools import _noise
from tightrope.monitor.rules import diagnosis
from tightrope.monitor.window import Window

STEPS = (1, 2, 3, 5, 8, 13, 21, 34, 55, 89)


def history(write: Callable[[Window], None]) -> History:
    found = History(claim_of("hinge"), Claims(False), counters={"generator": Counters(), "critic": Counters()})
    for step in STEPS:
        window = Window(step)
        write(window)
        found.add(window)
    return found


@pytest.mark.parametrize(("theirs", "healthy"), [(0.9, False), (0.25, True)])
def test_a_slow_average_is_a_fault_where_its_samples_are_worse(theirs: float, healthy: bool) -> None:
    def write(window: Window) -> None:
        window.numbers |= {"average_behind": 0.95, "average_moved": 0.01, "distance": 0.2, "sampled_distance": theirs}

    found = diagnosis(history(write), 89, {})
    assert found.healthy == healthy
    assert any(f.cause == "average_too_slow" and f.confidence == ("low" if healthy else "high") for f in found)


@pytest.mark.parametrize(("windows", "confidence"), [((3,), "low"), ((5, 8), "high"), ((89,), "medium")])
def test_one_window_that_later_ones_do_not_repeat_is_a_remark(windows: tuple[int, ...], confidence: str) -> None:
    def write(window: Window) -> None:
        kind = "flipped" if window.step in windows else "claim"
        window.generator.fit, window.critic.fit = Fit(kind, "minus the hinge loss", 2.0), Fit("claim", "hinge")

    found = [f for f in diagnosis(history(write), 89, {}) if f.cause == "generator_sign_flipped"]
    assert [f.confidence for f in found] == [confidence]


@pytest.mark.parametrize("far", [True, False])
def test_refuted_and_unexplained_is_a_remark_unless_samples_stay_far(far: bool) -> None:
    def write(window: Window) -> None:
        window.critic.accounts = [Account("none", "", 0.9, 0.9)]
        window.numbers["distance"] = 0.8 if far else 0.8 / window.step

    found = [f for f in diagnosis(history(write), 89, {}) if f.cause == "refuted_unexplained"]
    assert [f.confidence for f in found] == ["medium" if far else "low"]
    assert "90 %" in found[0].sentence


@pytest.mark.parametrize(("end", "stays"), [(5, True), (90, False)])
def test_the_ledger_s_findings_stay_until_six_windows_say_the_opposite(end: int, stays: bool) -> None:
    found, said = History(claim_of("hinge"), Claims(False)), []
    found.counters = {"generator": Counters(), "critic": Counters()}
    for step in STEPS:
        window = Window(step)
        kind = "start" if step in (2, 3) else "losses"
        window.critic.accounts = [Account(kind, "the gradient left from before", 0.5, 0.0)] if step < end else []
        window.critic.fit = Fit("claim", "hinge")
        found.add(window)
        said.append(diagnosis(found, step, {}))
    named = [f.cause for f in said[-1] if f.confidence == "high"]
    assert ("critic_gradient_accumulated" in named) == stays


def test_modes_and_batches_of_the_first_windows_do_not_stay() -> None:
    def write(window: Window) -> None:
        window.generator.calls = 2
        window.generator.eval_calls = 2 if window.step < 4 else 0
        window.numbers["batch_again"] = float(window.step == 2)

    assert diagnosis(history(write), 89, {}).healthy


def test_only_what_was_added_to_real_rows_counts_as_noise() -> None:
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(32, 3, 8, 8, generator=rng)
    assert _noise(x.flip(3), x) == 0.0 and _noise(0.5 * x, x) == 0.0
    noisy = x + torch.randn(x.shape, generator=rng)
    assert abs(_noise(noisy, x) - 0.5**0.5) < 0.03


@pytest.mark.parametrize("true", ["kind", "axes"])
def test_of_two_penalties_that_fit_in_turns_the_one_of_steady_weight_is_meant(true: str) -> None:
    other = {"kind": "axes", "axes": "kind"}[true]

    def write(window: Window) -> None:
        kind, weight = (true, 10.1) if window.step % 2 else (other, 2.0 * window.step)
        window.critic.accounts = [Account(kind, "another", 0.05, 1e-7, weight)]

    found = history(write)
    found.claims = Claims(True, penalties=(("gp", 10.0),))
    cause = {"kind": "penalty_other_kind", "axes": "penalty_norm_axes"}
    assert [f.cause for f in diagnosis(found, 89, {}) if f.confidence == "high"] == [cause[true]]


@pytest.mark.parametrize(("axes", "confidence"), [(784, "medium"), (3 * 64 * 64, "low")])
def test_labels_at_chance_are_a_fault_where_neighbours_tell_of_classes(axes: int, confidence: str) -> None:
    """Of photographs the nearest in pixels has the right label about as often as any, with labels that are right."""

    def write(window: Window) -> None:
        window.numbers |= {"label_pool": 504, "label_accuracy": 0.079, "label_chance": 0.083, "label_axes": axes}

    found = {one.cause: one for one in diagnosis(history(write), 89, {})}
    assert found["labels_unrelated"].confidence == confidence
    assert ("photographs" in found["labels_unrelated"].sentence) == (confidence == "low")
    assert ("healthy" in found) == (confidence == "low")
