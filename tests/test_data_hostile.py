"""Sources that would hang, fill the memory, run a program or act on the terminal: each is refused or left out."""

from __future__ import annotations

import bz2
import io
import json
import os
import shutil
import struct
import sys
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest

from data_cases import encoded, gz, noise, write_files, write_parquet, write_zip
from tightrope._plumbing.errors import UserError, printable
from tightrope.data import cache as cache_module
from tightrope.data import open_data

pytestmark = pytest.mark.usefixtures("cache")

pytest.importorskip("PIL")

PIXELS = noise(20)
GIB = 2**30


def images():
    return {f"{i:02d}.png": encoded(image) for i, image in enumerate(PIXELS)}


def refused(place, *words, **options):
    with pytest.raises(UserError) as error:
        open_data(place, progress=False, **options)
    text = str(error.value)
    assert text.endswith((".", "?"))
    assert text.isprintable()
    for word in words:
        assert word in text
    return text


@pytest.fixture
def small_memory(monkeypatch):
    """A machine with 64 MiB, on which bombs are small enough for a test."""
    monkeypatch.setattr(cache_module, "_memory", lambda: 64 << 20)


# --- other formats under an image's name


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n%%EOF\n"


@pytest.mark.parametrize(
    "data", [EPS, b"\xc5\xd0\xd3\xc6" + EPS, b"%PDF-1.4\n", b"<svg/>", b"\0\0\x01\0", b"SIMPLE  ="]
)
def test_only_formats_that_are_named_are_decoded(tmp_path, data, monkeypatch):
    """Pillow starts Ghostscript for EPS files, whatever they are called."""

    def started(*args, **options):
        raise AssertionError("a program was started")

    monkeypatch.setattr("subprocess.Popen", started)
    monkeypatch.setattr("os.system", started)
    folder = write_files(tmp_path / "d", images() | {"x.png": data, "y.png": data, "z.png": data})
    refused(folder, "x.png", "no image of a format that is read")
    both = [open_data(folder, progress=False, skip_broken=True, split=split) for split in ("train", "test")]
    assert sum(len(data) for data in both) == 20


def test_a_photograph_of_a_telephone_is_told_apart(tmp_path):
    heic = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(40)
    refused(write_files(tmp_path / "d", {f"{i}.jpg": heic for i in range(3)}), "HEIC", "convert it")


def test_endings_that_are_not_read_are_counted(tmp_path):
    files = images() | {f"{i}.HEIC": b"x" for i in range(5)} | {"a.cr2": b"x", "readme.md": b"x", "Thumbs.db": b"x"}
    for place in (write_files(tmp_path / "d", files), write_zip(tmp_path / "d.zip", files)):
        assert "6 other files are not used (5 .HEIC, 1 .cr2)" in open_data(place, progress=False).notes[0]
        assert "convert photographs in HEIC to JPEG" in open_data(place, progress=False).notes[0]
    refused(write_files(tmp_path / "all", {f"{i}.HEIC": b"x" for i in range(5)}), "convert photographs in HEIC")


# --- files that are no files


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.parametrize("name", ["0x.png", "labels.csv", "a.parquet", "train-images-idx3-ubyte", "train.bin", "x.txt"])
def test_pipes_do_not_hang(tmp_path, name):
    folder = write_files(tmp_path / "d", images())
    os.mkfifo(folder / name)
    if name == "labels.csv":
        refused(folder, "labels.csv")
    else:
        assert len(open_data(folder, progress=False, skip_broken=True)) >= 18
    refused(folder / name, "neither")


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="this system has no /dev/zero")
def test_endless_files_are_not_read(tmp_path):
    folder = write_files(tmp_path / "d", images())
    for name in ("0x.png", "0y.png", "0z.png"):
        (folder / name).symlink_to("/dev/zero")
    refused(folder, "it is no regular file")
    both = [open_data(folder, progress=False, skip_broken=True, split=split) for split in ("train", "test")]
    assert sum((data.broken for data in both), ()) == ("0x.png", "0y.png", "0z.png")
    (folder / "dataset.json").symlink_to("/dev/zero")
    refused(folder, "dataset.json")


def test_links_that_lead_nowhere(tmp_path):
    folder = write_files(tmp_path / "d", images())
    (folder / "gone.png").symlink_to(tmp_path / "nowhere")
    (folder / "loop.png").symlink_to("loop.png")
    (folder / "ring").symlink_to("ring")
    both = [open_data(folder, progress=False, skip_broken=True, split=split) for split in ("train", "test")]
    assert sorted(sum((data.broken for data in both), ())) == ["gone.png", "loop.png"]
    assert sum(len(data) for data in both) == 20
    with pytest.raises(FileNotFoundError, match="existing path"):
        open_data(folder / "gone.png")
    with pytest.raises(FileNotFoundError, match="existing path"):
        open_data(folder / "loop.png")


@pytest.mark.parametrize("source", ["~nobody-of-that-name/x", "a\0b", "x" * 5000, "a/" * 3000, "hub:a\0b/c", "toy:\0"])
def test_names_that_no_file_can_have(source):
    with pytest.raises((UserError, FileNotFoundError)) as error:
        open_data(source)
    assert str(error.value).isprintable()
    assert str(error.value).startswith("Expected")


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="everything may be read")
def test_what_may_not_be_read(tmp_path):
    folder = write_files(tmp_path / "d", images() | {"a/x.png": b""})
    (folder / "a").chmod(0)
    refused(folder, "Permission denied")
    (folder / "a").chmod(0o700)
    (folder / "00.png").chmod(0)
    refused(folder, "Permission denied")


@pytest.mark.parametrize(
    "source", ["hub:o/n/../x", "hub:../x", "hub:o/..", "hub:o/n//etc", "hub:/o/n", "hub:o/n/*", "hub:o/n/."]
)
def test_hub_names_that_lead_elsewhere(source, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert "not installed" not in refused(source)


# --- bombs


def test_an_archive_that_unpacks_to_more_than_memory(tmp_path, small_memory):
    files = images() | {"bomb.png": bytes(48 << 20), "bomb2.png": bytes(48 << 20), "bomb3.png": bytes(48 << 20)}
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    assert "bomb" in refused(tmp_path / "a.zip", "to fit into 1/32 of the memory")
    assert len(open_data(tmp_path / "a.zip", progress=False, skip_broken=True)) >= 17


def test_a_member_that_is_longer_than_it_says(tmp_path):
    """The size in the zip's list is a tenth of what is in it: no more than that is unpacked."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in images().items():
            archive.writestr(name, data)
        archive.writestr("zz.png", bytes(1_000_000))
    data = bytearray((tmp_path / "a.zip").read_bytes())
    for at in (data.find(struct.pack("<I", 1_000_000)), data.rfind(struct.pack("<I", 1_000_000))):
        data[at : at + 4] = struct.pack("<I", 100_000)
    (tmp_path / "a.zip").write_bytes(bytes(data))
    both = [open_data(tmp_path / "a.zip", progress=False, skip_broken=True, split=s) for s in ("train", "test")]
    assert sum((data.broken for data in both), ()) == ("zz.png",)


def test_packings_without_a_limit_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_BZIP2) as archive:
        for name, data in images().items():
            archive.writestr(name, data)
    refused(tmp_path / "a.zip", "stored or deflated")
    assert bz2  # the packing itself is there


def test_gzip_is_read_no_further_than_its_header_says(tmp_path, small_memory):
    name = "train-images-idx3-ubyte.gz"
    bomb = b"\0\0\x08\x03" + np.array([2, 4, 4], ">u4").tobytes() + bytes(200 << 20)
    refused(write_files(tmp_path / "a", {name: gz(bomb)}), "got more")
    claim = b"\0\0\x08\x03" + np.array([2**32 - 1] * 3, ">u4").tobytes()
    refused(write_files(tmp_path / "b", {name: gz(claim)}), "of the memory")
    refused(write_files(tmp_path / "c", {name[:-3]: claim}), "of the memory")


def header(shape, descr="<f4", tail=b""):
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": descr, "fortran_order": False, "shape": shape})
    return file.getvalue() + tail


@pytest.mark.parametrize(
    "data",
    [
        header((10**18, 10**18)),
        header((2**62,)),
        header((-1, 5), tail=bytes(400)),
        header((10, 10), tail=bytes(399)),
        header((4,) * 60),
        header((3, 10**9), descr="<U1000000"),
        header((4, 4), descr=[("a", "<f4")], tail=bytes(64)),
        header((4, 4), descr="|O", tail=bytes(64)),
        header((4, 4), descr="<M8[s]", tail=bytes(128)),
        header((4, 4)).replace(b"'<f4'", b"'<q9'"),
        header((4, 4)).replace(b"(4, 4)", b"(4,[4])"),
        header((4, 4)).replace(b"{", b"("),
        b"\x93NUMPY\x01\0\xff\xff" + b"(" * 65535,
        b"\x93NUMPY\x02\0\xff\xff\xff\x7f" + b"{" * 1000,
        b"\x93NUMPY\x09\0\x10\0" + bytes(200),
        b"\x93NUMPY",
    ],
)
@pytest.mark.parametrize("form", ["npy", "npz"])
@pytest.mark.filterwarnings("ignore")
def test_headers_of_arrays(tmp_path, data, form):
    if form == "npy":
        (tmp_path / "a.npy").write_bytes(data)
    else:
        write_zip(tmp_path / "a.npz", {"x.npy": data})
    refused(tmp_path / f"a.{form}")


def test_an_array_larger_than_memory(tmp_path, small_memory):
    np.savez_compressed(tmp_path / "a.npz", x=np.zeros((40 << 20, 1), np.uint8))
    refused(tmp_path / "a.npz", "of the memory")


def test_a_file_that_is_nearly_all_hole(tmp_path, monkeypatch):
    monkeypatch.setattr(cache_module, "_memory", lambda: GIB)
    np.save(tmp_path / "x.npy", np.zeros((4, 1024), np.float32))
    header = (tmp_path / "x.npy").read_bytes()[:128].replace(b"(4, 1024), }    ", b"(4000000, 1024)}")
    (tmp_path / "x.npy").write_bytes(header)
    os.truncate(tmp_path / "x.npy", 128 + 4_000_000 * 4096)
    (tmp_path / "train.bin").touch()
    os.truncate(tmp_path / "train.bin", 3074 * 10**6)
    for source in ("x.npy", "train.bin"):
        with pytest.raises(UserError, match=r"GiB of which 0\.0 GiB were ever written"):
            open_data(tmp_path / source, progress=False)


def test_no_room_is_said_before_anything_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(cache_module, "_memory", lambda: 2**14)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(100, 0, 2**14))
    np.save(tmp_path / "x.npy", np.full((100, 100), np.nan, np.float32))  # what would be said if it were read
    with pytest.raises(UserError, match=r"Expected room for .* in memory or in the cache .*--limit"):
        open_data(tmp_path / "x.npy", progress=False)
    np.save(tmp_path / "few.npy", noise(100, 8, 8, 1).astype(np.float32))
    assert len(open_data(tmp_path / "few.npy", progress=False, limit=60)) <= 60
    np.save(tmp_path / "images.npy", noise(100))
    with pytest.raises(UserError, match=r"Expected room for .* of images of .*TIGHTROPE_CACHE"):
        open_data(tmp_path / "images.npy", progress=False)


def test_parquet_that_claims_more_rows_than_there_are(tmp_path):
    pytest.importorskip("pyarrow")
    path = write_parquet(tmp_path / "a.parquet", list(images().values()))
    data = bytearray(path.read_bytes())
    length = struct.unpack("<I", data[-8:-4])[0]
    start = len(data) - 8 - length
    at = data.index(b"\x16\x28", start)  # a zigzag-coded 20: the number of rows
    data[at : at + 2] = b"\x16\x7e"
    path.write_bytes(bytes(data))
    refused(path, "is not one or is cut off")


def test_png_that_claims_to_be_endless(tmp_path):
    data = bytearray(encoded(PIXELS[0]))
    data[16:24] = struct.pack(">II", 2**31 - 1, 2**31 - 1)
    data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])))
    folder = write_files(tmp_path / "d", images() | {f"x{i}.png": bytes(data) for i in range(3)})
    refused(folder, "x0.png")


# --- what reaches the terminal


def test_printable():
    assert printable("a\x1b[31m\r\n\u202e\udce9\ud800\x9b\u2028") == "a\\x1b[31m\\r\\n\\u202e\\xe9\\ud800\\x9b\\u2028"
    plain = "Zürich 東京 \u00a0\u202f 👩\u200d👧 می\u200cخواهم \\x1b"
    assert printable(plain) == plain
    assert str(UserError("a\nb\x07")) == "a\\nb\\x07"


@pytest.mark.skipif(sys.platform == "win32", reason="names on this system hold no control characters")
def test_names_do_not_act_on_a_terminal(tmp_path):
    folder = write_files(
        tmp_path / "a\x1b[2Jb", {f"c\n{i % 2}/{i}\x1b]0;x\x07.png": data for i, data in enumerate(images().values())}
    )
    data = open_data(folder, progress=False)
    assert data.name == "a\\x1b[2Jb"
    assert data.classes == ("c\\n0", "c\\n1")
    for file in folder.rglob("*.png"):
        file.write_bytes(b"")
    refused(folder, "\\x1b]0;x\\x07.png", "an empty file")
    refused(tmp_path / "a\x1b[2Jb" / "c\n0", "\\x1b")
    with pytest.raises(FileNotFoundError, match=r"\\x1b"):
        open_data(tmp_path / "no\x1b")


def test_labels_as_dangerous_as_names(tmp_path):
    files = images() | {"dataset.json": json.dumps({"labels": [["\x1b[2J.png", 0]]}).encode()}
    data = open_data(write_files(tmp_path / "d", files), progress=False)
    assert all(note.isprintable() for note in data.notes)
