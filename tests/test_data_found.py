"""Layouts that a search with random folders found to be read otherwise than a person reads them."""

from __future__ import annotations

import pytest

from tightrope.data.layout import layout


def read(split, *names):
    found = layout(names, split)
    return None if found.labels is None else [found.classes[label] for label in found.labels]


@pytest.mark.parametrize("inner", ["", "images/"])
@pytest.mark.parametrize("beside", ["", "deeper/"])
def test_a_split_with_one_class_of_the_others(inner, beside):
    many = [f"train/{inner}{name}/{i}.png" for name in ("cat", "dog") for i in range(2)]
    one = [f"test/{inner}dog/{beside}{i}.png" for i in range(2)]
    assert read("train", *many, *one) == ["cat", "cat", "dog", "dog"]
    assert read("test", *many, *one) == ["dog", "dog"]
    swapped = [name.replace("train/", "TEST/").replace("test/", "train/").replace("TEST/", "test/") for name in one]
    others = [name.replace("train/", "test/") for name in many]
    assert read("train", *swapped, *others) == ["dog", "dog"]


def test_a_split_in_a_folder_that_is_no_class_has_no_labels():
    names = [f"train/{name}/{i}.png" for name in ("cat", "dog") for i in range(2)]
    for folder in ("images", "bird", "images/cat"):
        assert read("test", *names, f"test/{folder}/0.png", f"test/{folder}/1.png") is None


def test_pieces_of_a_set_stay_pieces_where_one_split_has_one():
    names = [f"train/part{k}/{i}.png" for k in (1, 2) for i in range(2)]
    for split in ("train", "test"):
        assert read(split, *names, "test/part1/0.png", "test/part1/1.png") is None
