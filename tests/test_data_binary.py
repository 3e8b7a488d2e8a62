"""MNIST idx, CIFAR binary and STL-10 files written byte by byte here, so the readers have an oracle."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from data_cases import chw, gz, idx, noise, real, write_files
from tightrope._plumbing.errors import UserError
from tightrope.data import open_data
from tightrope.data.splits import held_out

pytestmark = pytest.mark.usefixtures("cache")


def mnist(n=12, t=4, zipped=False):
    pack, end = (gz, ".gz") if zipped else (bytes, "")
    pixels, test = noise(n, channels=1)[..., 0], noise(t, channels=1, seed=1)[..., 0]
    files = {
        "train-images-idx3-ubyte": idx(pixels),
        "train-labels-idx1-ubyte": idx(np.arange(n) % 5),
        "t10k-images-idx3-ubyte": idx(test),
        "t10k-labels-idx1-ubyte": idx(np.arange(t) % 5 + 1),
    }
    return {name + end: pack(data) for name, data in files.items()}, pixels, test


def opened(path, **options):
    return open_data(str(path), progress=False, **options)


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("below", ["", "raw/"])
def test_idx(tmp_path, zipped, below):
    files, pixels, test = mnist(zipped=zipped)
    folder = write_files(tmp_path / "mnist", {below + name: data for name, data in files.items()})
    data = opened(folder)
    np.testing.assert_array_equal(data.values[:, 0], pixels)
    assert data.labels.tolist() == [i % 5 for i in range(12)]
    assert (data.name, data.shape, data.notes) == ("mnist", (1, 8, 8), ())
    assert data.classes == ("0", "1", "2", "3", "4")
    other = opened(folder, split="test")
    np.testing.assert_array_equal(other.values[:, 0], test)
    assert other.labels.tolist() == [1, 2, 3, 4]
    file = next(name for name in files if name.startswith("train-images"))
    assert torch.equal(opened(folder / (below + file)).values, data.values)


def test_an_unpacked_idx_file_counts_more_than_its_gz(tmp_path):
    files, pixels, _ = mnist()
    old = {"train-images-idx3-ubyte.gz": gz(idx(255 - pixels))}
    np.testing.assert_array_equal(opened(write_files(tmp_path, old | files)).values[:, 0], pixels)


def test_idx_without_test_or_labels(tmp_path):
    files, pixels, _ = mnist()
    folder = write_files(tmp_path, {name: files[name] for name in files if "train-images" in name})
    data = opened(folder)
    np.testing.assert_array_equal(data.values[:, 0], pixels[held_out(12, "train")[0]])
    assert data.labels is None
    assert "held out" in data.notes[0]


def test_idx_with_a_prefix(tmp_path):
    files, _pixels, _ = mnist()
    letters = {f"emnist-letters-{name}": data for name, data in files.items()}
    one = opened(write_files(tmp_path / "one", letters))
    assert one.name == "emnist-letters"
    assert "rows and columns exchanged" in one.notes[0]
    both = write_files(tmp_path / "two", letters | {f"emnist-digits-{name}": data for name, data in files.items()})
    with pytest.raises(UserError, match="got 2; give one of the files"):
        opened(both)
    assert len(opened(both / "emnist-digits-train-images-idx3-ubyte")) == 12


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda data: b"\x01" + data[1:], "starts with 01 00 08 03"),
        (lambda data: data[:2] + b"\x0d" + data[3:], "starts with 00 00 0d 03"),
        (lambda data: b"", "starts with nothing"),
        (lambda data: data[:9], "header of 16 bytes"),
        (lambda data: data[:-5], "Expected 784 bytes"),
        (lambda data: data + b"x", "got 785"),
    ],
)
def test_idx_files_that_are_wrong(tmp_path, change, words):
    files, *_ = mnist()
    name = "train-images-idx3-ubyte"
    with pytest.raises(UserError, match=words) as error:
        opened(write_files(tmp_path, files | {name: change(files[name])}))
    assert name in str(error.value)
    assert "\n" not in str(error.value)


def test_idx_gzip_damage_and_wrong_counts(tmp_path):
    files, *_ = mnist(zipped=True)
    name = "train-images-idx3-ubyte.gz"
    for i, bad in enumerate((files[name][:-20], b"no gzip", files[name][:30] + b"\0\0\0" + files[name][33:])):
        with pytest.raises(UserError, match=name):
            opened(write_files(tmp_path / str(i), files | {name: bad}))
    with pytest.raises(UserError, match=r"each of 12 images .* got 3"):
        opened(write_files(tmp_path / "count", files | {"train-labels-idx1-ubyte.gz": gz(idx(np.zeros(3)))}))
    with pytest.raises(UserError, match="labels only"):
        opened(write_files(tmp_path / "only", {"train-labels-idx1-ubyte": idx(np.zeros(3))}))
    with pytest.raises(UserError, match=r"got shape \[3\]"):
        opened(write_files(tmp_path / "flat", {"train-images-idx3-ubyte": idx(np.zeros(3))}))


# --- CIFAR


def records(pixels, *labels):
    """CIFAR records from ``[n, 32, 32, 3]``."""
    return b"".join(bytes(row) + chw(pixels)[i].tobytes() for i, row in enumerate(zip(*labels, strict=True)))


def cifar10(per_batch=3):
    pixels = noise(5 * per_batch, 32, 32)
    labels = [i % 10 for i in range(5 * per_batch)]
    cut = [slice(b * per_batch, (b + 1) * per_batch) for b in range(5)]
    files = {f"data_batch_{b + 1}.bin": records(pixels[cut[b]], labels[cut[b]]) for b in range(5)}
    test = noise(4, 32, 32, seed=1)
    files["test_batch.bin"] = records(test, [9, 8, 7, 6])
    files["batches.meta.txt"] = b"airplane\nautomobile\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\ntruck\n\n"
    return files, pixels, labels, test


@pytest.mark.parametrize("below", ["", "cifar-10-batches-bin/"])
def test_cifar10(tmp_path, below):
    files, pixels, labels, test = cifar10()
    folder = write_files(tmp_path / "cifar", {below + name: data for name, data in files.items()})
    data = opened(folder)
    np.testing.assert_array_equal(data.values, chw(pixels))
    assert data.labels.tolist() == labels
    assert (data.classes[0], data.classes[9]) == ("airplane", "truck")
    other = opened(folder, split="test")
    np.testing.assert_array_equal(other.values, chw(test))
    assert other.labels.tolist() == [9, 8, 7, 6]


def test_cifar10_parts(tmp_path):
    files, pixels, _labels, _ = cifar10(per_batch=10)
    folder = write_files(tmp_path, files)
    one = opened(folder / "data_batch_2.bin")
    np.testing.assert_array_equal(one.values, chw(pixels[10:20])[held_out(10, "train")[0]])
    assert one.classes[3] == "cat"
    (folder / "data_batch_3.bin").unlink()
    part = opened(folder)
    assert len(part) == 40
    assert "data_batch_3.bin" in part.notes[0]


def test_cifar100(tmp_path):
    pixels = noise(6, 32, 32)
    files = {
        "train.bin": records(pixels, [1] * 6, [99, 4, 3, 2, 1, 0]),
        "test.bin": records(pixels[:2], [1, 2], [5, 6]),
    }
    data = opened(write_files(tmp_path, files))
    np.testing.assert_array_equal(data.values, chw(pixels))
    assert data.labels.tolist() == [99, 4, 3, 2, 1, 0]  # the fine label, not the coarse one
    assert len(data.classes) == 100


def test_cifar_files_that_are_wrong(tmp_path):
    files, *_ = cifar10()
    with pytest.raises(UserError, match=r"records of 3,073 bytes .*data_batch_1.bin, got 9,209 bytes"):
        opened(write_files(tmp_path / "cut", files | {"data_batch_1.bin": files["data_batch_1.bin"][:-10]}))
    with pytest.raises(UserError, match="got 0 bytes"):
        opened(write_files(tmp_path / "empty", files | {"data_batch_2.bin": b""}))
    with pytest.raises(UserError, match=r"labels below 10 .* got 77"):
        opened(write_files(tmp_path / "label", files | {"data_batch_1.bin": b"\x4d" + files["data_batch_1.bin"][1:]}))


@pytest.mark.parametrize(
    "names",
    [["data_batch_1", "batches.meta"], ["train", "test", "meta"], ["cifar-10-batches-py/data_batch_1"]],
)
def test_the_python_version_is_refused(tmp_path, names):
    folder = write_files(tmp_path, dict.fromkeys(names, b"\x80\x02}q\x01."))
    with pytest.raises(UserError, match="can run code"):
        opened(folder)


# --- STL-10


def stl(pixels):
    """STL-10 bytes from ``[n, 96, 96, 3]``: channel, column, row."""
    return pixels.transpose(0, 3, 2, 1).tobytes()


def test_stl10(tmp_path):
    pixels = noise(5, 96, 96)
    files = {"train_X.bin": stl(pixels[:3]), "train_y.bin": bytes([1, 10, 2]), "test_X.bin": stl(pixels[3:])}
    files |= {
        "test_y.bin": bytes([3, 4]),
        "class_names.txt": b"airplane\nbird\ncar\ncat\ndeer\ndog\nhorse\nmonkey\nship\ntruck\n",
    }
    folder = write_files(tmp_path / "stl10_binary", files)
    data = opened(tmp_path)
    np.testing.assert_array_equal(data.values, chw(pixels[:3]))
    assert data.labels.tolist() == [0, 9, 1]
    assert data.classes[9] == "truck"
    assert opened(folder, split="test").labels.tolist() == [2, 3]
    single = opened(folder / "train_X.bin")
    assert len(single.labels) == 2
    (folder / "train_y.bin").write_bytes(bytes([0, 1, 2]))
    with pytest.raises(UserError, match="labels from 1 to 10"):
        opened(folder)
    (folder / "train_X.bin").write_bytes(b"1234")
    with pytest.raises(UserError, match="records of 27,648 bytes"):
        opened(folder)


def test_stl10_unlabelled(tmp_path):
    pixels = noise(10, 96, 96)
    data = opened(write_files(tmp_path, {"unlabeled_X.bin": stl(pixels)}) / "unlabeled_X.bin")
    assert data.labels is None
    np.testing.assert_array_equal(data.values, chw(pixels)[held_out(10, "train")[0]])


# --- against the real sets


def test_real_mnist_as_idx(tmp_path):
    """A piece of MNIST, read from parquet, written as idx and read again."""
    whole = opened(real("mnist"), limit=300)
    files = {
        "train-images-idx3-ubyte.gz": gz(idx(whole.values[:, 0].numpy())),
        "train-labels-idx1-ubyte": idx(whole.labels.numpy()),
    }
    files |= {"t10k-images-idx3-ubyte": files["train-images-idx3-ubyte.gz"]}
    files["t10k-images-idx3-ubyte"] = idx(whole.values[:20, 0].numpy())
    again = opened(write_files(tmp_path / "raw", files))
    assert torch.equal(again.values, whole.values)
    assert torch.equal(again.labels, whole.labels)


def test_real_cifar_as_binary(tmp_path):
    whole = opened(real("cifar10"), limit=200, split="test")
    body = records(whole.values.permute(0, 2, 3, 1).numpy(), whole.labels.tolist())
    files = {"data_batch_1.bin": body, "test_batch.bin": body, "batches.meta.txt": "\n".join(whole.classes).encode()}
    again = opened(write_files(tmp_path, files))
    assert torch.equal(again.values, whole.values)
    assert torch.equal(again.labels, whole.labels)
    assert again.classes == whole.classes


def test_images_without_pixels(tmp_path):
    with pytest.raises(UserError, match=r"images with pixels, got .* of 8x0"):
        opened(write_files(tmp_path / "none", {"train-images-idx3-ubyte": idx(np.zeros((5, 0, 8)))}))
