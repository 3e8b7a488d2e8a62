"""Hostile files of every kind, made by a fixed seed: only a sentence or a sound data set comes back, and in time."""

from __future__ import annotations

import json
import os
import signal
import zlib

import numpy as np
import pytest
import torch

from data_cases import chw, encoded, gz, idx, noise, write_files, write_parquet, write_zip
from tightrope._plumbing.errors import UserError
from tightrope.data import Dataset, open_data

pytestmark = pytest.mark.usefixtures("cache")

pytest.importorskip("PIL")
pytest.importorskip("pyarrow")

CASES = int(os.environ.get("TIGHTROPE_FUZZ", "240"))
SECONDS = 10  # a hang, not a slow machine: a case takes some milliseconds

PIXELS = noise(6, 12, 12)
LABELS = "file_name,label\n" + "".join(f"{i}.png,{'ab'[i % 2]}\n" for i in range(6))
RECORDS = "".join(json.dumps({"file_name": f"{i}.png", "label": i % 2}) + "\n" for i in range(6))
STYLEGAN = json.dumps({"labels": [[f"{i}.png", i % 2] for i in range(6)]})


def images(kind="PNG"):
    return {f"{i}.png": encoded(image, kind) for i, image in enumerate(PIXELS)}


def saved(tmp_path, **arrays):
    np.savez_compressed(tmp_path / "seed.npz", **arrays)
    return (tmp_path / "seed.npz").read_bytes()


def npy(tmp_path):
    np.save(tmp_path / "seed.npy", np.random.default_rng(0).normal(size=(20, 3)))
    return (tmp_path / "seed.npy").read_bytes()


def parquet(tmp_path):
    return write_parquet(tmp_path / "seed.parquet", list(images().values()), [0, 1] * 3, ["a", "b"]).read_bytes()


def cifar():
    return b"".join(bytes([i]) + noise(1, 32, 32, seed=i).tobytes() for i in range(4))


KINDS = {
    "png": lambda tmp: (images(), "0.png"),
    "jpeg": lambda tmp: (images("JPEG"), "1.png"),
    "gif": lambda tmp: (images("GIF"), "1.png"),
    "tiff": lambda tmp: (images("TIFF"), "1.png"),
    "webp": lambda tmp: (images("WEBP"), "1.png"),
    "bmp": lambda tmp: (images("BMP"), "1.png"),
    "ppm": lambda tmp: (images("PPM"), "1.png"),
    "zip": lambda tmp: ({"a.zip": write_zip(tmp / "seed.zip", images()).read_bytes()}, "a.zip"),
    "npz": lambda tmp: ({"a.npz": saved(tmp, x=PIXELS, y=np.arange(6) % 2)}, "a.npz"),
    "floats": lambda tmp: ({"a.npz": saved(tmp, x=PIXELS / 255, range=np.array([0, 1]))}, "a.npz"),
    "npy": lambda tmp: ({"a.npy": npy(tmp)}, "a.npy"),
    "idx": lambda tmp: ({"train-images-idx3-ubyte": idx(PIXELS[..., 0])}, "train-images-idx3-ubyte"),
    "idx.gz": lambda tmp: ({"train-images-idx3-ubyte.gz": gz(idx(PIXELS[..., 0]))}, "train-images-idx3-ubyte.gz"),
    "cifar": lambda tmp: ({"data_batch_1.bin": cifar()}, "data_batch_1.bin"),
    "parquet": lambda tmp: ({"a.parquet": parquet(tmp)}, "a.parquet"),
    "csv": lambda tmp: (images() | {"labels.csv": LABELS.encode()}, "labels.csv"),
    "jsonl": lambda tmp: (images() | {"metadata.jsonl": RECORDS.encode()}, "metadata.jsonl"),
    "json": lambda tmp: (images() | {"dataset.json": STYLEGAN.encode()}, "dataset.json"),
}

TOKENS = [b"[" * 3000, b"{" * 400, b"9" * 5000, b"-1", b"null", b"NaN", b"1e999", b'"', b"\0", b"\xff\xfe", b"../../x"]
TOKENS += [b"\x1b[2J", b"\xe2\x80\xae", b"\n", b",", b"true", b"(999999999,999999999)", b"|O", b"\xff" * 8, b"\0" * 8]


def mutated(data, rng):
    """A few changes of the kinds that break readers."""
    data = bytearray(data)
    for _ in range(rng.integers(1, 4)):
        at = int(rng.integers(max(1, min(len(data), 200) if rng.random() < 0.6 else len(data))))
        match rng.integers(6):
            case 0:
                data[at : at + 1] = bytes([rng.integers(256)])
            case 1:
                del data[at:]
            case 2:
                data[at:at] = TOKENS[rng.integers(len(TOKENS))]
            case 3:
                token = TOKENS[rng.integers(len(TOKENS))]
                data[at : at + len(token)] = token
            case 4:
                del data[at : at + int(rng.integers(1, 40))]
            case _:
                data[at:at] = data[at : at + 60] * int(rng.integers(1, 4))
    return bytes(data)


def tree(folder):
    return {path: path.stat().st_size for path in folder.rglob("*") if "cache" not in path.parts[len(folder.parts)]}


def sound(data):
    """What holds for every data set."""
    assert isinstance(data, Dataset)
    assert len(data) >= 1
    assert data.values.dtype == (torch.uint8 if data.kind == "images" else torch.float32)
    assert (data.labels is None) == (data.classes == ())
    if data.labels is not None:
        assert data.labels.shape == (len(data),)
        assert 0 <= int(data.labels.min()) <= int(data.labels.max()) < len(data.classes)
    assert torch.isfinite(data.batch(torch.arange(min(8, len(data)))).x).all()
    for text in (data.name, *data.notes, *data.classes, *data.broken):
        assert not any(ord(character) < 32 or 0xD800 <= ord(character) < 0xE000 for character in text)


def attempt(place, options):
    """One hostile source: how it ended."""

    def late(number, frame):
        raise AssertionError(f"hangs: {place}")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    try:
        data = open_data(place, progress=False, **options)
    except UserError as error:
        text = str(error)
        assert text.endswith((".", "?")), text
        assert "\n" not in text
        assert not any(raw in text for raw in ("object at 0x", "invalid literal", "Traceback", "<class", "codec")), text
        return "refused"
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    sound(data)
    return "opened"


@pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="a hang is cut off by an alarm, which this system lacks")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("ignore")
def test_hostile_files(kind, tmp_path):
    seeds, target = KINDS[kind](tmp_path)
    rng = np.random.default_rng(zlib.crc32(kind.encode()))
    alone = len(seeds) == 1
    ends = []
    for number in range(-(-CASES // len(KINDS))):
        folder = write_files(tmp_path / f"case{number}", seeds | {target: mutated(seeds[target], rng)})
        place = folder / target if alone else folder
        before = tree(tmp_path)
        options = [{}, {"skip_broken": True, "resolution": 8}, {"split": "test"}][number % 3]
        if kind in ("npy", "floats"):
            options.pop("resolution", None)
        ends.append(attempt(place, options))
        assert tree(tmp_path) == before
    assert "refused" in ends


FORMS = {
    "bytes": lambda v: v,
    "whole": lambda v: v.astype(np.int64),
    "deep": lambda v: v.astype(np.uint16) * 257,
    "unit": lambda v: (v / 255).astype(np.float32),
    "half": lambda v: (v / 255).astype(np.float16),
    "signed": lambda v: v / 127.5 - 1,
    "floats": lambda v: v.astype(np.float32),
    "first": lambda v: chw(v),
    "fortran": np.asfortranarray,
    "big": lambda v: v.astype(">i4"),
}


def test_two_splits_in_any_two_forms_are_right_or_refused(tmp_path):
    """The pixels are known: a split that comes back comes back as they are, whatever the other one is made of."""
    rng = np.random.default_rng(20_261_127)
    train, test = noise(9, 6, 6), noise(7, 6, 6, seed=1)
    ends = []
    for number in range(max(40, CASES // 4)):
        one, two = (list(FORMS)[rng.integers(len(FORMS))] for _ in range(2))
        shrunk = test[:, :5] if rng.random() < 0.1 else test
        path = tmp_path / f"{number}.npz"
        np.savez(path, x_train=FORMS[one](train), x_test=FORMS[two](shrunk))
        try:
            found = [open_data(path, split=side, progress=False).values.numpy() for side in ("train", "test")]
        except UserError:
            ends.append("refused")
            continue
        ends.append("right")
        for got, pixels in zip(found, (train, test), strict=True):
            np.testing.assert_array_equal(got, chw(pixels), err_msg=f"{one} {two}")
    assert set(ends) == {"refused", "right"}


TRAINS = ("train", "Training", "my-train", "train2017", "01_train", "trainset", "data_train")
TESTS = (
    "test",
    "Testing",
    "val",
    "validation",
    "dev",
    "eval",
    "hold-out",
    "held_out",
    "holdout",
    "my-test",
    "valid2017",
)


def test_splits_and_classes_by_names_are_those_that_were_written(tmp_path):
    """Folders or file names, classes above or below, loose files beside: what is not used is said."""
    rng = np.random.default_rng(20_261_128)
    pixels = {image.tobytes(): i for i, image in enumerate(chw(noise(24, 4, 4)))}
    files = [encoded(image) for image in noise(24, 4, 4)]
    for number in range(max(30, CASES // 8)):
        sides = TRAINS[rng.integers(len(TRAINS))], TESTS[rng.integers(len(TESTS))]
        form = ("{side}/{kind}/{i}.png", "{kind}/{side}/{i}.png", "{kind}/{side}_{i}.png", "a/{side}/{kind}/{i}.png")
        names = [form[number % 4].format(side=sides[i % 3 == 0], kind=("cat", "dog")[i % 2], i=i) for i in range(24)]
        place = write_files(tmp_path / str(number), dict(zip(names, files, strict=True)))
        if number % 5 == 0:
            place = write_zip(tmp_path / f"{number}.zip", dict(zip(names, files, strict=True)))
        for side in ("train", "test"):
            data = open_data(place, split=side, progress=False)
            rows = [pixels[image.numpy().tobytes()] for image in data.values]
            assert sorted(rows) == [i for i in range(24) if (i % 3 == 0) == (side == "test")], names[:2]
            assert data.classes == ("cat", "dog"), names[:2]
            assert data.labels.tolist() == [row % 2 for row in rows], names[:2]
