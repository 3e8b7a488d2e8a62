"""Toy distributions against their closed-form moments and geometry; the embedded digits against scikit-learn's."""

from __future__ import annotations

import hashlib
import math
from importlib import resources

import numpy as np
import pytest
import torch

from tightrope.data import DATASETS, open_data
from tightrope.data.toy import MIXTURES, TOYS

pytestmark = pytest.mark.usefixtures("cache")


def points(name, split="train"):
    return open_data(f"toy:{name}", split=split).values.double()


@pytest.mark.parametrize("name", TOYS)
def test_every_toy_set_is_a_fixed_table(name):
    data, again, test = open_data(f"toy:{name}"), open_data(f"toy:{name}"), open_data(f"toy:{name}", split="test")
    assert (len(data), len(test)) == (20_000, 10_000)
    assert (data.kind, data.shape, data.labels, data.offset) == ("vectors", (2,), None, None)
    assert torch.equal(data.values, again.values)
    assert data.fingerprint == again.fingerprint != test.fingerprint
    assert not torch.equal(data.values[:10_000], test.values)
    assert f"toy:{name}" in DATASETS
    few = open_data(f"toy:{name}", limit=100)
    assert len(few) == 100
    assert {tuple(row) for row in few.values.tolist()} <= {tuple(row) for row in data.values.tolist()}


@pytest.mark.parametrize(("name", "modes", "std"), [("ring", 8, 0.02 / 1.414), ("grid", 25, 0.05 / 2.828)])
def test_mixtures(name, modes, std):
    x, mixture = points(name), open_data(f"toy:{name}").mixture
    assert mixture.std == pytest.approx(std)
    assert mixture.means.shape == (modes, 2)
    distance = torch.cdist(x, mixture.means.double())
    nearest = distance.argmin(1)
    assert distance.min(1).values.max() < 6 * std
    counts = torch.bincount(nearest, minlength=modes)
    assert counts.min() > 20_000 / modes - 5 * math.sqrt(20_000 / modes)
    residual = x - mixture.means.double()[nearest]
    np.testing.assert_allclose(residual.std(0), [std, std], rtol=0.03)
    np.testing.assert_allclose(residual.mean(0), [0, 0], atol=5 * std / math.sqrt(20_000))


def test_ring_and_grid_means():
    ring = [(2 / 1.414 * math.cos(k * math.pi / 4), 2 / 1.414 * math.sin(k * math.pi / 4)) for k in range(8)]
    grid = [(2 * i / 2.828, 2 * j / 2.828) for i in range(-2, 3) for j in range(-2, 3)]
    np.testing.assert_allclose(MIXTURES["ring"].means, ring, atol=1e-6)
    np.testing.assert_allclose(MIXTURES["grid"].means, grid, atol=1e-6)


def test_swissroll():
    """Radius is t, angle is t modulo 2 pi, up to noise of 0.25 in every direction."""
    x = points("swissroll") * 7.5
    radius = x.norm(dim=1)
    assert 1.5 * math.pi - 1.25 < radius.min() < 1.5 * math.pi + 0.1
    assert 4.5 * math.pi - 0.1 < radius.max() < 4.5 * math.pi + 1.25
    np.testing.assert_allclose(radius.mean(), 3 * math.pi, atol=0.1)
    np.testing.assert_allclose(radius.std(), 3 * math.pi / math.sqrt(12), rtol=0.03)
    angle = torch.atan2(x[:, 1], x[:, 0])
    off = torch.remainder(radius - angle + math.pi, 2 * math.pi) - math.pi  # along the arm, radius = angle modulo 2 pi
    assert off.abs().mean() < 0.25
    np.testing.assert_allclose(off.std(), 0.25, rtol=0.1)


def test_circle_line_segments_gaussian():
    circle = points("circle")
    np.testing.assert_allclose(circle.norm(dim=1), 1, atol=1e-6)
    assert circle.mean(0).abs().max() < 0.03
    np.testing.assert_allclose(circle.std(0), [math.sqrt(0.5)] * 2, rtol=0.02)
    line = points("line")
    assert (line[:, 1] == 0).all()
    assert line[:, 0].min() >= -1
    assert line[:, 0].max() <= 1
    np.testing.assert_allclose(line[:, 0].std(), 1 / math.sqrt(3), rtol=0.02)
    segments = points("segments")
    assert ((segments == 0).sum(1) == 1).all()
    radius = segments.norm(dim=1)
    assert radius.min() >= 0.5
    assert radius.max() <= 1.5
    np.testing.assert_allclose(radius.mean(), 1.0, atol=0.01)
    quarter = torch.stack([(segments[:, axis] * sign > 0) for axis in (0, 1) for sign in (1, -1)]).sum(1)
    assert quarter.min() > 4700
    gaussian = points("gaussian")
    np.testing.assert_allclose(torch.cov(gaussian.T), np.eye(2), atol=0.04)


def test_bad_toys():
    with pytest.raises(ValueError, match=r"toy:ring, toy:grid.*got toy:moon") as error:
        open_data("toy:moon")
    assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match="points"):
        open_data("toy:ring", resolution=32)


# --- digits


def test_digits_are_the_published_images():
    datasets = pytest.importorskip("sklearn.datasets")
    published = datasets.load_digits()
    order = np.random.default_rng(0).permutation(1797)
    train, test = open_data("digits"), open_data("digits", split="test")
    pixels = np.concatenate([train.values.numpy(), test.values.numpy()])[:, 0]
    np.testing.assert_array_equal(pixels, np.floor(published.images[order] * 255 / 16 + 0.5))
    np.testing.assert_array_equal(np.concatenate([train.labels, test.labels]), published.target[order])


def test_digits():
    train, test = open_data("digits"), open_data("digits", split="test")
    assert (len(train), len(test), train.shape, train.kind) == (1400, 397, (1, 8, 8), "images")
    assert train.classes == tuple("0123456789")
    assert int(train.values.max()) == 255
    assert set(test.labels.tolist()) == set(range(10))
    assert len(open_data("digits", limit=20)) == 20


def test_digits_file_is_small_and_fixed():
    data = resources.files("tightrope.data").joinpath("digits.npz").read_bytes()
    assert len(data) < 200_000
    arrays = open_data("digits").values.numpy().tobytes() + open_data("digits").labels.numpy().tobytes()
    assert hashlib.sha256(arrays).hexdigest() == DIGITS
    assert "CC BY 4.0" in resources.files("tightrope.data").joinpath("README.md").read_text()


def test_digits_at_another_size_and_in_rgb():
    rgb = open_data("digits", channels=3)
    assert rgb.shape == (3, 8, 8)
    assert torch.equal(rgb.values[:, :1], open_data("digits").values)
    assert torch.equal(rgb.values[:, 0], rgb.values[:, 2])
    large = open_data("digits", resolution=32)
    assert large.shape == (1, 32, 32)
    assert "enlarged" in large.notes[0]
    assert torch.equal(large.labels, open_data("digits").labels)


DIGITS = "9f3a1ba38d26b04c3b1d169118a72ba029f8e430a721b64672dfab14084fcde3"
