"""Which folders and files are taken for training and for testing, and that it is said."""

from __future__ import annotations

import numpy as np
import pytest

from data_cases import encoded, noise, write_files, write_parquet, write_zip
from tightrope import UserError
from tightrope.data import open_data
from tightrope.data.layout import layout
from tightrope.data.split_names import keyword

pytestmark = pytest.mark.usefixtures("cache")

TRAIN = [
    "train",
    "training",
    "Train",
    "TRAINING",
    "my_train",
    "train-set",
    "data.train",
    "train2017",
    "trainA",
    "trainset",
]
TEST = ["test", "testing", "eval", "evaluation", "val", "valid", "validation", "dev", "holdout", "my-eval", "dev_set"]
TEST += ["hold-out", "hold_out", "Held Out", "heldOut"]


def split_of(names):
    """The names of both splits and the classes of the training split."""
    train, test = layout(names, "train"), layout(names, "test")
    assert train.classes == test.classes or test.labels is None or train.labels is None
    return train, test


@pytest.mark.parametrize("train", TRAIN)
@pytest.mark.parametrize("test", TEST)
def test_pairs_of_folders(train, test):
    names = [f"{train}/{i}.png" for i in range(4)] + [f"{test}/{i}.png" for i in range(2)]
    first, second = split_of(names)
    assert first.names == tuple(sorted(names[:4]))
    assert second.names == tuple(sorted(names[4:]))
    assert not first.whole
    assert first.classes == second.classes == ()
    assert first.notes == (f"Training split: folder {train}; test split: folder {test}.",)


@pytest.mark.parametrize("train", ["train_{}", "{}-train", "x train {}", "{}_training_a", "train{}", "Train {}"])
@pytest.mark.parametrize("test", ["test_{}", "{}.eval", "{} val", "dev-{}", "Valid{}"])
def test_file_names(train, test):
    names = [f"{train.format(i)}.png" for i in range(4)] + [f"{test.format(i)}.png" for i in range(2)]
    first, second = split_of(names)
    assert set(first.names) == set(names[:4])
    assert set(second.names) == set(names[4:])
    assert "file names with" in first.notes[0]


def test_words_that_only_look_held_out():
    names = [f"{kind}/{i}.png" for kind in ("household-outdoor", "threshold_outer") for i in range(4)]
    assert layout(names, "train").classes == ("household-outdoor", "threshold_outer")


def test_classes_stay_classes():
    names = [f"{side}/{kind}/{i}.png" for side in ("my_train", "my_test") for kind in ("cat", "dog") for i in range(2)]
    first, second = split_of(names)
    assert first.classes == second.classes == ("cat", "dog")
    assert first.labels.tolist() == second.labels.tolist() == [0, 0, 1, 1]


def test_classes_above_the_splits():
    names = [f"{kind}/{side}/{i}.png" for kind in ("cat", "dog") for side in ("train", "val") for i in range(2)]
    first, second = split_of(names)
    assert first.names == ("cat/train/0.png", "cat/train/1.png", "dog/train/0.png", "dog/train/1.png")
    assert second.classes == first.classes == ("cat", "dog")
    files = [f"{kind}/{side}_{i}.png" for kind in ("cat", "dog") for side in ("train", "test") for i in range(2)]
    first, second = split_of(files)
    assert [name[:9] for name in second.names] == ["cat/test_", "cat/test_", "dog/test_", "dog/test_"]
    assert first.labels.tolist() == [0, 0, 1, 1]


def test_two_domains_are_classes_of_both_splits():
    names = [f"{side}{domain}/{i}.png" for side in ("train", "test") for domain in "AB" for i in range(3)]
    first, second = split_of(names)
    assert {name[:5] for name in first.names} == {"train"}
    assert first.classes == second.classes == ("A", "B")
    assert second.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert first.notes[0] == "Training split: folder trainA, trainB; test split: folder testA, testB."
    one = layout([name for name in names if "A" in name], "train")
    assert one.labels is None


def test_shards_of_one_split_are_no_classes():
    first, _ = split_of([f"{side}/{i}.png" for side in ("train1", "train2", "test1") for i in range(3)])
    assert len(first.names) == 6
    assert first.labels is None


@pytest.mark.parametrize("names", [("train-00000", "train-00001"), ("x_test1", "x_test2", "x_test3")])
def test_shards_without_another_split_are_no_classes_either(names):
    found = layout([f"{name}/{i}.png" for name in names for i in range(3)], "train")
    assert (found.labels, found.classes, found.whole) == (None, (), True)
    assert found.notes == (f"Folders of one split, read as one set: {', '.join(names)}.",)
    deeper = layout([f"{name}/{kind}/{i}.png" for name in names for kind in "ab" for i in range(2)], "train")
    assert deeper.classes == ("a", "b")


@pytest.mark.parametrize(
    ("form", "classes"),
    [
        (lambda k, i: f"{k:05d}/img{1000 * k + i:08d}.png", ()),
        (lambda k, i: f"{1000 * k:05d}/{1000 * k + i:05d}.png", ()),
        (lambda k, i: f"{k:05d}/{10 * k + 3 * i:06d}.png", ()),
        (lambda k, i: f"{k:05d}/{4 * k + i:06d}.png", ("00000", "00001", "00002")),  # too few for a piece
        (lambda k, i: f"{k + 1:03d}/{15 * k + i + 1}.png", ()),  # both counted from one
        (lambda k, i: f"{(0, 3, 7)[k]:05d}/img{1000 * (0, 3, 7)[k] + 250 * i:08d}.png", ()),  # with gaps
        (lambda k, i: f"{(2, 9, 13)[k]:03d}/{17 * (2, 9, 13)[k] + i:04d}.png", ()),
        (lambda k, i: f"{25 * k:05d}/{25 * k + 6 * i:05d}.png", ()),
        (lambda k, i: f"{k:05d}/{k:05d}_{i:05d}.png", ("00000", "00001", "00002")),  # numbered anew: classes
        (lambda k, i: f"{k:03d}/{3 * i + k:05d}.png", ("000", "001", "002")),
        (
            lambda k, i: f"{k:03d}/{(0, 70, 80)[k] + (20, 3, 30)[k] * i:05d}.png",
            ("000", "001", "002"),
        ),  # of unequal sizes
        (lambda k, i: f"{k}/{10 * k + i}.png", ("0", "1", "2")),
        (lambda k, i: f"c{k:03d}/{10 * k + i}.png", ("c000", "c001", "c002")),
    ],
)
def test_pieces_of_one_numbering_are_no_classes(form, classes):
    names = [form(k, i) for k in range(3) for i in range(4)]
    for found in (layout(names, "train"), layout([f"train/{name}" for name in names] + ["test/1.png"], "train")):
        assert found.classes == classes
        assert ("number their images through" in str(found.notes)) == (not classes)
        assert ("are read as classes" in str(found.notes)) == (len(str(classes)) > 18 and classes[0].isdecimal())


def test_the_same_folder_twice():
    """As one well-known archive unpacks: seg_train/seg_train/CLASS."""
    names = [f"seg_{side}/seg_{side}/{kind}/{i}.jpg" for side in ("train", "test") for kind in "ab" for i in range(2)]
    first, second = split_of([*names, "seg_pred/seg_pred/1.jpg"])
    assert first.classes == second.classes == ("a", "b")
    assert len(first.names) == len(second.names) == 4
    assert first.notes[1] == "1 images that are in neither split are not used."


@pytest.mark.parametrize("test", ["test", "val", "Evaluation"])
def test_a_test_folder_beside_other_folders(test):
    names = ["cat/1.png", "cat/2.png", "dog/1.png", f"{test}/1.png", f"{test}/2.png"]
    first, second = split_of(names)
    assert first.names == ("cat/1.png", "cat/2.png", "dog/1.png")
    assert first.classes == ("cat", "dog")
    assert second.names == (f"{test}/1.png", f"{test}/2.png")
    assert first.notes[0] == f"Training split: everything else; test split: folder {test}."
    flat, held = split_of(["1.png", "2.png", f"{test}/1.png"])
    assert (flat.names, held.names) == (("1.png", "2.png"), (f"{test}/1.png",))
    suffixed, _ = split_of(["images/1.png", "images/2.png", "images_test/1.png"])
    assert suffixed.names == ("images/1.png", "images/2.png")


def test_words_by_chance_are_classes_and_that_is_said():
    for names in (
        ["toy_train/1.png", "test_tube/2.png", "bus/3.png"],
        ["train/1.png", "bus/3.png", "car/2.png"],
        ["toy_train/1.png", "bus/3.png"],
        ["test_tube/1.png", "beaker/3.png"],
    ):
        found = layout(names, "train")
        assert found.whole
        assert len(found.classes) == len(names)
        assert "called like a split" in found.notes[0]
    few = layout([f"{i}.png" for i in range(20)] + ["toy train 1.png", "test 2.png"], "train")
    assert len(few.names) == 22
    assert "which most do not have" in few.notes[0]
    assert layout(["contest/1.png", "evaluator/2.png", "trains/3.png", "device/4.png"], "train").notes == ()


@pytest.mark.parametrize("train", ["train", "Train", "training_set", "train_images", "trainset", "train2017"])
@pytest.mark.parametrize("other", ["final", "phase2", "bus", "probe"])
def test_a_folder_beside_the_training_folder_that_may_be_either_is_refused(train, other):
    """They were two classes, with a note, and what may be test images was trained on."""
    for form in ("{}/{}.png", "{}/deeper/{}.png", "data/{}/{}.png"):
        with pytest.raises(UserError, match=f"{train} beside {other}, which may be either"):
            layout([form.format(folder, i) for folder in (train, other) for i in range(3)], "train")
    assert split_of([f"{train}/1.png", f"{other}/1.png", "test/1.png"])[0].names == (f"{train}/1.png",)


def test_one_split_alone_is_read_whole_and_that_is_said():
    for names in (["x/test/1.png", "x/test/2.png"], ["train/a/1.png", "train/b/1.png"]):
        found = layout(names, "train")
        assert found.whole
        assert "read as one set, not as the split of that name" in found.notes[0]
    assert layout(["test/1.png", "val/2.png"], "train").whole


@pytest.mark.parametrize(
    ("name", "word", "rest"),
    [
        ("trainA", "train", "A"),
        ("my_Test-set", "test", "my-set"),
        ("VAL", "val", ""),
        ("images", "", "images"),
        ("DIV2K_train_HR", "train", "DIV-K-HR"),
        ("contest", "", "contest"),
        ("test2017", "test", ""),
        ("testimages", "testimages", ""),
        ("trainval", "", "trainval"),
        ("x-validate", "validate", "x"),
    ],
)
def test_keyword(name, word, rest):
    assert keyword(name) == (word, rest)


def tree(*folders, n=3):
    return [f"{folder}/{i}.png" for folder in folders for i in range(n)]


@pytest.mark.parametrize(
    ("folders", "train", "test", "unused"),
    [
        (("imagesTr", "imagesTs", "labelsTr"), {"imagesTr"}, {"imagesTs"}, "labelsTr"),
        (("T1/imagesTr", "T1/imagesTs", "T1/labelsTr", "T1/labelsTs"), {"T1/imagesTr"}, {"T1/imagesTs"}, "labelsTs"),
        (("imagesTr", "labelsTr"), {"imagesTr"}, set(), "labelsTr"),
        (("tr", "va", "te"), {"tr"}, {"te"}, ""),
        (("traindir", "testdir"), {"traindir"}, {"testdir"}, ""),
        (
            ("segtrain/a", "segtrain/b", "segval/a", "segval/b"),
            {"segtrain/a", "segtrain/b"},
            {"segval/a", "segval/b"},
            "",
        ),
        (("train", "predict"), {"train"}, set(), "predict"),
        (("my_train", "my_inference"), {"my_train"}, set(), "my_inference"),
        (("train", "unlabeled", "extra"), {"train"}, set(), "unlabeled"),
        (("labeled", "unlabeled"), {"labeled"}, set(), "unlabeled"),
        (("train/a", "train/b", "whatever"), {"train/a", "train/b"}, set(), "whatever"),
        (("train/a", "train/b", "later/a", "later/b"), {"train/a", "train/b"}, set(), "later"),
        (("train/images", "train/masks", "test/images"), {"train/images"}, {"test/images"}, "masks"),
        (("images/train", "images/val", "labels/train"), {"images/train"}, {"images/val"}, "labels"),
        (("JPEGImages", "SegmentationClass"), {"JPEGImages"}, set(), "SegmentationClass"),
        (("train", "minival"), {"train"}, {"minival"}, ""),
    ],
)
def test_splits_never_become_classes(folders, train, test, unused):
    first, second = split_of(tree(*folders))
    classes = {folder.rpartition("/")[2] for folder in train} if len(train) > 1 else set()
    assert set(first.classes) == classes
    assert {name.rpartition("/")[0] for name in first.names} == train
    assert first.whole == (not test)
    assert {name.rpartition("/")[0] for name in second.names} == (test or train)
    assert unused in " ".join(first.notes)
    assert "not used" in " ".join(first.notes) or not unused


@pytest.mark.parametrize(
    "folders", [("train", "train_extra"), ("test", "val"), ("predict", "inference"), ("fold_0", "fold_1")]
)
def test_splits_of_one_kind_and_pieces_are_one_set(folders):
    found = layout(tree(*folders), "train")
    assert (found.classes, found.labels, len(found.names)) == ((), None, 6)
    assert folders[0] in found.notes[0]


@pytest.mark.parametrize(
    "folders",
    [
        ("bus", "train", "query"),
        ("train/front", "train/back", "bus/front", "bus/back", "car/front", "car/back"),
        ("fr", "tr", "en"),
        ("te", "hi"),
        ("images", "sounds"),
        ("labels", "cups", "images"),
        ("sample", "control"),
        ("labeled", "blank"),
    ],
)
def test_classes_that_sound_like_splits_stay_classes(folders):
    assert layout(tree(*folders), "train").classes == tuple(sorted({folder.partition("/")[0] for folder in folders}))


def test_files_that_are_for_neither_split():
    found = layout([f"{side}_{i}.png" for side in ("train", "predict") for i in range(3)], "train")
    assert found.names == ("train_0.png", "train_1.png", "train_2.png")
    assert found.notes[0] == "Training split: file names with train; no test split."
    assert "3 images that are in neither split are not used" in found.notes[1]


@pytest.mark.parametrize("form", ["folder", "zip"])
@pytest.mark.parametrize(("train", "test"), [("train", "eval"), ("my_train", "my_test"), ("trainA", "testA")])
def test_test_images_are_not_trained_on(tmp_path, form, train, test):
    pytest.importorskip("PIL")
    pixels = noise(9)
    files = {f"{train if i < 6 else test}/{i}.png": encoded(image) for i, image in enumerate(pixels)}
    place = write_files(tmp_path / "d", files) if form == "folder" else write_zip(tmp_path / "d.zip", files)
    data = open_data(place, progress=False)
    held = open_data(place, split="test", progress=False)
    np.testing.assert_array_equal(data.values, pixels[:6].transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(held.values, pixels[6:].transpose(0, 3, 1, 2))
    assert data.classes == ()
    assert any(train in note and test in note for note in data.notes)


@pytest.mark.parametrize(("train", "test"), [("train", "eval"), ("my_train", "my_test"), ("a/train_1", "a/test_1")])
def test_parquet_files(tmp_path, train, test):
    pytest.importorskip("pyarrow")
    files = [encoded(image) for image in noise(9)]
    write_parquet(tmp_path / f"{train}.parquet", files[:6])
    write_parquet(tmp_path / f"{test}.parquet", files[6:])
    assert (len(open_data(tmp_path, progress=False)), len(open_data(tmp_path, split="test", progress=False))) == (6, 3)


def test_arrays(tmp_path):
    rng = np.random.default_rng(0)
    x, z = rng.normal(size=(9, 3)), rng.normal(size=(4, 3))
    for names in (
        ("x_train", "x_val"),
        ("train_x", "eval_x"),
        ("x", "x_test"),
        ("train", "dev"),
        ("data_training", "data_validation"),
    ):
        np.savez(tmp_path / "a.npz", **dict(zip(names, (x, z), strict=True)))
        data, held = (open_data(tmp_path / "a.npz", split=split) for split in ("train", "test"))
        np.testing.assert_array_equal(data.values, x.astype(np.float32))
        np.testing.assert_array_equal(held.values, z.astype(np.float32))
    assert data.notes[0] == "The test split is the array data_validation."
    np.savez(tmp_path / "a.npz", x_train=x, x_test=z, x_val=z, y_train=np.arange(9) % 2)
    assert open_data(tmp_path / "a.npz").notes[0] == "Arrays that are not used: x_val."
