"""Layouts that a search with random folders found to be read otherwise than a person reads them."""

from __future__ import annotations

import io
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tightrope._plumbing.errors import UserError
from tightrope.data import open_data
from tightrope.data.label_files import stored_labels
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


SIX = [f"{i}.png" for i in range(6)]


def told(text, name="metadata.csv", **more):
    files = {name: text, **{key.replace("__", "."): value for key, value in more.items()}}
    return stored_labels({key: value.encode for key, value in files.items()}, SIX, Path("d"))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("labels.json", '{"0.png": 1, "1.png": 0, "0.png": 0}'),
        ("dataset.json", '{"labels": {"0.png": 1, "1.png": 0, "0.png": 0}}'),
        ("dataset.json", '{"labels": [["0.png", 1]], "labels": [["0.png", 0]]}'),
        ("metadata.jsonl", '{"file_name": "0.png", "label": 1, "label": 0}\n'),
    ],
)
def test_a_name_twice_in_json_is_refused(name, text):
    with pytest.raises(UserError, match=r"once in a file of labels, got \S+ twice"):
        told(text, name)


@pytest.mark.parametrize("other", ["class", "label", "target"])
def test_two_label_columns_that_differ_are_said(other):
    text = "".join(f"{name},{i % 2},{i % 3}\n" for i, name in enumerate(SIX))
    assert f"say something else: {other}." in told(f"file_name,label,{other}\n{text}").notes[0]
    same = "".join(f"{name},{i % 2},{'ab'[i % 2]}\n" for i, name in enumerate(SIX))
    assert told(f"file_name,label,{other}\n{same}").notes == []


def test_a_second_file_of_labels_is_said():
    text = "".join(f"{name},{i % 2}\n" for i, name in enumerate(SIX))
    found = told(f"file_name,label\n{text}", labels__csv="file_name,label\n0.png,1\n")
    assert found.notes == ["Labels are those of metadata.csv; not used beside it: labels.csv."]
    assert found.values == {name: str(i % 2) for i, name in enumerate(SIX)}


def test_labels_of_no_image_are_said_to_be_none():
    found = layout(SIX, "train", told('{"file_name": "0.jpg", "label": 1}\n', "metadata.jsonl"))
    assert found.labels is None
    assert "so there are no labels" in found.notes[-1]


def test_arrays_of_one_name_in_other_letters_are_said(tmp_path):
    x = np.arange(24, dtype=np.float32).reshape(8, 3)
    np.savez(tmp_path / "d.npz", X=x, x=x + 1, y=np.arange(8) % 2, Y=np.arange(8) % 3)
    data = open_data(tmp_path / "d.npz", progress=False)
    assert "Arrays that are not used: Y, x." in data.notes
    assert data.classes == ("0", "1")


def test_an_array_twice_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "d.npz", "w") as archive:
        for shift in (0, 1):
            content = io.BytesIO()
            np.save(content, np.arange(24).reshape(8, 3) + shift)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                archive.writestr("x.npy", content.getvalue())
    with pytest.raises(UserError, match="one array of each name"):
        open_data(tmp_path / "d.npz", progress=False)
