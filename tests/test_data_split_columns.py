"""Columns that tell training rows from test rows are honoured as folders of that name are, and that is said."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from data_cases import encoded, noise, write_files, write_zip
from tightrope import UserError
from tightrope.data import open_data

pytestmark = pytest.mark.usefixtures("cache")

PIXELS = noise(20, seed=3)
NAMES = [f"{i}.png" for i in range(20)]
SPLITS = ["train"] * 14 + ["val"] * 2 + ["test"] * 4
KEPT = [*range(14), *range(16, 20)]
LISTED = [f"{i}.png" for i in KEPT]
LABELS = [i % 3 for i in range(20)]
JSON = [{"id": name, "subset": side, "y": int(name[:-4]) % 3} for name, side in zip(NAMES, SPLITS, strict=True)]
SAID = "Training split: images whose split is train; test split: images whose split is test."


def table(head, *columns):
    return "".join(f"{','.join(map(str, row))}\n" for row in [[head], *zip(*columns, strict=True)]).encode()


def lines(**columns):
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return "".join(json.dumps({k: v for k, v in row.items() if v is not None}) + "\n" for row in rows).encode()


def parquet(path, **columns):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path, row_group_size=3)
    return path


def rows_of(data):
    """Which of the images a data set has, by their pixels."""
    found = (data.batch(torch.arange(len(data))).x.numpy() * 127.5 + 127.5).round().transpose(0, 2, 3, 1)
    return [int(np.abs(PIXELS - image).sum((1, 2, 3)).argmin()) for image in found]


def both(path):
    return [open_data(path, split=split, progress=False) for split in ("train", "test")]


def of_images(tmp_path, files, names=NAMES, form=write_files, end="d"):
    images = {name: encoded(image) for name, image in zip(names, PIXELS, strict=True)}
    return both(form(tmp_path / end, images | files))


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("metadata.csv", table("file_name,label,split", NAMES, LABELS, SPLITS)),
        ("metadata.csv", table("file_name,Data-Split,label", NAMES, map(str.title, SPLITS), LABELS)),
        ("labels.csv", table("image;label;phase", [f"{NAMES[i]};{LABELS[i]};{SPLITS[i]}" for i in range(20)])),
        ("metadata.jsonl", lines(file_name=NAMES, split=SPLITS, label=LABELS)),
        ("metadata.jsonl", lines(file_name=NAMES, label=LABELS, split=[s if s != "val" else None for s in SPLITS])),
        ("dataset.json", json.dumps(JSON)),
        ("metadata.csv", table("file_name,label,split,phase", NAMES, LABELS, SPLITS, map(str.upper, SPLITS))),
        ("metadata.csv", table("file_name,label,set", LISTED, [i % 3 for i in KEPT], ["tr"] * 14 + ["te"] * 4)),
    ],
)  # fmt: skip
@pytest.mark.parametrize("form", [write_files, write_zip])
def test_rows_of_the_test_split_are_held_out(tmp_path, file, content, form):
    content = content if isinstance(content, bytes) else content.encode()
    train, test = of_images(tmp_path, {file: content}, form=form, end="d.zip" if form is write_zip else "d")
    assert (sorted(rows_of(train)), sorted(rows_of(test))) == ([*range(14)], [*range(16, 20)])
    assert train.classes == test.classes == ("0", "1", "2")
    for data in (train, test):
        assert data.labels.tolist() == [LABELS[row] for row in rows_of(data)]
        assert data.notes[0].startswith("Training split: images whose ")
        assert data.notes[1] == "2 images that are in neither split are not used."


def test_a_column_of_splits_is_no_label(tmp_path):
    train, test = of_images(tmp_path, {"metadata.csv": table("file_name,split", NAMES, SPLITS)})
    assert (len(train), len(test), train.labels, train.classes) == (14, 4, None, ())
    assert train.notes[0] == SAID
    bare = table("x", [])[2:] + table("0.png,train", NAMES[1:], SPLITS[1:])
    train, test = of_images(tmp_path / "b", {"labels.csv": bare})
    assert (len(train), len(test), train.classes) == (14, 4, ())
    kinds = ["red", "blue"] * 10
    assert of_images(tmp_path / "c", {"labels.csv": table("file_name,set", NAMES, kinds)})[0].classes == ("blue", "red")


def test_class_folders_and_a_second_file_still_give_labels(tmp_path):
    names = [f"{'cat' if i % 2 else 'dog'}/{i}.png" for i in range(20)]
    train, test = of_images(tmp_path, {"metadata.csv": table("file_name,split", names, SPLITS)}, names)
    assert (len(train), len(test)) == (14, 4)
    assert train.classes == test.classes == ("cat", "dog")
    assert [test.classes[k] for k in test.labels] == ["cat" if row % 2 else "dog" for row in rows_of(test)]
    files = {"metadata.csv": table("file_name,split", NAMES, SPLITS), "labels.csv": table("file_name,y", NAMES, LABELS)}
    train, test = of_images(tmp_path / "two", files)
    assert test.labels.tolist() == [LABELS[row] for row in rows_of(test)]


@pytest.mark.parametrize(
    ("column", "values", "train", "test"),
    [
        ("is_valid", [False] * 15 + [True] * 5, 15, 5),
        ("is_training_image", [1] * 15 + [0] * 5, 15, 5),
        ("is_test", ["no"] * 15 + ["yes"] * 5, 15, 5),
        ("Usage", ["Training"] * 14 + ["PublicTest"] * 3 + ["PrivateTest"] * 3, 14, 6),
        ("split", ["trainval"] * 15 + ["test"] * 5, 15, 5),
        ("split", [""] * 15 + ["test"] * 5, 15, 5),
        ("split", ["unlabeled"] * 4 + ["train"] * 11 + ["test"] * 5, 11, 5),
    ],
)
def test_words_of_columns(tmp_path, column, values, train, test):
    found = of_images(tmp_path, {"metadata.csv": table(f"file_name,{column},label", NAMES, values, LABELS)})
    assert [sorted(rows_of(data)) for data in found] == [
        [*range(20 - test - train, 20 - test)],
        [*range(20 - test, 20)],
    ]
    assert found[0].notes[0].startswith(f"Training split: images whose {column} is")


@pytest.mark.parametrize(
    ("column", "values", "count", "note"),
    [
        (
            "split",
            [0] * 14 + [1] * 2 + [2] * 4,
            18,
            "Column split holds numbers, which do not say what is for training",
        ),
        ("split", ["test"] * 20, 18, "Column split says test of all images: they are read as one set."),
        ("split", ["train"] * 20, 18, "The source has no test split"),
        ("split", ["train"] * 15 + ["unused"] * 5, 14, "5 images that are in neither split are not used (unused)."),
        ("is_valid", [0] * 20, 18, "The source has no test split"),
        ("fold", ["a", "b"] * 10, 18, "The source has no test split"),
    ],
)
def test_columns_without_a_test_split(tmp_path, column, values, count, note):
    train, _ = of_images(tmp_path, {"metadata.csv": table(f"file_name,{column},label", NAMES, values, LABELS)})
    assert len(train) == count
    assert note in " ".join(train.notes)
    assert train.classes == ("0", "1", "2")


def test_folders_and_a_column_that_disagree_are_refused(tmp_path):
    names = [f"{side}/{i}.png" for i, side in enumerate(SPLITS)]
    train, test = of_images(tmp_path / "a", {"metadata.csv": table("file_name,split", names, SPLITS)}, names)
    assert (len(train), len(test)) == (14, 4)
    with pytest.raises(UserError, match=r"got train/0\.png as one for train by its place and test by the column"):
        of_images(tmp_path / "b", {"metadata.csv": table("file_name,split", names, SPLITS[::-1])}, names)
    with pytest.raises(UserError, match="got split and phase, which say unlike things"):
        of_images(tmp_path / "c", {"metadata.csv": table("file_name,split,phase", NAMES, SPLITS, SPLITS[::-1])})
    with pytest.raises(UserError, match=r"one split for 0\.png in metadata\.csv, got train and test"):
        of_images(tmp_path / "d", {"metadata.csv": table("file_name,split", [*NAMES, "0.png"], [*SPLITS, "test"])})
    with pytest.raises(UserError, match="whose column split says train, got test, unlabeled alone"):
        of_images(tmp_path / "e", {"metadata.csv": table("file_name,split", NAMES, ["test", "unlabeled"] * 10)})


MIXED = SPLITS[::2] + SPLITS[1::2]
BYTES = [encoded(image) for image in PIXELS]


@pytest.mark.parametrize("column", [SPLITS, MIXED, [None if s == "val" else s for s in MIXED]])
def test_parquet_rows(tmp_path, column):
    train, test = both(parquet(tmp_path / "d.parquet", image=BYTES, split=column, label=LABELS))
    for data, side in ((train, "train"), (test, "test")):
        assert rows_of(data) == [i for i in range(20) if column[i] == side]
        assert data.labels.tolist() == [LABELS[row] for row in rows_of(data)]
        assert data.notes[0] == SAID.replace("images", "rows")
        assert data.notes[1] == "2 rows that are in neither split are not used."


def test_parquet_files(tmp_path):
    for k, half in enumerate((slice(0, 10), slice(10, 20))):
        parquet(tmp_path / "d" / f"train-0000{k}-of-00002.parquet", image=BYTES[half], split=MIXED[half])
    assert [rows_of(data) for data in both(tmp_path / "d")] == [
        [i for i in range(20) if MIXED[i] == side] for side in ("train", "test")
    ]
    train, test = both(parquet(tmp_path / "s.parquet", image=BYTES, split=SPLITS, label=LABELS[:14] + [-1] * 6))
    assert (train.classes, test.labels) == (("0", "1", "2"), None)
    flags = [side == "test" for side in MIXED]
    assert (
        rows_of(both(parquet(tmp_path / "f.parquet", image=BYTES, is_test=flags))[1]) == np.flatnonzero(flags).tolist()
    )
    for side, part in (("train", slice(0, 14)), ("test", slice(14, 20))):
        parquet(tmp_path / "e" / f"{side}.parquet", image=BYTES[part], split=["test"] * len(BYTES[part]))
    with pytest.raises(UserError, match="got rows for test by the column in files for train"):
        both(tmp_path / "e")


def test_a_cache_of_other_rows_is_not_taken(tmp_path):
    """The rows of a column belong to what names an entry of the cache."""
    from tightrope.data.parquet import open_parquet

    path = parquet(tmp_path / "d.parquet", image=BYTES, split=SPLITS)
    one, other = (open_parquet([path], path, side).identity for side in ("train", "test"))
    assert one != other


def test_a_table_of_too_many_columns_is_refused(tmp_path):
    """Rows of a few megabytes would become lists of many times that size."""
    with pytest.raises(UserError, match=r"Expected a table with the columns file_name and label in metadata\.csv"):
        of_images(tmp_path, {"metadata.csv": b"file_name,label," + b"a," * 20_000 + b"b"})
