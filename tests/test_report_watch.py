"""A report that is alive while a run trains, and the pictures in it: by class, and beside the nearest real image."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from PIL import Image

from run_folders import make_run
from tightrope import runs
from tightrope.cli import main
from tightrope.data import open_data
from tightrope.drawing.dataset import nearest_rows, picture_labels, real_examples
from tightrope.report import write_report
from tightrope.runs.lock import HOLDER, in_training


def hold(run: Path, pid: int) -> None:
    (run / HOLDER).write_text(f"process {pid}")


def old(run: Path) -> None:
    for path in run.iterdir():
        os.utime(path, (1e9, 1e9))


@pytest.fixture
def gone() -> int:
    """The number of a process that has ended."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def test_who_trains_is_read_without_trying_the_lock(tmp_path: Path, gone: int):
    run = make_run(tmp_path / "run", steps=80, every=10, pictures=False)
    assert not in_training(run)
    hold(run, os.getpid())
    assert in_training(run)
    hold(run, gone)
    assert in_training(run), "it may live on another machine, for it wrote just now"
    old(run)
    assert not in_training(run)
    (run / HOLDER).write_text("process of whom")
    assert not in_training(run)


def test_a_watched_report_is_read_again_until_the_run_ends(tmp_path: Path, monkeypatch, capsys):
    run = make_run(tmp_path / "run", steps=80, every=10, pictures=False)
    hold(run, os.getpid())
    pages = []

    def wait(seconds: float) -> None:
        pages.append((run / "report.html").read_text(encoding="utf-8"))
        if len(pages) == 3:
            (run / HOLDER).unlink()

    monkeypatch.setattr(time, "sleep", wait)
    assert main(["report", str(run), "--watch", "--every", "7"]) == 0
    assert len(pages) == 3 and all('<meta http-equiv="refresh" content="7">' in page for page in pages)
    last = (run / "report.html").read_text(encoding="utf-8")
    assert 'http-equiv="refresh"' not in last and last == write_report(run).read_text(encoding="utf-8")
    assert "watching" in capsys.readouterr().out


def test_ctrl_c_leaves_the_run_alone_and_a_page_that_does_not_reload(tmp_path: Path, monkeypatch, capsys):
    run = make_run(tmp_path / "run", steps=80, every=10, pictures=False)
    hold(run, os.getpid())

    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", interrupt)
    assert main(["report", str(run), "--watch"]) == 0
    assert "goes on" in capsys.readouterr().err
    assert 'http-equiv="refresh"' not in (run / "report.html").read_text(encoding="utf-8")


def test_nobody_to_watch_is_said(tmp_path: Path, capsys):
    run = make_run(tmp_path / "run", steps=80, every=10, pictures=False)
    assert main(["report", str(run), "--watch"]) == 0
    assert "nobody trains" in capsys.readouterr().err
    assert main(["report", str(tmp_path / "nowhere"), "--watch"]) == 2
    said = capsys.readouterr().err
    assert "does not exist" in said and "nobody trains" not in said


def photographs(folder: Path, classes: int, each: int, side: int = 16) -> Path:
    """Images of one colour each, a class per folder; the first class has twice as many."""
    for label in range(classes):
        (folder / f"kind{label:02d}").mkdir(parents=True)
        for index in range(each * (2 if label == 0 else 1)):
            colour = (10 + 20 * label % 240, 40 + 3 * index, 255 - 20 * label % 240)
            Image.new("RGB", (side, side), colour).save(folder / f"kind{label:02d}" / f"{index:03d}.png")
    return folder


@pytest.mark.parametrize(("classes", "shown"), [(2, 64), (3, 48), (12, 96), (20, 64)])
def test_pictures_show_every_class_in_its_row(tmp_path: Path, classes: int, shown: int):
    dataset = open_data(photographs(tmp_path / "photos", classes, 4), progress=False)
    labels = picture_labels(dataset)
    assert labels is not None and len(labels) == shown and len(labels) % 8 == 0
    assert bool((labels.diff() >= 0).all()) and len(labels.unique()) == classes
    counts = torch.bincount(labels)
    assert counts.max() - counts.min() <= (0 if classes <= 16 else 1)
    if classes <= 16:
        assert all(len(row.unique()) == 1 for row in labels.reshape(-1, 8))
    blue = {round(float(v), 3) for v in real_examples(dataset, by_class=True)[:8, 2, 0, 0]}
    assert len(blue) == (1 if classes <= 16 else 3), "the first row is of the first class, or of its share of classes"


def test_real_images_that_are_not_arranged_are_balanced_and_mixed(tmp_path: Path):
    dataset = open_data(photographs(tmp_path / "photos", 4, 5), progress=False)
    blue = real_examples(dataset)[:, 2, 0, 0]
    values, counts = blue.unique(return_counts=True)
    assert len(values) == 4 and counts.tolist() == [16] * 4, "the first class has twice the images and no more places"
    assert len(blue[:16].unique()) == 4


def test_unlabelled_images_have_no_classes_to_arrange(tmp_path: Path):
    (tmp_path / "flat").mkdir()
    for index in range(20):
        Image.new("RGB", (16, 16), (index, 0, 0)).save(tmp_path / "flat" / f"{index}.png")
    dataset = open_data(tmp_path / "flat", progress=False)
    assert picture_labels(dataset) is None and len(real_examples(dataset)) == 18


def test_the_nearest_training_image_is_the_nearest(tmp_path: Path):
    dataset = open_data(photographs(tmp_path / "photos", 5, 6, side=20), progress=False)
    rng = torch.Generator().manual_seed(0)
    rows = torch.randperm(len(dataset), generator=rng)[:9]
    x = dataset.batch(rows).x + 0.001 * torch.randn(9, 3, 20, 20, generator=rng)
    assert torch.equal(nearest_rows(x, dataset), rows)
    noise = torch.rand(4, 3, 20, 20, generator=rng) * 2 - 1
    small = torch.nn.functional.adaptive_avg_pool2d
    every = small(dataset.batch(torch.arange(len(dataset))).x, 16).double()
    slow = ((small(noise, 16).double()[:, None] - every[None]) ** 2).sum(dim=(2, 3, 4)).argmin(1)
    assert torch.equal(nearest_rows(noise, dataset), slow)


@pytest.mark.parametrize("conditional", [True, False])
def test_a_run_of_photographs_shows_classes_and_copies(tmp_path: Path, conditional: bool):
    photos = photographs(tmp_path / "photos", 3, 8)
    config = runs.resolve(photos, steps=2, network="dcgan", width=4, latent=4, batch_size=4, evaluate_every=0,
                          evaluate_n=4, conditional=conditional, threads=1, conditioning_every=0)  # fmt: skip
    runs.begin(tmp_path / "run", config, quiet=True)
    with Image.open(tmp_path / "run" / "samples" / "step_00000002.png") as last:
        assert (last.width > last.height) == conditional, "three classes, two rows of eight each"
    page = write_report(tmp_path / "run").read_text(encoding="utf-8")
    assert "Copies of training images?" in page and re.search(r"nearest of \d+ training images", page)
    assert ("the same class at the same place: kind00, kind01, kind02" in page) == conditional
    assert ("as many are shown of one class as of another" in page) == (not conditional)


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_report_is_watched_while_another_process_trains(tmp_path: Path):
    words, run = [sys.executable, "-m", "tightrope"], tmp_path / "run"
    short = "--network mlp --width 8 --minutes 5 --evaluate-every 0 --threads 1 --quiet --out"
    train = subprocess.Popen([*words, "train", "toy:ring", *short.split(), str(run)])
    try:
        for _ in range(1200):
            if in_training(run) and (run / "status.json").exists():
                break
            time.sleep(0.1)
        watch = [*words, "report", str(run), "--watch", "--every", "1"]
        with subprocess.Popen(watch, stdout=subprocess.PIPE, text=True) as watching:
            assert watching.stdout is not None and "watching" in watching.stdout.readline()
            assert 'http-equiv="refresh"' in (run / "report.html").read_text(encoding="utf-8")
            train.send_signal(signal.SIGINT)
            assert train.wait(timeout=120) == 130
            assert watching.wait(timeout=120) == 0, "it ends with the run"
        assert 'http-equiv="refresh"' not in (run / "report.html").read_text(encoding="utf-8")
    finally:
        train.kill()
        train.wait()
