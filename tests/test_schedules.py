"""Schedules against values worked out by hand."""

from __future__ import annotations

import dataclasses
import math

import pytest

from tightrope.schedules import Cosine, Linear, ramp, value_at


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
