"""Schedules against values worked out by hand."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from torch import nn

from tightrope import UserError, penalties, perturbations
from tightrope.optimizers.settings import Adam
from tightrope.schedules import Cosine, Delayed, Linear, ramp, value_at


def test_a_straight_line_and_what_lies_beyond_it():
    down = Linear(2.0, -1.0, 300)
    expected = [(0, 2.0), (100, 1.0), (150, 0.5), (200, 0.0), (299, -0.99), (300, -1.0), (301, -1.0), (10**9, -1.0)]
    for images, value in expected:
        assert value_at(down, images) == pytest.approx(value, abs=1e-14)
    assert value_at(Linear(0.9, 0.99, 20_000_000), 5_000_000) == pytest.approx(0.9225, rel=1e-14)


def test_half_a_cosine():
    curve = Cosine(1.0, 0.0, 600)
    # cos at 0, 30, 60, 90, 120, 180 degrees; (1 + cos) / 2 of the way left
    for images, cosine in [(0, 1.0), (100, math.sqrt(3) / 2), (200, 0.5), (300, 0.0), (400, -0.5), (600, -1.0)]:
        assert value_at(curve, images) == pytest.approx((1 + cosine) / 2, abs=1e-14)
    assert value_at(curve, 601) == value_at(curve, 10**9) == 0.0
    up = Cosine(2e-4, 5e-5, 20_000_000)  # R3GAN's rate
    assert value_at(up, 0) == pytest.approx(2e-4, rel=1e-14)
    assert value_at(up, 10_000_000) == pytest.approx(1.25e-4, rel=1e-14)
    assert value_at(up, 20_000_000) == pytest.approx(5e-5, rel=1e-14)
    flat_start, flat_end = value_at(curve, 0) - value_at(curve, 1), value_at(curve, 599) - value_at(curve, 600)
    assert 0 < flat_start < 1e-4 and 0 < flat_end < 1e-4  # a line would move by 1/600


def test_constants_are_their_own_schedules():
    assert value_at(0.3, 0) == value_at(0.3, 10**9) == 0.3
    assert value_at(5, 7) == 5


def test_ramp():
    assert ramp(0.3, None, None) == 0.3
    assert ramp(0.3, 0.1, 50) == Cosine(0.3, 0.1, 50)
    assert ramp(0.3, 0.1, 50, "cosine") == Cosine(0.3, 0.1, 50)
    assert ramp(0.3, 0.1, 50, "linear") == Linear(0.3, 0.1, 50)
    assert ramp(0.3, 0.1, 1) == Cosine(0.3, 0.1, 1)
    for bad in ((0.3, 0.1, None), (0.3, 0.1, 0), (0.3, 0.1, -5)):
        with pytest.raises(ValueError, match="number of images"):
            ramp(*bad)
    with pytest.raises(ValueError, match="square"):
        ramp(0.3, 0.1, 50, "square")


def test_a_length_without_an_end_is_refused():
    with pytest.raises(ValueError):
        ramp(0.3, None, 50)


def test_schedules_are_frozen():
    for kind in (Linear, Cosine):
        with pytest.raises(dataclasses.FrozenInstanceError):
            kind(1.0, 0.0, 10).images = 20


def test_a_schedule_without_a_length_is_refused():
    for kind in (Linear, Cosine):
        for images in (0, -1):
            with pytest.raises(ValueError):
                value_at(kind(1.0, 0.0, images), 10)


def test_a_delayed_value_is_zero_up_to_its_images_and_its_schedule_starts_there():
    weight = Delayed(0.8, images=1000)
    assert [weight(n) for n in (0, 999, 1000, 10**9)] == [0.0, 0.0, 0.8, 0.8]
    rising = Delayed(Linear(0.2, 1.0, 400), images=1000)
    assert [rising(n) for n in (0, 999)] == [0.0, 0.0]
    assert [rising(n) for n in (1000, 1100, 1400, 9000)] == pytest.approx([0.2, 0.4, 1.0, 1.0])


def test_a_delay_goes_wherever_a_schedule_goes():
    critic, x = nn.Linear(3, 1), torch.randn(8, 3)
    r1 = penalties.Penalty(penalties.r1, {"gamma": Delayed(10.0, images=100)})
    early, late = (r1(critic, x, x, images_seen=n) for n in (99, 100))
    assert early == 0
    torch.testing.assert_close(late, 5 * critic.weight.square().sum())
    noise = perturbations.InstanceNoise(Delayed(1.0, images=100))
    rng = torch.Generator().manual_seed(0)
    assert torch.equal(noise(x, images_seen=99, rng=rng), x)
    assert not torch.equal(noise(x, images_seen=100, rng=rng), x)

    rate = Delayed(Cosine(1e-3, 0.0, 100), images=100)
    settings = Adam(rate, betas=(Delayed(0.5, images=100), 0.9))
    optimizer = settings.build(critic.parameters())
    for images, expected, beta in ((0, 0.0, 0.0), (100, 1e-3, 0.5), (150, 5e-4, 0.5)):
        settings.schedule_(optimizer, images)
        group = optimizer.param_groups[0]
        assert (group["lr"], group["betas"][0]) == (pytest.approx(expected), beta)


@pytest.mark.parametrize(
    "made",
    [
        lambda: Delayed(1.0, images=0),
        lambda: Delayed(1.0, images=math.inf),
        lambda: Delayed(math.nan, images=10),
        lambda: Delayed("1", images=10),
        lambda: penalties.Penalty(penalties.r1, {"gamma": Delayed(-1.0, images=10)}),
        lambda: penalties.Penalty(penalties.r1, {"gamma": Delayed(Linear(1.0, -1.0, 5), images=10)}),
        lambda: Adam(Delayed(-1e-3, images=10)),
        lambda: Adam(1e-3, betas=(Delayed(1.5, images=10), 0.9)),
    ],
)
def test_a_delay_of_what_is_no_value_is_refused(made):
    with pytest.raises(UserError, match="Expected"):
        made()
