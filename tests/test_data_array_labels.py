"""Labels that arrays bring: their names, their rows, and numbers that are none."""

from __future__ import annotations

import numpy as np
import pytest

from array_cases import opened, rows_of, table
from data_cases import noise
from tightrope._plumbing.errors import UserError
from tightrope.data.labels import encode, from_names

pytestmark = pytest.mark.usefixtures("cache")


@pytest.mark.parametrize("key", ["y", "labels", "Y", "label", "targets", "target"])
def test_labels_follow_their_rows(tmp_path, key):
    numbers = np.arange(200) % 4
    data = opened(tmp_path, x=table(), **{key: numbers})
    np.testing.assert_array_equal(data.labels, numbers[rows_of(200)])
    assert data.classes == ("0", "1", "2", "3")
    pixels = noise(20)
    images = opened(tmp_path, images=pixels, **{key: np.arange(20) % 2})
    np.testing.assert_array_equal(images.labels, (np.arange(20) % 2)[rows_of(20)])


def test_labels_are_numbered_over_both_splits(tmp_path):
    arrays = {"x_train": table(3), "x_test": table(2), "y_train": np.array([3, 9, 3]), "y_test": np.array([7, 9])}
    train, test = opened(tmp_path, **arrays), opened(tmp_path, **arrays, options={"split": "test"})
    assert train.classes == test.classes == ("3", "7", "9")
    assert (train.labels.tolist(), test.labels.tolist()) == ([0, 2, 0], [1, 2])


def test_label_arrays_of_each_split(tmp_path):
    arrays = {
        "train_images": noise(6),
        "train_labels": np.arange(6) % 2,
        "test_images": noise(4),
        "test_label": [1] * 4,
    }
    train, test = opened(tmp_path, **arrays), opened(tmp_path, **arrays, options={"split": "test"})
    assert (train.labels.tolist(), test.labels.tolist()) == ([0, 1] * 3, [1] * 4)


def test_a_number_per_sample_is_no_class(tmp_path):
    data = opened(tmp_path, x=table(), y=np.arange(200))
    assert data.labels is None
    assert "200 different values" in data.notes[0]


def test_label_length(tmp_path):
    with pytest.raises(UserError, match=r"got 200 samples and labels \[3\]"):
        opened(tmp_path, x=table(), y=np.zeros(3))


def test_regression_targets_are_no_classes(tmp_path):
    data = opened(tmp_path, x=table(), y=table()[:, 0])
    assert data.labels is None
    assert "not whole numbers" in data.notes[0]


@pytest.mark.parametrize(
    ("given", "numbers", "names"),
    [
        ([5, 5, 2], [1, 1, 0], ("2", "5")),
        ([[1], [0]], [1, 0], ("0", "1")),
        ([[0, 1, 0], [1, 0, 0], [0, 0, 1]], [1, 0, 2], ("0", "1", "2")),
        (["b", "a"], [1, 0], ("a", "b")),
        ([True, False], [1, 0], ("False", "True")),
        ([1.0, 0.0], [1, 0], ("0", "1")),
        ([b"b", b"a"], [1, 0], ("a", "b")),
    ],
)
def test_encode(given, numbers, names):
    parts, classes = encode([np.array(given)])
    assert parts[0].tolist() == numbers
    assert parts[0].dtype == np.int64
    assert classes == names


def test_what_is_not_encoded():
    assert "one-hot" in encode([np.array([[1, 1], [0, 1]])])
    assert "300 different values" in encode([np.arange(300)])
    assert not isinstance(encode([np.arange(90)]), str)
    assert "not whole" in encode([np.array([np.nan, 1.0])])
    assert from_names(["b", "a", "b"])[0].tolist() == [1, 0, 1]
