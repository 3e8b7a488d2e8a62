"""Labels written down beside images, in every form that people have, and class names looked up again."""

from __future__ import annotations

import json
import os
from unicodedata import normalize

import numpy as np
import pytest

from data_cases import encoded, noise, write_files, write_zip
from tightrope._plumbing.errors import UserError
from tightrope.data import open_data
from tightrope.data.labels import class_index, encode, encode_values, from_names

pytestmark = pytest.mark.usefixtures("cache")

pytest.importorskip("PIL")

PIXELS = noise(12)
NAMES = [f"{i // 4:05d}/img{i:08d}.png" for i in range(12)]
LABELS = [i % 3 for i in range(12)]
CLASSES = [f"{i // 4:05d}/{i % 4}.png" for i in range(12)]  # each folder numbered anew


def images(names=NAMES):
    return {name: encoded(image) for name, image in zip(names, PIXELS, strict=True)}


def opened(tmp_path, files, form="folder"):
    place = write_files(tmp_path / "d", files) if form == "folder" else write_zip(tmp_path / "d.zip", files)
    return open_data(place, progress=False)


def rows_of(data):
    table = {image.tobytes(): i for i, image in enumerate(PIXELS.transpose(0, 3, 1, 2))}
    return [table[image.numpy().tobytes()] for image in data.values]


def labelled(data, classes=("0", "1", "2")):
    """Every image has its own label."""
    assert data.classes == classes
    assert data.labels.tolist() == [row % 3 for row in rows_of(data)]


def stylegan(names, labels=LABELS):
    return json.dumps({"labels": [list(pair) for pair in zip(names, labels, strict=True)]}).encode()


def lines(names, labels=LABELS, label="label", name="file_name"):
    return "".join(json.dumps({name: n, label: k}) + "\n" for n, k in zip(names, labels, strict=True)).encode()


def table(names, labels=LABELS, head="file_name,label", comma=","):
    rows = [f"{n}{comma}{k}" for n, k in zip(names, labels, strict=True)]
    return "\n".join([*([head] if head else []), *rows]).encode()


def parquet(names, labels=LABELS):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"file_name": names, "label": labels, "box": [{"x": 1}] * len(names)}), sink)
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize("form", ["folder", "zip"])
@pytest.mark.parametrize("top", ["", "inner/", "a/b/"])
@pytest.mark.parametrize(
    "written",
    [
        lambda name: name,
        lambda name: f"./{name}",
        lambda name: f"/{name}",
        lambda name: name.replace("/", "\\"),
        lambda name: name.rpartition("/")[2],
        lambda name: name.rpartition("/")[2].removesuffix(".png"),
        lambda name: f"data/sets/{name}",
    ],
)
def test_ways_to_name_an_image(tmp_path, form, top, written):
    files = {top + name: data for name, data in images().items()}
    labelled(opened(tmp_path, files | {f"{top}dataset.json": stylegan(map(written, NAMES))}, form))


@pytest.mark.parametrize("form", ["folder", "zip"])
@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("metadata.jsonl", lines(NAMES)),
        ("metadata.jsonl", b"\xef\xbb\xbf" + lines(NAMES, name="image", label="Category").replace(b"}\n", b"}\r\n\n")),
        ("metadata.csv", table(NAMES)),
        ("metadata.csv", table(NAMES, head="image_id;class", comma=";")),
        ("labels.csv", table(NAMES, head="file,label")),
        ("labels.csv", table(NAMES, head="")),
        ("labels.csv", table(NAMES, head="filename,species")),
        ("labels.csv", table(NAMES).decode().encode("utf-16")),
        ("labels.csv", table([f"../{name}" for name in NAMES])),
        ("labels.tsv", table(NAMES, head="path\tlabel", comma="\t")),
        ("labels.json", json.dumps(dict(zip(NAMES, LABELS, strict=True))).encode()),
        (
            "labels.json",
            json.dumps([{"file_name": n, "label": k} for n, k in zip(NAMES, LABELS, strict=True)]).encode(),
        ),
        ("dataset.json", stylegan(NAMES, [[float(i == k) for i in range(3)] for k in LABELS])),
        ("metadata.parquet", None),
    ],
)
def test_forms_of_files(tmp_path, form, file, content):
    content = parquet(NAMES) if content is None else content
    data = opened(tmp_path, images() | {file: content}, form)
    labelled(data)
    assert not any("label" in note for note in data.notes)


@pytest.mark.parametrize("form", ["folder", "zip"])
@pytest.mark.parametrize(
    ("file", "way", "labelled_by_it"),
    [
        ("metadata.jsonl", "../../{}", False),  # of files at the root, another file of the same name
        ("x/metadata.jsonl", "../../{}", False),
        ("notes/labels.csv", "../x/{}", True),  # from a folder beside the images
        ("x/metadata.jsonl", "../x/{}", True),
        ("x/metadata.jsonl", "..\\x\\{}", True),
        ("metadata.jsonl", "../d/x/{}", True),  # the source's own name
        ("metadata.jsonl", "../e/y/{}", False),
    ],
)
def test_ways_that_lead_out_of_a_folder(tmp_path, form, file, way, labelled_by_it):
    names = [f"{i}.png" for i in range(12)]
    files = images([f"x/{name}" for name in names])
    form_of = table if file.endswith("csv") else lines
    data = opened(tmp_path, files | {file: form_of([way.format(name) for name in names])}, form)
    if labelled_by_it:
        labelled(data)
    else:
        assert data.labels is None
        assert "12 names in" in data.notes[0]


def test_names_that_begin_in_another_folder_are_said(tmp_path):
    names = [f"{i}.png" for i in range(12)]
    data = opened(tmp_path, images(names) | {"labels.csv": table([f"other/{name}" for name in names])})
    labelled(data)
    assert data.notes[0] == "Names in labels.csv begin with other/, which is taken for its own folder."


@pytest.mark.parametrize(("stored", "written"), [("NFC", "NFD"), ("NFD", "NFC")])
@pytest.mark.parametrize("form", ["folder", "zip"])
def test_letters_with_marks_are_alike_however_they_are_composed(tmp_path, form, stored, written):
    names = [f"\u00e9{i}.png" for i in range(12)]
    files = images([normalize(stored, name) for name in names])
    content = table([normalize(written, name) for name in names], [normalize(written, f"\u00fc{k}") for k in LABELS])
    data = opened(tmp_path, files | {"labels.csv": content}, form)
    labelled(data, ("\u00fc0", "\u00fc1", "\u00fc2"))
    assert class_index(data.classes, "u\u03081") == 1
    mixed = [normalize((stored, written)[i % 2], "\u00e9") for i in range(4)]
    assert encode_values(mixed)[1] == encode([np.array(mixed)])[1] == from_names(mixed)[1] == ("\u00e9",)


@pytest.mark.parametrize("file", ["labels.csv", "metadata.jsonl", "dataset.json", "metadata.parquet"])
@pytest.mark.parametrize(
    ("values", "classes"),
    [
        ([float(k) for k in LABELS], ("0", "1", "2")),
        ([k / 2 for k in LABELS], ()),
        ([float("nan"), *map(float, LABELS[1:])], ()),
        (["", *map(str, LABELS[1:])], ()),
        ([f" {k} " for k in LABELS], ("0", "1", "2")),
        ([[1, k % 2] for k in LABELS], ()),
        ([["a", "b"] for _ in LABELS], ()),
        ([k % 2 == 1 for k in LABELS], ("False", "True")),
    ],
)
def test_a_label_means_the_same_in_every_form_of_file(tmp_path, file, values, classes):
    import csv
    import io

    if file == "labels.csv":
        sheet = io.StringIO()
        csv.writer(sheet).writerows([("file_name", "label"), *zip(NAMES, values, strict=True)])
        content = sheet.getvalue().encode()
    else:
        content = {"metadata.jsonl": lines, "dataset.json": stylegan, "metadata.parquet": parquet}[file](NAMES, values)
    data = opened(tmp_path, images() | {file: content})
    assert data.classes == classes
    assert (data.labels is None) == (not classes)


def test_class_names_come_back(tmp_path):
    words = ["ant", "Bee", "01"]
    data = opened(tmp_path, images() | {"labels.csv": table(NAMES, [words[k] for k in LABELS])})
    assert data.classes == ("01", "Bee", "ant")
    assert [data.classes[k] for k in data.labels] == [words[row % 3] for row in rows_of(data)]


def test_one_file_per_split(tmp_path):
    """As Hugging Face's imagefolder has it: each split with a file of its own."""
    names = [f"{'train' if i < 8 else 'test'}/{i}.png" for i in range(12)]
    files = images(names)
    files["train/metadata.csv"] = table([f"{i}.png" for i in range(8)], LABELS[:8])
    files["test/metadata.csv"] = table([f"{i}.png" for i in range(8, 12)], LABELS[8:])
    data = opened(tmp_path, files)
    labelled(data)
    held = open_data(tmp_path / "d", split="test", progress=False)
    assert sorted(rows_of(held)) == [8, 9, 10, 11]
    labelled(held)


@pytest.mark.parametrize("file", ["dataset.json", "metadata.jsonl", "labels.csv"])
def test_an_image_without_a_label_is_said(tmp_path, file):
    make = {"dataset.json": stylegan, "metadata.jsonl": lines, "labels.csv": table}[file]
    data = opened(tmp_path, images() | {file: make(NAMES[:3] + NAMES[4:], LABELS[:3] + LABELS[4:])})
    assert (data.labels, data.classes, len(data)) == (None, (), 11)
    assert any(f"1 of 12 images have no label in {file}, such as {NAMES[3]}" in note for note in data.notes)


def test_names_that_are_no_image_are_said(tmp_path):
    data = opened(tmp_path, images() | {"labels.csv": table([*NAMES, "gone.png"], [*LABELS, 0])})
    labelled(data)
    assert "1 names in labels.csv are no image here, such as gone.png." in data.notes


def test_a_file_without_labels_leaves_the_class_folders(tmp_path):
    for name, content, words in (
        ("metadata.csv", table(NAMES, head="file_name,caption").replace(b"caption", b"caption,n"), "different length"),
        (
            "metadata.jsonl",
            lines(NAMES, label="text").replace(b'"}', b'", "n": 1}').replace(b"}\n", b', "n": 1}\n'),
            "",
        ),
        ("dataset.json", b'{"name": ["x"]}', ""),
    ):
        files = images(CLASSES) | {name: content}
        if words:
            with pytest.raises(UserError, match="correct or remove"):
                opened(tmp_path / name, files)
            continue
        data = opened(tmp_path / name, files)
        assert data.classes == ("00000", "00001", "00002")
        assert any(note.startswith(f"{name} is not used for labels: it has no") for note in data.notes)


def test_captions_are_no_classes(tmp_path):
    names = [f"{i}.png" for i in range(300)]
    pixels = noise(300, 4, 4)
    files = {name: encoded(image) for name, image in zip(names, pixels, strict=True)}
    data = opened(tmp_path, files | {"metadata.csv": table(names, [f"picture number {i}" for i in range(300)])})
    assert data.labels is None
    assert any("it has 300 different values" in note for note in data.notes)


def test_a_text_of_its_own_for_every_image_is_no_class(tmp_path):
    data = opened(
        tmp_path,
        images()
        | {"metadata.csv": table(NAMES, [f"a bird of kind {i}." for i in range(len(NAMES))], "file_name,text")},
    )
    assert "a bird of kind 0." not in data.classes
    assert any(
        "metadata.csv is not used for labels: its column text says something else of every" in n for n in data.notes
    )


def test_two_labels_for_one_image(tmp_path):
    with pytest.raises(UserError, match=r"one label for 00000/img00000000\.png in labels\.csv, got 0 and 2"):
        opened(tmp_path, images() | {"labels.csv": table([*NAMES, NAMES[0]], [*LABELS, 2])})


def test_names_that_are_not_utf8(tmp_path):
    folder = write_files(tmp_path / "d", {f"{i}.png": encoded(image) for i, image in enumerate(PIXELS[:6])})
    try:
        os.rename(os.fsencode(folder / "0.png"), os.fsencode(folder) + b"/caf\xe9.png")  # noqa: PTH104
    except OSError:
        pytest.skip("this file system takes only UTF-8 names")
    (folder / "labels.csv").write_bytes(
        b"file,label\ncaf\xe9.png,0\n" + table([f"{i}.png" for i in range(1, 6)], [1] * 5, "")
    )
    data = open_data(folder, progress=False)
    assert data.classes == ("0", "1")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[1]",
        b"{",
        b"[" * 100_000,
        b'{"labels": 3}',
        b'{"labels": [[1, 2]]}',
        b'{"labels": ["a.png"]}',
        b'{"labels": [["a.png", 1, 2]]}',
        b'{"labels": [[["a"], 0]]}',
        b"\xff\xfe\x00",
        b"9" * 6000,
    ],
)
def test_mistyped_json(tmp_path, content):
    with pytest.raises(UserError, match=r"in dataset\.json in .*, got something else; correct or remove") as error:
        opened(tmp_path, images() | {"dataset.json": content})
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("label", [1.5, 10**30, None, True, "x\x1b[2J", {"a": 1}, [1, 1], float("nan")])
def test_labels_of_other_types(tmp_path, label):
    data = opened(tmp_path, images() | {"dataset.json": stylegan(NAMES, [label, *LABELS[1:]])})
    assert data.labels is None
    assert any("label" in note for note in data.notes)


def test_text_that_acts_on_a_terminal_is_shown_instead(tmp_path):
    labels = ["a\x1b[2J", "b\u202e"] * 6
    data = opened(tmp_path, images() | {"metadata.jsonl": lines(NAMES, labels)})
    assert data.classes == ("a\\x1b[2J", "b\\u202e")


# --- values and names


def test_values_of_one_type():
    assert encode_values(["2", "10", "2"])[1] == ("2", "10")  # as numbers
    assert encode_values(["02", "10", "2"])[1] == ("02", "10", "2")  # as text
    assert encode_values([1.0, 3, 1])[1] == ("1", "3")
    assert encode_values([True, False])[0].tolist() == [1, 0]
    assert "int, str" in encode_values([1, "a"])
    assert "too large" in encode_values([2**60, 1])


def test_text_labels_in_arrays_may_not_be_empty_either():
    assert encode([np.array(["a", " "]), np.array(["b"])]) == "some of its values are empty"
    assert encode([np.array(["a", " b"]), np.array(["b "])])[1] == ("a", "b")


def test_class_names_come_before_numbers():
    classes = ("00013", "13", "7", "cat")
    assert [class_index(classes, name) for name in classes] == [0, 1, 2, 3]
    assert class_index(classes, 13) == 1
    assert class_index(classes, 7) == 2
    assert class_index(classes, "3") == 3  # no class is called so
    for wrong in ("4", "-1", "dog", "", "1e0", "9" * 4000, "\u0663"):
        with pytest.raises(UserError, match="Expected one of the classes"):
            class_index(classes, wrong)
    with pytest.raises(UserError, match="did you mean cat"):
        class_index(classes, "cst")
    with pytest.raises(UserError, match="without labels"):
        class_index((), "cat")


def test_lookup_on_the_data_set(tmp_path):
    data = opened(tmp_path, images(CLASSES))
    assert data.class_index("00002") == 2
    assert data.class_index(1) == 1
    np.testing.assert_array_equal(data.labels, [int(NAMES[row][:5]) for row in rows_of(data)])
