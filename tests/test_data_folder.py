"""Image folders and zip files: splits, classes, sizes, colours, broken files, and the sentences for bad input."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from data_cases import chw, encoded, noise, write_files, write_zip
from tightrope._plumbing.errors import UserError
from tightrope.data import open_data
from tightrope.data.folder import layout

pytestmark = pytest.mark.usefixtures("cache")

pytest.importorskip("PIL")


def flat(n=20, **kind):
    """Images without folders: ``{name: bytes}`` and their pixels in the order of the names."""
    pixels = noise(n, **kind)
    return {f"{i:03d}.png": encoded(image) for i, image in enumerate(pixels)}, pixels


def opened(tmp_path, files, form, **options):
    """The same files as a folder or a zip."""
    where = write_files(tmp_path / "photos", files) if form == "folder" else write_zip(tmp_path / "photos.zip", files)
    return open_data(str(where), progress=False, **options)


def names_of(pixels, data):
    """Row numbers of the samples in the source, by their pixels."""
    table = {image.tobytes(): i for i, image in enumerate(chw(pixels))}
    return [table[image.numpy().tobytes()] for image in data.values]


@pytest.mark.parametrize("form", ["folder", "zip"])
def test_flat_images_hold_out_a_tenth(tmp_path, form):
    files, pixels = flat()
    train, test = (opened(tmp_path, files, form, split=split) for split in ("train", "test"))
    assert train.name == "photos"
    assert (train.kind, train.shape, train.labels, train.classes) == ("images", (3, 8, 8), None, ())
    assert (len(train), len(test)) == (18, 2)
    assert sorted(names_of(pixels, train) + names_of(pixels, test)) == list(range(20))
    assert "2 of 20 samples are held out" in train.notes[0]


@pytest.mark.parametrize("form", ["folder", "zip"])
@pytest.mark.parametrize("top", ["", "deep/inside/"])
def test_class_folders(tmp_path, form, top):
    pixels = noise(12)
    kinds = ["dog", "cat", "Ant"]
    files = {f"{top}{kinds[i % 3]}/sub/{i:02d}.png": encoded(image) for i, image in enumerate(pixels)}
    data = opened(tmp_path, files, form, split="train")
    assert data.classes == ("Ant", "cat", "dog")
    for row, label in zip(names_of(pixels, data), data.labels.tolist(), strict=True):
        assert data.classes[label] == kinds[row % 3]


@pytest.mark.parametrize("form", ["folder", "zip"])
@pytest.mark.parametrize(("train", "test"), [("train", "test"), ("Training", "val"), ("x/train", "x/validation")])
def test_split_folders(tmp_path, form, train, test):
    pixels = noise(10)
    side = [train if i < 7 else test for i in range(10)]
    files = {f"{side[i]}/{'ab'[i % 2]}/{i}.png": encoded(image) for i, image in enumerate(pixels)}
    first, second = (opened(tmp_path, files, form, split=split) for split in ("train", "test"))
    assert names_of(pixels, first) == [0, 2, 4, 6, 1, 3, 5]
    assert names_of(pixels, second) == [8, 7, 9]
    assert first.classes == second.classes == ("a", "b")
    assert second.labels.tolist() == [0, 1, 1]
    top = (train.split("/")[-1], test.split("/")[-1])
    assert first.notes == second.notes == (f"Training split: folder {top[0]}; test split: folder {top[1]}.",)


def test_a_test_folder_is_preferred_to_a_validation_folder():
    names = [f"{side}/{i}.png" for side in ("train", "val", "test") for i in range(3)]
    found = layout(names, "test")
    assert found.names == ("test/0.png", "test/1.png", "test/2.png")
    assert found.notes[0] == "Training split: folder train; test split: folder test."
    assert found.notes[1] == "3 images that are in neither split are not used."
    assert layout(names, "train").names == ("train/0.png", "train/1.png", "train/2.png")


def test_labels_need_every_image_in_a_class_folder():
    found = layout(["a/1.png", "b/2.png", "3.png"], "train")
    assert (found.labels, found.classes) == (None, ())
    assert "1 of 3 images are in no class folder" in found.notes[0]
    assert layout(["a/1.png", "a/2.png"], "train").labels is None


def test_classes_are_numbered_over_both_splits():
    names = ["train/a/1.png", "train/c/2.png", "test/b/3.png", "test/c/4.png"]
    assert layout(names, "train").labels.tolist() == [0, 2]
    assert layout(names, "test").labels.tolist() == [1, 2]


def test_a_test_folder_without_classes():
    names = ["train/a/1.png", "train/c/2.png", "test/images/3.png", "test/images/4.png"]
    assert layout(names, "train").labels.tolist() == [0, 1]
    test = layout(names, "test")
    assert (test.labels, test.classes) == (None, ())
    assert test.notes[1:] == ("The test images are not in class folders, so they have no labels.",)


def test_a_single_split_folder_is_no_split():
    found = layout(["train/a/1.png", "train/b/2.png"], "test")
    assert found.whole
    assert found.classes == ("a", "b")


@pytest.mark.parametrize("form", ["folder", "zip"])
def test_stylegan_labels(tmp_path, form):
    files, pixels = flat(10)
    files["dataset.json"] = json.dumps({"labels": [[f"{i:03d}.png", 5 + i % 2] for i in range(10)]}).encode()
    data = opened(tmp_path, files, form)
    assert data.classes == ("5", "6")
    assert data.labels.tolist() == [row % 2 for row in names_of(pixels, data)]
    files["dataset.json"] = b'{"labels": null}'
    assert opened(tmp_path / "none", {f"0{i % 2}/{n}": d for i, (n, d) in enumerate(files.items()) if n[0] == "0"}
                  | {"dataset.json": files["dataset.json"]}, form).labels is None  # fmt: skip
    files["dataset.json"] = b"[1]"
    with pytest.raises(UserError, match=r"dataset\.json"):
        opened(tmp_path / "bad", files, form)


def test_hidden_and_other_files_are_ignored(tmp_path):
    files, _ = flat(4)
    other = {".hidden/9.png": b"", "__MACOSX/._000.png": b"", "._001.png": b"", "readme.txt": b"", "Thumbs.db": b""}
    assert len(opened(tmp_path, files | other, "folder")) == 3


def test_linked_folders_are_entered_once(tmp_path):
    files, _ = flat(4)
    root = write_files(tmp_path / "photos", files)
    write_files(tmp_path / "elsewhere", {"x.png": encoded(noise(1, seed=9)[0])})
    (root / "link").symlink_to(tmp_path / "elsewhere")
    (root / "loop").symlink_to(root)
    assert len(open_data(str(root), progress=False)) + len(open_data(str(root), split="test", progress=False)) == 5


def test_limit_takes_a_fixed_subset(tmp_path):
    files, pixels = flat(20)
    few, again = (opened(tmp_path, files, "folder", limit=5) for _ in range(2))
    assert len(few) == 5
    assert torch.equal(few.values, again.values)
    assert set(names_of(pixels, few)) <= set(names_of(pixels, opened(tmp_path, files, "folder")))


# --- size and colour


def test_resolution_crops_and_scales(tmp_path):
    files = {f"{i}.png": encoded(noise(1, 20 + i, 30)[0]) for i in range(5)}
    data = opened(tmp_path, files, "folder", resolution=8)
    assert data.shape == (3, 8, 8)
    assert data.notes[-1] == "Images: 4 are not square and lost their ends: the middle square is used."


def test_native_size_may_be_oblong(tmp_path):
    files, pixels = flat(6, height=5, width=9)
    data = opened(tmp_path, files, "folder")
    assert data.shape == (3, 5, 9)
    assert len(names_of(pixels, data)) == 5


def test_mixed_sizes_need_a_resolution(tmp_path):
    files = flat(4)[0] | {"large.png": encoded(noise(1, 16, 9)[0])}
    with pytest.raises(
        UserError, match=r"got 8x8 \(000.png\) and 9x16 \(large.png\); give a resolution .*\(--resolution 8\)"
    ):
        opened(tmp_path, files, "folder", limit=None)


@pytest.mark.parametrize("first", ["grey", "colour"])
def test_channels_follow_the_data(tmp_path, first):
    grey, colour = noise(4, channels=1), noise(1, seed=5)[0]
    files = {f"b{i}.png": encoded(image) for i, image in enumerate(grey)}
    assert opened(tmp_path / "grey", files, "folder").shape == (1, 8, 8)
    tinted = {f"c{i}.png": encoded(np.repeat(image, 3, axis=2)) for i, image in enumerate(grey)}
    assert opened(tmp_path / "rgb", tinted, "folder").shape == (1, 8, 8)
    mixed = {**files, ("z" if first == "grey" else "a") + ".png": encoded(colour), "extra.png": encoded(colour[::-1])}
    data = opened(tmp_path / "mixed", mixed, "folder", limit=None)
    assert data.shape == (3, 8, 8)
    every = np.concatenate([np.repeat(grey, 3, axis=3), colour[None], colour[None, ::-1]])
    assert len(set(names_of(every, data))) == 5


def test_channels_can_be_forced(tmp_path):
    files, _ = flat(4)
    rgb, grey = opened(tmp_path, files, "folder"), opened(tmp_path, files, "folder", channels=1)
    assert grey.shape == (1, 8, 8)
    luma = np.array([0.299, 0.587, 0.114])
    expected = rgb.values.permute(0, 2, 3, 1).numpy() @ luma
    np.testing.assert_allclose(grey.values[:, 0].numpy(), expected, atol=0.51)
    files, _pixels = flat(4, channels=1)
    repeated = opened(tmp_path / "g", files, "folder", channels=3)
    assert repeated.shape == (3, 8, 8)
    assert torch.equal(repeated.values[:, 0], repeated.values[:, 2])


# --- broken files


@pytest.mark.parametrize("form", ["folder", "zip"])
def test_broken_files_are_named_and_counted(tmp_path, form):
    files, pixels = flat(20)
    train = opened(tmp_path / "whole", files, form)
    names = [f"{row:03d}.png" for row in names_of(pixels, train)]
    files[names[3]], files[names[7]] = b"junk", files[names[7]][:40]
    with pytest.raises(UserError, match=rf"2 of 18 images in .* cannot be read: {names[3]}, {names[7]} \(") as error:
        opened(tmp_path, files, form)
    assert "skip_broken" in str(error.value)
    data = opened(tmp_path, files, form, skip_broken=True)
    assert data.broken == (names[3], names[7])
    assert f"2 of 18 images cannot be read and are left out: {names[3]}, {names[7]}." in data.notes
    assert len(data) == 16
    kept = [row for row in names_of(pixels, train) if f"{row:03d}.png" not in data.broken]
    assert names_of(pixels, data) == kept


def test_labels_stay_with_their_images_when_some_are_skipped(tmp_path):
    pixels = noise(30)
    files = {f"{'abc'[i % 3]}/{i:02d}.png": encoded(image) for i, image in enumerate(pixels)}
    for i in (4, 11, 12, 25):
        files[f"{'abc'[i % 3]}/{i:02d}.png"] = b""
    data = opened(tmp_path, files, "folder", skip_broken=True)
    assert data.labels.tolist() == [row % 3 for row in names_of(pixels, data)]


def test_a_damaged_zip_member_is_a_broken_file(tmp_path):
    files, _ = flat(30)
    path = write_zip(tmp_path / "photos.zip", files)
    data = bytearray(path.read_bytes())
    at = data.find(files["002.png"]) + 60
    data[at] ^= 255
    path.write_bytes(bytes(data))
    both = [open_data(str(path), split=split, skip_broken=True, progress=False) for split in ("train", "test")]
    assert sum(len(data) for data in both) == 29
    assert sum((data.broken for data in both), ()) == ("002.png",)


def test_many_broken_files_are_not_all_listed(tmp_path):
    files, _ = flat(20)
    files |= {f"x{i}.png": b"no" for i in range(40)}
    with pytest.raises(UserError, match=r"x\d+.png and \d\d more \("):
        opened(tmp_path, files, "folder")


def test_nothing_but_broken_files(tmp_path):
    with pytest.raises(UserError, match=r"None of 5 images .* can be read, "):
        opened(tmp_path, {f"{i}.png": b"no" for i in range(6)}, "folder", skip_broken=True)


# --- the sentences


def sentence(error):
    text = str(error.value)
    assert "\n" not in text
    assert text.endswith(".")
    return text


def test_missing_path():
    with pytest.raises(FileNotFoundError, match="no/such/place") as error:
        open_data("no/such/place")
    sentence(error)
    with pytest.raises(UserError, match="neither"):
        open_data("/dev/null")
    with pytest.raises(FileNotFoundError, match="did you mean digits"):
        open_data("digts")
    with pytest.raises(FileNotFoundError, match="did you mean toy:ring"):
        open_data("ring")


def test_empty_folder_and_folder_of_other_things(tmp_path):
    with pytest.raises(UserError, match="an empty folder") as error:
        open_data(str(tmp_path))
    sentence(error)
    write_files(tmp_path, {"a.csv": b"1,2", "b.csv": b"3,4"})
    with pytest.raises(UserError, match=r"2 other files such as a.csv"):
        open_data(str(tmp_path))


def test_too_few_images(tmp_path):
    with pytest.raises(UserError, match="at least 2 samples") as error:
        opened(tmp_path, flat(1)[0], "folder")
    sentence(error)
    two = opened(tmp_path / "two", flat(2)[0], "folder")
    assert len(two) == 1


def test_too_large_without_a_resolution(tmp_path):
    files = {f"{i}.png": encoded(np.zeros((4, 1025, 1), np.uint8)) for i in range(3)}
    with pytest.raises(UserError, match="1025x4; give a resolution"):
        opened(tmp_path, files, "folder")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"resolution": 3}, "from 4 to 1024, got 3"),
        ({"resolution": 1025}, "from 4 to 1024, got 1025"),
        ({"channels": 2}, r"1 \(grey\), 3 \(RGB\) or 4 \(RGB and opacity\) channels, got 2"),
        ({"split": "val"}, "train or test, got val"),
        ({"limit": 1}, "at least 2 samples, got 1"),
    ],
)
def test_bad_requests(options, words):
    with pytest.raises(UserError, match=words) as error:
        open_data("digits", **options)
    sentence(error)


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("a.zip", b"no zip", "is not one or is cut off"),
        ("a.pkl", b"\x80\x04.", "Python pickle"),
        ("data_batch_1", b"\x80\x02.", "pickle files can run code"),
        ("batch", b"\x80\x02.", "Python pickle"),
        ("model.pt", b"PK", "Python pickle"),
        ("a.tar.gz", b"\x1f\x8b", "unpack it"),
        ("a.png", b"", "single image"),
        ("a.csv", b"1,2", "save the numbers as .npz"),
        ("a.xyz", b"", "convert it"),
    ],
)
def test_files_that_are_no_data_set(tmp_path, name, data, words):
    write_files(tmp_path, {name: data})
    with pytest.raises(UserError, match=words) as error:
        open_data(str(tmp_path / name))
    sentence(error)


def test_zip_without_images(tmp_path):
    with pytest.raises(UserError, match="got 1 other files"):
        open_data(str(write_zip(tmp_path / "a.zip", {"x.parquet": b""})))


def test_without_pillow(tmp_path, monkeypatch):
    import sys

    files, _ = flat(4)
    monkeypatch.setitem(sys.modules, "PIL", None)
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    with pytest.raises(UserError, match=r"pip install 'tightrope\[images\]'"):
        opened(tmp_path, files, "folder")
