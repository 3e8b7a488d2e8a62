"""Rules that the eighth frozen set changed, on windows written by hand."""

from __future__ import annotations

import pytest
import torch

from test_monitor_seventh_rules import history, said
from tightrope.monitor.counting import Counters
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
