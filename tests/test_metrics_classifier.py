from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from tightrope.data import open_data
from tightrope.evaluation.features import classifier


@pytest.fixture(scope="module")
def digits():
    return open_data("digits", split="train"), open_data("digits", split="test")


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.mark.slow
def test_the_digits_classifier_is_accurate_cached_and_undisturbing(digits, cache):
    train, test = digits
    before = torch.get_rng_state()
    network = classifier(train, test, cache=cache)
    assert torch.equal(before, torch.get_rng_state())
    assert network.accuracy >= 0.97
    x, labels = test.batch(torch.arange(len(test))).x, test.labels
    features = network(x)
    assert features.shape == (len(test), network.dimension)
    predicted = network.logits(features).argmax(dim=1)
    assert float((predicted == labels).float().mean()) == pytest.approx(network.accuracy)
    (path,) = (cache / "classifiers").iterdir()
    written = path.stat().st_mtime_ns
    again = classifier(train, test, cache=cache)
    assert path.stat().st_mtime_ns == written
    assert again.digest == network.digest
    assert again.accuracy == network.accuracy
    torch.testing.assert_close(again(x), features, rtol=0, atol=1e-6)


def few(dataset, rows):
    """The first rows of a data set as a new one."""
    values, labels = dataset.values[:rows], dataset.labels[:rows]
    return dataclasses.replace(dataset, values=values, labels=labels, fingerprint=f"{dataset.fingerprint}-{rows}")


def test_training_is_deterministic_and_damage_is_repaired(digits, tmp_path, monkeypatch):
    monkeypatch.setenv("TIGHTROPE_CACHE", str(tmp_path / "by variable"))
    monkeypatch.setattr("tightrope.evaluation.features.small_classifier.EPOCHS", 4)
    train, test = few(digits[0], 150), few(digits[1], 50)
    first = classifier(train, test)
    (path,) = (tmp_path / "by variable" / "classifiers").iterdir()
    whole = path.read_bytes()
    number = whole[whole.index(b'"accuracy":"') + 12 :].partition(b'"')[0]
    assert len(number) > 3
    for damaged in (whole[:1000], whole.replace(number, b"x" * len(number), 1)):
        path.write_bytes(damaged)
        second = classifier(train, test)
        assert (second.digest, second.accuracy) == (first.digest, first.accuracy)
    assert classifier(train, test, cache=tmp_path / "other").digest == first.digest
    assert classifier(few(digits[0], 140), test).digest != first.digest
    assert len(list(path.parent.iterdir())) == 2


def test_vectors_and_signals_get_a_classifier_too(digits, tmp_path):
    for shape, kind in (((64,), "vectors"), ((4, 16), "signals")):
        sets = [
            dataclasses.replace(
                few(d, 400), values=d.values[:400].float().div(127.5).sub(1).reshape(400, *shape), kind=kind
            )
            for d in (digits[0], few(digits[0], 400))
        ]
        network = classifier(*sets, cache=tmp_path / kind)
        assert network.accuracy > 0.9
        assert network(sets[0].batch(torch.arange(3)).x).shape == (3, network.dimension)


def test_a_cache_that_cannot_be_written_is_only_a_warning(digits, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    with pytest.warns(UserWarning, match="could not be written"):
        network = classifier(few(digits[0], 60), few(digits[1], 20), cache=blocked)
    assert math.isfinite(network.accuracy)


def test_no_labels_no_classifier(tmp_path):
    train, test = open_data("toy:ring", split="train"), open_data("toy:ring", split="test")
    with pytest.raises(ValueError, match="needs labels"):
        classifier(train, test, cache=tmp_path)
