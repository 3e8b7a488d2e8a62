"""The cache: where it is, when it is used, what happens when two processes or a crash meet in it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from data_cases import chw, encoded, noise, write_files
from tightrope._plumbing.cache import cache_folder
from tightrope._plumbing.errors import UserError
from tightrope.data import Sampler, open_data
from tightrope.data import cache as cache_module
from tightrope.data.cache import cached, fits_in_memory

pytestmark = pytest.mark.usefixtures("cache")

pytest.importorskip("PIL")


@pytest.fixture
def photos(tmp_path):
    return write_files(tmp_path / "photos", {f"{i:02d}.png": encoded(image) for i, image in enumerate(noise(20))})


def build(folder, n=3):
    np.arange(2 * n, dtype=np.float32).tofile(folder / "values.bin")
    return {"shape": (n, 2), "dtype": "float32"}


def never(folder):
    raise AssertionError("built again")


def test_where_it_is(monkeypatch, tmp_path):
    assert cache_folder(tmp_path / "given") == tmp_path / "given"
    monkeypatch.setenv("TIGHTROPE_CACHE", str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own"
    monkeypatch.delenv("TIGHTROPE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "tightrope"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "tightrope"
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(os.path, "expanduser", str)  # what it does for a user whom the system does not know
    with pytest.raises(UserError, match="this user has none; set TIGHTROPE_CACHE"):
        cache_folder()


def test_an_entry_is_built_once_per_key(tmp_path):
    first = cached(tmp_path, "a", build)
    assert first.values.tolist() == [[0, 1], [2, 3], [4, 5]]
    assert first.labels is None
    assert torch.equal(cached(tmp_path, "a", never).values, first.values)
    with pytest.raises(AssertionError, match="built again"):
        cached(tmp_path, "b", never)
    assert len(list(tmp_path.iterdir())) == 1  # nothing is left of the failed one


@pytest.mark.parametrize("damage", ["cut", "no meta", "bad meta", "labels"])
def test_a_damaged_entry_is_built_again(tmp_path, damage):
    cached(tmp_path, "a", build)
    entry = next(tmp_path.iterdir())
    if damage == "cut":
        (entry / "values.bin").write_bytes(b"123")
    elif damage == "no meta":
        (entry / "meta.json").unlink()
    elif damage == "bad meta":
        (entry / "meta.json").write_text('{"shape": [3')
    else:
        np.arange(7).tofile(entry / "labels.bin")
    assert cached(tmp_path, "a", build).values[2].tolist() == [4, 5]
    cached(tmp_path, "a", never)


def flip(path, at):
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("share", [0.25, 0.0])
@pytest.mark.parametrize("part", ["values.bin", "labels.bin", "meta.json"])
def test_damage_of_the_same_size_is_seen(tmp_path, capsys, monkeypatch, part, share):
    """Loaded or mapped: a single bit in what is read back, wherever it is."""

    def labelled(folder):
        np.arange(3).tofile(folder / "labels.bin")
        return build(folder) | {"fingerprint": "abc"}

    monkeypatch.setattr(cache_module, "MEMORY_SHARE", share)
    whole = cached(tmp_path, "a", labelled)
    values, labels = whole.values.clone(), whole.labels.clone()  # a map shows what becomes of its file
    entry = next(tmp_path.iterdir())
    spots = range(4, (entry / part).stat().st_size, 7)
    for at in spots:
        flip(entry / part, at)
        again = cached(tmp_path, "a", labelled)
        assert torch.equal(again.values, values)
        assert torch.equal(again.labels, labels)
        assert again.meta == whole.meta
        lines = capsys.readouterr().err.splitlines()
        assert lines == [f"The cache entry {entry} is damaged; it is built again."]
    cached(tmp_path, "a", never)
    assert len(spots) > 2


def test_a_part_too_many_or_too_few_is_seen(tmp_path):
    cached(tmp_path, "a", build)
    entry = next(tmp_path.iterdir())
    np.arange(3).tofile(entry / "labels.bin")
    assert cached(tmp_path, "a", build).labels is None
    assert not (entry / "labels.bin").exists()


def test_large_files_are_checked_once_until_they_change(tmp_path, monkeypatch):
    monkeypatch.setattr(cache_module, "MEMORY_SHARE", 0.0)
    cached(tmp_path, "a", build)
    entry = next(tmp_path.iterdir())
    read = []
    checksum = cache_module._checksum
    monkeypatch.setattr(cache_module, "_checksum", lambda path: read.append(path) or checksum(path))
    cached(tmp_path, "a", never)
    assert read == []
    stat = (entry / "values.bin").stat()
    flip(entry / "values.bin", 3)
    os.utime(entry / "values.bin", ns=(stat.st_atime_ns, stat.st_mtime_ns))  # with the old date
    assert cached(tmp_path, "a", build).values[2].tolist() == [4, 5]
    assert read


def test_every_split_has_a_fingerprint(photos):
    train, test = (open_data(str(photos), split=split, progress=False) for split in ("train", "test"))
    both = {"train": train.fingerprint, "test": test.fingerprint}
    assert train.fingerprints() == test.fingerprints() == both
    for row, image in enumerate(noise(20)):
        if image.transpose(2, 0, 1).tobytes() in {one.numpy().tobytes() for one in test.values}:
            (photos / f"{row:02d}.png").write_bytes(encoded(255 - image))
    after = open_data(str(photos), progress=False)
    assert after.fingerprint == train.fingerprint  # what a run would compare today
    assert after.fingerprints()["test"] != both["test"]
    for source in ("digits", "toy:ring"):
        assert set(open_data(source).fingerprints()) == {"train", "test"}


def test_of_two_builders_the_first_wins(tmp_path):
    def slow(folder):
        cached(tmp_path, "a", build)  # another process finishes while this one builds
        np.zeros((1, 2), dtype=np.float32).tofile(folder / "values.bin")
        return {"shape": (1, 2), "dtype": "float32"}

    assert len(cached(tmp_path, "a", slow).values) == 3
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.slow
def test_two_processes_at_once(photos, tmp_path):
    code = "import sys; from tightrope.data import open_data; print(open_data(sys.argv[1], progress=False).fingerprint)"
    environment = {**os.environ, "TIGHTROPE_CACHE": str(tmp_path / "both")}
    command = [sys.executable, "-c", code, str(photos)]
    jobs = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) for _ in range(2)]
    prints = {job.communicate(timeout=100)[0] for job in jobs}
    assert [job.returncode for job in jobs] == [0, 0]
    assert len(prints) == 1
    assert len(list((tmp_path / "both").iterdir())) == 1


def test_old_leftovers_are_swept_and_new_ones_kept(tmp_path):
    for name, age in (("old", 2 * 86_400), ("new", 60)):
        folder = tmp_path / f".building-{name}"
        folder.mkdir()
        os.utime(folder, (time.time() - age, time.time() - age))
    cached(tmp_path, "a", build)
    assert not (tmp_path / ".building-old").exists()
    assert (tmp_path / ".building-new").exists()


def test_a_cache_that_cannot_be_written(tmp_path, photos):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="TIGHTROPE_CACHE"):
        open_data(str(photos), cache=tmp_path / "file" / "below", progress=False)


def test_images_are_decoded_once_per_choice(photos, cache, monkeypatch):
    first = open_data(str(photos), progress=False)
    assert len(list(cache.iterdir())) == 1
    monkeypatch.setattr("tightrope.data.store.decode", never)
    again = open_data(str(photos), progress=False)
    assert torch.equal(first.values, again.values)
    assert first.fingerprint == again.fingerprint
    for options in ({"resolution": 4}, {"channels": 1}, {"limit": 3}, {"split": "test"}):
        with pytest.raises(UserError, match="None of"):  # decoding was tried
            open_data(str(photos), progress=False, **options)


def test_the_argument_overrides_the_environment(photos, cache, tmp_path):
    open_data(str(photos), cache=tmp_path / "mine", progress=False)
    assert not cache.exists()
    assert len(list((tmp_path / "mine").iterdir())) == 1


def test_a_changed_file_is_seen(photos):
    before = open_data(str(photos), progress=False)
    pixels = noise(20)
    row = [image.tobytes() for image in chw(pixels)].index(before.values[0].numpy().tobytes())
    changed = encoded(255 - pixels[row])
    path = photos / f"{row:02d}.png"
    stat = path.stat()
    path.write_bytes(changed)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # as an unpacker that restores dates would
    after = open_data(str(photos), progress=False)
    assert torch.equal(after.values[0], 255 - before.values[0])
    assert after.fingerprint != before.fingerprint


def test_broken_files_are_remembered(photos):
    (photos / "03.png").write_bytes(b"x")
    (photos / "11.png").write_bytes(b"x")
    broken = open_data(str(photos), skip_broken=True, progress=False).broken
    with pytest.raises(UserError, match=broken[0]):
        open_data(str(photos), progress=False)


def test_large_sets_are_mapped(photos, monkeypatch):
    loaded = open_data(str(photos), progress=False)
    monkeypatch.setattr(cache_module, "MEMORY_SHARE", 0.0)
    mapped = open_data(str(photos), progress=False)
    assert torch.equal(mapped.values, loaded.values)
    batch = Sampler(mapped, 8, seed=0, flip=True).next()
    assert torch.equal(batch.x, Sampler(loaded, 8, seed=0, flip=True).next().x)
    mapped.values[0] = 0  # a private page: the file stays as it is
    assert torch.equal(open_data(str(photos), progress=False).values, loaded.values)


def test_the_share_of_memory(monkeypatch):
    monkeypatch.setattr(cache_module, "_memory", lambda: 1000)
    assert fits_in_memory(250)
    assert not fits_in_memory(251)
    monkeypatch.undo()
    assert 1 << 28 < cache_module._memory() < 1 << 50


def test_fingerprints_see_labels_and_resolution(tmp_path):
    files = {f"{'ab'[i % 2]}/{i:02d}.png": encoded(image) for i, image in enumerate(noise(12))}
    labelled = write_files(tmp_path / "one", files)
    moved = write_files(tmp_path / "two", {f"{'ba'[i % 2]}/{i:02d}.png": data for i, data in enumerate(files.values())})
    plain = [open_data(str(folder), progress=False) for folder in (labelled, moved)]
    assert plain[0].fingerprint != plain[1].fingerprint
    copy = write_files(tmp_path / "copy", files)
    assert open_data(str(copy), progress=False).fingerprint == plain[0].fingerprint
    assert open_data(str(copy), resolution=8, progress=False).values.shape == plain[0].values.shape


def test_progress_is_plain_lines_without_a_terminal(photos, capsys, monkeypatch):
    monkeypatch.setattr("tightrope._plumbing.progress.LINE_SECONDS", 1e-9)
    open_data(str(photos))
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[-1].startswith("images: 18 of 18, ")
    assert "\r" not in err
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    open_data(str(photos), resolution=4)
    assert "\rimages: " in capsys.readouterr().err
    open_data(str(photos), resolution=5, progress=False)
    assert capsys.readouterr().err == ""


def test_meta_is_readable(photos, cache):
    open_data(str(photos), progress=False)
    meta = json.loads(next(cache.iterdir()).joinpath("meta.json").read_text())
    assert meta["shape"] == [18, 3, 8, 8]
    assert meta["dtype"] == "uint8"
