"""Parquet files in the Hugging Face convention, the hub with a stand-in library, and the real sets."""

from __future__ import annotations

import sys
import types

import numpy as np
import pytest
import torch

from data_cases import chw, encoded, noise, real, write_files, write_parquet, write_zip
from tightrope._plumbing.errors import UserError
from tightrope.data import open_data
from tightrope.data.splits import held_out

pytestmark = pytest.mark.usefixtures("cache")

pa = pytest.importorskip("pyarrow")
pytest.importorskip("PIL")
import pyarrow.parquet as pq  # noqa: E402

PIXELS = noise(20)
FILES = [encoded(image) for image in PIXELS]
NAMES = ["cat", "dog", "owl"]
LABELS = [i % 3 for i in range(20)]


def opened(path, **options):
    return open_data(str(path), progress=False, **options)


def rows(data):
    table = {image.tobytes(): i for i, image in enumerate(chw(PIXELS))}
    return [table[image.numpy().tobytes()] for image in data.values]


@pytest.mark.parametrize("group", [1, 7, 100])
def test_one_file(tmp_path, group):
    path = write_parquet(tmp_path / "birds.parquet", FILES, LABELS, NAMES, group=group)
    train, test = opened(path), opened(path, split="test")
    assert rows(train) == held_out(20, "train")[0].tolist()
    assert rows(test) == held_out(20, "test")[0].tolist()
    assert train.classes == ("cat", "dog", "owl")
    assert train.labels.tolist() == [row % 3 for row in rows(train)]
    assert train.name == "birds"
    assert rows(opened(path, limit=5)) == sorted(rows(opened(path, limit=5)))


@pytest.mark.parametrize(
    ("train", "test", "note"),
    [
        (["train-00000-of-00002", "train-00001-of-00002"], "test", ()),
        (["data/train-00000-of-00002", "data/train-00001-of-00002"], "data/test-00000-of-00001", ()),
        (["plain/train/0000", "plain/train/0001"], "plain/test/0000", ()),
        (["train_1", "train_2"], "val", ()),
        (["train.1", "train.2"], "validation", ()),
        (
            ["train-00000-of-00003", "train-00001-of-00003"],
            "test",
            ("Only 2 of 3 shards of train-00000-of-00003.parquet are here.",),
        ),
    ],
)
def test_splits_by_name(tmp_path, train, test, note):
    write_parquet(tmp_path / f"{train[0]}.parquet", FILES[:5], LABELS[:5], NAMES)
    write_parquet(tmp_path / f"{train[1]}.parquet", FILES[5:14], LABELS[5:14], NAMES)
    write_parquet(tmp_path / f"{test}.parquet", FILES[14:], LABELS[14:], NAMES)
    first, second = opened(tmp_path), opened(tmp_path, split="test")
    assert rows(first) == list(range(14))
    assert first.labels.tolist() == LABELS[:14]
    assert rows(second) == list(range(14, 20))
    word = "test" if "test" in test else test
    what = "folder" if "/train" in train[0] and "data" not in train[0] else "file names with"
    assert first.notes == (f"Training split: {what} train; test split: {what} {word}.", *note)


def test_files_without_a_test_split(tmp_path):
    write_parquet(tmp_path / "a.parquet", FILES[:9])
    write_parquet(tmp_path / "b.parquet", FILES[9:])
    assert rows(opened(tmp_path)) == held_out(20, "train")[0].tolist()
    write_parquet(tmp_path / "train.parquet", FILES[:12])
    data = opened(tmp_path)
    assert rows(data) == held_out(12, "train")[0].tolist()
    assert "2 parquet files that are no training files" in data.notes[0]


def test_test_is_preferred_to_validation(tmp_path):
    for name, part in (("train", slice(0, 10)), ("validation", slice(10, 15)), ("test", slice(15, 20))):
        write_parquet(tmp_path / f"{name}.parquet", FILES[part])
    assert rows(opened(tmp_path, split="test")) == list(range(15, 20))
    assert rows(opened(tmp_path)) == list(range(10))


@pytest.mark.parametrize("column", ["img", "picture"])
def test_other_image_columns(tmp_path, column):
    assert len(rows(opened(write_parquet(tmp_path / "a.parquet", FILES, image=column)))) == 18


def test_plain_binary_column_and_other_columns(tmp_path):
    table = pa.table({"id": list(range(20)), "image": pa.array(FILES, pa.binary()), "caption": ["x"] * 20})
    pq.write_table(table, tmp_path / "a.parquet")
    assert len(rows(opened(tmp_path / "a.parquet"))) == 18


def test_the_declared_image_column_counts(tmp_path):
    """Two columns of bytes: the one that the metadata calls an image is it."""
    path = write_parquet(tmp_path / "a.parquet", FILES, image="photo")
    table = pq.read_table(path).add_column(0, "thumbnail", pa.array([b"x"] * 20, pa.binary()))
    pq.write_table(table, path)
    assert len(rows(opened(path))) == 18


@pytest.mark.parametrize(
    ("labels", "names", "classes", "note"),
    [
        (LABELS, None, ("0", "1", "2"), ""),
        (["owl", "cat"] * 10, None, ("cat", "owl"), ""),
        ([None, *LABELS[1:]], NAMES, (), "empty, negative or compound labels"),
        ([-1] * 20, NAMES, (), "empty, negative or compound labels"),
        ([0.5 + i for i in range(20)], None, (), "not whole numbers"),
        (["", *["owl"] * 19], None, (), "some of its values are empty"),
        ([[1, 0]] * 20, None, (), "empty, negative or compound labels"),
        (None, None, (), ""),
    ],
)
def test_labels(tmp_path, labels, names, classes, note):
    data = opened(write_parquet(tmp_path / "a.parquet", FILES, labels, names))
    assert data.classes == classes
    assert (data.labels is None) == (classes == ())
    assert any(note in text for text in data.notes)
    if classes and names is None and isinstance(labels[0], str):
        assert [classes[label] for label in data.labels] == [labels[row] for row in rows(data)]


def test_two_columns_of_one_name(tmp_path):
    table = pa.Table.from_arrays([pa.array(FILES), pa.array(FILES[::-1])], names=["image", "image"])
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(UserError, match="got image more than once"):
        opened(tmp_path / "a.parquet")


def test_two_classes_of_one_name(tmp_path):
    data = opened(write_parquet(tmp_path / "a.parquet", FILES, LABELS, ["cat", "cat", "owl"]))
    assert data.classes == ("0", "1", "2")
    assert data.labels.tolist() == [row % 3 for row in rows(data)]
    assert any("Two classes of column label have one name" in note for note in data.notes)


@pytest.mark.parametrize("names", [None, NAMES])
@pytest.mark.parametrize("secret", [[-1] * 20, [5] * 20])
def test_labels_of_the_other_split_do_not_renumber(tmp_path, names, secret):
    """A test split that keeps its labels secret adds no class; one beyond the names takes them from both."""
    write_parquet(tmp_path / "d" / "train.parquet", FILES, LABELS, names)
    write_parquet(tmp_path / "d" / "test.parquet", FILES, secret, names)
    train, test = opened(tmp_path / "d"), opened(tmp_path / "d", split="test")
    assert train.labels.tolist() == [row % 3 for row in rows(train)]
    if secret[0] < 0:
        assert test.labels is None
        assert train.classes == tuple(names or ("0", "1", "2"))
    else:
        assert train.classes == test.classes == ("0", "1", "2", "5")


def test_fine_labels_of_cifar100(tmp_path):
    path = write_parquet(tmp_path / "a.parquet", FILES, LABELS, NAMES, label="fine_label", image="img")
    assert opened(path).classes == ("cat", "dog", "owl")


def test_broken_rows_are_named(tmp_path):
    bad = list(FILES)
    row = held_out(20, "train")[0][4]
    bad[row] = b"junk"
    path = write_parquet(tmp_path / "a.parquet", bad, LABELS, NAMES)
    name = rf"a\.parquet row {row} \({row}\.png\)"
    with pytest.raises(UserError, match=name):
        opened(path)
    data = opened(path, skip_broken=True)
    assert len(data) == 17
    assert data.labels.tolist() == [r % 3 for r in rows(data)]
    bad[row] = None
    with pytest.raises(UserError, match="holds no image bytes"):
        opened(write_parquet(tmp_path / "b.parquet", bad))


def test_no_image_column(tmp_path):
    pq.write_table(pa.table({"text": ["a", "b"], "label": [0, 1]}), tmp_path / "a.parquet")
    with pytest.raises(UserError, match=r"got the columns text \(string\), label \(int64\)") as error:
        opened(tmp_path / "a.parquet")
    assert "\n" not in str(error.value)


def test_shards_of_different_kind(tmp_path):
    write_parquet(tmp_path / "a.parquet", FILES)
    pq.write_table(pa.table({"text": ["a"]}), tmp_path / "b.parquet")
    with pytest.raises(UserError, match=r"Expected column image in .*b.parquet"):
        opened(tmp_path)


def test_files_that_are_no_parquet(tmp_path):
    path = write_parquet(tmp_path / "a.parquet", FILES)
    whole = path.read_bytes()
    for data in (b"", b"nothing", whole[:-30]):
        path.write_bytes(data)
        with pytest.raises(UserError, match="not one or is cut off"):
            opened(path)
    damaged = bytearray(whole)
    damaged[4:2000] = bytes(1996)
    path.write_bytes(bytes(damaged))
    with pytest.raises(UserError, match=r"Row group 0 of .*a.parquet is damaged"):
        opened(path)


def test_without_pyarrow(tmp_path, monkeypatch):
    path = write_parquet(tmp_path / "a.parquet", FILES)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(UserError, match=r"pip install 'tightrope\[images\]'"):
        opened(path)


# --- the hub


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A stand-in for huggingface_hub: revisions are folders, downloads are recorded."""
    calls, folder = [], tmp_path / "hub"
    folder.mkdir()

    def snapshot_download(repository, *, repo_type, revision, allow_patterns):
        calls.append((repository, repo_type, revision, allow_patterns))
        if repository == "no/such":
            raise RuntimeError("404 Client Error\nmore lines")
        return str(folder / (revision or "main").replace("/", "_"))

    monkeypatch.setitem(sys.modules, "huggingface_hub", types.SimpleNamespace(snapshot_download=snapshot_download))
    return folder, calls


def test_hub(hub):
    folder, calls = hub
    write_parquet(folder / "main" / "data" / "train-00000-of-00001.parquet", FILES[:15], LABELS[:15], NAMES)
    write_parquet(folder / "main" / "data" / "test-00000-of-00001.parquet", FILES[15:], LABELS[15:], NAMES)
    data = opened("hub:someone/birds", split="test")
    assert rows(data) == list(range(15, 20))
    assert (data.name, data.source, data.classes) == ("birds", "hub:someone/birds", ("cat", "dog", "owl"))
    assert calls == [("someone/birds", "dataset", None, ["*.parquet"])]


def test_hub_converted_branch(hub):
    folder, calls = hub
    write_parquet(folder / "refs_convert_parquet" / "default" / "train" / "0000.parquet", FILES[:15])
    write_parquet(folder / "refs_convert_parquet" / "default" / "test" / "0000.parquet", FILES[15:])
    assert rows(opened("hub:someone/birds")) == list(range(15))
    assert [call[2] for call in calls] == [None, "refs/convert/parquet"]


def test_hub_configurations(hub):
    folder, calls = hub
    for name in ("large", "small"):
        write_parquet(folder / "main" / name / "train.parquet", FILES[:5] if name == "small" else FILES)
    with pytest.raises(UserError, match="got large, small; give hub:someone/birds/large"):
        opened("hub:someone/birds")
    assert len(opened("hub:someone/birds/small")) == 4
    assert calls[-1][3] == ["small/*.parquet"]


def test_hub_failures(hub, monkeypatch):
    with pytest.raises(UserError, match=r"\(404 Client Error\); check the name") as error:
        opened("hub:no/such")
    assert "\n" not in str(error.value)
    with pytest.raises(UserError, match="found none"):
        opened("hub:someone/empty")
    for name in ("hub:", "hub:birds", "hub:/x"):
        with pytest.raises(UserError, match="give both parts"):
            opened(name)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(UserError, match=r"pip install 'tightrope\[hub\]'"):
        opened("hub:someone/birds")


# --- the real sets


@pytest.mark.parametrize(
    ("name", "shape", "n", "classes", "first"),
    [
        ("mnist", (1, 28, 28), 10_000, 10, "0"),
        ("fashion_mnist", (1, 28, 28), 10_000, 10, "T-shirt/top"),
        ("tiny_imagenet_mammals", (3, 64, 64), 600, 12, "Chihuahua"),
        ("cifar10", (3, 32, 32), 10_000, 10, "airplane"),
    ],
)
def test_real_sets(name, shape, n, classes, first):
    folder = real(name)
    data = opened(folder, split="test", limit=400)
    assert (data.name, data.shape, len(data), len(data.classes), data.classes[0]) == (name, shape, 400, classes, first)
    assert torch.bincount(data.labels, minlength=classes).min() > 0
    assert pq.ParquetFile(next(iter(sorted(folder.glob("[tv]*.parquet"))))).metadata.num_rows in (n, 6000, 60_000)


def test_real_images_as_folder_and_zip(tmp_path):
    """Mammals: the JPEG files themselves in class folders and in a zip give the pixels that the parquet file gives."""
    table = pq.ParquetFile(real("tiny_imagenet_mammals") / "val.parquet").read().slice(0, 120).to_pydict()
    names = opened(real("tiny_imagenet_mammals"), limit=2).classes
    path = write_parquet(
        tmp_path / "a.parquet", [image["bytes"] for image in table["image"]], table["label"], list(names)
    )
    files = {
        f"{names[label]}/{i:03d}.JPEG": image["bytes"]
        for i, (image, label) in enumerate(zip(table["image"], table["label"], strict=True))
    }
    forms = [
        opened(write_files(tmp_path / "photos", files), resolution=32),
        opened(write_zip(tmp_path / "p.zip", files), resolution=32),
    ]
    assert torch.equal(forms[0].values, forms[1].values)
    assert torch.equal(forms[0].labels, forms[1].labels)
    assert forms[0].classes == tuple(sorted({names[label] for label in table["label"]}))
    rgb = [opened(source, channels=3) for source in (path, tmp_path / "photos")]
    tests = [opened(source, channels=3, split="test") for source in (path, tmp_path / "photos")]
    both = [torch.cat([train.values, test.values]).flatten(1) for train, test in zip(rgb, tests, strict=True)]
    order = [np.lexsort(pixels.numpy().T[:40]) for pixels in both]
    assert torch.equal(both[0][order[0]], both[1][order[1]])
